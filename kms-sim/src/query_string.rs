//! `application/x-www-form-urlencoded`: the parameters of a query string or of a form.

/// The value of the first parameter of this name: AWS takes the first of several.
pub(crate) fn first(text: &str, name: &str) -> Option<String> {
    text.split('&').find_map(|parameter| {
        let (found, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (text_of(found) == name).then(|| text_of(value))
    })
}

/// `%2F` → `/` and `+` → a space; a percent sign that begins no escape stands for itself.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        bytes.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (other, _) => *other,
        });
    }
    bytes
}

fn text_of(text: &str) -> String {
    String::from_utf8_lossy(&decoded(text)).into_owned()
}

fn nibble(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    value.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn the_first_of_a_name_is_decoded() {
        let text = "Version=2011-06-15&X-Amz-Credential=a%2Fb%2fc&Action=One+two&Action=Three&odd=%zz%4&flag";
        for (name, value) in [
            ("Version", Some("2011-06-15")),
            ("X-Amz-Credential", Some("a/b/c")),
            ("Action", Some("One two")),
            ("odd", Some("%zz%4")),
            ("flag", Some("")),
            ("action", None),
        ] {
            assert_eq!(first(text, name).as_deref(), value, "{name}");
        }
        assert_eq!(first("a=%C3%A4&b=%FF", "a").as_deref(), Some("ä"));
        assert_eq!(first("a=%C3%A4&b=%FF", "b").as_deref(), Some("\u{FFFD}"));
    }
}
