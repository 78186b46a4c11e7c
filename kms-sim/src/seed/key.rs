//! `[[keys]]` and `[[bulk-keys]]`: KMS keys with the ids and the material that tests know.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use xks_api::ids::ExternalKeyId;
use zeroize::Zeroizing;

use super::store::{STORE_ID, SeedStore, SeedStores};
use super::{Once, Reader};
use crate::access::KeyPolicy;
use crate::actions::alias::is_alias_name;
use crate::alias::Alias;
use crate::arn::{is_uuid, key_arn};
use crate::cloudhsm::ClusterKeyImage;
use crate::custom_key_store::CustomKeyStoreId;
use crate::fixed_key::FixedKey;
use crate::key::{AdminState, Key, Origin};
use crate::key_material::KeyMaterial;
use crate::key_spec::KeyKind;
use crate::rotation::{RotatingMaterial, days};
use crate::simulator::Caller;
use crate::state_image::{AliasImage, KeyImage, Record};
use crate::toml_document::Section;
use crate::visibility::Home;

impl Reader<'_> {
    pub(super) fn keys(
        &self,
        sections: Vec<Section>,
        stores: &SeedStores,
        records: &mut Vec<Record>,
    ) {
        let (mut ids, mut aliases, mut external_keys) =
            (Once::default(), Once::default(), Once::default());
        for section in sections {
            let home = self.home(&section);
            let id = section.text("id", |text| is_uuid(text).then(|| text.to_owned()), KEY_ID);
            let id = section.required("id", id, KEY_ID);
            if let Some(id) = &id {
                ids.check(&section, &home, "id", id);
            }
            let kind = Self::kind(&section);
            let origin = kind.and_then(|kind| self.origin(&section, &home, stores, kind));
            if let Some(SeedOrigin::External(store, external_key, _)) = &origin {
                let name = format!("{store} {external_key}");
                external_keys.check(&section, &home, "xks-key-id", &name);
            }
            let names = section.texts("aliases", is_alias_name, ALIAS);
            for name in &names {
                aliases.check(&section, &home, "aliases", name);
            }
            if names.len() > MAX_ALIASES {
                section.problem("aliases", names.len().to_string(), "at most 50");
            }
            let terms = self.terms(&section);
            let rotates = matches!(origin, Some(SeedOrigin::Kms(_)) | None);
            if terms.rotation_period.is_some() && !rotates {
                let expected = "none: KMS rotates neither keys of custom key stores nor asymmetric or HMAC keys";
                section.problem("rotation-period-days", "a period", expected);
            }
            if let (Some(id), Some(kind), Some(origin)) = (id, kind, origin) {
                let key = self.key(&home, &id, kind, origin, terms, records);
                for name in &names {
                    records.push(self.alias(&home, name, key.id()));
                }
                records.push(Record::Key(Box::new(KeyImage::of(&home, &key))));
            }
            section.finish();
        }
    }

    /// What a key has wherever its material is.
    fn terms(&self, section: &Section) -> Terms {
        let short = |text: &str| (text.chars().count() <= 8_192).then(|| text.to_owned());
        let description = section.text("description", short, "at most 8,192 characters");
        let policy = self.policy(section);
        let fits = |name: &str, value: &str| {
            let (name_len, value_len) = (name.chars().count(), value.chars().count());
            (1..=128).contains(&name_len) && value_len <= 256 && !name.starts_with("aws:")
        };
        let tags = section.pairs("tags", fits, TAG);
        if tags.len() > MAX_TAGS {
            section.problem("tags", tags.len().to_string(), "at most 50");
        }
        let enabled = section.boolean("enabled").unwrap_or(true);
        let in_days = |name, min, max| {
            let number = section.integer(name, min, max);
            number.and_then(|days| u16::try_from(days).ok())
        };
        Terms {
            description: description.unwrap_or_default(),
            policy: policy.unwrap_or_default(),
            tags: tags.into_iter().collect(),
            admin_state: match (in_days("pending-deletion-days", 7, 30), enabled) {
                (Some(window), _) => AdminState::PendingDeletion(self.now + days(window)),
                (None, true) => AdminState::Enabled,
                (None, false) => AdminState::Disabled,
            },
            rotation_period: in_days("rotation-period-days", 90, 2560),
        }
    }

    /// The key; what lies in a cluster is a record of its own.
    fn key(
        &self,
        home: &Home,
        id: &str,
        kind: KeyKind,
        origin: SeedOrigin,
        terms: Terms,
        records: &mut Vec<Record>,
    ) -> Key {
        let origin = match origin {
            SeedOrigin::Kms(material) => {
                let material = RotatingMaterial::new(material);
                if let Some(period) = terms.rotation_period {
                    material.enable(self.now, period);
                }
                Origin::AwsKms(material)
            }
            SeedOrigin::Fixed(key) => Origin::AwsKmsFixed(key),
            SeedOrigin::External(store, external_key, material) => Origin::ExternalKeyStore {
                store,
                external_key,
                material: Arc::new(material),
            },
            SeedOrigin::CloudHsm(store, cluster, material) => {
                let image = ClusterKeyImage::new(cluster, id.into(), Arc::new(material));
                records.push(Record::CloudHsmKey(image));
                Origin::AwsCloudHsm { store }
            }
        };
        let arn = key_arn(&caller(home), id);
        let mut key = Key::of_kind(kind, id, &arn, self.now, origin);
        key.description = terms.description;
        key.policy = terms.policy;
        key.tags = terms.tags;
        key.admin_state = terms.admin_state;
        key
    }

    fn origin(
        &self,
        section: &Section,
        home: &Home,
        stores: &SeedStores,
        kind: KeyKind,
    ) -> Option<SeedOrigin> {
        let external_key = |text: &str| ExternalKeyId::try_from(text).ok();
        let external_key = section.text("xks-key-id", external_key, EXTERNAL_KEY_ID);
        let store = section.text("custom-key-store", CustomKeyStoreId::parse, STORE_ID);
        let Some(store) = store else {
            if external_key.is_some() {
                section.problem("custom-key-store", "nothing", "the store of the xks-key-id");
            }
            return match kind.is_symmetric() {
                true => self.material(section).map(SeedOrigin::Kms),
                false => self
                    .fixed_key(section, kind.spec)
                    .map(|key| SeedOrigin::Fixed(Arc::new(key))),
            };
        };
        if !kind.is_symmetric() {
            let expected = "none: keys of custom key stores are SYMMETRIC_DEFAULT";
            section.problem("key-spec", kind.spec.name(), expected);
            return None;
        }
        let material = self.material(section);
        match stores.get(&(home.clone(), store.to_string())) {
            None => {
                let expected = "the id of one of the [[custom-key-stores]] of this file, of the same account and Region";
                section.problem("custom-key-store", format!("\"{store}\""), expected);
                None
            }
            Some(SeedStore::External) => {
                let external_key = section.required("xks-key-id", external_key, EXTERNAL_KEY_ID);
                Some(SeedOrigin::External(store, external_key?, material?))
            }
            Some(SeedStore::CloudHsm(cluster)) => {
                if external_key.is_some() {
                    let expected = "none, for a key of a CloudHSM key store";
                    section.problem("xks-key-id", "one", expected);
                }
                Some(SeedOrigin::CloudHsm(store, cluster.clone(), material?))
            }
        }
    }

    /// Its material, or new random material.
    fn material(&self, section: &Section) -> Option<KeyMaterial> {
        let parse = |text: String| {
            let text = Zeroizing::new(text);
            let bytes = Zeroizing::new(STANDARD.decode(text.trim_end()).ok()?);
            let bytes: [u8; 32] = bytes.as_slice().try_into().ok()?;
            Some(KeyMaterial::new(Zeroizing::new(bytes)))
        };
        if section.has("material") {
            return section.secret("material", parse, MATERIAL);
        }
        KeyMaterial::generate().ok()
    }

    fn policy(&self, section: &Section) -> Option<KeyPolicy> {
        let (name, policy) = match section.has("policy-file") {
            true => {
                let expected = "a file with a key policy in JSON";
                ("policy-file", self.file(section, "policy-file", expected)?)
            }
            false => {
                let text = |text: &str| Some(text.to_owned());
                let policy = section.text("policy", text, "a key policy in JSON")?;
                ("policy", policy)
            }
        };
        match KeyPolicy::parse(policy) {
            Ok(policy) => Some(policy),
            Err(error) => {
                let expected = "a key policy in JSON";
                section.problem(name, error.message().unwrap_or_default(), expected);
                None
            }
        }
    }

    fn alias(&self, home: &Home, name: &str, target: &Arc<str>) -> Record {
        let alias = Alias {
            target: Arc::clone(target),
            created: self.now,
            updated: self.now,
        };
        Record::Alias(AliasImage::of(home, &name.into(), &alias))
    }

    /// Many keys at once, whose ids follow from their numbers.
    pub(super) fn bulk_keys(&self, sections: Vec<Section>, records: &mut Vec<Record>) {
        for section in sections {
            let home = self.home(&section);
            let count = section.integer("count", 1, MAX_BULK);
            let count = section.required("count", count, "how many keys");
            let prefix = section.text(
                "alias-prefix",
                |text| is_alias_name(&format!("{text}0")).then(|| text.to_owned()),
                ALIAS,
            );
            section.finish();
            let caller = caller(&home);
            for number in 0..count.unwrap_or_default() {
                let Ok(material) = KeyMaterial::generate() else {
                    return;
                };
                let id = bulk_id(&home, prefix.as_deref().unwrap_or_default(), number);
                let origin = Origin::AwsKms(RotatingMaterial::new(material));
                let key = Key::new(&id, &key_arn(&caller, &id), self.now, origin);
                if let Some(prefix) = &prefix {
                    records.push(self.alias(&home, &format!("{prefix}{number}"), key.id()));
                }
                records.push(Record::Key(Box::new(KeyImage::of(&home, &key))));
            }
        }
    }
}

