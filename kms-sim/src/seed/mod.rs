//! `--seed FILE.toml`: the state that a simulator starts with, the same every time.
//!
//! `kms-sim/docs/seed.example.toml` explains every field. What is read becomes records of `state_image`, as if it had been
//! saved; stores that are to be connected are connected by a real attempt.

mod cluster;
mod connect;
mod fixed_key;
mod key;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::custom_key_store::CustomKeyStoreId;
use crate::state_image::{Record, Restored, StateError};
use crate::toml_document::{self, InvalidFile, Problem, Section};
use crate::visibility::Home;

pub use connect::NotConnected;

/// A state to start with.
pub struct Seed {
    restored: Restored,
    connected: Vec<(Home, CustomKeyStoreId)>,
    connect_timeout: Duration,
}

impl Seed {
    /// Reads a file; `region` is that of whatever names none. Stores that are to be connected may take `connect_timeout`
    /// for it.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn load(file: &Path, region: &str, connect_timeout: Duration) -> Result<Self, InvalidFile> {
        let invalid = |problems| InvalidFile::new(file, problems);
        let text = std::fs::read_to_string(file)
            .map_err(|error| InvalidFile::unreadable(file, "a TOML file", &error))?;
        let folder = file.parent().unwrap_or_else(|| Path::new("."));
        let (records, connected) = read(&text, folder, region).map_err(invalid)?;
        let restored = Restored::read(records).map_err(|error| invalid(vec![unfit(&error)]))?;
        Ok(Self {
            restored,
            connected,
            connect_timeout,
        })
    }
}

impl Seed {
    /// The state that a seed without files and connected stores describes.
    ///
    /// # Errors
    /// Every problem of the text.
    pub(crate) fn read(text: &str, region: &str) -> Result<Restored, Vec<Problem>> {
        let (records, _) = read(text, Path::new("."), region)?;
        Restored::read(records).map_err(|error| vec![unfit(&error)])
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = self.connected.iter().map(|(_, id)| id);
        f.debug_list().entries(connected).finish()
    }
}

/// What the parts of a seed are read with.
struct Reader<'r> {
    folder: &'r Path,
    home: Home,
    now: SystemTime,
}

type Contents = (Vec<Record>, Vec<(Home, CustomKeyStoreId)>);

fn read(text: &str, folder: &Path, region: &str) -> Result<Contents, Vec<Problem>> {
    toml_document::read(text, |root| contents(root, folder, region))
}

fn contents(root: &Section, folder: &Path, region: &str) -> Contents {
    let account = root.text("account", account, ACCOUNT);
    let region = root
        .text("region", region_name, REGION)
        .unwrap_or_else(|| region.to_owned());
    let reader = Reader {
        folder,
        home: Home {
            account: account.unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned()),
            region,
        },
        now: SystemTime::now(),
    };
    let mut records = Vec::new();
    let clusters = reader.clusters(root.sections("clusters"));
    reader.vpc_endpoint_services(root.sections("vpc-endpoint-services"), &mut records);
    let (stores, connected) =
        reader.stores(root.sections("custom-key-stores"), &clusters, &mut records);
    reader.keys(root.sections("keys"), &stores, &mut records);
    reader.bulk_keys(root.sections("bulk-keys"), &mut records);
    let clusters = clusters.into_values();
    records.extend(clusters.map(|cluster| Record::CloudHsmCluster(cluster.image)));
    (records, connected)
}

impl Reader<'_> {
    /// Where something is: its `account` and `region`, or those of the whole file.
    fn home(&self, section: &Section) -> Home {
        Home {
            account: section
                .text("account", account, ACCOUNT)
                .unwrap_or_else(|| self.home.account.clone()),
            region: section
                .text("region", region_name, REGION)
                .unwrap_or_else(|| self.home.region.clone()),
        }
    }

    /// The content of a file that a field names.
    fn file(&self, section: &Section, name: &'static str, expected: &str) -> Option<String> {
        let path = section.text(name, |text| Some(self.folder.join(text)), expected)?;
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                section.problem(name, format!("{}: {error}", path.display()), expected);
                None
            }
        }
    }
}

/// Remembers what must be there once; notes a problem for what is there twice.
#[derive(Default)]
struct Once(BTreeMap<(Home, String), String>);

impl Once {
    fn check(&mut self, section: &Section, home: &Home, name: &str, value: &str) {
        let (place, key) = (section.place(name), (home.clone(), value.to_owned()));
        match self.0.get(&key) {
            None => drop(self.0.insert(key, place)),
            Some(first) => section.problem(
                name,
                format!("\"{value}\", which {first} has"),
                "one that no other has",
            ),
        }
    }
}

/// What fits each field, and not together.
fn unfit(error: &StateError) -> Problem {
    Problem::new(
        "",
        format!("a state that cannot be ({error})"),
        "one that KMS can have",
    )
}

fn account(text: &str) -> Option<String> {
    let digits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.to_owned())
}

fn region_name(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(allowed);
    fits.then(|| text.to_owned())
}

const ACCOUNT: &str = "an account of 12 digits";
const REGION: &str = "a Region such as us-east-1";
const DEFAULT_ACCOUNT: &str = "123456789012";

#[cfg(test)]
mod tests;
