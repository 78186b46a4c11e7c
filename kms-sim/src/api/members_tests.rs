//! Members and the texts of their violations.

use super::*;

#[derive(Debug)]
struct Sample;

impl Input for Sample {
    fn read(m: &mut Members<'_>) -> Self {
        m.text("CustomKeyStoreId").length(1, 64).required();
        m.text("KeyStorePassword")
            .sensitive()
            .length(7, 32)
            .optional();
        m.text("AliasName")
            .pattern("^[a-z]+$", |s| s.bytes().all(|b| b.is_ascii_lowercase()))
            .optional();
        m.blob("Plaintext").length(1, 4).optional();
        m.integer("Limit").range(1, 1000);
        m.choice("KeySpec", &[("AES_256", 32), ("AES_128", 16)])
            .optional();
        m.text_list("GrantTokens", 0, 10, |t| t.length(1, 3).required());
        m.list("Tags", 0, 200, |m| {
            m.text("TagKey").length(1, 128).required()
        });
        m.structure("XksProxyAuthenticationCredential", |m| {
            m.text("AccessKeyId").sensitive().length(20, 30).required()
        });
        m.structure("Recipient", |m| {
            let algorithm = m.choice("Algorithm", &[("A", 1), ("B", 2)]).optional();
            m.require("Algorithm", algorithm)
        });
        m.boolean("DryRun");
        m.text_map("EncryptionContext");
        Self
    }
}

fn error(body: &str) -> (&'static str, String) {
    let error = parse::<Sample>(body.as_bytes()).unwrap_err();
    (error.name(), error.message().unwrap().to_owned())
}

/// The texts that LocalStack recorded against AWS, and those of the API documentation.
#[test]
fn violations_read_as_those_of_kms() {
    for (body, expected) in [
        (
            "",
            "1 validation error detected: Value null at 'customKeyStoreId' failed to satisfy constraint: Member must not be null",
        ),
        (
            r#"{"CustomKeyStoreId":null}"#,
            "1 validation error detected: Value null at 'customKeyStoreId' failed to satisfy constraint: Member must not be null",
        ),
        (
            r#"{"CustomKeyStoreId":""}"#,
            "1 validation error detected: Value '' at 'customKeyStoreId' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            r#"{"CustomKeyStoreId":"a","Plaintext":"AAAAAAA="}"#,
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4",
        ),
        (
            r#"{"CustomKeyStoreId":"a","KeyStorePassword":"Sesame"}"#,
            "1 validation error detected: Value at 'keyStorePassword' failed to satisfy constraint: Member must have length greater than or equal to 7",
        ),
        (
            r#"{"CustomKeyStoreId":"a","Limit":0}"#,
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            r#"{"CustomKeyStoreId":"a","Limit":1001}"#,
            "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000",
        ),
        (
            r#"{"CustomKeyStoreId":"a","KeySpec":"DES"}"#,
            "1 validation error detected: Value 'DES' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]",
        ),
        (
            r#"{"CustomKeyStoreId":"a","Recipient":{"Algorithm":"C"}}"#,
            "1 validation error detected: Value 'C' at 'recipient.algorithm' failed to satisfy constraint: Member must satisfy enum value set: [A, B]",
        ),
        (
            r#"{"CustomKeyStoreId":"a","Recipient":{}}"#,
            "1 validation error detected: Value null at 'recipient.algorithm' failed to satisfy constraint: Member must not be null",
        ),
        (
            r#"{"CustomKeyStoreId":"a","AliasName":"A"}"#,
            "1 validation error detected: Value 'A' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z]+$",
        ),
        (
            r#"{"CustomKeyStoreId":"a","Tags":[{"TagKey":"x"},{"TagKey":""}]}"#,
            "1 validation error detected: Value '' at 'tags.2.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            r#"{"CustomKeyStoreId":"a","GrantTokens":["abcd"]}"#,
            "1 validation error detected: Value 'abcd' at 'grantTokens.1.member' failed to satisfy constraint: Member must have length less than or equal to 3",
        ),
        (
            r#"{"XksProxyAuthenticationCredential":{"AccessKeyId":"AAA"}}"#,
            "2 validation errors detected: Value null at 'customKeyStoreId' failed to satisfy constraint: Member must not be null; Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must have length greater than or equal to 20",
        ),
    ] {
        assert_eq!(
            error(body),
            ("ValidationException", expected.to_owned()),
            "{body}"
        );
    }
}

#[test]
fn wrong_types_are_serialization_exceptions_and_outrank_violations() {
    for body in [
        "[]",
        r#"["a"]"#,
        r#"[{"CustomKeyStoreId":"a"}]"#,
        "{",
        "7",
        r#"{"CustomKeyStoreId":7}"#,
        r#"{"CustomKeyStoreId":"a","Limit":"7"}"#,
        r#"{"CustomKeyStoreId":"a","Limit":1.5}"#,
        r#"{"CustomKeyStoreId":"a","Limit":99999999999}"#,
        r#"{"CustomKeyStoreId":"a","Plaintext":"AAA"}"#,
        r#"{"Plaintext":"?"}"#,
        r#"{"CustomKeyStoreId":"a","DryRun":"true"}"#,
        r#"{"CustomKeyStoreId":"a","Tags":{}}"#,
        r#"{"CustomKeyStoreId":"a","Tags":["x"]}"#,
        r#"{"CustomKeyStoreId":"a","Tags":[["x","y"]]}"#,
        r#"{"CustomKeyStoreId":"a","EncryptionContext":{"a":1}}"#,
        r#"{"CustomKeyStoreId":"a","XksProxyAuthenticationCredential":"x"}"#,
        r#"{"CustomKeyStoreId":"a","XksProxyAuthenticationCredential":["x","y"]}"#,
    ] {
        assert_eq!(error(body).0, "SerializationException", "{body}");
    }
}

#[test]
fn secrets_are_not_repeated_and_unknown_members_are_ignored() {
    let body = r#"{"KeyStorePassword":"Sesame","Plaintext":"U2VzYW1lIQ==","Future":[1]}"#;
    let (_, message) = error(body);
    assert!(
        !message.contains("Sesame") && !message.contains("U2Vz"),
        "{message}"
    );
    parse::<Sample>(br#"{"CustomKeyStoreId":"a","Future":[1]}"#).unwrap();
}
