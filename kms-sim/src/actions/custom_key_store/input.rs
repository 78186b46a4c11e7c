//! What the operations on custom key stores take, with every rule that needs no state.
//!
//! First each member by itself (`Input::read`), all violations at once; then `check`: which members go together.

use xks_api::ids::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroizing;

use crate::api::{Input, KmsError, Members, PageRequest};
use crate::connection::Change;
use crate::custom_key_store::{CustomKeyStoreType, XksProxy};

/// ConnectCustomKeyStore, DisconnectCustomKeyStore and DeleteCustomKeyStore.
#[derive(Debug)]
pub(crate) struct IdInput {
    pub(super) id: String,
}

impl Input for IdInput {
    fn read(members: &mut Members<'_>) -> Self {
        Self {
            id: members.text("CustomKeyStoreId").length(1, 64).required(),
        }
    }
}

/// DescribeCustomKeyStores
#[derive(Debug)]
pub(crate) struct DescribeInput {
    id: Option<String>,
    name: Option<String>,
    pub(super) page: PageRequest,
}

impl Input for DescribeInput {
    fn read(members: &mut Members<'_>) -> Self {
        Self {
            id: members.text("CustomKeyStoreId").length(1, 64).optional(),
            name: members.text("CustomKeyStoreName").length(1, 256).optional(),
            page: PageRequest::read(members, 100, 1000),
        }
    }
}

impl DescribeInput {
    /// # Errors
    /// ValidationException if both are given.
    pub(super) fn selection(&self) -> Result<Selection, KmsError> {
        match (self.id.clone(), self.name.clone()) {
            (None, None) => Ok(Selection::All),
            (Some(id), None) => Ok(Selection::Id(id)),
            (None, Some(name)) => Ok(Selection::Name(name)),
            (Some(_), Some(_)) => Err(KmsError::validation(
                "Specify CustomKeyStoreId or CustomKeyStoreName, but not both.",
            )),
        }
    }
}

/// Which stores are described.
pub(super) enum Selection {
    All,
    Id(String),
    Name(String),
}

/// CreateCustomKeyStore
pub(crate) struct CreateInput {
    name: String,
    kind: CustomKeyStoreType,
    properties: Properties,
    trust_anchor_certificate: Option<String>,
}

impl Input for CreateInput {
    fn read(members: &mut Members<'_>) -> Self {
        let kinds = &[
            ("AWS_CLOUDHSM", CustomKeyStoreType::AwsCloudHsm),
            ("EXTERNAL_KEY_STORE", CustomKeyStoreType::ExternalKeyStore),
        ];
        Self {
            name: members.text("CustomKeyStoreName").length(1, 256).required(),
            kind: members
                .choice("CustomKeyStoreType", kinds)
                .optional()
                .unwrap_or(CustomKeyStoreType::AwsCloudHsm),
            trust_anchor_certificate: members
                .text("TrustAnchorCertificate")
                .length(1, 5000)
                .optional(),
            properties: Properties::read(members, 20),
        }
    }
}

impl CreateInput {
    /// # Errors
    /// ValidationException for members that are missing or of the other type or connectivity,
    /// UnsupportedOperationException for what this simulator does not have.
    pub(super) fn check(self) -> Result<NewStore, KmsError> {
        let Self {
            name,
            kind,
            properties: given,
            trust_anchor_certificate,
        } = self;
        let kind_name = match kind {
            CustomKeyStoreType::AwsCloudHsm => "CustomKeyStoreType AWS_CLOUDHSM",
            CustomKeyStoreType::ExternalKeyStore => "CustomKeyStoreType EXTERNAL_KEY_STORE",
        };
        let cloud_hsm = [
            ("CloudHsmClusterId", given.cloud_hsm_cluster_id.is_some()),
            ("TrustAnchorCertificate", trust_anchor_certificate.is_some()),
            ("KeyStorePassword", given.key_store_password.is_some()),
        ];
        match kind {
            CustomKeyStoreType::AwsCloudHsm => {
                forbidden(kind_name, &given.xks_members())?;
                required(kind_name, &cloud_hsm)?;
                Err(KmsError::unsupported(
                    "kms-sim does not support custom key stores of type AWS_CLOUDHSM yet.",
                ))
            }
            CustomKeyStoreType::ExternalKeyStore => {
                forbidden(kind_name, &cloud_hsm)?;
                let Some(connectivity) = given.connectivity else {
                    return Err(missing(kind_name, "XksProxyConnectivity"));
                };
                given.check_vpc_members(connectivity)?;
                let uri_endpoint = given
                    .uri_endpoint
                    .ok_or_else(|| missing(kind_name, "XksProxyUriEndpoint"))?;
                let uri_path = given
                    .uri_path
                    .ok_or_else(|| missing(kind_name, "XksProxyUriPath"))?;
                let credential = given
                    .credential
                    .ok_or_else(|| missing(kind_name, "XksProxyAuthenticationCredential"))?;
                connectivity.require_support()?;
                let (access_key_id, secret) = credential.parse()?;
                let proxy = XksProxy {
                    uri_endpoint,
                    uri_path,
                    access_key_id,
                    secret,
                };
                Ok(NewStore { name, proxy })
            }
        }
    }
}

