//! What commands do to a server that runs, and to a store that nobody has open.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::https::Response;
use harness::programs::{DevEnv, DevProxy};
use harness::signer::Signer;
use serde_json::{Value, json};

use crate::{refused, succeed, text};

struct Running {
    proxy: DevProxy,
    config: String,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        let folder = harness::temp_dir();
        let config = folder.path().join("xks-proxy.toml");
        Self {
            proxy: DevProxy::start(folder.path()),
            config: text(&config).to_owned(),
            _folder: folder,
        }
    }

    /// A command with `--config`.
    fn command(&self, arguments: &[&str]) -> String {
        succeed(&[arguments, &["--config", &self.config]].concat())
    }

    fn refused(&self, arguments: &[&str]) -> String {
        refused(&[arguments, &["--config", &self.config]].concat())
    }
}

fn encrypt(env: &DevEnv, key: &str) -> Response {
    let mut body = request();
    body["plaintext"] = json!("SGVsbG8gV29ybGQh");
    env.call(&format!("keys/{key}/encrypt"), &body)
}

fn decrypt(env: &DevEnv, key: &str, encrypted: &Value) -> Response {
    let mut body = request();
    for member in [
        "ciphertext",
        "initializationVector",
        "authenticationTag",
        "ciphertextMetadata",
    ] {
        body[member] = encrypted[member].clone();
    }
    env.call(&format!("keys/{key}/decrypt"), &body)
}

