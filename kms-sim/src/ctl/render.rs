//! An answer for people: a line for each member, a block for each element of a list.

use std::fmt::Write as _;

use serde_json::Value;

/// The text of an answer; nothing for `{}`.
pub(crate) fn render(answer: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, answer, 0);
    text
}

fn write_value(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                write_member(text, name, value, indent);
            }
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                if at > 0 && element.is_object() {
                    text.push('\n');
                }
                write_value(text, element, indent);
            }
        }
        scalar => line(text, indent, &plain(scalar)),
    }
}

fn write_member(text: &mut String, name: &str, value: &Value, indent: usize) {
    match value {
        Value::Null => {}
        Value::Array(elements) if elements.is_empty() => {
            line(text, indent, &format!("{name}: none"))
        }
        Value::Array(elements) if elements.iter().all(|e| !e.is_object() && !e.is_array()) => {
            let elements: Vec<_> = elements.iter().map(plain).collect();
            line(text, indent, &format!("{name}: {}", elements.join(", ")));
        }
        Value::Object(_) | Value::Array(_) => {
            line(text, indent, &format!("{name}:"));
            write_value(text, value, indent + 2);
        }
        // PEM: as it is, so that it can be copied.
        Value::String(long) if long.contains('\n') => {
            line(text, indent, &format!("{name}:"));
            text.push_str(long.trim_end());
            text.push('\n');
        }
        scalar => line(text, indent, &format!("{name}: {}", plain(scalar))),
    }
}

fn line(text: &mut String, indent: usize, content: &str) {
    // A String takes everything.
    let _ = writeln!(text, "{:indent$}{content}", "");
}

/// A scalar without quotes.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_lines_and_elements_are_blocks() {
        let answer = json!({
            "ClusterId": "cluster-x", "Absent": null, "Frozen": false, "Keys": [], "Zones": ["a", "b"],
            "Certificate": "-----BEGIN\nx\n-----END\n",
            "Hsms": [{"Id": 1}, {"Id": 2}],
        });
        let expected = "Certificate:\n-----BEGIN\nx\n-----END\nClusterId: cluster-x\nFrozen: false\nHsms:\n  Id: 1\n\n  Id: 2\n\
                        Keys: none\nZones: a, b\n";
        assert_eq!(render(&answer), expected);
        assert_eq!(render(&json!({})), "");
    }
}
