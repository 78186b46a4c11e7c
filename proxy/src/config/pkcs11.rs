//! The fields of a key manager of type "pkcs11".

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::de::DeValue;
use xks_api::fields::CiphertextMetadata;
use xks_api::ids::ExternalKeyId;

use super::document::{duration, integer, text};
use super::key_managers::KeyManagerConfig;
use super::read::{Fields, Reader, count, word};
use crate::key_manager::embedded::Usages;
use crate::key_manager::pkcs11::{
    AadMode, Device, IvSource, KeyMap, Locator, MAX_VERSION, MappedKey, MappedVersion, Pin,
    SessionKind, Settings, TokenSelector, Unlisted, Versions, is_ours,
};

impl Reader<'_> {
    pub(super) fn pkcs11(&self, fields: &Fields<'_, '_>) -> Option<KeyManagerConfig> {
        let library = fields.required(
            "library",
            |v| text(v).filter(|path| !path.is_empty()),
            "the path of the device's PKCS#11 library, such as \"/usr/lib/softhsm/libsofthsm2.so\"",
        );
        let library = library.map(|path| self.folder.join(path));
        if let Some(path) = library.as_ref().filter(|path| !path.is_file()) {
            let found = format!("{} is not there", path.display());
            let expected = "the path of the device's PKCS#11 library, installed on this machine";
            fields.problem(fields.place("library"), found, expected);
        }
        let token = token(fields);
        let pin = self.pin(fields);
        let test_key_label = fields
            .optional("test_key_label", label, LABEL)
            .unwrap_or_else(|| Settings::TEST_KEY_LABEL.to_owned());
        let keys = KeyMap {
            listed: listed(fields, &test_key_label),
            unlisted: fields
                .optional(
                    "unlisted_keys",
                    word(&[
                        ("by-label", Unlisted::ByLabel),
                        ("unknown", Unlisted::Unknown),
                    ]),
                    "\"by-label\" or \"unknown\"",
                )
                .unwrap_or(Unlisted::ByLabel),
        };
        let device = device(fields);
        let aws_sample_metadata = aws_sample_metadata(fields);
        let sessions = count(fields, "sessions", 1..=256).unwrap_or(Settings::SESSIONS);
        let queue = count(fields, "queue", 1..=65_536).unwrap_or(Settings::QUEUE);
        let timeout = fields
            .optional(
                "timeout",
                duration(Duration::from_millis(10)..=Duration::from_secs(10)),
                "a time from \"10ms\" to \"10s\", shorter than limits.key_manager_timeout",
            )
            .unwrap_or(Settings::TIMEOUT);
        let lookup_interval = fields
            .optional(
                "lookup_interval",
                duration(Duration::ZERO..=Duration::from_secs(3_600)),
                "a time from \"0s\" to \"60m\"",
            )
            .unwrap_or(Settings::LOOKUP_INTERVAL);
        let messages_per_version = fields
            .optional(
                "messages_per_version",
                integer(1..=Settings::MESSAGES_PER_VERSION),
                "a number from 1 to 4294967296, divided among the proxies that use the key",
            )
            .unwrap_or(Settings::MESSAGES_PER_VERSION);
        Some(KeyManagerConfig::Pkcs11(Box::new(Settings {
            library: library?,
            token: token?,
            pin,
            keys,
            test_key_label,
            device,
            aws_sample_metadata,
            sessions,
            queue,
            timeout,
            lookup_interval,
            messages_per_version,
        })))
    }

    /// `None` for no login, or with a problem.
    fn pin(&self, fields: &Fields<'_, '_>) -> Option<Pin> {
        let file = fields.optional("pin_file", text, "the name of a file");
        let variable = fields.optional("pin_env", text, "the name of an environment variable");
        match (file, variable) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                let place = fields.place("pin_env");
                let expected = "either pin_file or pin_env";
                fields.problem(place, "there is a pin_file, too", expected);
                None
            }
            (Some(file), None) => match self.files.secret_line(&self.folder.join(file)) {
                Ok(pin) => Some(Pin::new(pin)),
                Err(e) => {
                    fields.problem(fields.place("pin_file"), e.found, e.expected);
                    None
                }
            },
            (None, Some(variable)) => match std::env::var(&variable) {
                Ok(pin) if !pin.is_empty() => Some(Pin::new(pin)),
                _ => {
                    let found = format!("the environment has no {variable}, or not as text");
                    let expected = "the name of a variable that holds the PIN";
                    fields.problem(fields.place("pin_env"), found, expected);
                    None
                }
            },
        }
    }
}

