//! `xks-proxy kms rotate-credential`: the specification's four steps, each of which an interrupted run goes on from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use xks_api::ids::AccessKeyId;

use super::link::{Handed, until_known};
use super::progress::Progress;
use super::proxy_side::{ProxyCredential, ProxySide};
use super::rotation_record::{Rotation, RotationRecord};
use super::{AwsArguments, KeyStoreArguments, advice, connection, duration, keys};
use crate::cli::output::{OutputArguments, note};
use crate::cli::{Failure, File};
use crate::kms::{ConnectionState, CustomKeyStore, KeyState, KmsClient, StoreChange};

/// Give KMS a new credential without an outage, and revoke the old one when KMS has stopped using it.
///
/// The proxy makes a second credential; KMS is given it, and tries it; the proxy is seen to take signatures of the new
/// one, and none of the old one for a while; then the old one is revoked, and never before. An interrupted run is simply
/// run again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    key_store: KeyStoreArguments,
    #[command(flatten)]
    aws: AwsArguments,
    /// How long the old credential has to be unused before it is revoked
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    quiet_for: Duration,
    /// How long to wait for that; a later run goes on
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15m")]
    wait: Duration,
    /// Where credentials are files: the new one, which the proxy takes already
    #[arg(long, value_name = "FILE")]
    credential: Option<File>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let proxy = arguments.key_store.find()?;
    let kms = Arc::new(arguments.aws.client().await?);
    let store = proxy.find_linked(&kms).await?;
    let deadline = Instant::now() + arguments.wait;
    let id = store.custom_key_store_id.clone();
    let store = out_of_failed(&kms, store, arguments.wait).await?;
    if let Some(file) = &arguments.credential {
        let handed = Handed::choose(&proxy, Some(file))?;
        let old = signs_with(&store).to_owned();
        update(&kms, &proxy, &id, &handed).await?;
        try_through_kms(&kms, &store).await?;
        let new = handed.id.as_str();
        note(&format!(
            "KMS signs with {new} now. Remove the file of {old} from credential_files when the request log shows it no more."
        ));
        let object = json!({ "custom_key_store_id": id, "old": old, "new": new, "revoked": false });
        return arguments
            .output
            .done(&format!("{id} signs with {new}"), &object);
    }
    let record = RotationRecord::of(&proxy, &id)?;
    let _alone = record.lock()?;
    if !proxy.server_answers() {
        return Err(Failure::Failed(
            "no proxy answers at the admin socket, and only a running one can tell which credential KMS uses: start it, \
             and run this where it runs"
                .to_owned(),
        ));
    }
    let rotation = match begun(&proxy, &record, &store)? {
        Some(rotation) => rotation,
        None => begin(&kms, &proxy, &record, &store).await?,
    };
    let progress = Progress::begin();
    wait_until_unused(
        &kms,
        &proxy,
        &store,
        &rotation,
        arguments.quiet_for,
        deadline,
        &progress,
    )
    .await?;
    drop(progress);
    let revoked = revoke_old(&proxy, &rotation)?;
    record.remove()?;
    let Rotation { old, new, .. } = &rotation;
    let object = json!({ "custom_key_store_id": id, "old": old, "new": new, "revoked": revoked });
    let sentence = format!("{id} signs with {new}");
    arguments.output.done(&sentence, &object)?;
    if store.connection_state == ConnectionState::Disconnected {
        note("It is DISCONNECTED: `xks-proxy kms connect` connects it.");
    }
    Ok(())
}

/// KMS takes a credential while a store is CONNECTED or DISCONNECTED; one that is FAILED serves nobody.
async fn out_of_failed(
    kms: &KmsClient,
    store: CustomKeyStore,
    limit: Duration,
) -> Result<CustomKeyStore, Failure> {
    match store.connection_state {
        ConnectionState::Failed => connection::to_disconnected(kms, store, limit).await,
        _ => Ok(store),
    }
}

