//! Reads a script, in TOML or JSON, field by field: every problem with its place, what is there and what is expected.

use std::path::Path;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use xks_api::ids::{AccessKeyId, ExternalKeyId, SecretAccessKey, UriPathPrefix};
use zeroize::Zeroizing;

use super::script::{HandshakeRule, Key, On, Rule, Script, SecondCredential};
use crate::toml_document::{InvalidFile, Section, read, read_json};

/// Reads a file: JSON if its name ends so, else TOML.
pub(super) fn load(file: &Path) -> Result<Script, InvalidFile> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| InvalidFile::unreadable(file, "a script in TOML or JSON", &error))?;
    let is_json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    let script = match is_json {
        true => read_json(&text, script),
        false => read(&text, script),
    };
    script.map_err(|problems| InvalidFile::new(file, problems))
}

/// What is wrong has its default here, and is noted.
fn script(section: &Section) -> Script {
    let usual = Script::default();
    let text = |name| section.text(name, any, TEXT);
    let has_instances = section.has("instances");
    let second = "a table with access-key-id and secret-access-key";
    Script {
        host: text("host").unwrap_or(usual.host),
        uri_path: section
            .text("uri-path", uri_path, "a path such as /stub/kms/xks/v1")
            .unwrap_or(usual.uri_path),
        access_key_id: access_key_id(section).unwrap_or(usual.access_key_id),
        secret_access_key: secret_access_key(section).unwrap_or(usual.secret_access_key),
        second_credential: section
            .section("second-credential", second)
            .and_then(second_credential),
        verify_signatures: section
            .boolean("verify-signatures")
            .unwrap_or(usual.verify_signatures),
        instances: match section.texts("instances", |_| true, STATUSES) {
            instances if has_instances => instances,
            _ => usual.instances,
        },
        keys: all(section.sections("keys"), key),
        handshakes: all(section.sections("handshakes"), handshake),
        rules: all(section.sections("rules"), rule),
    }
}

/// Every field that nobody asked for is a problem as well.
fn all<T>(sections: Vec<Section>, read: impl Fn(&Section) -> Option<T>) -> Vec<T> {
    let one = |section: Section| {
        let item = read(&section);
        section.finish();
        item
    };
    sections.into_iter().filter_map(one).collect()
}

fn second_credential(section: Section) -> Option<SecondCredential> {
    let id = access_key_id(&section);
    let id = section.required("access-key-id", id, ACCESS_KEY_ID);
    let secret = secret_access_key(&section);
    let secret = section.required("secret-access-key", secret, SECRET_ACCESS_KEY);
    section.finish();
    Some(SecondCredential {
        access_key_id: id?,
        secret_access_key: secret?,
    })
}

fn access_key_id(section: &Section) -> Option<String> {
    let parse = |text: &str| AccessKeyId::try_from(text).ok().and_then(|_| any(text));
    section.text("access-key-id", parse, ACCESS_KEY_ID)
}

fn secret_access_key(section: &Section) -> Option<String> {
    let parse = |text: String| {
        let text = Zeroizing::new(text);
        SecretAccessKey::try_from(&**text)
            .ok()
            .and_then(|_| any(&text))
    };
    section.secret("secret-access-key", parse, SECRET_ACCESS_KEY)
}

fn uri_path(text: &str) -> Option<String> {
    let prefix = text.strip_suffix("/kms/xks/v1")?;
    UriPathPrefix::try_from(prefix).ok().and_then(|_| any(text))
}

fn key(section: &Section) -> Option<Key> {
    let parse = |text: &str| ExternalKeyId::try_from(text).ok().and_then(|_| any(text));
    let id = section.text("id", parse, EXTERNAL_KEY_ID);
    let id = section.required("id", id, EXTERNAL_KEY_ID);
    let has_usage = section.has("usage");
    let usage = section.texts("usage", |_| true, "a list of ENCRYPT and DECRYPT");
    let spec = section.text("spec", any, TEXT);
    let status = section.text("status", any, TEXT);
    Some(Key::new(id?, spec, has_usage.then_some(usage), status))
}

