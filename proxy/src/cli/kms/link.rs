//! `xks-proxy kms link`: creates the custom key store and connects it.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use xks_api::ids::{AccessKeyId, SecretAccessKey};

use super::proxy_side::ProxySide;
use super::{AwsArguments, KeyStoreArguments, advice, connection, duration};
use crate::cli::output::{OutputArguments, note};
use crate::cli::{Failure, File};
use crate::config::read_credential;
use crate::kms::{
    CallError, ConnectionState, Connectivity, CustomKeyStore, KmsClient, NewStore, SecretCredential,
};

/// Create the custom key store in KMS from the proxy's configuration, and connect it.
///
/// The proxy makes a credential for it, whose secret goes from the admin socket to KMS and is written nowhere; where
/// credentials are files, theirs is used. A second run finds the store that is there, and connects it if need be.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    key_store: KeyStoreArguments,
    #[command(flatten)]
    aws: AwsArguments,
    /// The store's friendly name in KMS [default: custom_key_store_name of the configuration, or the prefix]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Reach the proxy through this endpoint service of Amazon VPC [default: that of the configuration, if any]
    #[arg(long, value_name = "NAME")]
    vpc_endpoint_service_name: Option<String>,
    /// The account that has the endpoint service, if it is another one
    #[arg(long, value_name = "ACCOUNT")]
    vpc_endpoint_service_owner: Option<String>,
    /// Give KMS the credential in this file of `credential create` instead of a new one
    #[arg(long, value_name = "FILE")]
    credential: Option<File>,
    /// Create the store, and leave it DISCONNECTED
    #[arg(long)]
    no_connect: bool,
    /// How long to wait for CONNECTED
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    wait: Duration,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut proxy = arguments.key_store.find()?;
    let link = &mut proxy.link;
    let override_with = |own: Option<String>, given: Option<String>| given.or(own);
    link.custom_key_store_name = override_with(link.custom_key_store_name.take(), arguments.name);
    link.vpc_endpoint_service_name = override_with(
        link.vpc_endpoint_service_name.take(),
        arguments.vpc_endpoint_service_name,
    );
    link.vpc_endpoint_service_owner = override_with(
        link.vpc_endpoint_service_owner.take(),
        arguments.vpc_endpoint_service_owner,
    );
    proxy.endpoint()?;
    let kms = arguments.aws.client().await?;
    let stores = kms.external_key_stores().await;
    let stores = stores.map_err(|e| advice::failure(&e))?;
    let (store, created) = match proxy.linked(&stores)? {
        Some(store) => {
            look_at_existing(&proxy, &store)?;
            (store, false)
        }
        None => {
            let name = proxy.store_name();
            if let Some(other) = stores.iter().find(|s| s.custom_key_store_name == name) {
                let there = other.xks_proxy_configuration.as_ref();
                let path = there
                    .and_then(|c| c.uri_path.as_deref())
                    .unwrap_or_default();
                return Err(Failure::Failed(format!(
                    "{} of KMS has the name {name:?} and leads elsewhere, to the path {path}: give another --name",
                    other.custom_key_store_id
                )));
            }
            let handed = Handed::choose(&proxy, arguments.credential.as_deref())?;
            let id = create(&kms, &proxy, &name, handed).await?;
            let store = kms.custom_key_store(&id).await;
            let store = store.map_err(|e| advice::failure(&e))?;
            let store = store.ok_or_else(|| Failure::Failed(format!("{id} is gone")))?;
            note(&format!("{id} is created, with the name {name:?}."));
            (store, true)
        }
    };
    let store = match arguments.no_connect {
        true => store,
        false => connection::to_connected(&kms, store, arguments.wait).await?,
    };
    let (id, state) = (&store.custom_key_store_id, store.connection_state);
    let configuration = store.xks_proxy_configuration.as_ref();
    let object = json!({
        "custom_key_store_id": id,
        "custom_key_store_name": store.custom_key_store_name,
        "connection_state": state,
        "access_key_id": configuration.and_then(|c| c.access_key_id.as_deref()),
        "created": created,
    });
    arguments
        .output
        .done(&format!("{id} is {state}"), &object)?;
    if state == ConnectionState::Connected {
        note(
            "Next: `xks-proxy kms create-key EXTERNAL_KEY` makes the KMS key of a key of this proxy.",
        );
    }
    Ok(())
}

/// Refuses a store whose signatures the proxy would not take, and tells of what is other than wanted.
fn look_at_existing(proxy: &ProxySide, store: &CustomKeyStore) -> Result<(), Failure> {
    let id = &store.custom_key_store_id;
    let Some(there) = &store.xks_proxy_configuration else {
        return Ok(());
    };
    note(&format!(
        "{id} leads to {} already, with the name {:?}.",
        proxy.uri_path(),
        store.custom_key_store_name
    ));
    let signs_with = there.access_key_id.as_deref().unwrap_or_default();
    let credentials = proxy.credentials()?;
    if !credentials
        .iter()
        .any(|c| c.info.access_key_id == signs_with)
    {
        return Err(Failure::Failed(format!(
            "{id} signs with {signs_with}, which this proxy does not know: `xks-proxy kms rotate-credential` gives it a \
             new credential"
        )));
    }
    let service = &proxy.link.vpc_endpoint_service_name;
    if there.vpc_endpoint_service_name != *service {
        let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        note(&format!(
            "Its VPC endpoint service is {}, and not {}: `aws kms update-custom-key-store` changes it while the store is \
             disconnected.",
            or_none(&there.vpc_endpoint_service_name),
            or_none(service)
        ));
    }
    Ok(())
}

