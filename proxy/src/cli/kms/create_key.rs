//! `xks-proxy kms create-key`: the KMS key of an external key.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{KeyStatus, KeyUsage};

use super::proxy_side::ProxySide;
use super::{AwsArguments, KeyStoreArguments, advice, keys};
use crate::cli::output::{OutputArguments, note};
use crate::cli::{Failure, external_key_id};
use crate::kms::{ConnectionState, KeyMetadata, KmsClient};

/// Make the KMS key of an external key.
///
/// The external key has to be there, enabled, and for encryption and decryption; the custom key store has to be
/// CONNECTED. A second run finds the KMS key that is there.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The external key, which KMS calls XksKeyId
    #[arg(value_name = "EXTERNAL_KEY", value_parser = external_key_id)]
    external_key: ExternalKeyId,
    #[command(flatten)]
    key_store: KeyStoreArguments,
    #[command(flatten)]
    aws: AwsArguments,
    /// Give the KMS key this alias, with or without `alias/`
    #[arg(long, value_name = "NAME", value_parser = alias)]
    alias: Option<String>,
    /// What KMS shows beside the key
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let id = arguments.external_key;
    let proxy = arguments.key_store.find()?;
    look_at_external_key(&proxy, &id)?;
    let kms = Arc::new(arguments.aws.client().await?);
    let store = proxy.find_linked(&kms).await?;
    let store_id = &store.custom_key_store_id;
    if store.connection_state != ConnectionState::Connected {
        return Err(Failure::Failed(format!(
            "{store_id} is {}, and KMS makes keys in a CONNECTED store alone: run `xks-proxy kms connect`",
            store.connection_state
        )));
    }
    let description = arguments.description.as_deref();
    let made = kms.create_key(store_id, id.as_str(), description).await;
    let (key, created) = match made {
        Ok(key) => (key, true),
        Err(error) if error.kind() == Some("XksKeyAlreadyInUseException") => {
            let all = keys::of_store(&kms, store_id).await?;
            let is_its = |key: &KeyMetadata| {
                let external = key.xks_key_configuration.as_ref();
                external.is_some_and(|external| external.id == id.as_str())
            };
            let there = all.keys.into_iter().find(is_its);
            (there.ok_or_else(|| advice::failure(&error))?, false)
        }
        Err(error) => return Err(advice::failure(&error)),
    };
    if !created {
        note(&format!("{id} has a KMS key already."));
    }
    if let Some(alias) = &arguments.alias {
        give_alias(&kms, alias, &key).await?;
    }
    let object = json!({
        "key_id": key.key_id,
        "arn": key.arn,
        "key_state": key.key_state,
        "custom_key_store_id": store_id,
        "external_key": id.as_str(),
        "alias": arguments.alias,
        "created": created,
    });
    arguments.output.done(&key.arn, &object)
}

/// What KMS would refuse without saying as much.
fn look_at_external_key(proxy: &ProxySide, id: &ExternalKeyId) -> Result<(), Failure> {
    if !proxy.selection.contains(id) {
        return Err(Failure::Failed(format!(
            "the external key store {:?} does not have the key {id}: `keys` in {} leaves it out",
            proxy.prefix.as_str(),
            proxy.config.display()
        )));
    }
    let Some(keys) = proxy.keys()? else {
        return Ok(());
    };
    let key = keys.iter().find(|key| key.id == id.as_str());
    let key = key.ok_or_else(|| {
        Failure::Failed(format!(
            "the proxy has no key {id}: `xks-proxy key create {id}` makes it"
        ))
    })?;
    let both = [KeyUsage::Encrypt, KeyUsage::Decrypt];
    if key.status != KeyStatus::Enabled {
        return Err(Failure::Failed(format!(
            "the external key {id} is disabled: `xks-proxy key enable {id}`"
        )));
    }
    if !both.iter().all(|usage| key.usage.contains(usage)) {
        return Err(Failure::Failed(format!(
            "the external key {id} is not for both encryption and decryption, which KMS asks for: make another key"
        )));
    }
    Ok(())
}

async fn give_alias(kms: &KmsClient, alias: &str, key: &KeyMetadata) -> Result<(), Failure> {
    let error = match kms.create_alias(alias, &key.key_id).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let there = kms.describe_key(alias).await;
    if there.is_ok_and(|there| there.arn == key.arn) {
        return Ok(());
    }
    let text = advice::text(&error);
    Err(Failure::Failed(format!(
        "{text}\nThe KMS key {} is there, without the alias: run this again with another --alias, or move that one with \
         `aws kms update-alias --alias-name {alias} --target-key-id {}`",
        key.arn, key.key_id
    )))
}

fn alias(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("alias/").unwrap_or(text);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
    if name.is_empty() || name.len() > 250 || !name.bytes().all(allowed) {
        return Err("an alias has 1 to 250 characters of A-Z a-z 0-9 / _ -".to_owned());
    }
    if name.starts_with("aws/") {
        return Err("aliases that begin with aws/ are AWS's own".to_owned());
    }
    Ok(format!("alias/{name}"))
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy key create payroll --config FILE
  xks-proxy kms create-key payroll --config FILE --alias payroll --description 'Salaries'";
