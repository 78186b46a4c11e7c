//! The tables `[key_managers.NAME]`: one kind each, told by `type`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use xks_api::ids::ExternalKeyId;

use super::document::{Place, text};
use super::read::{Fields, Reader, word};
use crate::key_manager::embedded::{PostgresConfig, RootKeySource, StorePlace, WrappedRootKey};
#[cfg(feature = "pkcs11")]
use crate::key_manager::pkcs11;
#[cfg(feature = "transit")]
use crate::key_manager::transit;

/// A key manager.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyManagerConfig {
    /// The software key manager that is part of the proxy, its store a file or, of type "postgres", in a database.
    Embedded(Box<StorePlace>),
    /// A token behind a PKCS#11 library.
    #[cfg(feature = "pkcs11")]
    Pkcs11(Box<pkcs11::Settings>),
    /// The Transit secrets engine of OpenBao or HashiCorp Vault.
    #[cfg(feature = "transit")]
    Transit(Box<transit::Settings>),
}

impl KeyManagerConfig {
    /// Its `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Embedded(place) if place.database.is_some() => "postgres",
            Self::Embedded(_) => "embedded",
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(_) => "pkcs11",
            #[cfg(feature = "transit")]
            Self::Transit(_) => "transit",
        }
    }

    /// Whether it keeps the credentials of external key stores, too.
    pub fn keeps_credentials(&self) -> bool {
        self.embedded().is_some()
    }

    /// How long a call of it may take; none where it answers from memory.
    fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Embedded(_) => None,
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(settings) => Some(settings.timeout),
            #[cfg(feature = "transit")]
            Self::Transit(settings) => Some(settings.timeout),
        }
    }

    /// The store of an embedded one.
    pub fn embedded(&self) -> Option<&StorePlace> {
        match self {
            Self::Embedded(place) => Some(place),
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(_) => None,
            #[cfg(feature = "transit")]
            Self::Transit(_) => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Embedded,
    Postgres,
    #[cfg(feature = "pkcs11")]
    Pkcs11,
    #[cfg(feature = "transit")]
    Transit,
}

const KINDS: &[(&str, Kind)] = &[
    ("embedded", Kind::Embedded),
    ("postgres", Kind::Postgres),
    #[cfg(feature = "pkcs11")]
    ("pkcs11", Kind::Pkcs11),
    #[cfg(feature = "transit")]
    ("transit", Kind::Transit),
];

/// The tables as far as they can be read.
#[derive(Default)]
pub(super) struct KeyManagerTables {
    pub(super) read: Vec<(String, KeyManagerConfig)>,
    /// Names of those with a problem, which was told: whoever names one of them made no other mistake.
    pub(super) unread: Vec<String>,
}

impl KeyManagerTables {
    pub(super) fn is_unread(&self, name: &str) -> bool {
        self.unread.iter().any(|unread| unread == name)
    }
}

impl Reader<'_> {
    /// `longest` is how long a request waits for a key manager, where that matters.
    pub(super) fn key_managers(
        &self,
        root: &Fields<'_, '_>,
        longest: Option<Duration>,
    ) -> KeyManagerTables {
        let mut key_managers = KeyManagerTables::default();
        let sections = root.named_sections("key_managers");
        let kinds = KINDS.iter().map(|(kind, _)| format!("\"{kind}\""));
        let kinds = kinds.collect::<Vec<_>>().join(" or ");
        if sections.is_empty() {
            let expected = format!("a table [key_managers.NAME] with type = {kinds}");
            root.problem(root.place("key_managers"), "there is none", &expected);
        }
        // Those that may wrap a root key first.
        let is_embedded = |fields: &Fields<'_, '_>| {
            let embedded = |kind: &str| matches!(kind, "embedded" | "postgres");
            fields.peek("type").is_some_and(embedded)
        };
        let (last, first): (Vec<_>, Vec<_>) = sections
            .into_iter()
            .partition(|(_, _, fields)| is_embedded(fields));
        for (place, name, fields) in first.into_iter().chain(last) {
            // Without a type, what else is there cannot be judged.
            let Some(kind) = fields.required("type", word(KINDS), &kinds) else {
                key_managers.unread.push(name);
                continue;
            };
            let config = match kind {
                Kind::Embedded => self.embedded(&place, &fields, &key_managers, None),
                Kind::Postgres => {
                    let database = self.postgres(&fields);
                    // Its other fields are read all the same, to tell of all problems at once.
                    let config = self.embedded(&place, &fields, &key_managers, database.clone());
                    database.and(config)
                }
                #[cfg(feature = "pkcs11")]
                Kind::Pkcs11 => self.pkcs11(&fields),
                #[cfg(feature = "transit")]
                Kind::Transit => self.transit(&fields),
            };
            fields.refuse_others();
            let timeout = config.as_ref().and_then(KeyManagerConfig::timeout);
            if let (Some(timeout), Some(longest)) = (timeout, longest)
                && timeout >= longest
            {
                // Else what went wrong with the key manager is never told from a request that was given up.
                let found = format!("{timeout:?}");
                let expected = format!("less than limits.key_manager_timeout, {longest:?}");
                fields.problem(fields.place("timeout"), found, &expected);
            }
            match config {
                Some(config) => key_managers.read.push((name, config)),
                None => key_managers.unread.push(name),
            }
        }
        key_managers
    }

    fn embedded(
        &self,
        place: &Place,
        fields: &Fields<'_, '_>,
        others: &KeyManagerTables,
        database: Option<PostgresConfig>,
    ) -> Option<KeyManagerConfig> {
        let data_dir = fields.required("data_dir", text, "the folder that `init` made");
        let data_dir = data_dir.map(|path| self.folder.join(path));
        let sources: [(_, RootKeyMaker); 3] = [
            ("root_key_file", RootKeySource::File),
            ("root_key_credential", RootKeySource::Credential),
            ("root_key_passphrase_file", RootKeySource::Passphrase),
        ];
        let named = sources.into_iter().filter_map(|(name, source)| {
            let path = fields.optional(name, text, "the name of a file")?;
            Some(source(self.folder.join(path)))
        });
        // All of them are asked for, or the others were no fields.
        let named: Vec<_> = named.collect();
        let several = named.len() > 1;
        let first = named.into_iter().next();
        if several {
            let expected = "at most one of root_key_file, root_key_credential, \
                            root_key_passphrase_file";
            fields.problem(place.clone(), "more than one root key", expected);
        }
        let wrapped = self.wrapped_root_key(fields, others);
        if wrapped.is_some() && first.is_some() {
            let expected = "either root_key_wrapped_file or one of the other root keys";
            fields.problem(place.clone(), "more than one root key", expected);
        }
        let data_dir = data_dir?;
        let same = |(_, other): &(_, KeyManagerConfig)| {
            other
                .embedded()
                .is_some_and(|other| other.data_dir == data_dir)
        };
        if others.read.iter().any(same) {
            let found = format!("{} belongs to another key manager", data_dir.display());
            fields.problem(place.clone(), found, "a folder of its own");
            return None;
        }
        let root_key = wrapped.map(RootKeySource::Wrapped).or(first);
        let root_key =
            root_key.unwrap_or_else(|| RootKeySource::File(data_dir.join(ROOT_KEY_FILE)));
        Some(KeyManagerConfig::Embedded(Box::new(StorePlace {
            data_dir,
            root_key,
            database,
        })))
    }

    /// `root_key_wrapped_file`, `root_key_wrapped_by` and `root_key_wrapping_key`: all or none.
    fn wrapped_root_key(
        &self,
        fields: &Fields<'_, '_>,
        others: &KeyManagerTables,
    ) -> Option<WrappedRootKey> {
        let path = fields.optional("root_key_wrapped_file", text, "the name of a file");
        let other = |(_, config): &&(String, KeyManagerConfig)| config.embedded().is_none();
        let names: Vec<_> = others
            .read
            .iter()
            .filter(other)
            .map(|(name, _)| &**name)
            .collect();
        let expected = format!(
            "the name of a key manager of another type, which wraps the root key: {}",
            names.join(", ")
        );
        let known = |name: &String| names.contains(&&**name) || others.is_unread(name);
        let by = fields.optional("root_key_wrapped_by", |v| text(v).filter(known), &expected);
        let key = fields.optional(
            "root_key_wrapping_key",
            |v| ExternalKeyId::try_from(v.as_str()?).ok(),
            "the id of a key of that key manager",
        );
        match (path, by, key) {
            (Some(path), Some(by), Some(key)) => {
                let (name, config) = others.read.iter().find(|(name, _)| *name == by)?;
                Some(WrappedRootKey {
                    path: self.folder.join(path),
                    key,
                    by: Arc::new(WrappingKeyManager {
                        name: name.clone(),
                        config: config.clone(),
                    }),
                })
            }
            (None, None, None) => None,
            _ => {
                let expected = "all of root_key_wrapped_file, root_key_wrapped_by and \
                                root_key_wrapping_key, or none";
                fields.problem(fields.place(""), "some of three fields", expected);
                None
            }
        }
    }
}