fn token(fields: &Fields<'_, '_>) -> Option<TokenSelector> {
    let label = fields.optional("token_label", label, LABEL);
    let serial = fields.optional("token_serial", self::label, "a serial number");
    let slot = fields.optional("slot", integer(0..=u64::MAX), "the number of a slot");
    let mut selectors = [
        label.map(TokenSelector::Label),
        serial.map(TokenSelector::Serial),
        slot.map(TokenSelector::Slot),
    ]
    .into_iter()
    .flatten();
    let (first, second) = (selectors.next(), selectors.next());
    if second.is_some() || first.is_none() {
        let found = match first {
            None => "no token is selected",
            Some(_) => "a token is selected twice",
        };
        let expected = "one of token_label, token_serial, slot";
        fields.problem(fields.place(""), found, expected);
        return None;
    }
    first
}

fn device(fields: &Fields<'_, '_>) -> Device {
    let default = Device::default();
    let sources = [
        ("proxy", IvSource::Proxy),
        ("device-in-place", IvSource::DeviceInPlace),
        ("device-appended", IvSource::DeviceAppended),
    ];
    let modes = [("whole", AadMode::Whole), ("sha256", AadMode::Sha256)];
    Device {
        iv: fields
            .optional(
                "iv",
                word(&sources),
                "\"proxy\", \"device-in-place\" or \"device-appended\"",
            )
            .unwrap_or(default.iv),
        aad: fields
            .optional("aad", word(&modes), "\"whole\" or \"sha256\"")
            .unwrap_or(default.aad),
        sessions: fields
            .optional(
                "session_kind",
                word(&[
                    ("read-only", SessionKind::ReadOnly),
                    ("read-write", SessionKind::ReadWrite),
                ]),
                "\"read-only\" or \"read-write\"",
            )
            .unwrap_or(default.sessions),
    }
}

fn aws_sample_metadata(fields: &Fields<'_, '_>) -> Vec<CiphertextMetadata> {
    let expected = "base64 of the sample's ciphertext_metadata_b64, at most 20 bytes, \"\" for none; not 4 bytes that \
                    begin with 1 or 2, which are this proxy's own";
    let read = |text: &str| {
        let bytes = STANDARD.decode(text).ok()?;
        let metadata = CiphertextMetadata::try_from(&*bytes).ok()?;
        (!is_ours(&metadata)).then_some(metadata)
    };
    fields
        .list("aws_sample_metadata", read, expected)
        .unwrap_or_default()
}

fn listed(fields: &Fields<'_, '_>, test_key: &str) -> HashMap<ExternalKeyId, MappedKey> {
    let mut keys = HashMap::new();
    for (place, name, key) in fields.named_sections("keys") {
        let id = ExternalKeyId::try_from(&*name);
        if id.is_err() {
            let expected = "an external key id: 1 to 128 characters of A-Z a-z 0-9 - . _";
            key.problem(place.clone(), format!("{name:?}"), expected);
        }
        let mapped = mapped(&key);
        key.refuse_others();
        let (Ok(id), Some(mapped)) = (id, mapped) else {
            continue;
        };
        if mapped.versions.reach(test_key) {
            let found = format!("{id} leads to {test_key:?}, the test key");
            key.problem(
                place,
                found,
                "a key of its own: KMS cannot name the test key",
            );
        }
        keys.insert(id, mapped);
    }
    keys
}

