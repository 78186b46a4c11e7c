//! Base64: the standard alphabet with padding, in requests and in answers.

use serde_json::Value;

use super::super::case::Check::{Refused, Story};
use super::super::case::{
    CIPHERTEXT_OR_INVALID, Case, Finding, INVALID, Outcome, Sending, must, should,
};
use super::super::kit::{AAD, Kit, PLAINTEXT};
use super::encrypt::{round_trip, same};
use super::{DECRYPT, ENCRYPT};

const NO_BASE64: &str = "a field that is not base64 makes the request invalid";
const LENIENT: &str = "base64 is the standard one with padding; a proxy that takes other spellings gives one value several";

pub(super) const CASES: &[Case] = &[
    must(
        "plaintext-base64-of-other-characters",
        ENCRYPT,
        NO_BASE64,
        Refused(|kit| plaintext(kit, "SGVs*G8!"), INVALID),
    ),
    must(
        "plaintext-base64-of-one-character",
        ENCRYPT,
        "no base64 has one character alone",
        Refused(|kit| plaintext(kit, "S"), INVALID),
    ),
    must(
        "plaintext-base64-with-padding-first",
        ENCRYPT,
        "padding stands at the end of base64",
        Refused(|kit| plaintext(kit, "====SGVsbG8="), INVALID),
    ),
    must(
        "plaintext-base64-with-padding-within",
        ENCRYPT,
        "padding stands at the end of base64, and nothing comes after it",
        Refused(|kit| plaintext(kit, "SGVsbG8=SGVsbG8="), INVALID),
    ),
    must(
        "plaintext-base64-of-padding-alone",
        ENCRYPT,
        "padding alone is no base64",
        Refused(|kit| plaintext(kit, "===="), INVALID),
    ),
    must(
        "plaintext-base64-of-other-scripts",
        ENCRYPT,
        "base64 is of ASCII characters, and no other letters are in it",
        Refused(|kit| plaintext(kit, "SGVsbGö="), INVALID),
    ),
    should(
        "plaintext-base64-without-padding",
        ENCRYPT,
        LENIENT,
        Refused(|kit| plaintext(kit, "SGVsbG8"), INVALID),
    ),
    should(
        "plaintext-base64-with-too-much-padding",
        ENCRYPT,
        LENIENT,
        Refused(|kit| plaintext(kit, "SGVsbG8=="), INVALID),
    ),
    should(
        "plaintext-base64-of-urls",
        ENCRYPT,
        LENIENT,
        Refused(|kit| plaintext(kit, "-_-_-_-_"), INVALID),
    ),
    should(
        "plaintext-base64-with-a-line-break",
        ENCRYPT,
        LENIENT,
        Refused(|kit| plaintext(kit, "SGVs\r\nbG8="), INVALID),
    ),
    should(
        "plaintext-base64-with-a-space",
        ENCRYPT,
        LENIENT,
        Refused(|kit| plaintext(kit, "SGVs bG8="), INVALID),
    ),
    should(
        "plaintext-base64-with-bits-left-over",
        ENCRYPT,
        LENIENT,
        Refused(|kit| plaintext(kit, "SGVsbG9="), INVALID),
    ),
    must(
        "aad-base64-of-other-characters",
        ENCRYPT,
        NO_BASE64,
        Refused(
            |kit| {
                let draft = kit.encrypt();
                Ok(draft.set("additionalAuthenticatedData", "{}").sign())
            },
            INVALID,
        ),
    ),
    should(
        "aad-base64-without-padding",
        ENCRYPT,
        LENIENT,
        Refused(
            |kit| {
                let draft = kit.encrypt();
                Ok(draft.set("additionalAuthenticatedData", "bmlsZQ").sign())
            },
            INVALID,
        ),
    ),
    must(
        "ciphertext-base64-of-other-characters",
        DECRYPT,
        NO_BASE64,
        Refused(
            |kit| field(kit, "ciphertext", |text| format!("!{text}")),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "iv-base64-of-other-characters",
        DECRYPT,
        NO_BASE64,
        Refused(
            |kit| {
                field(kit, "initializationVector", |text| {
                    text.replace(char::is_alphabetic, "#")
                })
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "tag-base64-of-other-characters",
        DECRYPT,
        NO_BASE64,
        Refused(
            |kit| field(kit, "authenticationTag", |text| format!("{text}?")),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-aad-base64-of-other-characters",
        DECRYPT,
        NO_BASE64,
        Refused(
            |kit| {
                field(kit, "additionalAuthenticatedData", |text| {
                    format!("{text}~")
                })
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "ciphertext-metadata-base64-of-other-characters",
        DECRYPT,
        NO_BASE64,
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft.set("ciphertextMetadata", "%%%%").sign())
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    should(
        "tag-base64-without-padding",
        DECRYPT,
        LENIENT,
        Refused(
            |kit| field(kit, "authenticationTag", |text| text.replace('=', "")),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    should(
        "tag-base64-with-bits-left-over",
        DECRYPT,
        "the last character of a tag's base64 has four bits that count for nothing and are zero, else one tag has sixteen spellings",
        Refused(
            |kit| {
                field(kit, "authenticationTag", |text| {
                    // The 22nd character holds two bits of the tag: A, Q, g or w.
                    let other = |c: char| match c {
                        'A' => 'B',
                        'Q' => 'R',
                        'g' => 'h',
                        _ => 'x',
                    };
                    let change = |(at, c): (usize, char)| if at == 21 { other(c) } else { c };
                    text.chars().enumerate().map(change).collect()
                })
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    should(
        "ciphertext-base64-with-a-line-break",
        DECRYPT,
        LENIENT,
        Refused(
            |kit| field(kit, "ciphertext", |text| format!("{text}\n")),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "base64-with-plus-and-slash",
        ENCRYPT,
        "plus and slash are characters of standard base64",
        Story(|kit| round_trip(kit, &[0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff], Some(&[0xff; 3]))),
    ),
    must(
        "base64-with-one-and-two-equals-signs",
        ENCRYPT,
        "base64 of every length modulo three is taken and given, with its padding",
        Story(|kit| {
            for plaintext in [&b"1"[..], b"12", b"123", b"1234"] {
                round_trip(kit, plaintext, Some(plaintext))?;
            }
            Ok(())
        }),
    ),
    must(
        "base64-with-escapes-of-json",
        ENCRYPT,
        "a string of JSON may escape a slash or any other character, and means the same",
        Story(escaped),
    ),
];

fn plaintext(kit: &Kit<'_>, text: &str) -> Sending {
    Ok(kit.encrypt().set("plaintext", text).sign())
}

/// The reference ciphertext with the text of a field changed.
fn field(kit: &Kit<'_>, name: &str, change: impl FnOnce(&str) -> String) -> Sending {
    let draft = kit.decrypt(&kit.sealed()?);
    let text = draft.json.get(name).and_then(Value::as_str).map(change);
    match text {
        Some(text) => Ok(draft.set(name, text).sign()),
        None => Err(Finding::failed(format!("the request has no {name}"))),
    }
}

/// `/` as `\/`, and the first letter of the plaintext as `\u0059`.
fn escaped(kit: &Kit<'_>) -> Outcome {
    // Base64: /+//Y29u
    let plaintext = [0xff, 0xef, 0xff, 0x63, 0x6f, 0x6e];
    let draft = kit
        .encrypt_of(&plaintext, Some(AAD))
        .text(|text| text.replace("/+//Y29u", r"\/+\/\/\u005929u"));
    let sealed = kit.send(&draft.sign())?.sealed(Some(AAD))?;
    same(&kit.open(&sealed)?, &plaintext)?;
    round_trip(kit, PLAINTEXT, Some(AAD))
}
