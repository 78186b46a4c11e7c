//! Lines for people: `name=value` pairs, made of a JSON object that is flat.

/// Rewrites lines of flat JSON objects, whose strings are printable ASCII with escapes, in place.
pub(super) fn from_json(lines: &mut Vec<u8>, spare: &mut Vec<u8>) {
    spare.clear();
    for line in lines.split_inclusive(|&b| b == b'\n') {
        push_line(line, spare);
    }
    std::mem::swap(lines, spare);
}

fn push_line(line: &[u8], text: &mut Vec<u8>) {
    let mut rest = line;
    let mut first = true;
    while let Some((name, after)) = string(rest) {
        if !std::mem::replace(&mut first, false) {
            text.push(b' ');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        rest = value(after, text);
    }
    text.push(b'\n');
}

/// The next string between quotes, and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = bytes.iter().position(|&b| b == b'"')? + 1;
    let inner = bytes.get(start..)?;
    let mut escaped = false;
    let end = inner.iter().position(|&b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })?;
    Some((inner.get(..end)?, inner.get(end + 1..)?))
}

/// Appends the value that `:` begins; without its quotes, where it needs none.
fn value<'a>(bytes: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let bytes = bytes.strip_prefix(b":").unwrap_or(bytes);
    if bytes.first() == Some(&b'"')
        && let Some((inner, rest)) = string(bytes)
    {
        let bare = !inner.iter().any(|b| b" \\".contains(b));
        let quote: &[u8] = if bare { b"" } else { b"\"" };
        text.extend([quote, inner, quote].into_iter().flatten());
        return rest;
    }
    let end = bytes.iter().position(|b| b",}\n".contains(b));
    let (number, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    text.extend_from_slice(number);
    rest
}
