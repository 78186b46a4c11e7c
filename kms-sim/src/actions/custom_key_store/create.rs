//! CreateCustomKeyStore: first each member by itself, all violations at once; then which members go together; then
//! what exists.

use crate::api::{Input, KmsError, Members};
use crate::cloudhsm::{ClusterId, KeyStorePassword};
use crate::custom_key_store::{
    Backing, CloudHsmCluster, Connectivity, CustomKeyStoreType, VpcEndpointServiceName, XksProxy,
};
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::visibility::Home;

use super::output::CreateOutput;
use super::properties::{Properties, RequestedConnectivity, forbidden, missing, required};
use super::{check_service, probe};

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
    /// ValidationException for members that are missing or of the other type or connectivity.
    fn check(self, caller: &Caller) -> Result<NewStore, KmsError> {
        let cloud_hsm = [
            (
                "CloudHsmClusterId",
                self.properties.cloud_hsm_cluster_id.is_some(),
            ),
            (
                "TrustAnchorCertificate",
                self.trust_anchor_certificate.is_some(),
            ),
            (
                "KeyStorePassword",
                self.properties.key_store_password.is_some(),
            ),
        ];
        match self.kind {
            CustomKeyStoreType::AwsCloudHsm => {
                let kind = "CustomKeyStoreType AWS_CLOUDHSM";
                forbidden(kind, &self.properties.xks_members())?;
                required(kind, &cloud_hsm)?;
                let missing = |member| missing(kind, member);
                let given = self.properties;
                let cluster = given
                    .cloud_hsm_cluster_id
                    .ok_or_else(|| missing("CloudHsmClusterId"))?;
                let password = given
                    .key_store_password
                    .ok_or_else(|| missing("KeyStorePassword"))?;
                Ok(NewStore::CloudHsm(NewCloudHsmStore {
                    name: self.name,
                    cluster: ClusterId::from(&*cluster),
                    trust_anchor_certificate: self
                        .trust_anchor_certificate
                        .ok_or_else(|| missing("TrustAnchorCertificate"))?,
                    password,
                }))
            }
            CustomKeyStoreType::ExternalKeyStore => {
                let kind = "CustomKeyStoreType EXTERNAL_KEY_STORE";
                forbidden(kind, &cloud_hsm)?;
                let proxy = new_proxy(kind, self.properties, caller)?;
                let name = self.name;
                Ok(NewStore::Xks { name, proxy })
            }
        }
    }
}

fn new_proxy(kind: &str, given: Properties, caller: &Caller) -> Result<XksProxy, KmsError> {
    let connectivity = match given.connectivity {
        None => return Err(missing(kind, "XksProxyConnectivity")),
        Some(RequestedConnectivity::PublicEndpoint) => {
            given.forbid_vpc_members()?;
            Connectivity::PublicEndpoint
        }
        Some(RequestedConnectivity::VpcEndpointService) => {
            let name = given.service_name().ok_or_else(|| {
                missing(
                    "XksProxyConnectivity VPC_ENDPOINT_SERVICE",
                    "XksProxyVpcEndpointServiceName",
                )
            })?;
            let owner = given.vpc_endpoint_service_owner.as_ref();
            Connectivity::VpcEndpointService(VpcEndpointServiceName {
                name: name.to_owned(),
                owner: owner.unwrap_or(&caller.account).clone(),
            })
        }
    };
    let uri_endpoint = given
        .uri_endpoint
        .ok_or_else(|| missing(kind, "XksProxyUriEndpoint"))?;
    let uri_path = given
        .uri_path
        .ok_or_else(|| missing(kind, "XksProxyUriPath"))?;
    let credential = given
        .credential
        .ok_or_else(|| missing(kind, "XksProxyAuthenticationCredential"))?;
    let (access_key_id, secret) = credential.parse()?;
    Ok(XksProxy {
        connectivity,
        uri_endpoint,
        uri_path,
        access_key_id,
        secret,
    })
}

/// A store to be created.
enum NewStore {
    Xks { name: String, proxy: XksProxy },
    CloudHsm(NewCloudHsmStore),
}

/// A CloudHSM key store to be created.
struct NewCloudHsmStore {
    name: String,
    cluster: ClusterId,
    trust_anchor_certificate: String,
    password: KeyStorePassword,
}

/// CreateCustomKeyStore
pub(crate) async fn create(
    simulator: &Simulator,
    caller: &Caller,
    input: CreateInput,
) -> Result<CreateOutput, KmsError> {
    match input.check(caller)? {
        NewStore::Xks { name, proxy } => create_external(simulator, caller, name, proxy).await,
        NewStore::CloudHsm(new) => create_cloud_hsm(simulator, caller, new),
    }
}

/// The proxy is asked without any lock, and only if it has a public endpoint: KMS reaches others when it connects.
async fn create_external(
    simulator: &Simulator,
    caller: &Caller,
    name: String,
    proxy: XksProxy,
) -> Result<CreateOutput, KmsError> {
    let region = simulator.region(caller);
    let endpoints = simulator.endpoints();
    {
        let state = region.lock();
        state.stores.admit(&name)?;
        state.stores.unused_uri(&proxy, None)?;
        endpoints.check(&caller.region, &proxy, None)?;
    }
    match &proxy.connectivity {
        Connectivity::PublicEndpoint => {
            probe(
                simulator,
                caller,
                &proxy,
                Operation::CreateCustomKeyStore,
                None,
            )
            .await?;
        }
        Connectivity::VpcEndpointService(_) => check_service(simulator, caller, &proxy)?,
    }
    let mut state = region.lock();
    // Another request may have taken name or URI while the proxy was asked.
    state.stores.admit(&name)?;
    state.stores.unused_uri(&proxy, None)?;
    let claim = endpoints.claim(&caller.region, &proxy, None)?;
    let backing = Backing::Xks(proxy);
    let id = state
        .stores
        .insert(name, backing, Some(claim), region.now())?;
    caller.is_about(id.as_str());
    Ok(CreateOutput::new(&id))
}

/// The cluster is looked at, but the password is not tried: a wrong one shows at ConnectCustomKeyStore.
fn create_cloud_hsm(
    simulator: &Simulator,
    caller: &Caller,
    new: NewCloudHsmStore,
) -> Result<CreateOutput, KmsError> {
    let NewCloudHsmStore {
        name,
        cluster: id,
        trust_anchor_certificate,
        password,
    } = new;
    let region = simulator.region(caller);
    let mut state = region.lock();
    let stores = &mut state.stores;
    if let Some(id) = stores.same_cloudhsm_store(&name, &id, &trust_anchor_certificate, &password) {
        // The same request again: its first answer may have been lost.
        caller.is_about(id.as_str());
        return Ok(CreateOutput::new(id));
    }
    stores.admit(&name)?;
    let cluster = simulator.cloud_hsm().view(&Home::of(caller), &id)?;
    cluster.configuration.check_active(&id)?;
    stores.unused_cluster(&id, &cluster.certificate)?;
    cluster.configuration.check_two_zones(&id)?;
    if !cluster.certificate.is(&trust_anchor_certificate) {
        return Err(KmsError::new(
            "IncorrectTrustAnchorException",
            format!(
                "TrustAnchorCertificate is not the customerCA certificate, in PEM, with which CloudHSM cluster {id} was \
                 initialized."
            ),
        ));
    }
    let backing = Backing::CloudHsm(CloudHsmCluster {
        id,
        certificate: cluster.certificate,
        trust_anchor_certificate,
        password,
    });
    let id = stores.insert(name, backing, None, region.now())?;
    caller.is_about(id.as_str());
    Ok(CreateOutput::new(&id))
}
