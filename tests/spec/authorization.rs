//! Secondary authorization.

use std::sync::Arc;
use std::time::Duration;

use harness::signer::Signer;
use serde_json::{Value, json};
use xks_proxy::authorize::{Attribute, Effect, Policy, Rego, Rule, RuleSet};

use crate::key_manager::Fault;
use crate::operations::{ENCRYPT_EXAMPLE, refused};
use crate::proxy::{HOST, ID, OTHER_ID, OTHER_PREFIX, OTHER_SECRET, Proxy, SECRET, Setup};

const ALICE: &str = "arn:aws:iam::123456789012:user/Alice";

fn rules(rules: impl IntoIterator<Item = Rule>) -> Option<Arc<Policy>> {
    Policy::new(Some(RuleSet::new(rules)), None).map(Arc::new)
}

fn rule(id: &str, effect: Effect, conditions: &[(Attribute, &str)]) -> Rule {
    let conditions = conditions.iter();
    let conditions =
        conditions.map(|(attribute, pattern)| (*attribute, vec![(*pattern).to_owned()]));
    Rule::new(id, effect, conditions)
}

fn rego(text: &str) -> Option<Arc<Policy>> {
    let modules = vec![("policy.rego".to_owned(), text.to_owned())];
    let rego = Rego::prepare(modules, None, "data.xks.allow", Duration::from_secs(1));
    Policy::new(None, Some(rego.expect("a policy"))).map(Arc::new)
}

/// The first key store has the policy, the other one has none.
fn with(policy: Option<Arc<Policy>>) -> Proxy {
    let mut setup = Setup::default();
    setup.key_stores[0].policy = policy;
    Proxy::start_with(setup)
}

/// The example, from another caller.
fn by(principal: &str) -> String {
    ENCRYPT_EXAMPLE.replace(ALICE, principal)
}

#[test]
fn r36_a_key_is_limited_to_certain_callers() {
    let proxy = with(rules([
        rule(
            "alice",
            Effect::Allow,
            &[
                (Attribute::Principal, "arn:*:user/Alice"),
                (Attribute::Key, "demo*"),
            ],
        ),
        rule("no-s3", Effect::Deny, &[(Attribute::ViaService, "s3.*")]),
    ]));
    let mallory = by("arn:aws:iam::123456789012:user/Mallory");
    assert_eq!(
        proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status,
        200
    );
    for (path, body) in [
        ("/keys/demo/encrypt", mallory.clone()),
        ("/keys/demo/metadata", mallory.clone()),
        ("/keys/other/encrypt", ENCRYPT_EXAMPLE.to_owned()),
        (
            "/keys/demo/encrypt",
            ENCRYPT_EXAMPLE.replace("\"ebs\"", "\"s3.us-east-1.amazonaws.com\""),
        ),
    ] {
        refused(&proxy.post(path, body), 403, "AccessDeniedException");
    }
    // Neither of them got as far as the key manager.
    assert_eq!(
        proxy.key_manager.take_calls().len(),
        3,
        "resolve, encrypt and decrypt of the first"
    );
    // Another store's callers are none of its business.
    let path = format!("{OTHER_PREFIX}/kms/xks/v1/keys/demo/encrypt");
    let other = Signer::new(OTHER_ID, OTHER_SECRET).post(HOST, &path, mallory);
    assert_eq!(proxy.exchange(&other).status, 200);
}

#[test]
fn r36_what_may_be_encrypted_may_be_decrypted_only_where_it_says_so() {
    let proxy = with(rules([rule(
        "writes",
        Effect::Allow,
        &[(Attribute::Operation, "Encrypt")],
    )]));
    let answer = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).json();
    let mut decrypt: Value = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    for name in [
        "ciphertext",
        "initializationVector",
        "authenticationTag",
        "ciphertextMetadata",
    ] {
        decrypt[name] = answer[name].clone();
    }
    let response = proxy.post("/keys/demo/decrypt", decrypt.to_string());
    refused(&response, 403, "AccessDeniedException");
}

