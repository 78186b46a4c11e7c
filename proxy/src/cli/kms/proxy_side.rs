//! The proxy's side of a link: an external key store of the configuration, its credentials and its keys.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};

use crate::admin::{Client, Command, Reply};
use crate::cli::location::{self, Location};
use crate::cli::output::unexpected;
use crate::cli::{Failure, File, uri_endpoint, uri_path_prefix};
use crate::config::{Config, LinkConfig, UriEndpoint};
use crate::key_manager::embedded::{CredentialInfo, KeyInfo, NewCredential};
use crate::key_store::KeySelection;
use crate::kms::{CallError, CustomKeyStore, KmsClient};

/// Which external key store a command is for.
#[derive(Args, Debug)]
pub(super) struct KeyStoreArguments {
    /// The configuration, which has the external key store
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_CONFIG")]
    config: File,
    /// The external key store, where the configuration has several
    #[arg(long, value_name = "PREFIX", value_parser = uri_path_prefix, visible_alias = "uri-path-prefix")]
    prefix: Option<UriPathPrefix>,
    /// The XksProxyUriEndpoint, where KMS reaches the proxy [default: uri_endpoint of the configuration]
    #[arg(long, value_name = "URL", value_parser = uri_endpoint)]
    uri_endpoint: Option<UriEndpoint>,
}

/// An external key store of the configuration.
pub(super) struct ProxySide {
    pub(super) config: PathBuf,
    pub(super) prefix: UriPathPrefix,
    pub(super) link: LinkConfig,
    /// Where its credentials are kept, but for those of files.
    store: Option<Location>,
    files: Vec<(AccessKeyId, SecretAccessKey)>,
    /// Where its keys are, if the commands can see them there.
    keys: Option<Location>,
    pub(super) selection: KeySelection,
}

/// A credential that the proxy takes.
pub(super) struct ProxyCredential {
    pub(super) info: CredentialInfo,
    pub(super) is_of_file: bool,
}

impl KeyStoreArguments {
    pub(super) fn find(self) -> Result<ProxySide, Failure> {
        let file = self.config;
        let mut stores = Config::load_keys(&file)?.key_stores;
        let prefixes: Vec<_> = stores
            .iter()
            .map(|s| format!("{:?}", s.prefix.as_str()))
            .collect();
        let prefixes = prefixes.join(", ");
        let at = match &self.prefix {
            Some(prefix) => stores.iter().position(|store| store.prefix == *prefix),
            None if stores.len() == 1 => Some(0),
            None => {
                let text = format!("which external key store? Give --prefix, one of {prefixes}");
                return Err(Failure::Failed(text));
            }
        };
        let config = at.map(|at| stores.swap_remove(at)).ok_or_else(|| {
            let prefix = self.prefix.as_ref().map_or("", |prefix| prefix.as_str());
            let text = format!(
                "{} has no external key store {prefix:?}; it has {prefixes}",
                file.display()
            );
            Failure::Failed(text)
        })?;
        let place = |name: &str| location::in_config(&file, Some(name));
        let store = config.credential_store.as_deref().map(place).transpose()?;
        let mut link = config.link;
        link.uri_endpoint = self.uri_endpoint.or(link.uri_endpoint);
        Ok(ProxySide {
            prefix: config.prefix,
            link,
            store,
            files: config.credentials,
            // A key manager of another kind keeps its keys to itself.
            keys: place(&config.key_manager).ok(),
            selection: config.keys,
            config: file,
        })
    }
}

impl ProxySide {
    /// What KMS is told of this key store.
    pub(super) fn uri_path(&self) -> String {
        self.prefix.uri_path()
    }

    pub(super) fn endpoint(&self) -> Result<&UriEndpoint, Failure> {
        self.link.uri_endpoint.as_ref().ok_or_else(|| {
            Failure::Failed(format!(
                "where does KMS reach the proxy? Give --uri-endpoint https://NAME, or uri_endpoint in [[key_stores]] of {}",
                self.config.display()
            ))
        })
    }

    /// The name that it gets in KMS: the configured one, else the prefix without slashes.
    pub(super) fn store_name(&self) -> String {
        let of_prefix = || match self.prefix.as_str().trim_matches('/') {
            "" => "xks-proxy".to_owned(),
            prefix => prefix.replace('/', "-"),
        };
        let configured = self.link.custom_key_store_name.clone();
        configured.unwrap_or_else(of_prefix)
    }

    /// The store that keeps credentials, or why there is none.
    pub(super) fn store(&self) -> Result<&Location, Failure> {
        self.store.as_ref().ok_or_else(|| {
            Failure::Failed(format!(
                "the credentials of this key store are files that {} names: put a new one there, reload the proxy, and \
                 give it with --credential FILE",
                self.config.display()
            ))
        })
    }

    /// Whether a server answers at the admin socket of the store of the credentials.
    pub(super) fn server_answers(&self) -> bool {
        let store = self.store.as_ref();
        store.is_some_and(|store| matches!(Client::connect(&store.place.data_dir), Ok(Some(_))))
    }