/// A store to be created.
pub(super) struct NewStore {
    pub(super) name: String,
    pub(super) proxy: XksProxy,
}

/// UpdateCustomKeyStore
pub(crate) struct UpdateInput {
    pub(super) id: String,
    name: Option<String>,
    properties: Properties,
}

impl Input for UpdateInput {
    fn read(members: &mut Members<'_>) -> Self {
        Self {
            id: members.text("CustomKeyStoreId").length(1, 64).required(),
            name: members
                .text("NewCustomKeyStoreName")
                .length(1, 256)
                .optional(),
            // An empty service name means that there is to be none.
            properties: Properties::read(members, 0),
        }
    }
}

impl UpdateInput {
    /// # Errors
    /// ValidationException if nothing is to change, or a member is of the other type or connectivity,
    /// UnsupportedOperationException for what this simulator does not have.
    pub(super) fn check(self) -> Result<Update, KmsError> {
        let Self {
            id,
            name,
            properties: given,
        } = self;
        // Every store of this simulator is an external key store.
        forbidden(
            "CustomKeyStoreType EXTERNAL_KEY_STORE",
            &[
                ("CloudHsmClusterId", given.cloud_hsm_cluster_id.is_some()),
                ("KeyStorePassword", given.key_store_password.is_some()),
            ],
        )?;
        let xks = given.xks_members().iter().any(|(_, given)| *given);
        if name.is_none() && !xks {
            return Err(KmsError::validation(
                "UpdateCustomKeyStore needs at least one property to change beside CustomKeyStoreId.",
            ));
        }
        let connectivity = given.connectivity.unwrap_or(Connectivity::PublicEndpoint);
        given.check_vpc_members(connectivity)?;
        connectivity.require_support()?;
        let Properties {
            uri_endpoint,
            uri_path,
            credential,
            connectivity,
            ..
        } = given;
        let credential = credential.map(Credential::parse).transpose()?;
        let other = uri_endpoint.is_some() || connectivity.is_some();
        Ok(Update {
            id,
            name,
            change: if other {
                Change::Other
            } else {
                Change::NameCredentialOrUriPath
            },
            connectivity_given: connectivity.is_some(),
            uri_endpoint,
            uri_path,
            credential,
        })
    }
}

/// What is to change in a store.
pub(super) struct Update {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) change: Change,
    connectivity_given: bool,
    uri_endpoint: Option<String>,
    uri_path: Option<String>,
    credential: Option<(AccessKeyId, SecretAccessKey)>,
}

impl Update {
    /// The proxy as it would be; `None` if nothing is said of it, so that it need not be asked.
    pub(super) fn changed_proxy(&self, now: &XksProxy) -> Option<XksProxy> {
        let nothing = self.uri_endpoint.is_none()
            && self.uri_path.is_none()
            && self.credential.is_none()
            && !self.connectivity_given;
        if nothing {
            return None;
        }
        let mut proxy = now.clone();
        if let Some(uri_endpoint) = &self.uri_endpoint {
            proxy.uri_endpoint.clone_from(uri_endpoint);
        }
        if let Some(uri_path) = &self.uri_path {
            proxy.uri_path.clone_from(uri_path);
        }
        if let Some((access_key_id, secret)) = &self.credential {
            proxy.access_key_id = access_key_id.clone();
            proxy.secret = secret.clone();
        }
        Some(proxy)
    }
}

/// What both CreateCustomKeyStore and UpdateCustomKeyStore take.
struct Properties {
    cloud_hsm_cluster_id: Option<String>,
    key_store_password: Option<Zeroizing<String>>,
    connectivity: Option<Connectivity>,
    uri_endpoint: Option<String>,
    uri_path: Option<String>,
    credential: Option<Credential>,
    vpc_endpoint_service_name: Option<String>,
    vpc_endpoint_service_owner: Option<String>,
}

impl Properties {
    fn read(members: &mut Members<'_>, shortest_service_name: usize) -> Self {
        let connectivities = &[
            ("PUBLIC_ENDPOINT", Connectivity::PublicEndpoint),
            ("VPC_ENDPOINT_SERVICE", Connectivity::VpcEndpointService),
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
                .map(Zeroizing::new),
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
                .optional()
                .filter(|name| !name.is_empty()),
            vpc_endpoint_service_owner: members
                .text("XksProxyVpcEndpointServiceOwner")
                .length(12, 12)
                .pattern("[0-9]{12}", |text| text.bytes().all(|b| b.is_ascii_digit()))
                .optional(),
        }
    }

