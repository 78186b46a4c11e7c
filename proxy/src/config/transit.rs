//! The fields of a key manager of type "transit".

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;
use xks_api::ids::ExternalKeyId;
use xks_api::message::KeyStatus;

use super::document::{duration, text};
use super::key_managers::KeyManagerConfig;
use super::read::{Fields, Reader, count, word};
use crate::key_manager::circuit::CircuitConfig;
use crate::key_manager::embedded::Usages;
use crate::key_manager::transit::{
    Address, ApiPath, KeyMap, Login, MappedKey, Settings, TransitKeyName, Unlisted,
};

impl Reader<'_> {
    pub(super) fn transit(&self, fields: &Fields<'_, '_>) -> Option<KeyManagerConfig> {
        let addresses = addresses(fields);
        let tls = addresses
            .as_ref()
            .is_none_or(|list| list.iter().any(Address::is_tls));
        let roots = match tls || fields.has("ca_file") {
            true => self.file(fields, "ca_file", |path| self.files.certificates(path)),
            // A server on this machine without TLS.
            false => {
                fields.optional("ca_file", text, "the name of a PEM file");
                Some(Vec::new())
            }
        };
        let login = self.login(fields);
        let test_key = fields
            .optional("test_key", key_name, KEY_NAME)
            .or_else(|| TransitKeyName::try_from(TEST_KEY).ok());
        let namespace = fields.optional("namespace", api_path, API_PATH);
        let mount = fields.optional("mount", api_path, API_PATH);
        let listed = listed(fields, test_key.as_ref());
        let unlisted = fields.optional(
            "unlisted_keys",
            word(&[
                ("by-name", Unlisted::ByName),
                ("unknown", Unlisted::Unknown),
            ]),
            "\"by-name\" or \"unknown\"",
        );
        let timeout = fields.optional(
            "timeout",
            duration(Duration::from_millis(10)..=Duration::from_secs(10)),
            "a time from \"10ms\" to \"10s\", shorter than limits.key_manager_timeout",
        );
        let key_max_age = fields.optional(
            "key_max_age",
            duration(Duration::ZERO..=Duration::from_secs(3_600)),
            "a time from \"0s\" to \"60m\"",
        );
        let max_concurrent = count(fields, "max_concurrent", 1..=4_096);
        let max_waiting = count(fields, "max_waiting", 0..=65_536);
        let max_batch = {
            let most = u64::try_from(Settings::MAX_BATCH).unwrap_or(u64::MAX);
            count(fields, "max_batch", 1..=most)
        };
        let mut settings = Settings::new(addresses?, login?, test_key?);
        let circuit = CircuitConfig::default();
        settings.roots = roots?;
        settings.namespace = namespace;
        settings.keys = KeyMap {
            listed,
            unlisted: unlisted.unwrap_or_default(),
        };
        settings.mount = mount.unwrap_or(settings.mount);
        settings.timeout = timeout.unwrap_or(settings.timeout);
        settings.key_max_age = key_max_age.unwrap_or(settings.key_max_age);
        settings.max_batch = max_batch.unwrap_or(settings.max_batch);
        settings.circuit = CircuitConfig {
            max_concurrent: max_concurrent.unwrap_or(circuit.max_concurrent),
            max_waiting: max_waiting.unwrap_or(circuit.max_waiting),
            ..circuit
        };
        Some(KeyManagerConfig::Transit(Box::new(settings)))
    }

    /// `None` only with a problem.
    fn login(&self, fields: &Fields<'_, '_>) -> Option<Login> {
        let file = |text: String| self.folder.join(text);
        let mut logins = Vec::new();
        if fields.has("token_file") {
            let token_file = fields.required("token_file", text, "the name of a file");
            logins.push(token_file.map(file).map(|path| {
                self.files.later_secret(&path);
                Login::TokenFile(path)
            }));
        } else {
            // So that it is known as a field.
            fields.optional("token_file", text, "the name of a file");
        }
        let section = fields.section("approle");
        if fields.has("approle") {
            let role_id = section.required("role_id", text, "the role's id");
            let secret_id = section.required("secret_id_file", text, "the name of a file");
            let mount = mount(&section, "approle");
            section.refuse_others();
            logins.push((|| {
                let secret_id_file: PathBuf = file(secret_id?);
                self.files.later_secret(&secret_id_file);
                Some(Login::AppRole {
                    mount: mount?,
                    role_id: role_id?,
                    secret_id_file,
                })
            })());
        }
        let section = fields.section("kubernetes");
        if fields.has("kubernetes") {
            let role = section.required("role", text, "the name of a role");
            let jwt_file = section.optional("jwt_file", text, "the name of a file");
            let mount = mount(&section, "kubernetes");
            section.refuse_others();
            logins.push((|| {
                Some(Login::Kubernetes {
                    mount: mount?,
                    role: role?,
                    jwt_file: file(jwt_file.unwrap_or_else(|| JWT_FILE.to_owned())),
                })
            })());
        }
        let count = logins.len();
        let (1, Some(login)) = (count, logins.pop()) else {
            let found = match count {
                0 => "it is not told how to log in",
                _ => "more than one way to log in",
            };
            let expected = "one of token_file, a table approle, a table kubernetes";
            fields.problem(fields.place(""), found, expected);
            return None;
        };
        login
    }
}