/// The key manager that wraps the root key of another.
pub struct WrappingKeyManager {
    /// Its name.
    pub name: String,
    /// How it is opened.
    pub config: KeyManagerConfig,
}

type RootKeyMaker = fn(PathBuf) -> RootKeySource;

const ROOT_KEY_FILE: &str = "root.key";

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, KeyConfig};

    fn load(embedded: &str) -> Result<KeyConfig, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        // A root key may be wrapped by what comes later in the file.
        let text = format!(
            "[key_managers.a]\ntype = \"embedded\"\ndata_dir = \"a\"\n{embedded}\n\
             [key_managers.b]\ntype = \"embedded\"\ndata_dir = \"b\"\n\
             [[key_stores]]\nuri_path_prefix = \"/a\"\nkey_manager = \"a\"\n"
        );
        std::fs::write(&file, text).unwrap();
        Config::load_keys(&file)
    }

    #[test]
    fn a_root_key_is_wrapped_by_a_key_manager_of_another_type() {
        load("").unwrap();
        let error = load("root_key_wrapped_file = \"w\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("or none"), "{error}");
        let all = "root_key_wrapped_file = \"w\"\nroot_key_wrapped_by = \"b\"\nroot_key_wrapping_key = \"k\"\n";
        let error = load(all).unwrap_err().to_string();
        assert!(error.contains("of another type"), "{error}");
    }

    #[test]
    fn whoever_names_a_key_manager_with_a_problem_has_no_other_one() {
        let all = "root_key_wrapped_file = \"w\"\nroot_key_wrapped_by = \"x\"\nroot_key_wrapping_key = \"k\"\n\
                   [key_managers.x]\ntype = \"other\"\n\
                   [key_managers.y]\ntype = \"postgres\"\ndata_dir = \"y\"\nurl = \"nonsense\"\n\
                   [[key_stores]]\nuri_path_prefix = \"/y\"\nkey_manager = \"x\"\ncredential_store = \"y\"\n";
        let error = load(all).map(drop).unwrap_err();
        let fields: Vec<_> = error.0.iter().map(|problem| &*problem.field).collect();
        assert_eq!(
            fields,
            ["key_managers.x.type", "key_managers.y.url"],
            "{error}"
        );
    }

    #[cfg(feature = "pkcs11")]
    #[test]
    fn an_hsm_wraps_a_root_key() {
        use crate::key_manager::embedded::RootKeySource;

        // Any file that is there will do for a library that is not loaded here.
        let wrapped = "root_key_wrapped_file = \"w\"\nroot_key_wrapped_by = \"hsm\"\nroot_key_wrapping_key = \"k\"\n\
                       [key_managers.hsm]\ntype = \"pkcs11\"\nlibrary = \"x.toml\"\ntoken_label = \"xks\"\n";
        let config = load(wrapped).unwrap();
        let places = config.key_managers.iter().filter(|(name, _)| name == "a");
        let sources: Vec<_> = places
            .filter_map(|(_, config)| config.embedded())
            .map(|place| &place.root_key)
            .collect();
        let [RootKeySource::Wrapped(wrapped)] = &*sources else {
            panic!("{sources:?}");
        };
        assert_eq!((wrapped.by.name(), wrapped.key.as_str()), ("hsm", "k"));
        assert!(wrapped.path.ends_with("w"));
    }
}
