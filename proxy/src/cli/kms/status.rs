//! `xks-proxy kms status`: both sides of a link, compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use xks_api::message::{KeyStatus, KeyUsage};

use super::proxy_side::{ProxyCredential, ProxySide};
use super::{AwsArguments, KeyStoreArguments, advice, keys};
use crate::cli::Failure;
use crate::cli::output::{OutputArguments, json, print, table};
use crate::key_manager::embedded::KeyInfo;
use crate::kms::{ConnectionState, CustomKeyStore, KeyMetadata, KeyState};

/// Compare both sides: state, credentials, keys, and why a key cannot be used.
///
/// Exit status 1 if something is wrong, so that monitoring can run it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    key_store: KeyStoreArguments,
    #[command(flatten)]
    aws: AwsArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let proxy = arguments.key_store.find()?;
    let credentials = proxy.credentials()?;
    let external_keys = proxy.keys()?;
    let kms = Arc::new(arguments.aws.client().await?);
    let store = proxy.find_linked(&kms).await?;
    let found = keys::of_store(&kms, &store.custom_key_store_id).await?;
    let mut problems = Vec::new();
    let credentials = compare_credentials(&store, &credentials, &mut problems);
    let keys = compare_keys(&proxy, &store, external_keys, &found.keys, &mut problems);
    look_at_state(&store, &mut problems);
    let configuration = store.xks_proxy_configuration.as_ref();
    let status = Status {
        prefix: proxy.prefix.as_str(),
        custom_key_store: StoreStatus {
            id: &store.custom_key_store_id,
            name: &store.custom_key_store_name,
            region: kms.settings().region(),
            connection_state: store.connection_state,
            connection_error_code: store.connection_error_code.as_deref(),
            connectivity: configuration.map(|c| c.connectivity.to_string()),
            uri_endpoint: configuration.and_then(|c| c.uri_endpoint.as_deref()),
            uri_path: configuration.and_then(|c| c.uri_path.as_deref()),
            vpc_endpoint_service_name: configuration
                .and_then(|c| c.vpc_endpoint_service_name.as_deref()),
            created: store.created().and_then(|time| time.format(&Rfc3339).ok()),
        },
        credentials,
        keys,
        keys_not_looked_at: found.hidden,
        problems,
    };
    match arguments.output.is_json() {
        true => json(&status)?,
        false => status.print()?,
    }
    match status.problems.len() {
        0 => Ok(()),
        1 => Err(Failure::Failed("one problem".into())),
        n => Err(Failure::Failed(format!("{n} problems"))),
    }
}

#[derive(Serialize)]
struct Status<'a> {
    prefix: &'a str,
    custom_key_store: StoreStatus<'a>,
    credentials: Vec<CredentialStatus>,
    keys: Vec<KeyPair>,
    /// Keys of the account that this caller may not look at.
    keys_not_looked_at: usize,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct StoreStatus<'a> {
    id: &'a str,
    name: &'a str,
    region: &'a str,
    connection_state: ConnectionState,
    connection_error_code: Option<&'a str>,
    connectivity: Option<String>,
    uri_endpoint: Option<&'a str>,
    uri_path: Option<&'a str>,
    vpc_endpoint_service_name: Option<&'a str>,
    created: Option<String>,
}

#[derive(Serialize)]
struct CredentialStatus {
    access_key_id: String,
    /// Whether KMS signs with it.
    in_kms: bool,
    /// Whether the proxy takes it.
    at_proxy: bool,
    age_days: Option<i64>,
    last_used: Option<String>,
}

/// An external key, its KMS key, or both.
#[derive(Serialize)]
struct KeyPair {
    external_key: String,
    /// `null` also where the key manager does not show its keys to commands.
    external_key_status: Option<KeyStatus>,
    kms_key_arn: Option<String>,
    kms_key_state: Option<KeyState>,
    note: Option<String>,
}

fn look_at_state(store: &CustomKeyStore, problems: &mut Vec<String>) {
    match store.connection_state {
        ConnectionState::Connected => {}
        ConnectionState::Failed => problems.push(advice::of_failed(store)),
        state => problems.push(format!(
            "{} is {state}: its KMS keys are Unavailable until it is CONNECTED",
            store.custom_key_store_id
        )),
    }
}

fn compare_credentials(
    store: &CustomKeyStore,
    at_proxy: &[ProxyCredential],
    problems: &mut Vec<String>,
) -> Vec<CredentialStatus> {
    let configuration = store.xks_proxy_configuration.as_ref();
    let in_kms = configuration.and_then(|c| c.access_key_id.as_deref());
    let mut all: Vec<_> = at_proxy
        .iter()
        .map(|credential| {
            let info = &credential.info;
            let created = OffsetDateTime::parse(&info.created, &Rfc3339).ok();
            CredentialStatus {
                access_key_id: info.access_key_id.clone(),
                in_kms: in_kms == Some(&info.access_key_id),
                at_proxy: true,
                age_days: created.map(|created| (OffsetDateTime::now_utc() - created).whole_days()),
                last_used: info.last_used.clone(),
            }
        })
        .collect();
    if let Some(id) = in_kms.filter(|_| !all.iter().any(|c| c.in_kms)) {
        problems.push(format!(
            "KMS signs with {id}, which the proxy does not take: `xks-proxy kms rotate-credential` gives KMS a new credential"
        ));
        all.push(CredentialStatus {
            access_key_id: id.to_owned(),
            in_kms: true,
            at_proxy: false,
            age_days: None,
            last_used: None,
        });
    }
    all
}