fn addresses(fields: &Fields<'_, '_>) -> Option<Vec<Address>> {
    let expected = "https://HOST:PORT, or http:// with localhost, 127.0.0.1 or [::1]";
    let read = |text: &str| Address::try_from(text).ok();
    let addresses = fields.list("addresses", read, expected);
    if fields.has_none("addresses") {
        let expected =
            "a list with one or more addresses, such as \"https://bao.example.com:8200\"";
        fields.problem(fields.place("addresses"), "no address", expected);
    }
    addresses.filter(|list| !list.is_empty())
}

fn mount(fields: &Fields<'_, '_>, default: &str) -> Option<ApiPath> {
    fields
        .optional("mount", api_path, API_PATH)
        .or_else(|| ApiPath::try_from(default).ok())
}

fn listed(
    fields: &Fields<'_, '_>,
    test_key: Option<&TransitKeyName>,
) -> HashMap<ExternalKeyId, MappedKey> {
    let usages = [
        ("encrypt-decrypt", Usages::EncryptDecrypt),
        ("encrypt", Usages::Encrypt),
        ("decrypt", Usages::Decrypt),
        ("none", Usages::None),
    ];
    let mut keys = HashMap::new();
    for (place, name, key) in fields.named_sections("keys") {
        let Ok(id) = ExternalKeyId::try_from(&*name) else {
            let expected = "an external key id: 1 to 128 characters of A-Z a-z 0-9 - . _";
            key.problem(place, format!("{name:?}"), expected);
            continue;
        };
        let in_transit = match key.has("name") {
            true => key.required("name", key_name, KEY_NAME),
            false => {
                key.optional("name", key_name, KEY_NAME);
                let name = TransitKeyName::try_from(&*name).ok();
                if name.is_none() {
                    let found = format!("{id} is no name that Transit takes");
                    let expected = "another id, or its name in Transit in a field name";
                    key.problem(place.clone(), found, expected);
                }
                name
            }
        };
        let expected = "\"encrypt-decrypt\", \"encrypt\", \"decrypt\" or \"none\"";
        let usages = key.optional("usage", word(&usages), expected);
        let enabled = key.optional("enabled", DeValue::as_bool, "true or false");
        key.refuse_others();
        let Some(in_transit) = in_transit else {
            continue;
        };
        if Some(&in_transit) == test_key {
            let expected = "a key of its own: KMS cannot name the test key";
            key.problem(place, format!("{id} leads to the test key"), expected);
        }
        let mapped = MappedKey {
            name: in_transit,
            usages: usages.unwrap_or(Usages::EncryptDecrypt),
            status: match enabled {
                Some(false) => KeyStatus::Disabled,
                Some(true) | None => KeyStatus::Enabled,
            },
        };
        keys.insert(id, mapped);
    }
    keys
}

fn api_path(value: &DeValue<'_>) -> Option<ApiPath> {
    ApiPath::try_from(value.as_str()?).ok()
}

fn key_name(value: &DeValue<'_>) -> Option<TransitKeyName> {
    TransitKeyName::try_from(value.as_str()?).ok()
}

