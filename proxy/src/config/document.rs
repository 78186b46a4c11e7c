//! A TOML file read field by field. Every problem is collected with its place; none of them ends the reading.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file that is wrong.
    pub file: PathBuf,
    /// The line in it, where it has one.
    pub line: Option<usize>,
    /// The field, with the tables that it is in; empty for the file as a whole.
    pub field: String,
    /// What is there.
    pub found: String,
    /// What should be there, or what to do.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}; expected {}", self.found, self.expected)
    }
}

/// A file, and what has been found wrong with it so far.
pub(super) struct Document<'d> {
    pub(super) file: &'d Path,
    text: &'d str,
    problems: RefCell<Vec<Problem>>,
}

impl<'d> Document<'d> {
    pub(super) fn new(file: &'d Path, text: &'d str) -> Self {
        Self {
            file,
            text,
            problems: RefCell::default(),
        }
    }

    /// The whole file. What is not TOML is a problem, and the rest is read all the same.
    pub(super) fn root(&self) -> Spanned<DeTable<'d>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let problem = Problem {
                file: self.file.to_owned(),
                line: error.span().and_then(|span| self.line(&span)),
                field: String::new(),
                found: error.message().trim().replace('\n', " "),
                expected: "a TOML document".to_owned(),
            };
            self.add(problem);
        }
        root
    }

    pub(super) fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    fn line(&self, span: &Range<usize>) -> Option<usize> {
        let before = self.text.as_bytes().get(..span.start)?;
        Some(before.iter().filter(|b| **b == b'\n').count() + 1)
    }
}

/// Where in a document a value stands, for the problems that are found with it later.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) field: String,
    pub(super) line: Option<usize>,
}

/// A table whose fields are asked for one by one; [`refuse_others`](Self::refuse_others) refuses those that nobody asked for.
pub(super) struct Section<'s, 'd> {
    document: &'s Document<'d>,
    path: String,
    line: Option<usize>,
    table: Option<&'s DeTable<'d>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'s, 'd> Section<'s, 'd> {
    pub(super) fn root(document: &'s Document<'d>, root: &'s Spanned<DeTable<'d>>) -> Self {
        Self::new(document, String::new(), None, Some(root.get_ref()))
    }

    fn new(
        document: &'s Document<'d>,
        path: String,
        line: Option<usize>,
        table: Option<&'s DeTable<'d>>,
    ) -> Self {
        Self {
            document,
            path,
            line,
            table,
            asked: RefCell::default(),
        }
    }

    pub(super) fn place(&self, name: &str) -> Place {
        let field = match (self.path.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{name}", self.path),
        };
        let line = self.value(name).and_then(|v| self.document.line(&v.span()));
        Place {
            field,
            line: line.or(self.line),
        }
    }

    #[cfg_attr(test, track_caller)]
    pub(super) fn problem(&self, place: Place, found: impl Into<String>, expected: &str) {
        #[cfg(test)]
        super::messages::told();
        self.document.add(Problem {
            file: self.document.file.to_owned(),
            line: place.line,
            field: place.field,
            found: found.into(),
            expected: expected.to_owned(),
        });
    }

    /// A problem of another file, which this one names.
    #[cfg_attr(test, track_caller)]
    pub(super) fn add(&self, problem: Problem) {
        #[cfg(test)]
        super::messages::told();
        self.document.add(problem);
    }

    fn value(&self, name: &str) -> Option<&'s Spanned<DeValue<'d>>> {
        self.table?.get(name)
    }

    fn ask(&self, name: &'static str) -> Option<&'s Spanned<DeValue<'d>>> {
        self.asked.borrow_mut().push(name);
        self.value(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether a list is left out, or has no element: one whose elements are not understood has some.
    pub(super) fn has_none(&self, name: &str) -> bool {
        let list = self.value(name).map(|value| value.get_ref().as_array());
        list.is_none_or(|list| list.is_some_and(|list| list.is_empty()))
    }

    /// The text of a field that is read later.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.value(name)?.get_ref().as_str()
    }

    /// A field that may be left out. A value that is not understood is a problem, and counts as left out.
    #[cfg_attr(test, track_caller)]
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let value = self.ask(name)?.get_ref();
        let result = read(value);
        if result.is_none() {
            self.problem(self.place(name), describe(value), expected);
        }
        result
    }

    /// A field that must be there.
    #[cfg_attr(test, track_caller)]
    pub(super) fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        if !self.has(name) {
            self.asked.borrow_mut().push(name);
            self.problem(self.place(name), "it is missing", expected);
            return None;
        }
        self.optional(name, read, expected)
    }