/// What a key has beside its material.
struct Terms {
    description: String,
    policy: KeyPolicy,
    tags: BTreeMap<String, String>,
    admin_state: AdminState,
    rotation_period: Option<u16>,
}

/// Where the material of a key is.
enum SeedOrigin {
    Kms(KeyMaterial),
    Fixed(Arc<FixedKey>),
    External(CustomKeyStoreId, ExternalKeyId, KeyMaterial),
    CloudHsm(CustomKeyStoreId, crate::cloudhsm::ClusterId, KeyMaterial),
}

fn caller(home: &Home) -> Caller {
    Caller::new(
        home.account.clone(),
        home.region.clone(),
        String::new(),
        String::new(),
    )
}

/// A UUID of version 8: the first bytes of a hash.
fn bulk_id(home: &Home, prefix: &str, number: u32) -> String {
    let name = format!("{}/{}/{prefix}/{number}", home.account, home.region);
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(hash.as_ref())
        .for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

const KEY_ID: &str = "a UUID in lower case, such as 1234abcd-12ab-34cd-56ef-1234567890ab";
const EXTERNAL_KEY_ID: &str = "1 to 128 of A-Z a-z 0-9 - . _";
const ALIAS: &str = "alias/ and up to 250 of A-Z a-z 0-9 : / _ -, and not alias/aws/";
const TAG: &str =
    "a key of 1 to 128 characters, not beginning with aws:, and a text of at most 256";
const MATERIAL: &str = "32 bytes in base64, such as `head -c 32 /dev/urandom | base64` gives";
const MAX_ALIASES: usize = 50;
const MAX_TAGS: usize = 50;
const MAX_BULK: u32 = 10_000_000;
