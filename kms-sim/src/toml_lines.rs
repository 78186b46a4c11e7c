//! In which line of a TOML document a field stands, found by the place that a problem names.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The line of each field of a document.
pub(crate) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Of a document that is TOML.
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = Self(BTreeMap::new());
        if let Ok(root) = DeTable::parse(text) {
            lines.add_table(text, "", root.get_ref());
        }
        lines
    }

    /// Of `keys[3].id`, or else of what it is in; nothing of the document as a whole.
    pub(crate) fn find(&self, place: &str) -> Option<usize> {
        let mut place = place;
        loop {
            if let Some(line) = self.0.get(place) {
                return Some(*line);
            }
            let end = place.rfind(['.', '['])?;
            place = place.get(..end)?;
        }
    }

    fn add_table(&mut self, text: &str, place: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let place = match place {
                "" => key.get_ref().to_string(),
                place => format!("{place}.{}", key.get_ref()),
            };
            self.add(text, place.clone(), &key.span());
            self.add_value(text, &place, value.get_ref());
        }
    }

    fn add_value(&mut self, text: &str, place: &str, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => self.add_table(text, place, table),
            DeValue::Array(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    let place = format!("{place}[{at}]");
                    self.add(text, place.clone(), &element.span());
                    self.add_value(text, &place, element.get_ref());
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, text: &str, place: String, span: &Range<usize>) {
        if let Some(line) = line_of(text, span) {
            self.0.insert(place, line);
        }
    }
}

/// The line in which a part of a text begins; the first is 1.
pub(crate) fn line_of(text: &str, span: &Range<usize>) -> Option<usize> {
    let before = text.as_bytes().get(..span.start)?;
    Some(before.iter().filter(|byte| **byte == b'\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_in_a_line_and_a_missing_one_in_that_of_its_table() {
        let lines = Lines::of(
            "a = 1\n\n[[keys]]\nid = \"x\"\n[[keys]]\ntags = { \"aws:x\" = \"y\" }\naliases = [\n  \"b\",\n  \"c\",\n]\n",
        );
        for (place, line) in [
            ("a", Some(1)),
            ("keys[0].id", Some(4)),
            ("keys[1]", Some(5)),
            ("keys[1].id", Some(5)),
            ("keys[1].tags.aws:x", Some(6)),
            ("keys[1].aliases[1]", Some(9)),
            ("b", None),
            ("", None),
        ] {
            assert_eq!(lines.find(place), line, "{place}");
        }
    }
}
