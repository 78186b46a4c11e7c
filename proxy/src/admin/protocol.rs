//! The commands and replies of administrators: one JSON line each way.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use xks_api::ids::{AccessKeyId, ExternalKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::message::KeyStatus;
use zeroize::Zeroizing;

use crate::audit::NotRecorded;
use crate::control::{AdminInfo, BlockInfo, BlockOutcome, BlockTarget, ControlError, PendingInfo};
use crate::key_manager::KeyManagerError;
use crate::key_manager::embedded::{
    AdminError, Administration, BackupSeal, CredentialInfo, Force, KeyInfo, KeyMaterial,
    NewCredential, RootKeySource, Usages, VersionState, timestamp,
};
use crate::status::{Status, Wanted};

/// What an administrator asks for.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are those of the methods of `Administration`"
)]
pub enum Command {
    /// `key create`
    CreateKey {
        #[serde(with = "as_text")]
        id: ExternalKeyId,
        #[serde(with = "as_text")]
        usage: Usages,
    },
    /// `key import`; the material is 32 bytes in base64.
    ImportKey {
        #[serde(with = "as_text")]
        id: ExternalKeyId,
        #[serde(with = "as_text")]
        usage: Usages,
        material: SecretText,
    },
    /// `key list`
    ListKeys {},
    /// `key show`
    ShowKey {
        #[serde(with = "as_text")]
        id: ExternalKeyId,
    },
    /// `key enable`, `key disable`
    SetKeyStatus {
        #[serde(with = "as_text")]
        id: ExternalKeyId,
        status: KeyStatus,
    },
    /// `key rotate`
    RotateKey {
        #[serde(with = "as_text")]
        id: ExternalKeyId,
    },
    /// `key retire-version`
    SetVersionState {
        #[serde(with = "as_text")]
        id: ExternalKeyId,
        version: u32,
        state: VersionState,
    },
    /// `key delete`
    DeleteKey {
        #[serde(with = "as_text")]
        id: ExternalKeyId,
        force: Force,
    },
    /// `credential create`
    CreateCredential {
        #[serde(with = "as_text")]
        uri_path_prefix: UriPathPrefix,
    },
    /// `credential list`
    ListCredentials {},
    /// `credential revoke`
    RevokeCredential {
        #[serde(with = "as_text")]
        access_key_id: AccessKeyId,
    },
    /// `root-key rotate`
    RotateRootKey { to: Option<RootKeySource> },
    /// `key export-backup`; the seal is the backup's identifier and key in base64.
    ExportBackup { seal: SecretText },
    /// `block`
    Block {
        #[serde(with = "as_text")]
        target: BlockTarget,
        reason: String,
        /// Seconds since 1970.
        until: Option<i64>,
        /// How long to wait for the fleet.
        patience_ms: u64,
    },
    /// `unblock`
    Unblock {
        #[serde(with = "as_text")]
        target: BlockTarget,
        patience_ms: u64,
    },
    /// `blocks`
    ListBlocks {},
    /// `admin create`; the hash of a token that the server never sees.
    CreateAdmin { name: String, token_hash: String },
    /// `admin remove`
    RemoveAdmin { name: String },
    /// `admin list`
    ListAdmins {},
    /// `approve`
    Approve { id: String },
    /// `reject`
    Reject { id: String },
    /// `approvals list`
    ListApprovals {},
    /// `reload`
    Reload {},
    /// A part of `check`
    Probe {},
    /// `status`
    Status { wanted: Wanted },
}

/// What an administrator gets.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "reply", content = "value", rename_all = "kebab-case")]
pub enum Reply {
    /// It is done, and there is nothing to say.
    Done,
    /// One key.
    Key(KeyInfo),
    /// All keys.
    Keys(Vec<KeyInfo>),
    /// A new credential, with its secret.
    Credential(CredentialText),
    /// All credentials.
    Credentials(Vec<CredentialInfo>),
    /// The name of the root key from now on.
    RootKey(String),
    /// What follows the header of a backup, in base64.
    Backup(String),
    /// What came of a block, or of lifting one.
    Blocked(BlockOutcome),
    /// All blocks.
    Blocks(Vec<BlockInfo>),
    /// All admins.
    Admins(Vec<AdminInfo>),
    /// It is not done: it waits for another admin's approval.
    Pending(PendingInfo),
    /// Everything that waits.
    Approvals(Vec<PendingInfo>),
    /// What there is to say of a reload that was done, line by line.
    Reloaded(Vec<String>),
    /// How each key manager does.
    Probed(Vec<Probed>),
    /// How everything does.
    Status(Box<Status>),
}

