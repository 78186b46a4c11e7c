//! The text of a module in Rego as words and marks, for what can be seen in it without understanding it.

/// A word, a string or a mark, and its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) line: usize,
    pub(super) text: &'t str,
}

/// The text without its comments and blanks. Raw and quoted strings are tokens with their quotes.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let len = match first {
            '\n' => {
                line += 1;
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            c if c.is_whitespace() => {
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
                continue;
            }
            '#' => {
                rest = rest
                    .get(rest.find('\n').unwrap_or(rest.len())..)
                    .unwrap_or_default();
                continue;
            }
            '"' => quoted(rest),
            '`' => rest
                .get(1..)
                .and_then(|r| r.find('`'))
                .map_or(rest.len(), |end| end + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
        tokens.push(Token { line, text: token });
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// The length of the string that the text begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = true;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Whether a token is a name or a keyword.
pub(super) fn is_word(token: &Token<'_>) -> bool {
    token
        .text
        .starts_with(|c: char| c.is_alphabetic() || c == '_')
}
