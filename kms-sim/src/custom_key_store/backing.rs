//! What a custom key store stands on: the proxy of an external key store, or a CloudHSM cluster.

use std::sync::Arc;

use xks_api::ids::{AccessKeyId, SecretAccessKey};

use crate::cloudhsm::{ClusterCertificate, ClusterId, HsmLink, KeyStorePassword, Session};
use crate::xks_client::{XksClient, XksLink};
use crate::xks_target::Target;

/// `CustomKeyStoreType`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CustomKeyStoreType {
    AwsCloudHsm,
    ExternalKeyStore,
}

/// What is known of the proxy or of the cluster.
#[derive(Clone, Debug)]
pub(crate) enum Backing {
    Xks(XksProxy),
    CloudHsm(CloudHsmCluster),
}

impl Backing {
    /// `CustomKeyStoreType`
    pub(crate) const fn kind(&self) -> CustomKeyStoreType {
        match self {
            Self::Xks(_) => CustomKeyStoreType::ExternalKeyStore,
            Self::CloudHsm(_) => CustomKeyStoreType::AwsCloudHsm,
        }
    }
}

/// Where the proxy of an external key store is, and how KMS authenticates there.
#[derive(Clone, Debug)]
pub(crate) struct XksProxy {
    pub(crate) connectivity: Connectivity,
    /// `https://` and the host, as it was given.
    pub(crate) uri_endpoint: String,
    pub(crate) uri_path: String,
    pub(crate) access_key_id: AccessKeyId,
    pub(crate) secret: SecretAccessKey,
}

impl XksProxy {
    /// The host of the endpoint.
    pub(crate) fn host(&self) -> &str {
        self.uri_endpoint
            .strip_prefix("https://")
            .unwrap_or(&self.uri_endpoint)
    }

    /// Where KMS in `region` sends its requests.
    pub(crate) fn target(&self, region: &str) -> Target {
        Target::new(
            self.host(),
            &self.uri_path,
            region,
            self.access_key_id.clone(),
            &self.secret,
        )
    }

    /// Whether both have the same credential.
    pub(super) fn same_credential(&self, other: &Self) -> bool {
        self.access_key_id == other.access_key_id && self.secret.expose() == other.secret.expose()
    }

    /// Whether both are the same external key store: hosts have no case.
    pub(super) fn same_uri(&self, other: &Self) -> bool {
        self.uri_endpoint.eq_ignore_ascii_case(&other.uri_endpoint)
            && self.uri_path == other.uri_path
    }
}

/// `XksProxyConnectivity`
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Connectivity {
    PublicEndpoint,
    VpcEndpointService(VpcEndpointServiceName),
}

/// A VPC endpoint service, as an external key store names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct VpcEndpointServiceName {
    pub(crate) name: String,
    /// The account that owns it.
    pub(crate) owner: String,
}

/// A cluster, and how KMS logs in there.
#[derive(Clone, Debug)]
pub(crate) struct CloudHsmCluster {
    pub(crate) id: ClusterId,
    /// The same for every cluster with the same backup history.
    pub(crate) certificate: Arc<ClusterCertificate>,
    /// The certificate as it was given.
    pub(crate) trust_anchor_certificate: String,
    /// Of the `kmsuser`, as far as KMS knows.
    pub(crate) password: KeyStorePassword,
}

/// What a CONNECTED store owns.
pub(super) enum Client {
    Xks(XksClient),
    CloudHsm(Session),
}

impl Client {
    pub(super) fn xks_link(&self) -> Option<XksLink> {
        match self {
            Self::Xks(client) => Some(client.link()),
            Self::CloudHsm(_) => None,
        }
    }

    pub(super) fn hsm_link(&self) -> Option<HsmLink> {
        match self {
            Self::Xks(_) => None,
            Self::CloudHsm(session) => Some(session.link()),
        }
    }
}
