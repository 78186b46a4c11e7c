//! TOML with every problem at once: fields are taken by name, each with its check, and what nobody took is unknown.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use toml::{Table, Value};

use crate::toml_lines::{Lines, line_of};

/// A file that cannot be used, with everything that is wrong with it.
#[derive(Debug)]
pub struct InvalidFile {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl InvalidFile {
    pub(crate) fn new(file: &Path, problems: Vec<Problem>) -> Self {
        Self {
            file: file.to_owned(),
            problems,
        }
    }

    /// `what` it should be.
    pub(crate) fn unreadable(file: &Path, what: &str, error: &std::io::Error) -> Self {
        let found = format!("a file that cannot be read ({error})");
        let expected = format!("{what} that this user may read");
        Self::new(file, vec![Problem::new("", found, expected)])
    }
}

impl fmt::Display for InvalidFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let located = |problem: &Problem| match problem.line {
            Some(line) => format!("{file}:{line}: {problem}"),
            None => format!("{file}: {problem}"),
        };
        match &*self.problems {
            [problem] => f.write_str(&located(problem)),
            problems => {
                write!(f, "{file} has {} problems:", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  {}", located(problem)))
            }
        }
    }
}

impl std::error::Error for InvalidFile {}

/// What is wrong with one field, or with the whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    line: Option<usize>,
    place: String,
    found: String,
    expected: String,
}

impl Problem {
    /// Without a line.
    pub(crate) fn new(place: &str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            line: None,
            place: place.to_owned(),
            found: found.into(),
            expected: expected.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line: _,
            place,
            found,
            expected,
        } = self;
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        write!(f, "found {found}; expected {expected}")
    }
}

/// Reads a document with `take`, which takes its fields.
///
/// # Errors
/// Every problem, with its line.
pub(crate) fn read<T>(text: &str, take: impl FnOnce(&Section) -> T) -> Result<T, Vec<Problem>> {
    let table = text.parse::<Table>().map_err(|error| {
        // Without the line's text, as the parser shows it: a secret may be in it.
        let found = error.message().trim().replace('\n', " ");
        let line = error.span().and_then(|span| line_of(text, &span));
        vec![Problem {
            line,
            ..Problem::new("", format!("what is no TOML ({found})"), "a TOML document")
        }]
    })?;
    taken(table, take).map_err(|mut problems| {
        let lines = Lines::of(text);
        for problem in &mut problems {
            problem.line = lines.find(&problem.place);
        }
        problems
    })
}

/// Reads the same in JSON.
///
/// # Errors
/// Every problem; the line is known of what is no JSON alone.
pub(crate) fn read_json<T>(
    text: &str,
    take: impl FnOnce(&Section) -> T,
) -> Result<T, Vec<Problem>> {
    let no_object = |found: &str, line| {
        let problem = Problem::new("", found, "an object of JSON");
        vec![Problem { line, ..problem }]
    };
    let json = serde_json::from_str(text).map_err(|error| {
        let found = format!("what is no JSON ({error})");
        no_object(&found, Some(error.line()))
    })?;
    match as_toml(json) {
        Ok(Some(Value::Table(table))) => taken(table, take),
        Ok(_) => Err(no_object("another value", None)),
        Err(found) => Err(no_object(found, None)),
    }
}

fn taken<T>(table: Table, take: impl FnOnce(&Section) -> T) -> Result<T, Vec<Problem>> {
    let problems = Problems::default();
    let root = Section::root(table, &problems);
    let taken = take(&root);
    root.finish();
    match problems.take() {
        problems if problems.is_empty() => Ok(taken),
        problems => Err(problems),
    }
}

/// Nothing for `null`, which is a field that is left out.
fn as_toml(json: serde_json::Value) -> Result<Option<Value>, &'static str> {
    use serde_json::Value as Json;
    Ok(Some(match json {
        Json::Null => return Ok(None),
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Integer(number),
            (None, Some(number)) => Value::Float(number),
            (None, None) => return Err("a number that is too large"),
        },
        Json::String(text) => Value::String(text),
        Json::Array(elements) => {
            let element = |json| as_toml(json)?.ok_or("null in a list");
            Value::Array(
                elements
                    .into_iter()
                    .map(element)
                    .collect::<Result<_, _>>()?,
            )
        }
        Json::Object(fields) => {
            let mut table = Table::new();
            for (name, json) in fields {
                if let Some(value) = as_toml(json)? {
                    table.insert(name, value);
                }
            }
            Value::Table(table)
        }
    }))
}

/// Every problem of a document, in the order in which they were found.
#[derive(Clone, Default)]
pub(crate) struct Problems(Rc<RefCell<Vec<Problem>>>);

impl Problems {
    /// Notes one.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn add(&self, place: &str, found: impl Into<String>, expected: impl Into<String>) {
        #[cfg(test)]
        crate::toml_messages::told();
        self.0
            .borrow_mut()
            .push(Problem::new(place, found, expected));
    }

    fn take(&self) -> Vec<Problem> {
        self.0.take()
    }
}

/// A table whose fields are being read.
pub(crate) struct Section {
    /// How people find it: `keys[3]`; empty at the top.
    place: String,
    table: RefCell<Table>,
    known: RefCell<Vec<&'static str>>,
    problems: Problems,
}

impl Section {
    /// The whole document.
    fn root(table: Table, problems: &Problems) -> Self {
        Self::new(String::new(), table, problems)
    }

    fn new(place: String, table: Table, problems: &Problems) -> Self {
        Self {
            place,
            table: RefCell::new(table),
            known: RefCell::default(),
            problems: problems.clone(),
        }
    }