fn compare_keys(
    proxy: &ProxySide,
    store: &CustomKeyStore,
    external_keys: Option<Vec<KeyInfo>>,
    kms_keys: &[KeyMetadata],
    problems: &mut Vec<String>,
) -> Vec<KeyPair> {
    let visible = external_keys.is_some();
    let external_keys = external_keys.unwrap_or_default();
    let infos: BTreeMap<_, _> = external_keys.iter().map(|key| (&*key.id, key)).collect();
    let mut pairs = Vec::new();
    for key in kms_keys {
        let external = key.xks_key_configuration.as_ref();
        let id = external.map_or("", |external| &*external.id);
        let info = infos.get(id).copied();
        let trouble = match info {
            None if visible || !is_selected(proxy, id) => Some(format!(
                "the proxy has no key {id} in this key store, so nothing that its KMS key encrypted can be decrypted"
            )),
            None => None,
            Some(info) if info.status != KeyStatus::Enabled => Some(format!(
                "the external key {id} is disabled: `xks-proxy key enable {id}`"
            )),
            Some(info) if !is_for_both(info) => Some(format!(
                "the external key {id} is not for both encryption and decryption"
            )),
            Some(_) => None,
        };
        let note = trouble.clone().or_else(|| note_on(key, store));
        problems.extend(trouble);
        pairs.push(KeyPair {
            external_key: id.to_owned(),
            external_key_status: info.map(|info| info.status),
            kms_key_arn: Some(key.arn.clone()),
            kms_key_state: Some(key.key_state),
            note,
        });
    }
    let named = proxy.selection.named().map(|id| id.as_str());
    let mut others: Vec<_> = infos.keys().copied().chain(named).collect();
    others.sort_unstable();
    others.dedup();
    for id in others {
        if pairs.iter().any(|pair| pair.external_key == id) {
            continue;
        }
        let info = infos.get(id);
        pairs.push(KeyPair {
            external_key: id.to_owned(),
            external_key_status: info.map(|info| info.status),
            kms_key_arn: None,
            kms_key_state: None,
            note: Some(match info {
                None if visible => "named in the configuration, and not there".to_owned(),
                Some(info) if !is_for_both(info) => {
                    "no KMS key can have it, as it is not for both encryption and decryption"
                        .to_owned()
                }
                _ => format!("has no KMS key: `xks-proxy kms create-key {id}` makes one"),
            }),
        });
    }
    pairs.sort_by(|a, b| a.external_key.cmp(&b.external_key));
    pairs
}

/// Why a KMS key cannot be used although its external key can.
fn note_on(key: &KeyMetadata, store: &CustomKeyStore) -> Option<String> {
    match key.key_state {
        KeyState::Enabled => None,
        KeyState::Unavailable => Some(format!(
            "Unavailable, as the store is {}",
            store.connection_state
        )),
        KeyState::Disabled => Some("disabled in KMS".to_owned()),
        KeyState::PendingDeletion => Some("to be deleted by KMS".to_owned()),
        other => Some(format!("{other:?} in KMS")),
    }
}

fn is_selected(proxy: &ProxySide, id: &str) -> bool {
    let id = xks_api::ids::ExternalKeyId::try_from(id);
    id.is_ok_and(|id| proxy.selection.contains(&id))
}

fn is_for_both(info: &KeyInfo) -> bool {
    let both = [KeyUsage::Encrypt, KeyUsage::Decrypt];
    both.iter().all(|usage| info.usage.contains(usage))
}

impl Status<'_> {
    fn print(&self) -> Result<(), Failure> {
        let store = &self.custom_key_store;
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        print(
            format!(
                "{} {:?} in {} is {}\n  {}{} over {}\n  created {}\n\n",
                store.id,
                store.name,
                store.region,
                store.connection_state,
                or_dash(store.uri_endpoint),
                or_dash(store.uri_path),
                or_dash(store.connectivity.as_deref()),
                or_dash(store.created.as_deref()),
            )
            .as_bytes(),
        )?;
        let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
        table(
            [
                "ACCESS KEY ID",
                "IN KMS",
                "AT PROXY",
                "DAYS OLD",
                "LAST USED",
            ],
            self.credentials
                .iter()
                .map(|c| {
                    [
                        c.access_key_id.clone(),
                        yes(c.in_kms),
                        yes(c.at_proxy),
                        or_dash(c.age_days.map(|days| days.to_string()).as_deref()),
                        or_dash(c.last_used.as_deref()),
                    ]
                })
                .collect(),
        )?;
        print(b"\n")?;
        table(
            ["EXTERNAL KEY", "STATUS", "KMS KEY", "STATE", "NOTE"],
            self.keys
                .iter()
                .map(|pair| {
                    let status = pair.external_key_status.map(|status| match status {
                        KeyStatus::Enabled => "ENABLED",
                        KeyStatus::Disabled => "DISABLED",
                    });
                    let key = pair
                        .kms_key_arn
                        .as_deref()
                        .and_then(|arn| arn.rsplit('/').next());
                    let state = pair.kms_key_state.map(|state| format!("{state:?}"));
                    [
                        pair.external_key.clone(),
                        or_dash(status),
                        or_dash(key),
                        or_dash(state.as_deref()),
                        or_dash(pair.note.as_deref()),
                    ]
                })
                .collect(),
        )?;
        if self.keys_not_looked_at > 0 {
            let text = format!(
                "\n{} keys of the account are not this caller's to look at.\n",
                self.keys_not_looked_at
            );
            print(text.as_bytes())?;
        }
        for problem in &self.problems {
            print(format!("\n! {problem}\n").as_bytes())?;
        }
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy kms status --config FILE
  xks-proxy kms status --config FILE --prefix /tenant-a --region eu-central-1 --json";