/// A rotation that an earlier run has begun, if KMS has its new credential; what is left of another one goes.
fn begun(
    proxy: &ProxySide,
    record: &RotationRecord,
    store: &CustomKeyStore,
) -> Result<Option<Rotation>, Failure> {
    let Some(rotation) = record.read()? else {
        return Ok(None);
    };
    if signs_with(store) == rotation.new {
        note(&format!(
            "Going on: KMS has the new credential {}; {} is to go.",
            rotation.new, rotation.old
        ));
        return Ok(Some(rotation));
    }
    // KMS never got it, and nobody knows its secret any more.
    let known = proxy.credentials()?;
    if known.iter().any(|c| c.info.access_key_id == rotation.new)
        && let Ok(id) = AccessKeyId::try_from(&*rotation.new)
    {
        proxy.revoke_credential(&id)?;
        note(&format!(
            "An earlier run ended before KMS had its credential {id}: that is revoked."
        ));
    }
    record.remove()?;
    Ok(None)
}

/// Steps 1 and 2.
async fn begin(
    kms: &KmsClient,
    proxy: &ProxySide,
    record: &RotationRecord,
    store: &CustomKeyStore,
) -> Result<Rotation, Failure> {
    let id = &store.custom_key_store_id;
    let handed = Handed::choose(proxy, None)?;
    if !handed.is_new {
        // `server_answers` says that there is a store.
        return Err(Failure::Failed(
            "give the new credential with --credential FILE".into(),
        ));
    }
    let rotation = Rotation {
        custom_key_store_id: id.clone(),
        old: signs_with(store).to_owned(),
        new: handed.id.to_string(),
    };
    if let Err(error) = record.write(&rotation) {
        proxy.revoke_credential(&handed.id)?;
        return Err(error);
    }
    note(&format!(
        "1/4  The proxy takes the new credential {}.",
        rotation.new
    ));
    if let Some(time) = proxy.fleet_takes_up_in() {
        // What KMS signs with it may reach any of them the moment that KMS has it.
        let progress = Progress::begin();
        progress.say("waiting until every proxy of the fleet has it");
        tokio::time::sleep(time).await;
    }
    match update(kms, proxy, id, &handed).await {
        Ok(()) => {}
        Err(Refused::Taken(failure)) => {
            record.remove()?;
            return Err(failure);
        }
        Err(Refused::Unknown(failure)) => return Err(failure),
    }
    note("2/4  KMS has tried it, and signs with it.");
    Ok(rotation)
}

/// A credential that KMS did not take.
enum Refused {
    /// It is taken back.
    Taken(Failure),
    /// KMS may have it all the same.
    Unknown(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Taken(failure) | Refused::Unknown(failure) => failure,
        }
    }
}

async fn update(
    kms: &KmsClient,
    proxy: &ProxySide,
    id: &str,
    handed: &Handed,
) -> Result<(), Refused> {
    let change = StoreChange {
        custom_key_store_id: id,
        xks_proxy_authentication_credential: handed.for_kms(),
    };
    let Err(error) = until_known(proxy, handed, || kms.update_credential(&change)).await else {
        return Ok(());
    };
    // An answer may have been lost on the way.
    match kms.custom_key_store(id).await {
        Ok(Some(store)) if signs_with(&store) == handed.id.as_str() => Ok(()),
        Ok(_) => Err(Refused::Taken(handed.take_back(proxy, &error))),
        Err(_) if error.is_uncertain() => Err(Refused::Unknown(Failure::Failed(format!(
            "{}\nKMS may have the new credential all the same: run this again to find out",
            advice::text(&error)
        )))),
        Err(_) => Err(Refused::Taken(handed.take_back(proxy, &error))),
    }
}

