//! Texts with wildcards and policy variables: `*` is any characters, `?` is one, `${aws:username}` stands for a value of
//! the context, and `${*}`, `${?}`, `${$}` are the characters themselves.

use super::context::Context;

/// A text of a policy, read once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Token(Token),
    Variable {
        key: String,
        default: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    Char(char),
    Any,
    One,
}

impl Pattern {
    /// A pattern without variables, as in `Action`, and everywhere in the language's version of 2008.
    pub(crate) fn plain(text: &str) -> Self {
        Self(text.chars().map(|c| Part::Token(Token::of(c))).collect())
    }

    /// A pattern with variables, as version `2012-10-17` has them in `Resource` and `Condition`.
    pub(crate) fn with_variables(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${")
            && let Some((inside, beyond)) = after.split_once('}')
        {
            parts.extend(before.chars().map(|c| Part::Token(Token::of(c))));
            match inside {
                "*" | "?" | "$" => {
                    let literal = inside.chars().map(|c| Part::Token(Token::Char(c)));
                    parts.extend(literal);
                }
                _ => parts.push(Part::variable(inside)),
            }
            rest = beyond;
        }
        parts.extend(rest.chars().map(|c| Part::Token(Token::of(c))));
        Self(parts)
    }

    /// Whether the whole text fits.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.expand(context)
            .is_some_and(|tokens| fits(&tokens, &text))
    }

    /// As [`matches`](Self::matches), without regard to the case of ASCII letters.
    pub(crate) fn matches_ignoring_case(&self, text: &str, context: &Context) -> bool {
        let text: Vec<char> = text.to_ascii_lowercase().chars().collect();
        let tokens = self.expand(context);
        tokens.is_some_and(|mut tokens| {
            for token in &mut tokens {
                if let Token::Char(c) = token {
                    *c = c.to_ascii_lowercase();
                }
            }
            fits(&tokens, &text)
        })
    }

    /// Whether an ARN fits: each of the six parts between the colons for itself, so that no wildcard reaches over one.
    pub(crate) fn matches_arn(&self, text: &str, context: &Context) -> bool {
        let Some(tokens) = self.expand(context) else {
            return false;
        };
        let text: Vec<char> = text.chars().collect();
        let wanted: Vec<&[Token]> = tokens
            .splitn(ARN_PARTS, |token| *token == Token::Char(':'))
            .collect();
        let found: Vec<&[char]> = text.splitn(ARN_PARTS, |c| *c == ':').collect();
        // A lone star is every ARN.
        if *wanted == [[Token::Any]] {
            return found.len() == ARN_PARTS;
        }
        wanted.len() == ARN_PARTS
            && found.len() == ARN_PARTS
            && wanted
                .iter()
                .zip(found)
                .all(|(part, text)| fits(part, text))
    }

    /// The text with its variables' values, its wildcards being themselves; `None` if a variable has no value.
    pub(super) fn text(&self, context: &Context) -> Option<String> {
        let tokens = self.expand(context)?;
        let chars = tokens.into_iter().map(|token| match token {
            Token::Char(c) => c,
            Token::Any => '*',
            Token::One => '?',
        });
        Some(chars.collect())
    }

    /// `None` if a variable has no value: then nothing fits.
    fn expand(&self, context: &Context) -> Option<Vec<Token>> {
        let mut tokens = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = context.variable(key).or(default.as_deref())?;
                    tokens.extend(value.chars().map(Token::Char));
                }
            }
        }
        Some(tokens)
    }
}

impl Token {
    const fn of(c: char) -> Self {
        match c {
            '*' => Self::Any,
            '?' => Self::One,
            c => Self::Char(c),
        }
    }
}

impl Part {
    /// `key`, or `key, 'default'`.
    fn variable(inside: &str) -> Self {
        let (key, default) = match inside.split_once(',') {
            Some((key, default)) => (key, Some(default.trim())),
            None => (inside, None),
        };
        let quoted = |text: &str| {
            let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(text.to_owned())
        };
        Self::Variable {
            key: key.trim().to_owned(),
            default: default.and_then(quoted),
        }
    }
}

/// Whether the text fits; a star is tried with ever more characters, from the last star alone, so the time is at worst
/// the product of the lengths.
fn fits(mut pattern: &[Token], mut text: &[char]) -> bool {
    // After the last star: the rest of the pattern, and the text from which the star has not been tried yet.
    let mut star: Option<(&[Token], &[char])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((Token::Any, rest)), _) => {
                star = Some((rest, text));
                pattern = rest;
                continue;
            }
            (Some((Token::One, pattern_rest)), Some((_, text_rest))) => {
                (pattern, text) = (pattern_rest, text_rest);
                continue;
            }
            (Some((Token::Char(wanted), pattern_rest)), Some((found, text_rest)))
                if wanted == found =>
            {
                (pattern, text) = (pattern_rest, text_rest);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((after, [_, later @ ..])) = star else {
            return false;
        };
        star = Some((after, later));
        (pattern, text) = (after, later);
    }
}

/// `arn:partition:service:region:account:resource`
const ARN_PARTS: usize = 6;
