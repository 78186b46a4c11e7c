//! Writes HTML: templates are ours, everything that is put into them is escaped.
//!
//! [`html!`] takes a literal and values for its `{}`; names within the braces do not compile, so that nothing gets in
//! without being escaped. Values belong between tags or into quoted attributes.

use std::fmt::{self, Display, Write as _};

/// A piece of HTML.
#[derive(Debug, Default)]
pub struct Html(String);

/// Appends a template with its values escaped.
#[macro_export]
macro_rules! html {
    ($out:expr, $template:literal $(, $value:expr)* $(,)?) => {
        // A literal that is no literal any more captures no variables.
        $out.write(format_args!(concat!($template) $(, $crate::Escaped(&$value))*))
    };
}

/// A piece that is one template.
#[macro_export]
macro_rules! piece {
    ($template:literal $(, $value:expr)* $(,)?) => {{
        let mut piece = $crate::Html::default();
        $crate::html!(piece, $template $(, $value)*);
        piece
    }};
}

impl Html {
    /// For [`html!`] alone.
    #[doc(hidden)]
    pub fn write(&mut self, what: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(what);
    }

    /// Appends another piece.
    pub fn push(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// The text of it.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A value as text of a page.
#[derive(Debug)]
pub struct Escaped<'v, T: ?Sized>(pub &'v T);

impl<T: Display + ?Sized> Display for Escaped<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'a>(&'f mut fmt::Formatter<'a>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = special.chars();
            self.0.write_str(match characters.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// A value as a part of a URL: one segment of a path, or one value of a query.
#[derive(Clone, Copy, Debug)]
pub struct InUrl<'v>(pub &'v str);

impl Display for InUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(char::from(byte))?;
                }
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_template_is_text() {
        let mut page = Html::default();
        let hostile = "\"><script>alert('1')</script>&amp;";
        html!(page, "<a title=\"{}\">{}</a>", hostile, 7);
        assert_eq!(
            page.into_string(),
            "<a title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;\">7</a>"
        );
    }

    #[test]
    fn a_part_of_a_url_ends_neither_itself_nor_the_attribute() {
        let hostile = InUrl("a/b?c=d&e#f\"<ä");
        assert_eq!(hostile.to_string(), "a%2Fb%3Fc%3Dd%26e%23f%22%3C%C3%A4");
    }
}