    /// A list of texts; each element that is not understood is a problem of its own.
    #[cfg_attr(test, track_caller)]
    pub(super) fn list<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<Vec<T>> {
        let value = self.ask(name)?.get_ref();
        let Some(elements) = value.as_array() else {
            let expected = format!("a list, each element {expected}");
            self.problem(self.place(name), describe(value), &expected);
            return None;
        };
        let mut list = Vec::new();
        for element in elements {
            match element.get_ref().as_str().and_then(&read) {
                Some(value) => list.push(value),
                None => {
                    let place = Place {
                        line: self.document.line(&element.span()),
                        ..self.place(name)
                    };
                    self.problem(place, describe(element.get_ref()), expected);
                }
            }
        }
        Some(list)
    }

    /// A table; one that is left out is empty.
    #[cfg_attr(test, track_caller)]
    pub(super) fn section(&self, name: &'static str) -> Self {
        let value = self.ask(name);
        let table = value.and_then(|v| v.get_ref().as_table());
        let place = self.place(name);
        if let (Some(value), None) = (value, table) {
            let expected = format!("a table that begins with [{}]", header(&place.field));
            self.problem(place.clone(), describe(value.get_ref()), &expected);
        }
        Self::new(self.document, place.field, place.line, table)
    }

    /// The tables of a table of tables, with their names.
    #[cfg_attr(test, track_caller)]
    pub(super) fn named_sections(&self, name: &'static str) -> Vec<(Place, String, Self)> {
        let parent = self.section(name);
        let mut sections = Vec::new();
        for (key, value) in parent.table.into_iter().flatten() {
            let place = Place {
                field: format!("{}.{}", parent.path, key.get_ref()),
                line: self.document.line(&key.span()),
            };
            match value.get_ref().as_table() {
                None => self.problem(place, describe(value.get_ref()), "a table"),
                Some(table) => {
                    let section =
                        Self::new(self.document, place.field.clone(), place.line, Some(table));
                    sections.push((place, key.get_ref().to_string(), section));
                }
            }
        }
        sections
    }

    /// The tables of a list of tables.
    #[cfg_attr(test, track_caller)]
    pub(super) fn sections(&self, name: &'static str) -> Vec<Self> {
        let Some(value) = self.ask(name) else {
            return Vec::new();
        };
        let Some(elements) = value.get_ref().as_array() else {
            let place = self.place(name);
            let expected = format!("tables that each begin with [[{}]]", header(&place.field));
            self.problem(place, describe(value.get_ref()), &expected);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (number, element) in elements.iter().enumerate() {
            let place = Place {
                field: format!("{}[{}]", self.place(name).field, number + 1),
                line: self.document.line(&element.span()),
            };
            match element.get_ref().as_table() {
                None => self.problem(place, describe(element.get_ref()), "a table"),
                table => {
                    sections.push(Self::new(self.document, place.field, place.line, table));
                }
            }
        }
        sections
    }

    /// Refuses every field that was not asked for.
    pub(super) fn refuse_others(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let mut place = self.place(name);
            place.line = self.document.line(&key.span());
            let near = asked.iter().find(|known| is_near(known, name));
            let expected = match near {
                Some(near) => format!("{near}, if that is what is meant"),
                None => format!("one of {}", asked.join(", ")),
            };
            self.problem(place, "no such field", &expected);
        }
    }
}

/// A field as the header of a table names it: without the numbers of tables.
fn header(field: &str) -> String {
    let mut parts = field.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |header, part| {
        header + part.split_once(']').map_or("", |(_, rest)| rest)
    })
}

/// What a value is, without its text where that might be long, and without a password.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.len() <= 200 => format!("{:?}", without_password(text)),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        other => format!("a value of type {}", other.type_str()),
    }
}