/// The credential that KMS is given.
pub(super) struct Handed {
    pub(super) id: AccessKeyId,
    pub(super) secret: SecretAccessKey,
    /// Whether it was made for this, and goes again if KMS does not take it.
    pub(super) is_new: bool,
}

impl Handed {
    /// The one of a file that is given, else the only one of files, else a new one.
    pub(super) fn choose(
        proxy: &ProxySide,
        file: Option<&std::path::Path>,
    ) -> Result<Self, Failure> {
        if let Some(file) = file {
            let (id, secret) = read_credential(file, &proxy.prefix)?;
            let known = proxy.credentials()?;
            if !known.iter().any(|c| c.info.access_key_id == id.as_str()) {
                return Err(Failure::Failed(format!(
                    "the proxy does not take the credential {id} of {} for this key store: name the file in \
                     credential_files, and reload the proxy",
                    file.display()
                )));
            }
            return Ok(Self {
                id,
                secret,
                is_new: false,
            });
        }
        if let Some((id, secret)) = proxy.only_file() {
            return Ok(Self {
                id: id.clone(),
                secret: secret.clone(),
                is_new: false,
            });
        }
        let made = proxy.make_credential()?;
        Ok(Self {
            id: made.access_key_id,
            secret: made.secret,
            is_new: true,
        })
    }

    pub(super) fn for_kms(&self) -> SecretCredential<'_> {
        SecretCredential {
            access_key_id: self.id.as_str(),
            raw_secret_access_key: self.secret.expose(),
        }
    }

    /// Takes back what nobody will use; the failure says what became of it.
    pub(super) fn take_back(&self, proxy: &ProxySide, error: &CallError) -> Failure {
        let text = advice::text(error);
        if !self.is_new {
            return Failure::Failed(text);
        }
        let id = &self.id;
        Failure::Failed(match proxy.revoke_credential(id) {
            Ok(()) => format!("{text}\nThe credential {id}, made for this, is revoked again."),
            Err(why) => format!(
                "{text}\nThe credential {id}, made for this, could not be revoked ({why}): run `xks-proxy credential \
                 revoke {id}`"
            ),
        })
    }
}

async fn create(
    kms: &KmsClient,
    proxy: &ProxySide,
    name: &str,
    handed: Handed,
) -> Result<String, Failure> {
    let link = &proxy.link;
    let (endpoint, path) = (proxy.endpoint()?, proxy.uri_path());
    let store = NewStore {
        custom_key_store_name: name,
        xks_proxy_connectivity: match link.vpc_endpoint_service_name {
            None => Connectivity::PublicEndpoint,
            Some(_) => Connectivity::VpcEndpointService,
        },
        xks_proxy_uri_endpoint: endpoint.as_str(),
        xks_proxy_uri_path: &path,
        xks_proxy_vpc_endpoint_service_name: link.vpc_endpoint_service_name.as_deref(),
        xks_proxy_vpc_endpoint_service_owner: link.vpc_endpoint_service_owner.as_deref(),
        xks_proxy_authentication_credential: handed.for_kms(),
    };
    let created = until_known(proxy, &handed, || kms.create_external_key_store(&store)).await;
    let error = match created {
        Ok(id) => return Ok(id),
        Err(error) => error,
    };
    // An answer may have been lost on the way, and another attempt then says that the name is in use.
    let ours = |store: &CustomKeyStore| {
        let there = store.xks_proxy_configuration.as_ref();
        there.and_then(|c| c.access_key_id.as_deref()) == Some(handed.id.as_str())
    };
    match kms.external_key_stores().await {
        Ok(stores) => match proxy.linked(&stores)?.filter(ours) {
            Some(store) => Ok(store.custom_key_store_id),
            None => Err(handed.take_back(proxy, &error)),
        },
        Err(_) if error.is_uncertain() && handed.is_new => Err(Failure::Failed(format!(
            "{}\nKMS may have created the store all the same, so the credential {} stays: run this again to find out",
            advice::text(&error),
            handed.id
        ))),
        Err(_) => Err(handed.take_back(proxy, &error)),
    }
}

/// Tries again where the other proxies of a fleet do not yet know a credential that was just made.
pub(super) async fn until_known<T, F: Future<Output = Result<T, CallError>>>(
    proxy: &ProxySide,
    handed: &Handed,
    call: impl Fn() -> F,
) -> Result<T, CallError> {
    let result = call().await;
    let pause = proxy.fleet_takes_up_in().filter(|_| handed.is_new);
    match (result, pause) {
        (Err(error), Some(pause)) if error.kind() == Some(UNKNOWN_CREDENTIAL) => {
            tokio::time::sleep(pause).await;
            call().await
        }
        (result, _) => result,
    }
}

const UNKNOWN_CREDENTIAL: &str = "XksProxyIncorrectAuthenticationCredentialException";

const EXAMPLES: &str = "\
Examples:
  xks-proxy kms link --config FILE --prefix /tenant-a --uri-endpoint https://xks.example.com
  xks-proxy kms link --config FILE --region eu-central-1 --profile kms-admin --json
  xks-proxy kms link --config FILE --uri-endpoint https://xks.internal.example.com \\
      --vpc-endpoint-service-name com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0
  xks-proxy kms link --config xks-dev/xks-proxy.toml --uri-endpoint https://xks.test \\
      --region us-east-1 --endpoint-url http://127.0.0.1:4599           to kms-sim, for a trial";