fn mapped(fields: &Fields<'_, '_>) -> Option<MappedKey> {
    let usages = [
        ("encrypt-decrypt", Usages::EncryptDecrypt),
        ("encrypt", Usages::Encrypt),
        ("decrypt", Usages::Decrypt),
        ("none", Usages::None),
    ];
    let usages = fields
        .optional(
            "usage",
            word(&usages),
            "\"encrypt-decrypt\", \"encrypt\", \"decrypt\" or \"none\"",
        )
        .unwrap_or(Usages::EncryptDecrypt);
    let enabled = fields.optional("enabled", DeValue::as_bool, "true or false");
    let versions = fields.sections("versions");
    let versions = match (versions.is_empty(), locator(fields)) {
        (true, Some(Locator::Label(label))) => Some(Versions::Numbered(label)),
        (true, Some(locator)) => Some(Versions::Listed(BTreeMap::from([(
            1,
            MappedVersion {
                locator,
                retired: false,
            },
        )]))),
        (false, None) => listed_versions(&versions),
        (true, None) | (false, Some(_)) => {
            let expected = "one of label, id, versions";
            fields.problem(
                fields.place(""),
                "it is not told where the key is",
                expected,
            );
            None
        }
    };
    Some(MappedKey {
        versions: versions?,
        usages,
        enabled: enabled.unwrap_or(true),
    })
}

fn listed_versions(sections: &[Fields<'_, '_>]) -> Option<Versions> {
    let mut versions = BTreeMap::new();
    for section in sections {
        let expected = "a number from 1 to 16777215, as it is in the metadata of messages";
        let number = section.required("version", integer(1..=u64::from(MAX_VERSION)), expected);
        let retired = section.optional("retired", DeValue::as_bool, "true or false");
        let locator = locator(section);
        if locator.is_none() {
            let expected = "one of label, id";
            section.problem(
                section.place(""),
                "it is not told where the version is",
                expected,
            );
        }
        section.refuse_others();
        let (Some(Ok(number)), Some(locator)) = (number.map(u32::try_from), locator) else {
            continue;
        };
        let version = MappedVersion {
            locator,
            retired: retired.unwrap_or(false),
        };
        if versions.insert(number, version).is_some() {
            let found = format!("there is another version {number}");
            section.problem(section.place("version"), found, "numbers that occur once");
        }
    }
    (!versions.is_empty()).then_some(Versions::Listed(versions))
}

fn locator(fields: &Fields<'_, '_>) -> Option<Locator> {
    let label = fields.optional("label", label, LABEL).map(Locator::Label);
    let expected = "the CKA_ID of a key as an even number of hexadecimal digits";
    let id = fields.optional("id", hex, expected).map(Locator::Id);
    if label.is_some() && id.is_some() {
        fields.problem(
            fields.place("id"),
            "there is a label, too",
            "one of label, id",
        );
        return None;
    }
    label.or(id)
}

fn label(value: &DeValue<'_>) -> Option<String> {
    text(value).filter(|text| !text.is_empty())
}

fn hex(value: &DeValue<'_>) -> Option<Vec<u8>> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .filter(|_| rest.is_empty())
}