const API_PATH: &str = "names of A-Z a-z 0-9 - . _ with / between them";
const KEY_NAME: &str = "the name of a Transit key: A-Z a-z 0-9 - . _, at the ends no - and no .";
const TEST_KEY: &str = "xks-proxy-test";
const JWT_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::document::{Document, Section};
    use super::super::files::Files;
    use super::*;

    const CA: &str = include_str!("../../../certs/root-ca.crt.pem");

    /// The settings, or the fields that have problems.
    fn read(text: &str) -> Result<Settings, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), CA).unwrap();
        let document = Document::new(Path::new("x.toml"), text);
        let root = document.root();
        let fields = Section::root(&document, &root);
        let reader = Reader {
            folder: folder.path(),
            files: Files::default(),
        };
        let config = reader.transit(&fields);
        fields.refuse_others();
        drop(fields);
        drop(root);
        let problems = document.into_problems();
        match config {
            Some(KeyManagerConfig::Transit(settings)) if problems.is_empty() => Ok(*settings),
            _ => Err(problems.into_iter().map(|p| p.field).collect()),
        }
    }

    const SERVER: &str =
        "addresses = [\"https://a:8200\", \"https://b:8200\"]\nca_file = \"ca.pem\"\n";

    #[test]
    fn every_field() {
        let settings = read(&format!(
            "{SERVER}namespace = \"kms/eu\"\nmount = \"keys/transit\"\ntest_key = \"probe\"\n\
             unlisted_keys = \"unknown\"\ntimeout = \"100ms\"\nkey_max_age = \"1m\"\n\
             max_concurrent = 8\nmax_waiting = 0\nmax_batch = 4\n\
             [approle]\nrole_id = \"r\"\nsecret_id_file = \"s\"\n\
             [keys.a]\nusage = \"decrypt\"\n[keys.\"b.c\"]\nname = \"other\"\nenabled = false"
        ))
        .unwrap();
        let path = |text: &str| ApiPath::try_from(text).unwrap();
        assert_eq!(settings.addresses.len(), 2);
        assert_eq!(settings.roots.len(), 1);
        assert_eq!(settings.namespace, Some(path("kms/eu")));
        assert_eq!(settings.mount, path("keys/transit"));
        assert_eq!(
            settings.test_key,
            TransitKeyName::try_from("probe").unwrap()
        );
        assert_eq!(settings.keys.unlisted, Unlisted::Unknown);
        assert_eq!(settings.timeout, Duration::from_millis(100));
        assert_eq!(settings.key_max_age, Duration::from_secs(60));
        assert_eq!(settings.circuit.max_concurrent, 8);
        assert_eq!(settings.circuit.max_waiting, 0);
        assert_eq!(settings.max_batch, 4);
        let Login::AppRole { mount, .. } = &settings.login else {
            panic!("{:?}", settings.login);
        };
        assert_eq!(*mount, path("approle"));
        let key = |id: &str| &settings.keys.listed[&ExternalKeyId::try_from(id).unwrap()];
        assert_eq!(key("a").name, TransitKeyName::try_from("a").unwrap());
        assert_eq!(key("a").usages, Usages::Decrypt);
        assert_eq!(key("b.c").name, TransitKeyName::try_from("other").unwrap());
        assert_eq!(key("b.c").status, KeyStatus::Disabled);
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let settings = read(&format!("{SERVER}[kubernetes]\nrole = \"r\"")).unwrap();
        let Login::Kubernetes { jwt_file, .. } = &settings.login else {
            panic!("{:?}", settings.login);
        };
        assert_eq!(jwt_file, Path::new(JWT_FILE));
        let expected = Settings::new(
            settings.addresses.clone(),
            settings.login.clone(),
            TransitKeyName::try_from("xks-proxy-test").unwrap(),
        );
        let roots = settings.roots.clone();
        assert_eq!(settings, Settings { roots, ..expected });
        // An agent on this machine needs no CA.
        read("addresses = [\"http://127.0.0.1:8100\"]\ntoken_file = \"t\"").unwrap();
    }

    #[test]
    fn every_defect_has_its_place() {
        let ok = format!("{SERVER}token_file = \"t\"\n");
        for (text, fields) in [
            (SERVER, &[""][..]),
            (
                &format!("{ok}[approle]\nrole_id = \"r\"\nsecret_id_file = \"s\""),
                &[""],
            ),
            (
                &format!("{SERVER}[approle]\nrole_id = \"r\""),
                &["approle.secret_id_file"],
            ),
            (
                &format!("{SERVER}[kubernetes]\nrolle = \"r\""),
                &["kubernetes.role", "kubernetes.rolle"],
            ),
            (
                "addresses = [\"https://a\"]\ntoken_file = \"t\"",
                &["ca_file"],
            ),
            (
                "addresses = []\nca_file = \"ca.pem\"\ntoken_file = \"t\"",
                &["addresses"],
            ),
            ("ca_file = \"ca.pem\"\ntoken_file = \"t\"", &["addresses"]),
            (&ok.replace("https://b", "http://b"), &["addresses"]),
            (&ok.replace("ca.pem", "none.pem"), &["ca_file"]),
            (&format!("{ok}mount = \"../x\""), &["mount"]),
            (&format!("{ok}token = \"s.secret\""), &["token"]),
            (&format!("{ok}max_concurrent = 0"), &["max_concurrent"]),
            (&format!("{ok}[keys.\"a b\"]\nname = \"x\""), &["keys.a b"]),
            (&format!("{ok}[keys.a]\nname = \"-\""), &["keys.a.name"]),
            (&format!("{ok}[keys.\"a.\"]\nenabled = true"), &["keys.a."]),
            (
                &format!("{ok}[keys.a]\nname = \"xks-proxy-test\""),
                &["keys.a"],
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), fields, "{text}");
        }
    }
}