/// What a key manager made of an encryption and a decryption.
#[derive(Debug, Deserialize, Serialize)]
pub struct Probed {
    /// Its name in the configuration.
    pub key_manager: String,
    outcome: ProbeOutcome,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ProbeOutcome {
    Microseconds(u64),
    Failed(String),
}

impl Probed {
    /// What a probe came to.
    pub fn new(key_manager: &str, result: Result<Duration, KeyManagerError>) -> Self {
        let outcome = match result {
            Ok(took) => {
                ProbeOutcome::Microseconds(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
            }
            Err(error) => ProbeOutcome::Failed(Self::failure(&error)),
        };
        Self {
            key_manager: key_manager.to_owned(),
            outcome,
        }
    }

    /// How long it took, or why it failed.
    ///
    /// # Errors
    /// What the key manager failed with, as text.
    pub fn result(self) -> Result<Duration, String> {
        match self.outcome {
            ProbeOutcome::Microseconds(micros) => Ok(Duration::from_micros(micros)),
            ProbeOutcome::Failed(text) => Err(text),
        }
    }

    /// What to tell an administrator who did not ask, if it failed.
    pub(super) fn into_trouble(self) -> Option<String> {
        let name = self.key_manager.clone();
        let error = self.result().err()?;
        Some(format!(
            "key manager {name} does not encrypt and decrypt: {error}"
        ))
    }

    /// A failure with its cause, for an administrator.
    pub fn failure(error: &KeyManagerError) -> String {
        match std::error::Error::source(error) {
            None => error.to_string(),
            Some(cause) => format!("{error}: {cause}"),
        }
    }
}

/// Why a command was not carried out, as text for the administrator.
#[derive(Debug, Deserialize, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    message: String,
}

/// What the server answers.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Ok(Reply),
    Error(Refusal),
}

impl Command {
    /// `key import`
    pub fn import_key(id: ExternalKeyId, usage: Usages, material: &KeyMaterial) -> Self {
        let material = SecretText::of_bytes(&**material);
        Self::ImportKey {
            id,
            usage,
            material,
        }
    }

    /// `key export-backup`
    pub fn export_backup(seal: &BackupSeal) -> Self {
        let seal = SecretText::of_bytes(&*seal.to_bytes());
        Self::ExportBackup { seal }
    }

    /// What else there is to say of it in the audit log.
    pub(super) fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Block { reason, until, .. } => {
                let until = until.and_then(|u| OffsetDateTime::from_unix_timestamp(u).ok());
                let until = until.map(|until| ("until", timestamp(until)));
                [("reason", reason.clone())]
                    .into_iter()
                    .chain(until)
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// What is asked for and of what, for the log.
    pub(crate) fn describe(&self) -> (&'static str, Cow<'_, str>) {
        let (name, of) = match self {
            Self::CreateKey { id, .. } => ("create-key", id.as_str()),
            Self::ImportKey { id, .. } => ("import-key", id.as_str()),
            Self::ListKeys {} => ("list-keys", ""),
            Self::ShowKey { id } => ("show-key", id.as_str()),
            Self::SetKeyStatus { id, status } => match status {
                KeyStatus::Enabled => ("enable-key", id.as_str()),
                KeyStatus::Disabled => ("disable-key", id.as_str()),
            },
            Self::RotateKey { id } => ("rotate-key", id.as_str()),
            Self::SetVersionState { id, state, .. } => match state {
                VersionState::Usable => ("reinstate-version", id.as_str()),
                VersionState::Retired => ("retire-version", id.as_str()),
            },
            Self::DeleteKey { id, .. } => ("delete-key", id.as_str()),
            Self::CreateCredential { uri_path_prefix } => {
                ("create-credential", uri_path_prefix.as_str())
            }
            Self::ListCredentials {} => ("list-credentials", ""),
            Self::RevokeCredential { access_key_id } => {
                ("revoke-credential", access_key_id.as_str())
            }
            Self::RotateRootKey { .. } => ("rotate-root-key", ""),
            Self::ExportBackup { .. } => ("export-backup", ""),
            Self::Block { target, .. } => return ("block", target.to_string().into()),
            Self::Unblock { target, .. } => return ("unblock", target.to_string().into()),
            Self::ListBlocks {} => ("list-blocks", ""),
            Self::CreateAdmin { name, .. } => ("create-admin", &**name),
            Self::RemoveAdmin { name } => ("remove-admin", &**name),
            Self::ListAdmins {} => ("list-admins", ""),
            Self::Approve { id } => ("approve", &**id),
            Self::Reject { id } => ("reject", &**id),
            Self::ListApprovals {} => ("list-approvals", ""),
            Self::Reload {} => ("reload", ""),
            Self::Probe {} => ("probe", ""),
            Self::Status { .. } => ("status", ""),
        };
        (name, of.into())
    }

    /// Carries the command out. Waits for the disk.
    ///
    /// # Errors
    /// Whatever `Administration` refuses, in words.
    pub fn execute(self, administration: &Administration) -> Result<Reply, Refusal> {
        match self {
            Self::CreateKey { id, usage } => Ok(Reply::Key(administration.create_key(&id, usage)?)),
            Self::ImportKey {
                id,
                usage,
                material,
            } => {
                let bytes = material.decode().filter(|bytes| bytes.len() == 32);
                let bytes = bytes.ok_or_else(|| Refusal::new(&"key material has 32 bytes"))?;
                let mut material = Zeroizing::new([0; 32]);
                material.copy_from_slice(&bytes);
                let key = administration.import_key(&id, usage, material)?;
                Ok(Reply::Key(key))
            }
            Self::ListKeys {} => Ok(Reply::Keys(administration.keys())),
            Self::ShowKey { id } => Ok(Reply::Key(administration.key(&id)?)),
            Self::SetKeyStatus { id, status } => {
                Ok(Reply::Key(administration.set_key_status(&id, status)?))
            }
            Self::RotateKey { id } => Ok(Reply::Key(administration.rotate_key(&id)?)),
            Self::SetVersionState { id, version, state } => {
                let key = administration.set_version_state(&id, version, state)?;
                Ok(Reply::Key(key))
            }
            Self::DeleteKey { id, force } => {
                administration.delete_key(&id, force)?;
                Ok(Reply::Done)
            }
            Self::CreateCredential { uri_path_prefix } => {
                let credential = administration.create_credential(&uri_path_prefix)?;
                Ok(Reply::Credential(credential.into()))
            }
            Self::ListCredentials {} => Ok(Reply::Credentials(administration.credentials())),
            Self::RevokeCredential { access_key_id } => {
                administration.revoke_credential(&access_key_id)?;
                Ok(Reply::Done)
            }
            Self::RotateRootKey { to } => {
                let root_key = administration.rotate_root_key(to)?;
                Ok(Reply::RootKey(root_key.to_string()))
            }
            Self::ExportBackup { seal } => {
                let bytes = seal.decode();
                let seal = bytes.and_then(|bytes| BackupSeal::from_bytes(&bytes));
                let seal = seal.ok_or_else(|| Refusal::new(&"the backup seal has 48 bytes"))?;
                let backup = administration.export_backup(&seal)?;
                Ok(Reply::Backup(STANDARD.encode(backup)))
            }
            Self::Block { .. }
            | Self::Unblock { .. }
            | Self::ListBlocks {}
            | Self::CreateAdmin { .. }
            | Self::RemoveAdmin { .. }
            | Self::ListAdmins {}
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::ListApprovals {} => Err(Refusal::new(&"this is done for a proxy as a whole")),
            Self::Reload {} | Self::Probe {} | Self::Status { .. } => Err(Refusal::new(
                &"only a running server does this, and none serves this data folder",
            )),
        }
    }
}

impl Refusal {
    pub(crate) fn new(message: &dyn fmt::Display) -> Self {
        Self {
            message: message.to_string(),
        }
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        Self::new(&error)
    }
}

impl From<NotRecorded> for Refusal {
    fn from(error: NotRecorded) -> Self {
        Self::new(&error)
    }
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        Self::new(&error)
    }
}