/// A text without what may be a URL's user and password: `https://…@host`. It need be no sound URL, since this is said of
/// what is refused, so all before the last `@` goes, and a text of another kind may lose a part.
fn without_password(text: &str) -> Cow<'_, str> {
    let Some((before, host)) = text.rsplit_once('@') else {
        return text.into();
    };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…@{host}").into(),
        None if before.contains(':') && !before.starts_with("arn:") => format!("…@{host}").into(),
        None => text.into(),
    }
}

/// Whether one name is the other with a slip of the keyboard: what differs is in one place and two letters long.
fn is_near(a: &str, b: &str) -> bool {
    let normal = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let (a, b) = (normal(a), normal(b));
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| text.len().saturating_sub(start);
    let end = a
        .bytes()
        .rev()
        .zip(b.bytes().rev())
        .take_while(|(a, b)| a == b)
        .count()
        .min(rest(&a))
        .min(rest(&b));
    rest(&a).max(rest(&b)) - end <= 2
}

pub(super) fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn socket_addr(value: &DeValue<'_>) -> Option<SocketAddr> {
    value.as_str()?.parse().ok()
}

/// A whole number within bounds.
pub(super) fn integer(bounds: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Option<u64> {
    move |value| {
        let integer = value.as_integer()?;
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
        bounds.contains(&number).then_some(number)
    }
}

/// `"250ms"`, `"5s"`, `"2m"`, `"1h"`: a whole number and a unit, within bounds.
pub(super) fn duration(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Option<Duration> {
    move |value| {
        let text = value.as_str()?;
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        let duration = match unit.trim() {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3_600)?),
            _ => return None,
        };
        bounds.contains(&duration).then_some(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_is_repeated_however_unsound_the_url() {
        for (text, shown) in [
            ("https://user:hunter2@bao:8200", "https://…@bao:8200"),
            ("http://hunter2@bao/x?y", "http://…@bao/x?y"),
            ("https://user:hun/t@er2@bao", "https://…@bao"),
            ("user:hunter2@bao", "…@bao"),
            ("https:/user:hunter2@bao", "…@bao"),
            ("https://bao:8200", "https://bao:8200"),
            ("alice@example.com", "alice@example.com"),
            (
                "arn:aws:sts::111122223333:assumed-role/x/alice@example.com",
                "arn:aws:sts::111122223333:assumed-role/x/alice@example.com",
            ),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let document = Document::new(
            Path::new("x.toml"),
            "limit = 3\nlimits = 4\nwait = \"5 hours\"\n[a]\nb = [\"x\", 1]\n",
        );
        let root = document.root();
        let section = Section::root(&document, &root);
        assert_eq!(section.optional("limits", integer(5..=9), "5 to 9"), None);
        let hour = Duration::ZERO..=Duration::from_secs(3_600);
        assert_eq!(
            section.optional("wait", duration(hour), "at most 1 h"),
            None
        );
        assert_eq!(section.required("name", text, "a name"), None);
        let a = section.section("a");
        assert_eq!(
            a.list("b", |t| Some(t.to_owned()), "a text").unwrap(),
            ["x"]
        );
        a.refuse_others();
        section.refuse_others();
        let problems = document.into_problems();
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "x.toml:2: limits: 4; expected 5 to 9",
                "x.toml:3: wait: \"5 hours\"; expected at most 1 h",
                "x.toml: name: it is missing; expected a name",
                "x.toml:5: a.b: 1; expected a text",
                "x.toml:1: limit: no such field; expected limits, if that is what is meant",
            ]
        );
    }

    #[test]
    fn durations_have_units() {
        let bounds = Duration::ZERO..=Duration::from_secs(600);
        let read = |text: &str| duration(bounds.clone())(&DeValue::String(text.into()));
        assert_eq!(read("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read("5 s"), Some(Duration::from_secs(5)));
        assert_eq!(read("2m"), Some(Duration::from_secs(120)));
        for bad in [
            "",
            "5",
            "s",
            "1h",
            "5x",
            "-5s",
            "1.5s",
            "11m",
            "99999999999999999999s",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn broken_toml_is_a_problem_with_its_line() {
        let document = Document::new(Path::new("x.toml"), "a = 1\nb = \n");
        drop(document.root());
        let problems = document.into_problems();
        assert_eq!(problems[0].line, Some(2), "{problems:?}");
    }
}
