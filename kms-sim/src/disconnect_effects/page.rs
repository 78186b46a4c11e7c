//! `docs/disconnect.md` has the tables that the code has. `UPDATE_PAGES=1 cargo test -p kms-sim --lib disconnect_effects`
//! writes them anew.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

const KINDS: [CustomKeyStoreType; 2] = [
    CustomKeyStoreType::ExternalKeyStore,
    CustomKeyStoreType::AwsCloudHsm,
];

#[test]
fn the_page_has_the_tables_of_this_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/disconnect.md");
    let page = std::fs::read_to_string(&file).expect("the page");
    let mut written = page.clone();
    for (name, table) in [
        ("keys", keys()),
        ("states", states()),
        ("messages", messages()),
        ("stores", stores()),
        ("failures", failures()),
    ] {
        let (begin, end) = (
            format!("<!-- {name} -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (before, rest) = written.split_once(&begin).expect("where the table begins");
        let (_, after) = rest.split_once(&end).expect("where the table ends");
        written = format!("{before}{begin}{table}{end}{after}");
    }
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&file, &written).expect("the page can be written");
    }
    assert!(
        page == written || std::env::var_os("UPDATE_PAGES").is_some(),
        "kms-sim/docs/disconnect.md is not of this tree; UPDATE_PAGES=1 cargo test -p kms-sim --lib \
         disconnect_effects writes it anew"
    );
}

fn keys() -> String {
    let mut table = "| operation | key of an external key store | key of a CloudHSM key store |\n|---|---|---|\n".to_owned();
    let [external, cloud_hsm] = KINDS.map(of_keys);
    let mut rows: Vec<_> = external.into_iter().zip(cloud_hsm).collect();
    // What fails comes first, what never works last.
    rows.sort_by_key(|((operation, effect), _)| {
        let rank = match effect {
            Effect::Fails(_) => 0,
            Effect::Works => 1,
            Effect::Never(_) => 2,
        };
        (rank, operation.name())
    });
    let word = |effect: &Effect| match effect {
        Effect::Works => "works".to_owned(),
        Effect::Fails(error) => format!("**{}**", error.name()),
        Effect::Never(error) => format!("never: {}", error.name()),
    };
    for ((operation, external), (_, cloud_hsm)) in &rows {
        table.push_str(&format!(
            "| {} | {} | {} |\n",
            operation.name(),
            word(external),
            word(cloud_hsm)
        ));
    }
    table
}

fn states() -> String {
    let heads = STATES.map(ConnectionState::as_str).join(" | ");
    let mut table = format!("| its owner has | {heads} |\n|---|---|---|---|---|---|\n");
    let [external, cloud_hsm] = KINDS.map(key_states);
    assert_eq!(external, cloud_hsm, "one table tells of both");
    for (decision, states) in external {
        let states = states.map(KeyState::name).join(" | ");
        table.push_str(&format!("| {decision} | {states} |\n"));
    }
    table
}

fn messages() -> String {
    let mut table = "| | exception | message |\n|---|---|---|\n".to_owned();
    for (kind, name) in KINDS
        .into_iter()
        .zip(["external key store", "CloudHSM key store"])
    {
        let messages: BTreeMap<_, _> = failing(kind)
            .iter()
            .map(|(_, error)| (error.message().unwrap_or_default().to_owned(), error.name()))
            .collect();
        for (message, exception) in messages {
            table.push_str(&format!("| {name} | {exception} | {message} |\n"));
        }
    }
    table
}

fn stores() -> String {
    let states = STATES.map(ConnectionState::as_str).join(" | ");
    let mut table = format!("| operation | {states} |\n|---|---|---|---|---|---|\n");
    for operation in of_stores() {
        let outcomes = operation.outcomes.map(|outcome| match outcome {
            Outcome::Moves(to) => format!("→ {to}"),
            Outcome::Works => "works".to_owned(),
            Outcome::Fails(error) => {
                assert_eq!(error.name(), "CustomKeyStoreInvalidStateException");
                "refused".to_owned()
            }
        });
        table.push_str(&format!(
            "| {} | {} |\n",
            operation.name,
            outcomes.join(" | ")
        ));
    }
    table
}

fn failures() -> String {
    let mut table =
        "| what happens | message of cryptographic operations | CreateKey | CreateCustomKeyStore, \
         UpdateCustomKeyStore | ConnectCustomKeyStore ends FAILED with |\n|---|---|---|---|---|\n"
            .to_owned();
    for (words, failure) in proxy_failures() {
        assert_eq!(failure.crypto_error().name(), "KMSInvalidStateException");
        table.push_str(&format!(
            "| {words} | {} | {} | {} | {} |\n",
            failure.message(),
            failure.create_key_error().name(),
            failure.key_store_error().name(),
            failure.connection_error_code().as_str()
        ));
    }
    table
}
