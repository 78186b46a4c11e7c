//! Results as JUnit XML, which CI systems show.

use super::super::run::{Results, Tried, Verdict};
use super::{address, escaped};

/// One test suite with every case; a warning is a passed case with a word in `system-out`.
pub fn document(results: &Results) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\"",
        results.cases.len(),
        results.failed(),
        results.skipped(),
        results.elapsed.as_secs_f64()
    );
    let name = format!("XKS proxy {}", results.proxy);
    xml.push_str(&format!(
        "<testsuites {counts}>\n<testsuite name=\"{}\" {counts}>\n",
        escaped(&name)
    ));
    for tried in &results.cases {
        case(tried, &mut xml);
    }
    if let Some(notice) = &results.notice {
        xml.push_str(&format!("<system-out>{}</system-out>\n", escaped(notice)));
    }
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}

fn case(tried: &Tried, xml: &mut String) {
    let case = tried.case;
    xml.push_str(&format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
        escaped(&format!("xks.{}", case.section.replace([',', ' '], "_"))),
        escaped(case.name),
        tried.elapsed.as_secs_f64()
    ));
    match &tried.verdict {
        Verdict::Passed => xml.push_str("/>\n"),
        Verdict::Skipped(why) => xml.push_str(&format!(
            "><skipped message=\"{}\"/></testcase>\n",
            attribute(why)
        )),
        Verdict::Failed(what) => xml.push_str(&format!(
            "><failure type=\"{}\" message=\"{}\">{}</failure></testcase>\n",
            case.level.as_str(),
            attribute(what),
            escaped(&details(tried))
        )),
        Verdict::Warned(what) => xml.push_str(&format!(
            "><system-out>{}</system-out></testcase>\n",
            escaped(&format!("warning: {what}\n{}", details(tried)))
        )),
    }
}

fn details(tried: &Tried) -> String {
    let case = tried.case;
    let mut text = format!(
        "required: {}\nwhere: {}, {}\n",
        case.requires,
        case.section,
        address(case.section)
    );
    for exchange in &tried.exchanges {
        text.push_str(&format!(
            "\nrequest:\n{}\nanswer:\n{}\n",
            exchange.request, exchange.answer
        ));
    }
    text
}

/// A line break in an attribute would become a space.
fn attribute(text: &str) -> String {
    escaped(&text.replace('\n', " "))
}
