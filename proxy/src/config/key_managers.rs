//! The tables `[key_managers.NAME]`: one kind each, told by `type`.

use std::path::PathBuf;

use super::document::{Place, text};
use super::read::{Fields, Reader, word};
use crate::key_manager::embedded::{PostgresConfig, RootKeySource, StorePlace};
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
    /// Whether it keeps the credentials of external key stores, too.
    pub fn keeps_credentials(&self) -> bool {
        self.embedded().is_some()
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

impl Reader<'_> {
    pub(super) fn key_managers(&self, root: &Fields<'_, '_>) -> Vec<(String, KeyManagerConfig)> {
        let mut key_managers: Vec<(String, KeyManagerConfig)> = Vec::new();
        let sections = root.named_sections("key_managers");
        let kinds = KINDS.iter().map(|(kind, _)| format!("\"{kind}\""));
        let kinds = kinds.collect::<Vec<_>>().join(" or ");
        if sections.is_empty() {
            let expected = format!("a table [key_managers.NAME] with type = {kinds}");
            root.problem(root.place("key_managers"), "there is none", &expected);
        }
        for (place, name, fields) in sections {
            // Without a type, what else is there cannot be judged.
            let Some(kind) = fields.required("type", word(KINDS), &kinds) else {
                continue;
            };
            let config = match kind {
                Kind::Embedded => self.embedded(&place, &fields, &key_managers, None),
                Kind::Postgres => self
                    .postgres(&fields)
                    .and_then(|it| self.embedded(&place, &fields, &key_managers, Some(it))),
                #[cfg(feature = "pkcs11")]
                Kind::Pkcs11 => self.pkcs11(&fields),
                #[cfg(feature = "transit")]
                Kind::Transit => self.transit(&fields),
            };
            fields.refuse_others();
            if let Some(config) = config {
                key_managers.push((name, config));
            }
        }
        key_managers
    }

    fn embedded(
        &self,
        place: &Place,
        fields: &Fields<'_, '_>,
        others: &[(String, KeyManagerConfig)],
        database: Option<PostgresConfig>,
    ) -> Option<KeyManagerConfig> {
        let data_dir = fields.required("data_dir", text, "the folder that `init` made");
        let data_dir = data_dir.map(|path| self.folder.join(path));
        let sources: [(_, RootKeyMaker); 3] = [
            ("root_key_file", RootKeySource::File),
            ("root_key_credential", RootKeySource::Credential),
            ("root_key_passphrase_file", RootKeySource::Passphrase),
        ];
        let mut named = sources.into_iter().filter_map(|(name, source)| {
            let path = fields.optional(name, text, "the name of a file")?;
            Some(source(self.folder.join(path)))
        });
        let (first, second) = (named.next(), named.next());
        drop(named);
        if second.is_some() {
            let expected = "at most one of root_key_file, root_key_credential, \
                            root_key_passphrase_file";
            fields.problem(place.clone(), "more than one root key", expected);
        }
        let data_dir = data_dir?;
        let same = |(_, other): &(_, KeyManagerConfig)| {
            other
                .embedded()
                .is_some_and(|other| other.data_dir == data_dir)
        };
        if others.iter().any(same) {
            let found = format!("{} belongs to another key manager", data_dir.display());
            fields.problem(place.clone(), found, "a folder of its own");
            return None;
        }
        let root_key = first.unwrap_or_else(|| RootKeySource::File(data_dir.join(ROOT_KEY_FILE)));
        Some(KeyManagerConfig::Embedded(Box::new(StorePlace {
            data_dir,
            root_key,
            database,
        })))
    }
}

type RootKeyMaker = fn(PathBuf) -> RootKeySource;

const ROOT_KEY_FILE: &str = "root.key";
