//! Blocks of TOML are settings of a program, and it reads them; blocks of JSON are JSON.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use harness::{certificates, temp_dir};
use xks_proxy::config::Config;

use crate::page::Page;

#[test]
fn every_block_of_toml_is_read_by_the_program_that_it_is_for() {
    let mut checked = 0;
    for page in Page::all() {
        for block in page.blocks.iter().filter(|block| block.language == "toml") {
            let problems = match READERS.iter().find(|(path, _)| *path == page.path) {
                Some((_, read)) => read(&block.text),
                None => of_the_proxy(&block.text),
            };
            assert!(
                problems.is_empty(),
                "{}:{}: {}",
                page.path,
                block.line,
                problems.join("\n")
            );
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked} blocks");
}

#[test]
fn every_block_of_json_is_json() {
    for page in Page::all() {
        for block in page.blocks.iter().filter(|block| block.language == "json") {
            let read = serde_json::from_str::<serde_json::Value>(&block.text);
            assert!(read.is_ok(), "{}:{}: {read:?}", page.path, block.line);
        }
    }
}

#[test]
fn a_setting_that_is_not_there_is_found() {
    let wrong = "[tls]\ncertificate_file = \"a\"\nprivate_key_file = \"b\"\ncolour = 1\n";
    let problems = of_the_proxy(wrong);
    assert!(
        problems.len() == 1 && problems[0].contains("tls.colour"),
        "{problems:?}"
    );
    assert!(!of_the_proxy("[log]\nlevel = \"loud\"\n").is_empty());
    assert!(!of_accounts("[[principals]]\nname = \"x\"\n").is_empty());
}

type Reader = fn(&str) -> Vec<String>;

/// Pages whose blocks are not of the proxy's configuration.
const READERS: [(&str, Reader); 2] = [
    ("kms-sim/docs/accounts.md", of_accounts),
    ("kms-sim/docs/conformance.md", of_a_script),
];

/// What is wrong with a configuration of the proxy, or a part of one, but for files that are not here.
fn of_the_proxy(part: &str) -> Vec<String> {
    let folder = temp_dir();
    let file = folder.path().join("xks-proxy.toml");
    std::fs::write(&file, whole(part)).expect("a file of ours");
    // Those of the database are looked at more closely.
    let password = folder.path().join("database-password");
    std::fs::write(&password, "passphrase\n").expect("a file of ours");
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).expect("a file of ours");
    std::fs::create_dir(folder.path().join("tls")).expect("a folder of ours");
    let authority = folder.path().join("tls/database-ca.pem");
    std::fs::copy(certificates::path("root-ca.crt.pem"), authority).expect("a certificate");
    let problems = Config::load(&file)
        .err()
        .map(|error| error.0)
        .unwrap_or_default();
    let of_the_block = problems
        .iter()
        .filter(|problem| !problem.found.contains("No such file or directory"));
    of_the_block.map(ToString::to_string).collect()
}

/// A part of a configuration, with what makes it a whole one.
fn whole(part: &str) -> String {
    let left_out = |part: String, (what, lines): &(&str, &str)| part.replace(what, lines);
    let part = LEFT_OUT.iter().fold(part.to_owned(), left_out);
    let tables_at = match part.starts_with('[') {
        true => 0,
        false => part.find("\n[").unwrap_or(part.len()),
    };
    let (root, tables) = part.split_at(tables_at);
    let mut whole = root.to_owned();
    if !root.contains("listen = ") {
        whole.push_str("\nlisten = \"0.0.0.0:443\"\n");
    }
    whole.push_str(tables);
    for (head, table) in TABLES {
        if !tables.lines().any(|line| line.starts_with(head)) {
            whole.push_str(&format!("\n{head}\n{table}\n"));
        }
    }
    whole
}

fn of_accounts(text: &str) -> Vec<String> {
    read_from_a_file(text, |file| {
        kms_sim::Accounts::load(file)
            .err()
            .map(|error| error.to_string())
    })
}

fn of_a_script(text: &str) -> Vec<String> {
    read_from_a_file(text, |file| {
        kms_sim::stub_proxy::Script::load(file)
            .err()
            .map(|error| error.to_string())
    })
}

fn read_from_a_file(text: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let folder = temp_dir();
    let file = folder.path().join("file.toml");
    std::fs::write(&file, text).expect("a file of ours");
    read(&file).into_iter().collect()
}

/// Of a whole configuration, unless the part has them itself.
const TABLES: [(&str, &str); 3] = [
    (
        "[tls]",
        "certificate_file = \"tls/chain.pem\"\nprivate_key_file = \"tls/key.pem\"",
    ),
    (
        "[key_managers.embedded]",
        "type = \"embedded\"\ndata_dir = \"data\"",
    ),
    (
        "[[key_stores]]",
        "uri_path_prefix = \"/tenant-z\"\nkey_manager = \"embedded\"",
    ),
];
/// What parts leave out of a table that stands elsewhere as a whole.
const LEFT_OUT: [(&str, &str); 2] = [
    (
        "# … as above",
        "url = \"postgres://xks_fleet@db.example.com:5432/xks_fleet\"\n# … and the rest as before",
    ),
    (
        "# … and the rest as before",
        "data_dir = \"fleet\"\npassword_file = \"database-password\"\nca_file = \"tls/database-ca.pem\"",
    ),
];