fn request() -> Value {
    json!({
        "requestMetadata": {
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Encrypt",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        },
        "encryptionAlgorithm": "AES_GCM",
    })
}

fn error_name(response: &Response) -> (u16, String) {
    let name = response.json()["errorName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (response.status, name)
}

#[test]
fn key_commands_take_effect_in_a_running_server_at_once() {
    let running = Running::start();
    let env = &running.proxy.env;
    assert_eq!(
        error_name(&encrypt(env, "new")),
        (404, "KeyNotFoundException".into())
    );
    running.command(&["key", "create", "new"]);
    let first = encrypt(env, "new");
    assert_eq!(first.status, 200);
    let first = first.json();

    running.command(&["key", "disable", "new"]);
    assert_eq!(
        error_name(&encrypt(env, "new")),
        (400, "InvalidStateException".into())
    );
    running.command(&["key", "enable", "new"]);
    let shown: Value =
        serde_json::from_str(&running.command(&["key", "rotate", "new", "--json"])).unwrap();
    assert_eq!(shown["current_version"], 2);
    let second = encrypt(env, "new").json();
    assert_ne!(first["ciphertextMetadata"], second["ciphertextMetadata"]);
    for encrypted in [&first, &second] {
        let decrypted = decrypt(env, "new", encrypted);
        assert_eq!(decrypted.json()["plaintext"], "SGVsbG8gV29ybGQh");
    }
    running.command(&["key", "retire-version", "new", "1"]);
    assert_eq!(
        error_name(&decrypt(env, "new", &first)),
        (400, "InvalidStateException".into())
    );
    assert_eq!(decrypt(env, "new", &second).status, 200);
    running.command(&["key", "retire-version", "new", "1", "--undo"]);
    assert_eq!(decrypt(env, "new", &first).status, 200);

    running.command(&["root-key", "rotate"]);
    assert_eq!(decrypt(env, "new", &first).status, 200);
    running.command(&["key", "delete", "new"]);
    assert_eq!(
        error_name(&encrypt(env, "new")),
        (404, "KeyNotFoundException".into())
    );
    assert!(
        running
            .refused(&["key", "show", "new"])
            .contains("no key new")
    );
}

#[test]
fn r35_r41_credential_commands_take_effect_in_a_running_server_at_once() {
    let running = Running::start();
    let create = ["credential", "create", "--uri-path-prefix", "/dev/tenant-a"];
    let made: Value = serde_json::from_str(&running.command(&create)).unwrap();
    assert_eq!(made["XksProxyUriPath"], "/dev/tenant-a/kms/xks/v1");
    let credential = &made["XksProxyAuthenticationCredential"];
    let (id, secret) = (
        &credential["AccessKeyId"],
        &credential["RawSecretAccessKey"],
    );
    let old = running.proxy.env.clone();
    let mut new = old.clone();
    new.signer = Signer::new(id.as_str().unwrap(), secret.as_str().unwrap());
    // Two at a time, so that KMS can be given the new one.
    for env in [&old, &new] {
        assert_eq!(encrypt(env, "demo").status, 200);
    }
    let list = running.command(&["credential", "list", "--json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    assert_eq!(list.len(), 2);
    assert!(!format!("{list:?}").contains(secret.as_str().unwrap()));
    running.command(&["credential", "revoke", &old.signer.access_key_id]);
    let refused = error_name(&encrypt(&old, "demo"));
    assert_eq!(refused, (401, "AuthenticationFailedException".into()));
    assert_eq!(encrypt(&new, "demo").status, 200);
    // Another external key store does not know it.
    let create = ["credential", "create", "--uri-path-prefix", "/other"];
    let other: Value = serde_json::from_str(&running.command(&create)).unwrap();
    let credential = &other["XksProxyAuthenticationCredential"];
    let (id, secret) = (
        &credential["AccessKeyId"],
        &credential["RawSecretAccessKey"],
    );
    new.signer = Signer::new(id.as_str().unwrap(), secret.as_str().unwrap());
    assert_eq!(encrypt(&new, "demo").status, 401);
}

#[test]
fn what_was_acknowledged_survives_a_killed_server() {
    let mut running = Running::start();
    running.command(&["key", "create", "kept"]);
    let encrypted = encrypt(&running.proxy.env, "kept").json();
    running.command(&["key", "rotate", "kept"]);
    running.command(&["key", "disable", "demo"]);
    running.proxy.kill();
    // Nobody listens on the socket that it left: the command opens the store itself.
    let list = running.command(&["key", "list"]);
    assert!(list.contains("kept"), "{list}");
    running.proxy.restart();
    let env = &running.proxy.env;
    assert_eq!(decrypt(env, "kept", &encrypted).status, 200);
    assert_eq!(error_name(&encrypt(env, "demo")).1, "InvalidStateException");
    running.command(&["key", "enable", "demo"]);
    assert_eq!(encrypt(env, "demo").status, 200);
}

/// A configuration with an external key store that lists a key; its TLS files need not be there for keys.
fn configuration(folder: &Path) -> String {
    let path = folder.join("xks-proxy.toml");
    let key_stores = "
        [[key_stores]]
        uri_path_prefix = \"/a\"
        key_manager = \"one\"
        keys = [\"listed\", \"pattern-*\"]
    ";
    let key_managers = "
        [key_managers.one]
        type = \"embedded\"
        data_dir = \"data\"
    ";
    let text = format!("listen = \"127.0.0.1:0\"\n{key_managers}\n{key_stores}");
    fs::write(&path, text).unwrap();
    text_of(&path)
}

fn text_of(path: &Path) -> String {
    text(path).to_owned()
}

#[test]
fn a_configuration_says_where_the_store_is_and_which_keys_are_listed() {
    let folder = harness::temp_dir();
    let config = configuration(folder.path());
    let file = text_of(&folder.path().join("credential.json"));
    succeed(&["init", "--config", &config, "--to", &file]);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let made: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(made["XksProxyUriPath"], "/a/kms/xks/v1");
    let data = folder.path().join("data");
    let mode = fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    for key in ["listed", "pattern-1"] {
        succeed(&["key", "create", key, "--config", &config]);
    }
    let text = refused(&["key", "delete", "listed", "--config", &config]);
    assert!(text.contains("/a") && text.contains("--force"), "{text}");
    let text = refused(&[
        "key",
        "delete",
        "pattern-1",
        "--data-dir",
        text_of(&data).as_str(),
    ]);
    assert!(text.contains("--config"), "{text}");
    succeed(&["key", "delete", "pattern-1", "--config", &config]);
    succeed(&["key", "delete", "listed", "--config", &config, "--force"]);
    assert_eq!(
        succeed(&["key", "list", "--config", &config, "--json"]).trim(),
        "[]"
    );
    let text = refused(&["init", "--config", &config]);
    assert!(text.contains("already"), "{text}");
}

#[test]
fn own_key_material_is_imported_from_a_private_file_alone() {
    let folder = harness::temp_dir();
    let data = text_of(&folder.path().join("data"));
    succeed(&["init", "--data-dir", &data]);
    let material = folder.path().join("material");
    fs::write(&material, [7; 32]).unwrap();
    let import = [
        "key",
        "import",
        "own",
        "--data-dir",
        &data,
        "--from-file",
        text(&material),
    ];
    fs::set_permissions(&material, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&import).contains("chmod 600"));
    fs::set_permissions(&material, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&material, [7; 33]).unwrap();
    assert!(refused(&import).contains("32 bytes"));
    fs::write(&material, [7; 32]).unwrap();
    succeed(&import);
    assert!(refused(&import).contains("already"));
}

#[test]
fn a_backup_is_restored_into_an_empty_folder_and_serves() {
    let running = Running::start();
    let encrypted = encrypt(&running.proxy.env, "demo").json();
    let folder = harness::temp_dir();
    let path = |name: &str| text_of(&folder.path().join(name));
    let (backup, key) = (path("backup"), path("backup.key"));
    running.command(&[
        "key",
        "export-backup",
        "--to",
        &backup,
        "--backup-key-file",
        &key,
    ]);
    let elsewhere = path("elsewhere");
    let restore = [
        "key",
        "restore",
        "--from",
        &backup,
        "--backup-key-file",
        &key,
        "--data-dir",
        &elsewhere,
    ];
    succeed(&restore);
    assert!(refused(&restore).contains("already"));
    let copy = DevProxy::start(Path::new(&elsewhere));
    assert_eq!(
        copy.env.signer.access_key_id,
        running.proxy.env.signer.access_key_id
    );
    let decrypted = decrypt(&copy.env, "demo", &encrypted);
    assert_eq!(decrypted.json()["plaintext"], "SGVsbG8gV29ybGQh");
}

#[test]
fn an_older_copy_of_the_store_starts_only_when_it_is_accepted() {
    let folder = harness::temp_dir();
    let data = text_of(&folder.path().join("data"));
    let (store, copy) = (format!("{data}/store.redb"), format!("{data}/copy"));
    succeed(&["init", "--data-dir", &data]);
    fs::copy(&store, &copy).unwrap();
    succeed(&["key", "create", "later", "--data-dir", &data]);
    fs::copy(&copy, &store).unwrap();
    let list = ["key", "list", "--data-dir", &data, "--json"];
    assert!(refused(&list).contains("older copy"));
    succeed(&["init", "--accept-older-store", "--data-dir", &data]);
    assert_eq!(succeed(&list).trim(), "[]");
}

#[test]
fn a_server_leaves_no_core_dump_and_says_what_it_cannot_protect() {
    let mut running = Running::start();
    let process = running.proxy.process();
    let proc = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", process.id())).unwrap();
    let limits = proc("limits");
    let fields = |name: &str| {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(fields("Max core file size")[..2], ["0", "0"]);
    let status = proc("status");
    let locked = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .unwrap();
    let told = process.outputs().contains("memory is not locked");
    match &*fields("Max locked memory")[0] {
        "unlimited" => assert!(told || !locked.trim().starts_with("0 "), "{locked}"),
        _ => assert!(told),
    }
}

#[test]
fn a_credential_that_cannot_be_handed_over_is_not_kept() {
    let folder = harness::temp_dir();
    let path = |name: &str| text_of(&folder.path().join(name));
    let (data, taken, nowhere) = (path("data"), path("taken"), path("no/where"));
    fs::write(&taken, "somebody's").unwrap();
    let prefix = ["--data-dir", &data, "--uri-path-prefix", "/a"];
    let to = |command: &[&str], file: &str| refused(&[command, &prefix, &["--to", file]].concat());
    for file in [&taken, &nowhere] {
        let text = to(&["init"], file);
        assert!(text.contains("give another --to"), "{text}");
        assert!(!Path::new(&data).exists(), "{text}");
    }
    succeed(&["init", "--data-dir", &data]);
    for file in [&taken, &nowhere] {
        to(&["credential", "create"], file);
    }
    assert_eq!(fs::read_to_string(&taken).unwrap(), "somebody's");

    // Nobody sees what goes to a full device.
    let mut create = crate::xks_proxy(&[&["credential", "create"], &prefix[..]].concat());
    create.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let output = create.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is revoked"), "{text}");
    let list = succeed(&["credential", "list", "--json", "--data-dir", &data]);
    assert_eq!(list.trim(), "[]");
}
