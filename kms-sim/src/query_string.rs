//! The parameters of a query string as AWS reads them.

pub(crate) use xks_page::decoded;

/// The value of the first parameter of this name: AWS takes the first of several.
pub(crate) fn first(text: &str, name: &str) -> Option<String> {
    text.split('&').find_map(|parameter| {
        let (found, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (text_of(found) == name).then(|| text_of(value))
    })
}

fn text_of(text: &str) -> String {
    String::from_utf8_lossy(&decoded(text)).into_owned()
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