    /// How people find a field.
    pub(crate) fn place(&self, name: &str) -> String {
        match (&*self.place, name) {
            (place, "") => place.to_owned(),
            ("", name) => name.to_owned(),
            (place, name) => format!("{place}.{name}"),
        }
    }

    /// Notes a problem with a field.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn problem(
        &self,
        name: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.problems.add(&self.place(name), found, expected);
    }

    /// A text that passes its check.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn text<T>(
        &self,
        name: &'static str,
        check: impl FnOnce(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        match self.take(name)? {
            Value::String(text) => {
                let checked = check(&text);
                if checked.is_none() {
                    self.problem(name, shown(&text), expected);
                }
                checked
            }
            other => self.wrong_type(name, &other, expected),
        }
    }

    /// A text that is a secret: no problem repeats it.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn secret<T>(
        &self,
        name: &'static str,
        check: impl FnOnce(String) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        match self.take(name)? {
            Value::String(text) => {
                let checked = check(text);
                if checked.is_none() {
                    self.problem(name, "another text (not shown: it is a secret)", expected);
                }
                checked
            }
            _ => {
                self.problem(name, "no text (not shown: it is a secret)", expected);
                None
            }
        }
    }

    /// A whole number within bounds.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn integer(&self, name: &'static str, min: u32, max: u32) -> Option<u32> {
        let expected = format!("a whole number from {min} to {max}");
        match self.take(name)? {
            Value::Integer(number) => {
                let fits = u32::try_from(number)
                    .ok()
                    .filter(|n| (min..=max).contains(n));
                if fits.is_none() {
                    self.problem(name, number.to_string(), expected);
                }
                fits
            }
            other => self.wrong_type(name, &other, &expected),
        }
    }

    /// `true`, `false` or absent.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn boolean(&self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Boolean(value) => Some(value),
            other => self.wrong_type(name, &other, "true or false"),
        }
    }

    /// A list of texts, each of which passes its check.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn texts(
        &self,
        name: &'static str,
        check: impl Fn(&str) -> bool,
        expected: &str,
    ) -> Vec<String> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let Value::Array(values) = value else {
            self.wrong_type::<()>(name, &value, expected);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (at, value) in values.into_iter().enumerate() {
            match value {
                Value::String(text) if check(&text) => texts.push(text),
                other => {
                    let place = format!("{}[{at}]", self.place(name));
                    self.problems.add(&place, shown_value(&other), expected);
                }
            }
        }
        texts
    }

    /// A list of values of any type.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn values(&self, name: &'static str, expected: &str) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(other) => {
                self.wrong_type::<()>(name, &other, expected);
                Vec::new()
            }
        }
    }

    /// A table from text to text, each pair of which passes its check.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn pairs(
        &self,
        name: &'static str,
        check: impl Fn(&str, &str) -> bool,
        expected: &str,
    ) -> Vec<(String, String)> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let Value::Table(table) = value else {
            self.wrong_type::<()>(name, &value, expected);
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (key, value) in table {
            match value {
                Value::String(text) if check(&key, &text) => pairs.push((key, text)),
                other => {
                    let place = format!("{}.{key}", self.place(name));
                    self.problems.add(&place, shown_value(&other), expected);
                }
            }
        }
        pairs
    }

    /// A table, whose place may have a secret in it: no problem repeats a text that is there.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn section(&self, name: &'static str, expected: &str) -> Option<Self> {
        match self.take(name)? {
            Value::Table(table) => Some(Self::new(self.place(name), table, &self.problems)),
            Value::String(_) => {
                let found = "a text (not shown: a secret may be in it)";
                self.problem(name, found, expected);
                None
            }
            other => self.wrong_type(name, &other, expected),
        }
    }

    /// The tables of `[[name]]`.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn sections(&self, name: &'static str) -> Vec<Self> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let Value::Array(values) = value else {
            self.wrong_type::<()>(name, &value, &format!("tables that begin with [[{name}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (at, value) in values.into_iter().enumerate() {
            let place = format!("{}[{at}]", self.place(name));
            match value {
                Value::Table(table) => sections.push(Self::new(place, table, &self.problems)),
                other => {
                    let expected = format!("a table that begins with [[{name}]]");
                    self.problems.add(&place, shown_value(&other), expected);
                }
            }
        }
        sections
    }

    /// Whether the field is there and was not taken.
    pub(crate) fn has(&self, name: &'static str) -> bool {
        self.table.borrow().contains_key(name)
    }

    /// Notes a field that must be there and is not.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        value: Option<T>,
        expected: &str,
    ) -> Option<T> {
        // One that was there and wrong is noted already.
        let noted = {
            let (place, problems) = (self.place(name), self.problems.0.borrow());
            problems.iter().any(|problem| problem.place == place)
        };
        if value.is_none() && !noted {
            self.problem(name, "nothing", expected);
        }
        value
    }

    /// Whether no field was unknown.
    pub(crate) fn finish(self) {
        let known = self.known.borrow();
        for name in self.table.borrow().keys() {
            let expected = format!("one of {}", known.join(", "));
            self.problem(name, "an unknown field", expected);
        }
    }

    fn take(&self, name: &'static str) -> Option<Value> {
        self.known.borrow_mut().push(name);
        self.table.borrow_mut().remove(name)
    }

    #[cfg_attr(test, track_caller)]
    fn wrong_type<T>(&self, name: &str, found: &Value, expected: &str) -> Option<T> {
        self.problem(name, shown_value(found), expected);
        None
    }
}

fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let short: String = text.chars().take(LONGEST).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", short.escape_debug())
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}