fn handshake(section: &Section) -> Option<HandshakeRule> {
    let expected = names::<super::Handshake>();
    let handshake = section.text("handshake", named, &expected);
    let handshake = section.required("handshake", handshake, &expected);
    let (skip, times) = (number(section, "skip"), number(section, "times"));
    Some(HandshakeRule {
        handshake: handshake?,
        skip: skip.unwrap_or_default(),
        times,
    })
}

fn rule(section: &Section) -> Option<Rule> {
    let text = |name| section.text(name, any, TEXT);
    let says = |name| section.has(name);
    let said = [
        says("status") || says("error-name") || says("body"),
        says("defect"),
        says("not-http"),
        says("close"),
        says("delay-ms"),
    ];
    let (has_name, has_body, has_message) =
        (says("error-name"), says("body"), says("error-message"));
    let has_on = section.has("on");
    let expected = names::<On>();
    let on = section.texts("on", |text| named::<On>(text).is_some(), &expected);
    let on = on.iter().filter_map(|text| named(text)).collect();
    let status = section.integer("status", 200, 599);
    let (not_http, close) = (section.boolean("not-http"), section.boolean("close"));
    let rule = Rule {
        on: has_on.then_some(on),
        key: text("key"),
        kms_operation: text("kms-operation"),
        skip: number(section, "skip").unwrap_or_default(),
        times: number(section, "times"),
        delay_ms: number(section, "delay-ms"),
        status: status.and_then(|status| u16::try_from(status).ok()),
        error_name: text("error-name"),
        error_message: text("error-message"),
        body: text("body"),
        defect: section.text("defect", named, &names::<super::Defect>()),
        not_http: not_http.unwrap_or_default(),
        close: close.unwrap_or_default(),
    };
    // A way whose value is wrong is told already, and counts as one that is said.
    let [replaced, defect, without_http, closed, delayed] = said;
    let ways = [
        replaced,
        defect,
        without_http && not_http != Some(false),
        closed && close != Some(false),
    ];
    match ways.into_iter().filter(|way| *way).count() {
        0 if !delayed => section.problem("", "no answer", ONE_WAY),
        0 | 1 => {}
        _ => section.problem("", "more than one answer", WAYS),
    }
    if has_name && has_body {
        let expected = "one of the two, since an error-name makes a body of its own";
        section.problem("", "error-name and body", expected);
    }
    if has_message && !has_name {
        section.problem("", "error-message alone", "an error-name with it");
    }
    Some(rule)
}

fn number(section: &Section, name: &'static str) -> Option<u64> {
    section.integer(name, 0, u32::MAX).map(u64::from)
}

/// One of the checks of a text.
fn any(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What a name of a closed set stands for.
fn named<T: DeserializeOwned>(name: &str) -> Option<T> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    T::deserialize(name).ok()
}

/// The names of a closed set, as serde tells them of one that is none.
fn names<T: DeserializeOwned>() -> String {
    let none: StrDeserializer<'_, Error> = "".into_deserializer();
    let told = T::deserialize(none).err().map(|error| error.to_string());
    let names = told
        .as_deref()
        .and_then(|told| told.split_once("expected "));
    names.map_or_else(String::new, |(_, names)| names.replace('`', ""))
}

const TEXT: &str = "a text";
const STATUSES: &str = "a list of health statuses such as ACTIVE";
const ACCESS_KEY_ID: &str = "20 to 30 of A-Z 2-7";
const SECRET_ACCESS_KEY: &str = "43 to 64 of A-Z a-z 0-9 / + =";
const EXTERNAL_KEY_ID: &str = "1 to 128 of A-Z a-z 0-9 - . _";
const ONE_WAY: &str = "delay-ms, error-name, status, body, defect, not-http or close";
const WAYS: &str = "one of: error-name, status and body; defect; not-http; close";
