//! Blocks of `console`: commands, and what pages show of their output.

/// The commands of a block of `console`, each with what is printed under it.
pub(crate) fn commands(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.split_inclusive('\n') {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => output.push_str(line),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}

/// A line with `#` in place of every word with a digit in it: numbers, times, ids.
pub(crate) fn without_numbers(line: &str) -> String {
    let part = |c: char| !(c.is_ascii_alphanumeric() || "-._:".contains(c));
    let mut kept = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(part).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        kept.push_str(match word.contains(|c: char| c.is_ascii_digit()) {
            true => "#",
            false => word,
        });
        let separators = after.find(|c| !part(c)).unwrap_or(after.len());
        kept.push_str(&after[..separators]);
        rest = &after[separators..];
    }
    words(&kept)
}

/// A text with one space where there are several, or a new line.
pub(crate) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn numbers_do_not_count_and_words_do() {
    let (shown, printed) = (
        "ok  a=12.5 ms cks-1f 2026-11-24T10:58:21Z",
        "ok a=7 ms cks-0e2 2030-01-01T00:00:00Z",
    );
    assert_eq!(without_numbers(shown), without_numbers(printed));
    assert_ne!(
        without_numbers(shown),
        without_numbers(&printed.replace("ms", "s"))
    );
    let block = "$ a | b\n1\n2\n$ c\n";
    let expected = [("a | b\n", "1\n2\n"), ("c\n", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(commands(block), expected);
}
