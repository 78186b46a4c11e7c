//! Reading the file: every problem at once, with its place.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use toml::Value;
use zeroize::Zeroizing;

use super::{Accounts, Principal};
use crate::caller::RequestOrigin;
use crate::policy::{Document, Identity, IdentityKind, Kind};
use crate::toml_document::{self, InvalidFile, Problem, Section};

pub(super) fn load(file: &Path) -> Result<Accounts, InvalidFile> {
    let invalid = |problems| InvalidFile::new(file, problems);
    let text = std::fs::read_to_string(file)
        .map_err(|error| InvalidFile::unreadable(file, "a TOML file", &error))?;
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    read(&text, folder).map_err(invalid)
}

pub(super) fn read(text: &str, folder: &Path) -> Result<Accounts, Vec<Problem>> {
    toml_document::read(text, |root| contents(root, folder))
}

fn contents(root: &Section, folder: &Path) -> Accounts {
    let mut accounts = Accounts::default();
    // Where each access key id was first.
    let mut first = HashMap::new();
    let principals = root.sections("principals");
    if principals.is_empty() {
        root.problem("principals", "nothing", "at least one [[principals]]");
    }
    for section in principals {
        let id = section.text("access-key-id", access_key_id, ACCESS_KEY_ID);
        let id = section.required("access-key-id", id, ACCESS_KEY_ID);
        if let Some(id) = &id {
            let place = section.place("access-key-id");
            match first.get(id) {
                None => drop(first.insert(id.clone(), place)),
                Some(other) => section.problem(
                    "access-key-id",
                    format!("\"{id}\", which {other} has"),
                    "one that no other has",
                ),
            }
        }
        let principal = principal(&section, folder);
        section.finish();
        if let (Some(id), Some(principal)) = (id, principal) {
            let identity = &principal.identity;
            accounts.accounts.insert(identity.account.clone());
            accounts.known.insert(identity.principal_arn().to_owned());
            accounts.by_access_key.insert(id, Arc::new(principal));
        }
    }
    accounts
}

fn principal(section: &Section, folder: &Path) -> Option<Principal> {
    let secret = section.secret("secret-access-key", secret, SECRET);
    let secret = section.required("secret-access-key", secret, SECRET);
    let token = |text: String| (1..=4_096).contains(&text.len()).then(|| text.into());
    let session_token = section.secret("session-token", token, "1 to 4,096 characters");
    let identity = identity(section);
    let policies = policies(section, folder);
    let origin = origin(section);
    let user_id = section.text("user-id", user_id, USER_ID);
    let (secret, identity) = (secret?, identity?);
    if identity.kind == IdentityKind::Root && !policies.is_empty() {
        let expected = "none, since a root user has no identity-based policies";
        section.problem("policies", "policies", expected);
    }
    Some(Principal {
        secret,
        session_token,
        user_id: user_id.unwrap_or_else(|| identity.derived_user_id()),
        identity: Arc::new(identity),
        policies: policies.into(),
        origin,
    })
}

fn identity(section: &Section) -> Option<Identity> {
    let is_role = |arn: &str| Identity::of_role(arn, "session").is_some();
    let named =
        |text: &str| (Identity::of_arn(text).is_some() || is_role(text)).then(|| text.to_owned());
    let arn = section.text("principal", named, PRINCIPAL);
    let arn = section.required("principal", arn, PRINCIPAL);
    let session = section.text("session-name", session_name, SESSION_NAME);
    let arn = arn?;
    if !is_role(&arn) {
        if session.is_some() {
            let expected = "none, since the principal is no role";
            section.problem("session-name", "a name", expected);
        }
        return Identity::of_arn(&arn);
    }
    let session = section.required("session-name", session, SESSION_NAME)?;
    Identity::of_role(&arn, &session)
}

/// `policies`, a list of documents, each a text with JSON or a table, and `policy-files`.
fn policies(section: &Section, folder: &Path) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut add = |place: &str, text: &str| match Document::parse(text, Kind::Identity) {
        Ok(document) => documents.push(document),
        Err(why) => section.problem(place, why.to_string(), POLICY),
    };
    for (at, value) in section.values("policies", POLICIES).into_iter().enumerate() {
        let place = format!("policies[{at}]");
        match value {
            Value::String(text) => add(&place, &text),
            table @ Value::Table(_) => match serde_json::to_string(&table) {
                Ok(text) => add(&place, &text),
                Err(error) => section.problem(&place, error.to_string(), POLICY),
            },
            _ => section.problem(&place, "another type", POLICY),
        }
    }
    let files = section.texts(
        "policy-files",
        |name| !name.is_empty(),
        "the names of files",
    );
    for (at, name) in files.into_iter().enumerate() {
        let (place, path) = (format!("policy-files[{at}]"), folder.join(name));
        match std::fs::read_to_string(&path) {
            Ok(text) => add(&place, &text),
            Err(error) => {
                section.problem(&place, format!("{}: {error}", path.display()), POLICY);
            }
        }
    }
    documents
}

fn origin(section: &Section) -> RequestOrigin {
    let address = |text: &str| {
        let address = text.parse::<std::net::IpAddr>();
        address.ok().map(|address| address.to_string())
    };
    let with_prefix = |prefix: &'static str| {
        move |text: &str| {
            let id = text.strip_prefix(prefix)?;
            let fits =
                (8..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
            fits.then(|| text.to_owned())
        }
    };
    let tag = |name: &str, value: &str| !name.is_empty() && name.len() <= 128 && value.len() <= 256;
    RequestOrigin {
        address: section.text("source-ip", address, "an address such as 203.0.113.17"),
        is_secure: false,
        vpc: section.text(
            "source-vpc",
            with_prefix("vpc-"),
            "a VPC such as vpc-1234abcd",
        ),
        vpc_endpoint: section.text(
            "source-vpc-endpoint",
            with_prefix("vpce-"),
            "a VPC endpoint such as vpce-1234abcd5678c90a",
        ),
        via_service: section.text("via-service", service, "the name of a service such as s3"),
        principal_tags: section.pairs("tags", tag, "a name and a value"),
    }
}

fn access_key_id(text: &str) -> Option<String> {
    let fits = (16..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    fits.then(|| text.to_owned())
}

fn secret(text: String) -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(text);
    let fits = (8..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then_some(text)
}

fn user_id(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b":=,.@_+-".contains(&b);
    let fits = (1..=193).contains(&text.len()) && text.bytes().all(allowed);
    fits.then(|| text.to_owned())
}

fn session_name(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"=,.@_+-".contains(&b);
    let fits = (2..=64).contains(&text.len()) && text.bytes().all(allowed);
    fits.then(|| text.to_owned())
}

fn service(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
    fits.then(|| text.to_owned())
}

const ACCESS_KEY_ID: &str =
    "an access key id: 16 to 128 letters and digits, such as AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "a secret access key: 8 to 128 characters without spaces";
const PRINCIPAL: &str = "the ARN of a user, a role, a session or an account's root, such as \
                         arn:aws:iam::111122223333:user/Alice";
const SESSION_NAME: &str = "the name of a session of the role: 2 to 64 letters, digits and =,.@_+-";
const USER_ID: &str = "a unique id such as AIDACKCEVSQ6C2EXAMPLE, or AROACLKWSDQRAOEXAMPLE:session";
const POLICIES: &str = "a list of identity-based policies";
const POLICY: &str = "an identity-based policy in JSON, or a table with its members";
