//! Links of pages, their anchors as GitHub makes them, pictures, and paths of the tree that stand between backticks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::inline_code;
use crate::page::Page;

#[test]
fn every_link_leads_somewhere() {
    let pages = Page::all();
    let anchors: BTreeMap<&str, BTreeSet<String>> = pages
        .iter()
        .map(|page| (&*page.path, anchors(page)))
        .collect();
    let (mut problems, mut checked) = (Vec::new(), 0);
    for page in &pages {
        for target in targets(page) {
            checked += 1;
            if let Err(problem) = follow(page, &target, &anchors) {
                problems.push(format!("{}: {target}: {problem}", page.path));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 200, "{checked} links");
}

#[test]
fn every_path_between_backticks_is_in_the_tree() {
    let (mut problems, mut checked) = (Vec::new(), 0);
    for page in Page::all() {
        for code in inline_code(&page) {
            match is_there(&page, &code) {
                None => {}
                Some(true) => checked += 1,
                Some(false) => problems.push(format!("{}: {code}", page.path)),
            }
        }
    }
    assert!(
        problems.is_empty(),
        "not in the tree:\n{}",
        problems.join("\n")
    );
    assert!(checked > 60, "{checked} paths");
}

#[test]
fn what_leads_nowhere_is_found() {
    let text = "# One `two`: *three*\n# A_b\n# A_b\n[1](#one-two-three) [2](#a_b-1) [3](#a-b) [4](none.md)\n\
                [5](http://example.com) [6](https://example) [7](../../README.md#layout) ![8](none.png)\n\
                `proxy/src/none.rs` `proxy/src/main.rs` `fuzz/none/*.rs` `none/at/all` `none.md`\n";
    let page = Page::of("proxy/docs/none.md", text.to_owned());
    let readme = Page::read("README.md");
    let anchors = [&page, &readme]
        .map(|page| (&*page.path, anchors(page)))
        .into();
    let wrong: Vec<String> = targets(&page)
        .into_iter()
        .filter(|target| follow(&page, target, &anchors).is_err())
        .collect();
    let expected = [
        "#a-b",
        "none.md",
        "http://example.com",
        "https://example",
        "none.png",
    ];
    assert_eq!(wrong, expected);
    let there: Vec<Option<bool>> = inline_code(&page)
        .iter()
        .skip(1)
        .map(|code| is_there(&page, code))
        .collect();
    assert_eq!(
        there,
        [Some(false), Some(true), Some(false), None, Some(false)]
    );
}

/// What the links and pictures of a page lead to; what stands between backticks is no link.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let text: String = prose.split('`').step_by(2).collect();
    let links = text.split("](").skip(1);
    let ends = links.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    // Between angle brackets an address is a link, too.
    let bare = text
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'));
    let bare = bare
        .map(|(inside, _)| inside)
        .filter(|inside| inside.contains("://"));
    ends.chain(bare.map(str::to_owned)).collect()
}

fn follow(
    page: &Page,
    target: &str,
    anchors: &BTreeMap<&str, BTreeSet<String>>,
) -> Result<(), &'static str> {
    if target.contains(':') {
        return well_formed(target);
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => page.path.clone(),
        file => {
            let path = lexically(&Path::new(&page.path).with_file_name("").join(file));
            let path = path.ok_or("it leads out of the tree")?;
            if !harness::workspace().join(&path).exists() {
                return Err("there is no such file");
            }
            path.display().to_string()
        }
    };
    if anchor.is_empty() {
        return Ok(());
    }
    let anchors = anchors.get(&*path).ok_or("an anchor of what is no page")?;
    match anchors.contains(anchor) {
        true => Ok(()),
        false => Err("there is no such heading"),
    }
}

/// An address elsewhere: nobody asks the network for it.
fn well_formed(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").ok_or("expected https://")?;
    let host = rest.split(['/', '#', '?']).next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let label = |label: &&str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if labels.len() < 2 || !labels.iter().all(label) {
        return Err("expected the name of a host");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    match rest.bytes().all(allowed) {
        true => Ok(()),
        false => Err("a character that no address has"),
    }
}

/// The anchors of a page's headings: lower case, without punctuation, hyphens for spaces, and a number where one is there
/// already.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let prose = page.prose();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    for heading in headings {
        let heading = heading.trim_start_matches('#').trim();
        let mut words = String::new();
        let mut rest = heading;
        // Of a link in a heading, its text alone counts.
        while let Some((before, after)) = rest.split_once("](") {
            words.push_str(before);
            rest = after.split_once(')').map_or("", |(_, after)| after);
        }
        words.push_str(rest);
        let kept = words.to_lowercase();
        let kept = kept.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c => c.is_alphanumeric().then_some(c),
        });
        let anchor: String = kept.collect();
        let mut unique = anchor.clone();
        let mut number = 0;
        while !anchors.insert(unique.clone()) {
            number += 1;
            unique = format!("{anchor}-{number}");
        }
    }
    anchors
}

/// Whether a path is in the tree, seen from its root, the page's folder or the page's package; `None` for what is no path
/// of the tree.
fn is_there(page: &Page, code: &str) -> Option<bool> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._/*".contains(&b);
    if code.is_empty() || code.starts_with(['/', '*', '-']) || !code.bytes().all(allowed) {
        return None;
    }
    let folder = Path::new(&page.path).with_file_name("");
    let package = folder.parent().unwrap_or(Path::new(""));
    let places = [Path::new(""), &folder, package];
    let places = places.map(|place| harness::workspace().join(place));
    let (first, _) = code.split_once('/').unwrap_or((code, ""));
    let a_source = [".md", ".rs"].iter().any(|end| code.ends_with(end));
    let of_the_tree = first != "target" && places.iter().any(|place| place.join(first).is_dir());
    if !(a_source || code.contains('/') && of_the_tree) {
        return None;
    }
    Some(places.iter().any(|place| exists(&place.join(code))))
}

/// With `*` in its last part, whether there is any such file.
fn exists(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let Some((begin, end)) = name.split_once('*') else {
        return path.exists();
    };
    let folder = std::fs::read_dir(path.with_file_name(""));
    let names = folder
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .into_iter()
        .any(|name| name.starts_with(begin) && name.ends_with(end))
}

/// A path without `..`; `None` if it leads out of the tree.
fn lexically(path: &Path) -> Option<PathBuf> {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if parts.pop() => {}
            Component::ParentDir => return None,
            Component::Normal(part) => parts.push(part),
            _ => {}
        }
    }
    Some(parts)
}