    /// Where several proxies share the credentials: how long it takes until a new one has reached those, too, that
    /// missed the word of it.
    pub(super) fn fleet_takes_up_in(&self) -> Option<Duration> {
        let database = self.store.as_ref()?.place.database.as_ref()?;
        Some(database.poll_interval + Duration::from_secs(1))
    }

    /// Every credential that this key store takes.
    pub(super) fn credentials(&self) -> Result<Vec<ProxyCredential>, Failure> {
        let of_file = |(id, _): &(AccessKeyId, SecretAccessKey)| ProxyCredential {
            info: CredentialInfo {
                access_key_id: id.as_str().to_owned(),
                uri_path_prefix: self.prefix.as_str().to_owned(),
                created: String::new(),
                last_used: None,
            },
            is_of_file: true,
        };
        let mut all: Vec<_> = self.files.iter().map(of_file).collect();
        let Some(store) = &self.store else {
            return Ok(all);
        };
        let stored = match store.execute(Command::ListCredentials {})? {
            Reply::Credentials(credentials) => credentials,
            other => return Err(unexpected(other)),
        };
        let ours = stored
            .into_iter()
            .filter(|info| info.uri_path_prefix == self.prefix.as_str());
        all.extend(ours.map(|info| ProxyCredential {
            info,
            is_of_file: false,
        }));
        Ok(all)
    }

    /// The one credential of files, where there is no store that could make another.
    pub(super) fn only_file(&self) -> Option<&(AccessKeyId, SecretAccessKey)> {
        match (&self.store, &*self.files) {
            (None, [only]) => Some(only),
            _ => None,
        }
    }

    /// Has the proxy make a credential.
    pub(super) fn make_credential(&self) -> Result<NewCredential, Failure> {
        let command = Command::CreateCredential {
            uri_path_prefix: self.prefix.clone(),
        };
        match self.store()?.execute(command)? {
            Reply::Credential(credential) => credential
                .into_credential()
                .ok_or_else(|| unexpected(Reply::Done)),
            other => Err(unexpected(other)),
        }
    }

    pub(super) fn revoke_credential(&self, id: &AccessKeyId) -> Result<(), Failure> {
        let command = Command::RevokeCredential {
            access_key_id: id.clone(),
        };
        self.store()?.execute(command).map(|_| ())
    }

    /// The keys of this key store; `None` where the commands cannot see them.
    pub(super) fn keys(&self) -> Result<Option<Vec<KeyInfo>>, Failure> {
        let Some(location) = &self.keys else {
            return Ok(None);
        };
        let mut keys = match location.execute(Command::ListKeys {})? {
            Reply::Keys(keys) => keys,
            other => return Err(unexpected(other)),
        };
        keys.retain(|key| {
            let id = xks_api::ids::ExternalKeyId::try_from(&*key.id);
            id.is_ok_and(|id| self.selection.contains(&id))
        });
        Ok(Some(keys))
    }

    /// Whether a store of KMS leads here.
    fn is_linked_to(&self, store: &CustomKeyStore) -> bool {
        let configuration = store.xks_proxy_configuration.as_ref();
        configuration.is_some_and(|c| {
            let endpoint = self.link.uri_endpoint.as_ref();
            c.uri_path.as_deref() == Some(&*self.uri_path())
                && endpoint.is_none_or(|e| {
                    let there = c.uri_endpoint.as_deref().unwrap_or_default();
                    there.eq_ignore_ascii_case(e.as_str())
                })
        })
    }

    /// The store of KMS that leads here, among all of the account.
    pub(super) fn linked(
        &self,
        stores: &[CustomKeyStore],
    ) -> Result<Option<CustomKeyStore>, Failure> {
        let mut found = stores.iter().filter(|store| self.is_linked_to(store));
        match (found.next(), found.next()) {
            (store, None) => Ok(store.cloned()),
            (Some(one), Some(other)) => Err(Failure::Failed(format!(
                "{} and {} of KMS both have the path {}: give --uri-endpoint, or uri_endpoint in the configuration",
                one.custom_key_store_id,
                other.custom_key_store_id,
                self.uri_path()
            ))),
            (None, Some(_)) => Ok(None),
        }
    }

    /// The store of KMS that leads here.
    pub(super) async fn find_linked(&self, kms: &KmsClient) -> Result<CustomKeyStore, Failure> {
        let stores = kms.external_key_stores().await;
        let stores = stores.map_err(|e: CallError| super::advice::failure(&e))?;
        let endpoint = self.link.uri_endpoint.as_ref();
        self.linked(&stores)?.ok_or_else(|| {
            Failure::Failed(format!(
                "no external key store of the account in {} leads to {}{}: `xks-proxy kms link` creates it, --region and \
                 --profile look elsewhere",
                kms.settings().region(),
                endpoint.map_or("", |endpoint| endpoint.as_str()),
                self.uri_path()
            ))
        })
    }
}