/// Who asks, and for which key manager, before a command.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    pub(super) token: Option<SecretText>,
    pub(super) key_manager: Option<String>,
}

/// A command with who asks. A line that does not begin as this one is a command alone.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope<C> {
    #[serde(rename = "as")]
    pub(super) credentials: Credentials,
    #[serde(rename = "do")]
    pub(super) command: C,
}

/// How the line of an [`Envelope`] begins.
pub(super) const ENVELOPE_START: &[u8] = b"{\"as\":";

/// A new credential on its way to the one who made it.
#[derive(Debug, Deserialize, Serialize)]
pub struct CredentialText {
    #[serde(with = "as_text")]
    uri_path_prefix: UriPathPrefix,
    #[serde(with = "as_text")]
    access_key_id: AccessKeyId,
    secret: SecretText,
}

impl From<NewCredential> for CredentialText {
    fn from(credential: NewCredential) -> Self {
        Self {
            uri_path_prefix: credential.uri_path_prefix,
            access_key_id: credential.access_key_id,
            secret: SecretText::new(credential.secret.expose()),
        }
    }
}

impl CredentialText {
    /// The credential, if the secret is one.
    pub fn into_credential(self) -> Option<NewCredential> {
        Some(NewCredential {
            secret: SecretAccessKey::try_from(&**self.secret.0).ok()?,
            uri_path_prefix: self.uri_path_prefix,
            access_key_id: self.access_key_id,
        })
    }
}

/// Secret text of the admin socket: wiped on drop, never printed.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(super) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// Secret bytes in base64.
    fn of_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(STANDARD.encode(bytes)))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        STANDARD.decode(self.0.as_bytes()).ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText([redacted])")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Serde for what has a text form and a check of its own.
mod as_text {
    use std::borrow::Cow;
    use std::fmt;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: fmt::Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D, E>(deserializer: D) -> Result<T, D::Error>
    where
        T: for<'a> TryFrom<&'a str, Error = E>,
        D: Deserializer<'de>,
        E: fmt::Display,
    {
        let text = Cow::<str>::deserialize(deserializer)?;
        T::try_from(&*text).map_err(D::Error::custom)
    }
}