/// Step 3: the new credential is seen in use, and the old one is not, for a while.
async fn wait_until_unused(
    kms: &Arc<KmsClient>,
    proxy: &ProxySide,
    store: &CustomKeyStore,
    rotation: &Rotation,
    quiet_for: Duration,
    deadline: Instant,
    progress: &Progress,
) -> Result<(), Failure> {
    let since = Instant::now();
    let mut tried = false;
    let mut proven = false;
    loop {
        let known = proxy.credentials()?;
        let last_use = |id: &str| {
            known
                .iter()
                .find(|c| c.info.access_key_id == id)
                .and_then(last_use)
        };
        if !proven && last_use(&rotation.new).is_some() {
            proven = true;
            progress.step("3/4  The proxy takes signatures of the new credential.");
        }
        let old_rests = last_use(&rotation.old).map_or(Duration::MAX, |time| {
            Duration::try_from(OffsetDateTime::now_utc() - time).unwrap_or_default()
        });
        let rests = old_rests.min(since.elapsed());
        if proven && rests >= quiet_for {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(not_proven(rotation, proven));
        }
        if proven {
            progress.say(&format!(
                "waiting until {} is unused for {quiet_for:?}",
                rotation.old
            ));
        } else if since.elapsed() >= TRY_AFTER && !tried {
            // Another proxy of the fleet may have answered KMS's trial: more calls reach this one, too.
            tried = true;
            progress.say("having KMS use the new credential");
            try_through_kms(kms, store).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn not_proven(rotation: &Rotation, proven: bool) -> Failure {
    let Rotation { old, new, .. } = rotation;
    Failure::Failed(match proven {
        true => format!(
            "something still signs with {old}: another key store of KMS that was given the same credential, say. Nothing is \
             revoked; both credentials are good. Run this again to go on waiting"
        ),
        false => format!(
            "KMS has the new credential {new}, but no request that is signed with it has reached this proxy. Nothing is \
             revoked; both credentials are good. Is this the proxy that KMS reaches? Run this again to go on"
        ),
    })
}

/// Has KMS encrypt with a key of the store, if there is one.
async fn try_through_kms(kms: &Arc<KmsClient>, store: &CustomKeyStore) -> Result<(), Failure> {
    if store.connection_state != ConnectionState::Connected {
        return Ok(());
    }
    let all = keys::of_store(kms, &store.custom_key_store_id).await?;
    let mut enabled = all
        .keys
        .iter()
        .filter(|key| key.key_state == KeyState::Enabled);
    let Some(key) = enabled.next() else {
        return Ok(());
    };
    for _ in 0..TRIALS {
        if let Err(error) = kms.try_key(&key.arn).await {
            if error.kind() == Some("AccessDeniedException") {
                note(
                    "This caller may not have KMS encrypt, so the credential is proven by others' use alone.",
                );
                return Ok(());
            }
            return Err(advice::failure(&error));
        }
    }
    Ok(())
}

/// Step 4.
fn revoke_old(proxy: &ProxySide, rotation: &Rotation) -> Result<bool, Failure> {
    let known = proxy.credentials()?;
    let old = known.iter().find(|c| c.info.access_key_id == rotation.old);
    match (old, AccessKeyId::try_from(&*rotation.old)) {
        (Some(old), _) if old.is_of_file => {
            note(&format!(
                "4/4  The old credential {} is of a file: remove it from credential_files, and reload the proxy.",
                rotation.old
            ));
            Ok(false)
        }
        (Some(_), Ok(id)) => {
            proxy.revoke_credential(&id)?;
            note(&format!("4/4  The old credential {id} is revoked."));
            Ok(true)
        }
        _ => {
            note(&format!(
                "4/4  The proxy does not know the old credential {} any more.",
                rotation.old
            ));
            Ok(false)
        }
    }
}

fn last_use(credential: &ProxyCredential) -> Option<OffsetDateTime> {
    let text = credential.info.last_used.as_deref()?;
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn signs_with(store: &CustomKeyStore) -> &str {
    let configuration = store.xks_proxy_configuration.as_ref();
    let id = configuration.and_then(|c| c.access_key_id.as_deref());
    id.unwrap_or_default()
}

/// Times of use are to the second.
const PAUSE: Duration = Duration::from_millis(500);
const TRY_AFTER: Duration = Duration::from_secs(3);
const TRIALS: u32 = 20;

const EXAMPLES: &str = "\
Examples:
  xks-proxy kms rotate-credential --config FILE --prefix /tenant-a
  xks-proxy kms rotate-credential --config FILE --quiet-for 5m --wait 1h    a fleet under little load
  xks-proxy kms rotate-credential --config FILE --credential new.json       credentials in files";
