//! Custom key stores as they are saved, with their credentials and passwords.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use xks_api::ids::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroizing;

use super::backing::{Backing, CloudHsmCluster, Connectivity, VpcEndpointServiceName, XksProxy};
use super::{CustomKeyStore, CustomKeyStoreId};
use crate::cloudhsm::{ClusterCertificate, ClusterId};
use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::proxy_endpoints::EndpointClaim;
use crate::state_image::{Defect, Password, SecretText, instant};
use crate::visibility::Home;

/// A custom key store.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StoreImage {
    pub(crate) home: Home,
    pub(crate) custom_key_store_id: CustomKeyStoreId,
    custom_key_store_name: String,
    #[serde(with = "instant")]
    created: SystemTime,
    #[serde(with = "instant")]
    credential_set: SystemTime,
    backing: BackingImage,
    pub(crate) connection: ConnectionImage,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum ConnectionImage {
    Disconnected,
    Connecting,
    Connected,
    Failed(ConnectionErrorCode),
    Disconnecting,
}

#[derive(Deserialize, Serialize)]
enum BackingImage {
    #[serde(rename = "EXTERNAL_KEY_STORE", rename_all = "PascalCase")]
    Xks {
        xks_proxy_uri_endpoint: String,
        xks_proxy_uri_path: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vpc_endpoint_service: Option<ServiceImage>,
        access_key_id: String,
        raw_secret_access_key: SecretText,
    },
    #[serde(rename = "AWS_CLOUDHSM", rename_all = "PascalCase")]
    CloudHsm {
        cloud_hsm_cluster_id: ClusterId,
        cluster_certificate: String,
        trust_anchor_certificate: String,
        key_store_password: Password,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ServiceImage {
    name: String,
    owner: String,
}

impl StoreImage {
    /// A store that is DISCONNECTED.
    pub(crate) fn new(
        home: Home,
        id: CustomKeyStoreId,
        name: String,
        created: SystemTime,
        backing: &Backing,
    ) -> Self {
        Self {
            home,
            custom_key_store_id: id,
            custom_key_store_name: name,
            created,
            credential_set: created,
            backing: BackingImage::of(backing),
            connection: ConnectionImage::Disconnected,
        }
    }

    /// The store as it is.
    pub(crate) fn of(home: &Home, store: &CustomKeyStore) -> Self {
        Self {
            home: home.clone(),
            custom_key_store_id: store.id.clone(),
            custom_key_store_name: store.name.clone(),
            created: store.created,
            credential_set: store.credential_set,
            backing: BackingImage::of(&store.backing),
            connection: match (store.connection_state(), store.connection_error_code()) {
                (ConnectionState::Failed, Some(code)) => ConnectionImage::Failed(code),
                (ConnectionState::Connected, _) => ConnectionImage::Connected,
                (ConnectionState::Connecting, _) => ConnectionImage::Connecting,
                (ConnectionState::Disconnecting, _) => ConnectionImage::Disconnecting,
                (ConnectionState::Failed | ConnectionState::Disconnected, _) => {
                    ConnectionImage::Disconnected
                }
            },
        }
    }

    /// The store as it was, but DISCONNECTED and without a claim on its endpoint.
    pub(crate) fn restore(self) -> Result<CustomKeyStore, Defect> {
        let mut store = CustomKeyStore::new(
            self.custom_key_store_id,
            self.custom_key_store_name,
            self.backing.restore()?,
            None,
            self.created,
        );
        store.credential_set = self.credential_set;
        Ok(store)
    }
}

impl CustomKeyStore {
    /// Gives a restored store its claim.
    pub(crate) fn restore_endpoint(&mut self, claim: EndpointClaim) {
        self.endpoint = Some(claim);
    }
}

impl BackingImage {
    fn of(backing: &Backing) -> Self {
        match backing {
            Backing::Xks(proxy) => Self::Xks {
                xks_proxy_uri_endpoint: proxy.uri_endpoint.clone(),
                xks_proxy_uri_path: proxy.uri_path.clone(),
                vpc_endpoint_service: match &proxy.connectivity {
                    Connectivity::PublicEndpoint => None,
                    Connectivity::VpcEndpointService(service) => Some(ServiceImage {
                        name: service.name.clone(),
                        owner: service.owner.clone(),
                    }),
                },
                access_key_id: proxy.access_key_id.as_str().to_owned(),
                raw_secret_access_key: SecretText(Zeroizing::new(proxy.secret.expose().to_owned())),
            },
            Backing::CloudHsm(cluster) => Self::CloudHsm {
                cloud_hsm_cluster_id: cluster.id.clone(),
                cluster_certificate: cluster.certificate.pem().to_owned(),
                trust_anchor_certificate: cluster.trust_anchor_certificate.clone(),
                key_store_password: Password(cluster.password.clone()),
            },
        }
    }

    fn restore(self) -> Result<Backing, Defect> {
        Ok(match self {
            Self::Xks {
                xks_proxy_uri_endpoint,
                xks_proxy_uri_path,
                vpc_endpoint_service,
                access_key_id,
                raw_secret_access_key,
            } => Backing::Xks(XksProxy {
                connectivity: match vpc_endpoint_service {
                    None => Connectivity::PublicEndpoint,
                    Some(ServiceImage { name, owner }) => {
                        Connectivity::VpcEndpointService(VpcEndpointServiceName { name, owner })
                    }
                },
                uri_endpoint: xks_proxy_uri_endpoint,
                uri_path: xks_proxy_uri_path,
                access_key_id: AccessKeyId::try_from(&*access_key_id)
                    .map_err(|_| Defect::Value("the access key id"))?,
                secret: SecretAccessKey::try_from(&**raw_secret_access_key.0)
                    .map_err(|_| Defect::Value("the secret access key"))?,
            }),
            Self::CloudHsm {
                cloud_hsm_cluster_id,
                cluster_certificate,
                trust_anchor_certificate,
                key_store_password,
            } => Backing::CloudHsm(CloudHsmCluster {
                id: cloud_hsm_cluster_id,
                certificate: Arc::new(
                    ClusterCertificate::from_pem(&cluster_certificate)
                        .ok_or(Defect::Value("the cluster certificate"))?,
                ),
                trust_anchor_certificate,
                password: key_store_password.0,
            }),
        })
    }
}