const LABEL: &str = "a label, which is not empty";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::document::{Document, Section};
    use super::super::files::Files;
    use super::*;

    /// The settings, or the fields that have problems.
    fn read(text: &str) -> Result<Settings, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lib.so"), "").unwrap();
        std::fs::write(folder.path().join("pin"), "12 34\n").unwrap();
        std::fs::write(folder.path().join("two-lines"), "1234\n5678\n").unwrap();
        let text = format!("library = \"lib.so\"\n{text}");
        let document = Document::new(Path::new("x.toml"), &text);
        let root = document.root();
        let fields = Section::root(&document, &root);
        let reader = Reader {
            folder: folder.path(),
            files: Files::default(),
        };
        let config = reader.pkcs11(&fields);
        fields.refuse_others();
        drop(fields);
        drop(root);
        let problems = document.into_problems();
        match config {
            Some(KeyManagerConfig::Pkcs11(settings)) if problems.is_empty() => Ok(*settings),
            _ => Err(problems.into_iter().map(|p| p.field).collect()),
        }
    }

    #[test]
    fn keys_and_versions() {
        let settings = read(
            "token_serial = \"07\"\npin_file = \"pin\"\nunlisted_keys = \"unknown\"\n\
             aws_sample_metadata = [\"\", \"djAuMC4x\"]\niv = \"device-appended\"\naad = \"sha256\"\n\
             [keys.a]\nlabel = \"A\"\nusage = \"encrypt\"\n\
             [keys.\"b.c\"]\nid = \"0Aff\"\nenabled = false\n\
             [keys.d]\nversions = [{ version = 2, label = \"x\", retired = true }, { version = 7, id = \"01\" }]",
        )
        .unwrap();
        assert_eq!(settings.token, TokenSelector::Serial("07".into()));
        assert_eq!(settings.pin, Some(Pin::new("12 34".into())));
        assert_eq!(settings.device.iv, IvSource::DeviceAppended);
        assert_eq!(settings.device.aad, AadMode::Sha256);
        assert_eq!(settings.aws_sample_metadata[1].as_bytes(), b"v0.0.1");
        assert!(!format!("{settings:?}").contains("12 34"));
        let key = |id: &str| &settings.keys.listed[&ExternalKeyId::try_from(id).unwrap()];
        assert_eq!(key("a").versions, Versions::Numbered("A".into()));
        assert_eq!(key("a").usages, Usages::Encrypt);
        let Versions::Listed(versions) = &key("b.c").versions else {
            panic!("by id");
        };
        assert_eq!(versions[&1].locator, Locator::Id(vec![0x0a, 0xff]));
        assert!(!key("b.c").enabled);
        let Versions::Listed(versions) = &key("d").versions else {
            panic!("versions");
        };
        assert!(versions[&2].retired && !versions[&7].retired);
    }

    #[test]
    fn every_defect_has_its_place() {
        let ok = "token_label = \"t\"\n";
        for (text, fields) in [
            ("", &[""][..]),
            ("slot = 1\ntoken_label = \"t\"", &[""]),
            (&format!("{ok}pin_file = \"two-lines\""), &["pin_file"]),
            (&format!("{ok}pin_file = \"none\""), &["pin_file"]),
            (
                &format!("{ok}pin_env = \"XKS_TEST_NO_SUCH_PIN\""),
                &["pin_env"],
            ),
            (
                &format!("{ok}pin_env = \"HOME\"\npin_file = \"pin\""),
                &["pin_env"],
            ),
            (&format!("{ok}pin = \"1234\""), &["pin"]),
            // Four bytes that begin with 1.
            (
                &format!("{ok}aws_sample_metadata = [\"AQAAAQ==\"]"),
                &["aws_sample_metadata"],
            ),
            (
                &format!("{ok}[keys.a]\nid = \"0\""),
                &["keys.a.id", "keys.a"],
            ),
            (
                &format!("{ok}[keys.a]\nid = \"0g\""),
                &["keys.a.id", "keys.a"],
            ),
            (&format!("{ok}[keys.\"a b\"]\nlabel = \"x\""), &["keys.a b"]),
            (
                &format!("{ok}[keys.a]\nlabel = \"xks-proxy-test\""),
                &["keys.a"],
            ),
            (
                &format!(
                    "{ok}[keys.a]\nlabel = \"x\"\nversions = [{{ version = 1, label = \"x\" }}]"
                ),
                &["keys.a"],
            ),
            (
                &format!("{ok}[keys.a]\nversions = [{{ version = 0, label = \"x\" }}]"),
                &["keys.a.versions[1].version"],
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), fields, "{text}");
        }
    }
}