#[test]
fn r36_each_defect_has_its_turn() {
    let mut setup = Setup::default();
    setup.key_stores[0].keys = &["demo"];
    setup.key_stores[0].policy = rules([rule("nobody", Effect::Deny, &[])]);
    let proxy = Proxy::start_with(setup);
    let denied = |body: &str| proxy.post("/keys/demo/encrypt", body);
    // Authentic before well-formed, well-formed before known, known before allowed, allowed before feasible.
    let path = format!("{}/kms/xks/v1/keys/demo/encrypt", crate::proxy::PREFIX);
    let forged = Signer::new(OTHER_ID, SECRET).post(HOST, &path, ENCRYPT_EXAMPLE);
    refused(
        &proxy.exchange(&forged),
        401,
        "AuthenticationFailedException",
    );
    refused(
        &denied(&ENCRYPT_EXAMPLE.replace("AES_GCM", "X")),
        400,
        "ValidationException",
    );
    refused(
        &proxy.post("/keys/none/encrypt", ENCRYPT_EXAMPLE),
        404,
        "KeyNotFoundException",
    );
    let long = ENCRYPT_EXAMPLE.replace("SGVsbG8gV29ybGQh", &"AAAA".repeat(10_000));
    refused(&denied(&long), 403, "AccessDeniedException");
    proxy.key_manager.set(Fault::Fails);
    refused(&denied(ENCRYPT_EXAMPLE), 403, "AccessDeniedException");
    assert_eq!(proxy.key_manager.take_calls(), []);
}

#[test]
fn r26_health_is_exempt() {
    let health =
        json!({"requestMetadata": {"kmsRequestId": "r", "kmsOperation": "KmsHealthCheck"}});
    for policy in [
        rules([rule("nobody", Effect::Deny, &[])]),
        rego("package xks\nallow := false"),
    ] {
        let proxy = with(policy);
        assert_eq!(proxy.post("/health", health.to_string()).status, 200);
        let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
        refused(&response, 403, "AccessDeniedException");
    }
}

#[test]
fn r37_a_denial_is_logged_with_the_rule_and_what_the_caller_is() {
    let proxy = with(rules([
        rule("alice", Effect::Allow, &[(Attribute::Principal, ALICE)]),
        rule(
            "not-by-ebs",
            Effect::Deny,
            &[(Attribute::ViaService, "ebs")],
        ),
    ]));
    let first = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    // The wire tells nobody what the rules are.
    assert!(!String::from_utf8_lossy(&first.body).contains("not-by-ebs"));
    let mallory = by("arn:aws:iam::123456789012:user/Mallory").replace("\"ebs\"", "\"s3\"");
    proxy.post("/keys/demo/encrypt", mallory);
    proxy.post(
        "/keys/demo/encrypt",
        ENCRYPT_EXAMPLE.replace("\"ebs\"", "\"s3\""),
    );
    let lines = proxy.end_and_read_log();
    for (name, expected) in [
        (
            "errorName",
            ["AccessDeniedException", "AccessDeniedException", ""],
        ),
        ("outcome", ["refused", "refused", "ok"]),
        ("deniedBy", ["not-by-ebs", "(no rule)", ""]),
        (
            "cause",
            ["rule \"not-by-ebs\" denies it", "no rule allows it", ""],
        ),
        (
            "awsPrincipalArn",
            [ALICE, "arn:aws:iam::123456789012:user/Mallory", ALICE],
        ),
        ("kmsViaService", ["ebs", "s3", "s3"]),
        ("externalKeyId", ["demo", "demo", "demo"]),
        ("accessKeyId", [ID, ID, ID]),
    ] {
        let found: Vec<_> = lines
            .iter()
            .map(|l| l[name].as_str().unwrap_or(""))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn r36_r37_rego_decides_from_the_request_and_its_statement_is_logged() {
    let mut proxy = with(rego(
        "package xks\nallow if count(reasons) == 0\n\
         reasons contains \"team payroll alone\" if not endswith(input.requestMetadata.awsPrincipalArn, \"/Alice\")\n\
         reasons contains \"nothing through S3\" if startswith(input.requestMetadata.kmsViaService, \"s3\")\n\
         reasons contains \"a plaintext is no part of the input\" if input.plaintext\n",
    ));
    assert_eq!(
        proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status,
        200
    );
    assert_eq!(
        proxy.post("/keys/demo/metadata", ENCRYPT_EXAMPLE).status,
        200
    );
    let mallory = by("arn:aws:iam::123456789012:user/Mallory").replace("\"ebs\"", "\"s3\"");
    refused(
        &proxy.post("/keys/demo/encrypt", mallory),
        403,
        "AccessDeniedException",
    );
    // A policy that fails lets nobody pass.
    proxy.change(|setup| {
        setup.key_stores[0].policy =
            rego("package xks\nallow if not to_number(input.externalKeyId)");
    });
    refused(
        &proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE),
        403,
        "AccessDeniedException",
    );
    let lines = proxy.end_and_read_log();
    assert_eq!(
        lines[2]["deniedBy"],
        "nothing through S3; team payroll alone"
    );
    assert_eq!(lines[2]["cause"], "data.xks.allow is undefined");
    assert_eq!(lines[3]["deniedBy"], "data.xks.allow");
    let cause = lines[3]["cause"].as_str().unwrap();
    assert!(cause.starts_with("data.xks.allow failed: "), "{cause}");
}
