//! What both CreateCustomKeyStore and UpdateCustomKeyStore take, member by member.

use xks_api::ids::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroizing;

use super::patterns::{is_cluster_id, is_uri_endpoint, is_uri_path, is_vpc_endpoint_service_name};
use crate::api::{KmsError, Members};
use crate::cloudhsm::KeyStorePassword;

/// What both CreateCustomKeyStore and UpdateCustomKeyStore take.
pub(super) struct Properties {
    pub(super) cloud_hsm_cluster_id: Option<String>,
    pub(super) key_store_password: Option<KeyStorePassword>,
    pub(super) connectivity: Option<RequestedConnectivity>,
    pub(super) uri_endpoint: Option<String>,
    pub(super) uri_path: Option<String>,
    pub(super) credential: Option<Credential>,
    pub(super) vpc_endpoint_service_name: Option<String>,
    pub(super) vpc_endpoint_service_owner: Option<String>,
}

impl Properties {
    /// Reads them; an empty service name means that there is to be none, where that can be said.
    pub(super) fn read(members: &mut Members<'_>, shortest_service_name: usize) -> Self {
        let connectivities = &[
            ("PUBLIC_ENDPOINT", RequestedConnectivity::PublicEndpoint),
            (
                "VPC_ENDPOINT_SERVICE",
                RequestedConnectivity::VpcEndpointService,
            ),
        ];
        let service_name = |text: &str| {
            (text.is_empty() && shortest_service_name == 0)
                || (text.len() >= 20 && is_vpc_endpoint_service_name(text))
        };
        Self {
            cloud_hsm_cluster_id: members
                .text("CloudHsmClusterId")
                .length(19, 24)
                .pattern("cluster-[2-7a-zA-Z]{11,16}", is_cluster_id)
                .optional(),
            key_store_password: members
                .text("KeyStorePassword")
                .sensitive()
                .length(7, 32)
                .optional()
                .and_then(|password| Zeroizing::new(password).try_into().ok()),
            connectivity: members
                .choice("XksProxyConnectivity", connectivities)
                .optional(),
            uri_endpoint: members
                .text("XksProxyUriEndpoint")
                .length(10, 128)
                .pattern("^https://[a-zA-Z0-9.-]+$", is_uri_endpoint)
                .optional(),
            uri_path: members
                .text("XksProxyUriPath")
                .length(10, 128)
                .pattern(
                    "^(/[a-zA-Z0-9\\/_-]+/kms/xks/v\\d{1,2})$|^(/kms/xks/v\\d{1,2})$",
                    is_uri_path,
                )
                .optional(),
            credential: members.structure("XksProxyAuthenticationCredential", Credential::read),
            vpc_endpoint_service_name: members
                .text("XksProxyVpcEndpointServiceName")
                .length(shortest_service_name, 64)
                .pattern(
                    "^(com|eu)\\.amazonaws\\.vpce\\.([a-z]+-){2,3}\\d+\\.vpce-svc-[0-9a-z]+$",
                    service_name,
                )
                .optional(),
            vpc_endpoint_service_owner: members
                .text("XksProxyVpcEndpointServiceOwner")
                .length(12, 12)
                .pattern("[0-9]{12}", |text| text.bytes().all(|b| b.is_ascii_digit()))
                .optional(),
        }
    }

    /// The members of an external key store, and which are given.
    pub(super) fn xks_members(&self) -> [(&'static str, bool); 6] {
        [
            ("XksProxyConnectivity", self.connectivity.is_some()),
            ("XksProxyUriEndpoint", self.uri_endpoint.is_some()),
            ("XksProxyUriPath", self.uri_path.is_some()),
            (
                "XksProxyAuthenticationCredential",
                self.credential.is_some(),
            ),
            (
                "XksProxyVpcEndpointServiceName",
                self.service_name().is_some(),
            ),
            (
                "XksProxyVpcEndpointServiceOwner",
                self.vpc_endpoint_service_owner.is_some(),
            ),
        ]
    }

    /// The service name, if there is to be one.
    pub(super) fn service_name(&self) -> Option<&str> {
        let name = self.vpc_endpoint_service_name.as_deref();
        name.filter(|name| !name.is_empty())
    }

    /// ValidationException if a VPC endpoint service is named.
    pub(super) fn forbid_vpc_members(&self) -> Result<(), KmsError> {
        forbidden(
            "XksProxyConnectivity PUBLIC_ENDPOINT",
            &[
                (
                    "XksProxyVpcEndpointServiceName",
                    self.service_name().is_some(),
                ),
                (
                    "XksProxyVpcEndpointServiceOwner",
                    self.vpc_endpoint_service_owner.is_some(),
                ),
            ],
        )
    }
}

/// `XksProxyConnectivity`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestedConnectivity {
    PublicEndpoint,
    VpcEndpointService,
}

/// `XksProxyAuthenticationCredential`, both halves always.
pub(super) struct Credential {
    access_key_id: String,
    raw_secret_access_key: Zeroizing<String>,
}

impl Credential {
    fn read(members: &mut Members<'_>) -> Self {
        let id = |text: &str| text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
        let secret = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+' | b'='))
        };
        Self {
            access_key_id: members
                .text("AccessKeyId")
                .sensitive()
                .length(20, 30)
                .pattern("^[A-Z2-7]+$", id)
                .required(),
            raw_secret_access_key: members
                .text("RawSecretAccessKey")
                .sensitive()
                .length(43, 64)
                .pattern("^[a-zA-Z0-9\\/+=]+$", secret)
                .required()
                .into(),
        }
    }

    /// The rules are the same on both sides of the seam, so this succeeds on what `read` has let through.
    pub(super) fn parse(&self) -> Result<(AccessKeyId, SecretAccessKey), KmsError> {
        let id = AccessKeyId::try_from(&*self.access_key_id);
        let secret = SecretAccessKey::try_from(&**self.raw_secret_access_key);
        Ok((
            id.map_err(|error| KmsError::validation(error.to_string()))?,
            secret.map_err(|error| KmsError::validation(error.to_string()))?,
        ))
    }
}

pub(super) fn missing(context: &str, member: &str) -> KmsError {
    KmsError::validation(format!("{member} is required with {context}."))
}

pub(super) fn required(context: &str, members: &[(&str, bool)]) -> Result<(), KmsError> {
    match members.iter().find(|(_, given)| !given) {
        None => Ok(()),
        Some((member, _)) => Err(missing(context, member)),
    }
}

pub(super) fn forbidden(context: &str, members: &[(&str, bool)]) -> Result<(), KmsError> {
    match members.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((member, _)) => Err(KmsError::validation(format!(
            "{member} is not valid with {context}."
        ))),
    }
}