    /// The members of an external key store, and which are given.
    const fn xks_members(&self) -> [(&'static str, bool); 6] {
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
                self.vpc_endpoint_service_name.is_some(),
            ),
            (
                "XksProxyVpcEndpointServiceOwner",
                self.vpc_endpoint_service_owner.is_some(),
            ),
        ]
    }

    fn check_vpc_members(&self, connectivity: Connectivity) -> Result<(), KmsError> {
        let name = (
            "XksProxyVpcEndpointServiceName",
            self.vpc_endpoint_service_name.is_some(),
        );
        let owner = (
            "XksProxyVpcEndpointServiceOwner",
            self.vpc_endpoint_service_owner.is_some(),
        );
        match connectivity {
            Connectivity::PublicEndpoint => {
                forbidden("XksProxyConnectivity PUBLIC_ENDPOINT", &[name, owner])
            }
            Connectivity::VpcEndpointService => {
                required("XksProxyConnectivity VPC_ENDPOINT_SERVICE", &[name])
            }
        }
    }
}

/// `XksProxyConnectivity`
#[derive(Clone, Copy, Debug)]
enum Connectivity {
    PublicEndpoint,
    VpcEndpointService,
}

impl Connectivity {
    fn require_support(self) -> Result<(), KmsError> {
        match self {
            Self::PublicEndpoint => Ok(()),
            Self::VpcEndpointService => Err(KmsError::unsupported(
                "kms-sim does not support XksProxyConnectivity VPC_ENDPOINT_SERVICE yet; use \
                 PUBLIC_ENDPOINT.",
            )),
        }
    }
}

/// `XksProxyAuthenticationCredential`, both halves always.
struct Credential {
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
    fn parse(self) -> Result<(AccessKeyId, SecretAccessKey), KmsError> {
        let id = AccessKeyId::try_from(&*self.access_key_id);
        let secret = SecretAccessKey::try_from(&**self.raw_secret_access_key);
        Ok((
            id.map_err(|error| KmsError::validation(error.to_string()))?,
            secret.map_err(|error| KmsError::validation(error.to_string()))?,
        ))
    }
}

fn missing(context: &str, member: &str) -> KmsError {
    KmsError::validation(format!("{member} is required with {context}."))
}

fn required(context: &str, members: &[(&str, bool)]) -> Result<(), KmsError> {
    match members.iter().find(|(_, given)| !given) {
        None => Ok(()),
        Some((member, _)) => Err(missing(context, member)),
    }
}

fn forbidden(context: &str, members: &[(&str, bool)]) -> Result<(), KmsError> {
    match members.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((member, _)) => Err(KmsError::validation(format!(
            "{member} is not valid with {context}."
        ))),
    }
}

/// A port is refused as KMS does; the log says what to do instead.
fn is_uri_endpoint(text: &str) -> bool {
    let host = text.strip_prefix("https://").unwrap_or_default();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    if let Some((host, port)) = host.split_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        tracing::warn!(
            "XksProxyUriEndpoint has a port, which AWS KMS refuses: it always dials port 443. Create \
             the store with https://{} and start kms-sim with --resolve {0}=IP:{}.",
            host.escape_default(),
            port
        );
    }
    !host.is_empty() && host.bytes().all(allowed)
}

fn is_uri_path(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-');
    let Some((prefix, version)) = text.rsplit_once("/kms/xks/v") else {
        return false;
    };
    let prefix_fits = match prefix.strip_prefix('/') {
        None => prefix.is_empty(),
        Some(rest) => !rest.is_empty() && rest.bytes().all(allowed),
    };
    prefix_fits && matches!(version.len(), 1 | 2) && version.bytes().all(|b| b.is_ascii_digit())
}

fn is_cluster_id(text: &str) -> bool {
    text.strip_prefix("cluster-").is_some_and(|id| {
        (11..=16).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphabetic() || matches!(b, b'2'..=b'7'))
    })
}

/// `com.amazonaws.vpce.us-gov-west-1.vpce-svc-0123abc`
fn is_vpc_endpoint_service_name(text: &str) -> bool {
    let rest = ["com.amazonaws.vpce.", "eu.amazonaws.vpce."]
        .into_iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    let Some((region, id)) = rest.and_then(|rest| rest.split_once(".vpce-svc-")) else {
        return false;
    };
    let mut parts = region.rsplit('-');
    let number = parts.next().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    let lower = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && matches!(words.len(), 2 | 3)
        && words.iter().all(lower)
        && !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}
