//! Prometheus's text format, version 0.0.4.

use std::fmt::{Display, Write as _};

use super::histogram::Histogram;

/// The text of a scrape, family by family.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
    family: &'static str,
}

/// Names and values of labels; an empty value counts as no label.
pub(super) type Labels<'a> = [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family; samples of it follow.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        // A String takes everything.
        let _ = writeln!(self.text, "# HELP {name} {help}");
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, labels: &Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    pub(super) fn histogram(&mut self, labels: &Labels<'_>, histogram: &Histogram) {
        let (buckets, count) = histogram.cumulative();
        for (bound, total) in buckets {
            let bound = bound.as_secs_f64().to_string();
            self.line("_bucket", labels, Some(&bound), total);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, histogram.sum().as_secs_f64());
        self.line("_count", labels, None, count);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &Labels<'_>,
        bound: Option<&str>,
        value: impl Display,
    ) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        let labels = labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)));
        let mut mark = '{';
        for (name, value) in labels.filter(|(_, value)| !value.is_empty()) {
            self.text.push(mark);
            mark = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if mark == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// The format's media type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_labels_that_are_not_empty_escaped() {
        let mut exposition = Exposition::default();
        exposition.family("xks_x", "gauge", "Something.");
        exposition.sample(&[], 1);
        exposition.sample(&[("a", "")], 2);
        exposition.sample(&[("a", "q\"b\\c\nd"), ("b", "")], 0.5);
        assert_eq!(
            exposition.into_text(),
            "# HELP xks_x Something.\n# TYPE xks_x gauge\nxks_x 1\nxks_x 2\nxks_x{a=\"q\\\"b\\\\c\\nd\"} 0.5\n"
        );
    }
}
