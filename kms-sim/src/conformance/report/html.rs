//! Results as one page, light or dark, that loads nothing from elsewhere.

use super::super::run::{Results, Tried, Verdict};
use super::{VERSION, address, escaped};

/// The whole page.
pub fn page(results: &Results) -> String {
    let mut page = String::from(HEAD);
    let started = results
        .started
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default();
    page.push_str(&format!(
        "<h1>Conformance of {}</h1>\n<p>{}<br>{}, {:.1} s, against version {VERSION} of the <a href='{}'>XKS proxy API \
         specification</a></p>\n",
        escaped(&results.proxy),
        escaped(results.model.as_deref().unwrap_or("an unknown proxy")),
        escaped(&started),
        results.elapsed.as_secs_f64(),
        super::SPECIFICATION,
    ));
    if let Some(notice) = &results.notice {
        page.push_str(&format!("<p class='notice bad'>{}</p>\n", escaped(notice)));
    }
    let class = |count: usize| if count == 0 { "good" } else { "bad" };
    page.push_str(&format!(
        "<dl class=figures><div><dt>passed</dt><dd>{}</dd></div><div><dt>failed</dt><dd class={}>{}</dd></div>\
         <div><dt>with a warning</dt><dd>{}</dd></div><div><dt>skipped</dt><dd>{}</dd></div></dl>\n",
        results.passed(),
        class(results.failed()),
        results.failed(),
        results.warned(),
        results.skipped(),
    ));
    page.push_str(&filter(results));
    for tried in &results.cases {
        page.push_str(&case(tried));
    }
    page.push_str("</main>\n</html>\n");
    page
}

/// Radio buttons, which the style sheet follows: no script is needed.
fn filter(results: &Results) -> String {
    let failed = results.failed() > 0;
    let checked = |is_so: bool| if is_so { " checked" } else { "" };
    let choice = |id: &str, label: &str, count: usize, is_so: bool| {
        format!(
            "<input type=radio name=show id=show-{id}{}><label for=show-{id}>{label} ({count})</label>\n",
            checked(is_so)
        )
    };
    [
        choice("all", "all", results.cases.len(), !failed),
        choice("failed", "failed", results.failed(), failed),
        choice("warning", "warnings", results.warned(), false),
        choice("skipped", "skipped", results.skipped(), false),
    ]
    .concat()
        + "<main>\n"
}

fn case(tried: &Tried) -> String {
    let case = tried.case;
    let verdict = tried.verdict.as_str();
    let mut text = format!(
        "<details class='case {verdict}'{}><summary><span class=verdict>{verdict}</span> <code>{}</code> \
         <span class=level>{}</span> {}</summary>\n<p>Required: {}. <a href='{}'>{}</a></p>\n",
        if matches!(tried.verdict, Verdict::Failed(_)) {
            " open"
        } else {
            ""
        },
        escaped(case.name),
        case.level.as_str(),
        escaped(tried.verdict.text()),
        escaped(case.requires),
        address(case.section),
        escaped(case.section),
    );
    for exchange in &tried.exchanges {
        text.push_str(&format!(
            "<h3>Request</h3><pre>{}</pre><h3>Answer</h3><pre>{}</pre>\n",
            escaped(&exchange.request),
            escaped(&exchange.answer)
        ));
    }
    text + "</details>\n"
}

const HEAD: &str = "<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>XKS proxy conformance</title>
<style>
:root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --rule: #d5dae3; --good: #16794a; --bad: #c22f0c; --warn: #8a6100; --link: #1663c7; --back: #fff; --code: #f3f5f9 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #97a1b3; --rule: #333b48; --good: #5ccb91; --bad: #ff9463; --warn: #e8bd4f; --link: #6aa9ff; --back: #12161c; --code: #1b212b } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; overflow-wrap: anywhere } h3 { font-size: .9rem; margin: .8rem 0 .2rem; color: var(--soft) } a { color: var(--link) }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem } .figures dt { color: var(--soft) } .figures dd { margin: 0; font-size: 1.5rem }
.good { color: var(--good) } .bad { color: var(--bad) }
label { margin: 0 1.2rem 0 .3rem }
main { margin-top: 1.5rem }
.case { border-bottom: 1px solid var(--rule); padding: .35rem 0 } summary { cursor: pointer; overflow-wrap: anywhere }
.verdict { display: inline-block; min-width: 4.5rem } .level { color: var(--soft); font-size: .85rem }
.passed .verdict { color: var(--good) } .failed .verdict { color: var(--bad); font-weight: bold } .warning .verdict { color: var(--warn) } .skipped .verdict { color: var(--soft) }
pre { background: var(--code); padding: .6rem; overflow-x: auto; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere }
#show-failed:checked ~ main .case:not(.failed), #show-warning:checked ~ main .case:not(.warning), #show-skipped:checked ~ main .case:not(.skipped) { display: none }
</style>
";
