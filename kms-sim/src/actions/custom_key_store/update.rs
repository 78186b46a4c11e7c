//! UpdateCustomKeyStore: what may change depends on the type of the store, its connectivity and its state.

use crate::api::{Input, KmsError, Members};
use crate::cloudhsm::{ClusterId, KeyStorePassword};
use crate::connection::Change;
use crate::custom_key_store::{
    Backing, CloudHsmCluster, Connectivity, CustomKeyStore, VpcEndpointServiceName, XksProxy,
};
use crate::dispatch::EmptyOutput;
use crate::operation::Operation;
use crate::simulator::{Caller, Region, Simulator};
use crate::visibility::Home;

use super::properties::{Credential, Properties, RequestedConnectivity, forbidden, required};
use super::{check_service, probe};

/// UpdateCustomKeyStore
pub(crate) struct UpdateInput {
    id: String,
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
    /// ValidationException if nothing is to change.
    fn check(&self) -> Result<(), KmsError> {
        let given = &self.properties;
        let xks = given.xks_members().iter().any(|(_, given)| *given);
        let cloud_hsm = given.cloud_hsm_cluster_id.is_some() || given.key_store_password.is_some();
        if self.name.is_some() || xks || cloud_hsm {
            return Ok(());
        }
        Err(KmsError::validation(
            "UpdateCustomKeyStore needs at least one property to change beside CustomKeyStoreId.",
        ))
    }

    /// What the request means for the store as it is.
    ///
    /// # Errors
    /// ValidationException if a member is of the other type or connectivity, or one is missing.
    fn plan(&self, store: &CustomKeyStore, caller: &Caller) -> Result<Plan, KmsError> {
        let given = &self.properties;
        match store.backing() {
            Backing::CloudHsm(_) => {
                forbidden("CustomKeyStoreType AWS_CLOUDHSM", &given.xks_members())?;
                let cluster = given.cloud_hsm_cluster_id.as_deref().map(ClusterId::from);
                let password = given.key_store_password.clone();
                Ok(match (cluster, password) {
                    (None, None) => Plan::Rename(Change::Name),
                    (cluster, password) => Plan::Cluster { cluster, password },
                })
            }
            Backing::Xks(proxy) => {
                forbidden(
                    "CustomKeyStoreType EXTERNAL_KEY_STORE",
                    &[
                        ("CloudHsmClusterId", given.cloud_hsm_cluster_id.is_some()),
                        ("KeyStorePassword", given.key_store_password.is_some()),
                    ],
                )?;
                self.plan_proxy(proxy, caller)
            }
        }
    }

    fn plan_proxy(&self, now: &XksProxy, caller: &Caller) -> Result<Plan, KmsError> {
        let given = &self.properties;
        let connectivity = changed_connectivity(given, &now.connectivity, caller)?;
        let change = if given.uri_endpoint.is_some()
            || given.connectivity.is_some()
            || given.service_name().is_some()
            || given.vpc_endpoint_service_owner.is_some()
        {
            Change::Other
        } else {
            Change::XksNameCredentialOrUriPath
        };
        if change == Change::XksNameCredentialOrUriPath
            && given.uri_path.is_none()
            && given.credential.is_none()
        {
            return Ok(Plan::Rename(change));
        }
        let mut proxy = now.clone();
        proxy.connectivity = connectivity;
        if let Some(uri_endpoint) = &given.uri_endpoint {
            proxy.uri_endpoint.clone_from(uri_endpoint);
        }
        if let Some(uri_path) = &given.uri_path {
            proxy.uri_path.clone_from(uri_path);
        }
        if let Some(credential) = &given.credential {
            (proxy.access_key_id, proxy.secret) = Credential::parse(credential)?;
        }
        Ok(Plan::Proxy { change, proxy })
    }
}

/// The connectivity as it would be.
fn changed_connectivity(
    given: &Properties,
    now: &Connectivity,
    caller: &Caller,
) -> Result<Connectivity, KmsError> {
    let endpoint = ("XksProxyUriEndpoint", given.uri_endpoint.is_some());
    let name = (
        "XksProxyVpcEndpointServiceName",
        given.service_name().is_some(),
    );
    let owner = given.vpc_endpoint_service_owner.as_ref();
    match (now, given.connectivity) {
        (_, Some(RequestedConnectivity::PublicEndpoint)) | (Connectivity::PublicEndpoint, None) => {
            given.forbid_vpc_members()?;
            if let Connectivity::VpcEndpointService(_) = now {
                required(
                    "a change to XksProxyConnectivity PUBLIC_ENDPOINT",
                    &[endpoint],
                )?;
            }
            Ok(Connectivity::PublicEndpoint)
        }
        (Connectivity::PublicEndpoint, Some(RequestedConnectivity::VpcEndpointService)) => {
            required(
                "a change to XksProxyConnectivity VPC_ENDPOINT_SERVICE",
                &[endpoint, name],
            )?;
            Ok(Connectivity::VpcEndpointService(VpcEndpointServiceName {
                name: given.service_name().unwrap_or_default().to_owned(),
                owner: owner.unwrap_or(&caller.account).clone(),
            }))
        }
        (
            Connectivity::VpcEndpointService(service),
            None | Some(RequestedConnectivity::VpcEndpointService),
        ) => {
            if given.vpc_endpoint_service_name.as_deref() == Some("") {
                required("XksProxyConnectivity VPC_ENDPOINT_SERVICE", &[name])?;
            }
            Ok(Connectivity::VpcEndpointService(VpcEndpointServiceName {
                name: given.service_name().unwrap_or(&service.name).to_owned(),
                owner: owner.unwrap_or(&service.owner).clone(),
            }))
        }
    }
}

/// What is to change, beside the name.
enum Plan {
    /// Nothing.
    Rename(Change),
    /// The whole proxy as it would be.
    Proxy { change: Change, proxy: XksProxy },
    Cluster {
        cluster: Option<ClusterId>,
        password: Option<KeyStorePassword>,
    },
}

impl Plan {
    const fn change(&self) -> Change {
        match self {
            Self::Rename(change) | Self::Proxy { change, .. } => *change,
            Self::Cluster { .. } => Change::Other,
        }
    }
}

/// UpdateCustomKeyStore
pub(crate) async fn update(
    simulator: &Simulator,
    caller: &Caller,
    input: UpdateInput,
) -> Result<EmptyOutput, KmsError> {
    caller.is_about(&input.id);
    input.check()?;
    let region = simulator.region(caller);
    loop {
        let (plan, revision, observation) = {
            let state = region.lock();
            let store = state.stores.expect(&input.id)?;
            caller.subjects().store(store);
            let plan = input.plan(store, caller)?;
            store.permit_update(plan.change())?;
            if let Some(name) = &input.name {
                state.stores.unused_name(name, Some(&input.id))?;
            }
            if let Plan::Proxy { proxy, .. } = &plan {
                state.stores.unused_uri(proxy, Some(&input.id))?;
                let endpoints = simulator.endpoints();
                endpoints.check(&caller.region, proxy, store.endpoint())?;
            }
            (plan, store.revision(), store.observation().clone())
        };
        if let Plan::Proxy { change, proxy } = &plan {
            if *change == Change::Other {
                check_service(simulator, caller, proxy)?;
            }
            let operation = Operation::UpdateCustomKeyStore;
            probe(simulator, caller, proxy, operation, Some(&observation)).await?;
        }
        if apply(simulator, caller, &region, &input, plan, revision)? {
            return Ok(EmptyOutput {});
        }
    }
}

/// Changes the store, under one lock; false if another update came first, so that what was tested is not what would
/// be stored.
fn apply(
    simulator: &Simulator,
    caller: &Caller,
    region: &Region,
    input: &UpdateInput,
    plan: Plan,
    revision: u64,
) -> Result<bool, KmsError> {
    let mut state = region.lock();
    let stores = &mut state.stores;
    let store = stores.expect(&input.id)?;
    if store.revision() != revision {
        return Ok(false);
    }
    store.permit_update(plan.change())?;
    if let Some(name) = &input.name {
        stores.unused_name(name, Some(&input.id))?;
    }
    match plan {
        Plan::Rename(_) => {}
        Plan::Proxy { proxy, .. } => {
            stores.unused_uri(&proxy, Some(&input.id))?;
            let store = stores.expect_mut(&input.id)?;
            let endpoints = simulator.endpoints();
            let claim = endpoints.claim(&caller.region, &proxy, store.endpoint())?;
            let connector = simulator.connector();
            let target = connector.target(&proxy, &caller.region, Some(store.observation()));
            store.set_proxy(proxy, target, claim, region.now());
        }
        Plan::Cluster { cluster, password } => {
            let store = stores.expect_mut(&input.id)?;
            if let (Some(id), Backing::CloudHsm(now)) = (&cluster, store.backing()) {
                check_cluster(simulator, caller, id, now)?;
            }
            store.set_cluster(cluster, password);
        }
    }
    if let Some(name) = &input.name {
        stores.expect_mut(&input.id)?.rename(name.clone());
    }
    Ok(true)
}

/// Whether the cluster may take the place of the store's own.
fn check_cluster(
    simulator: &Simulator,
    caller: &Caller,
    id: &ClusterId,
    now: &CloudHsmCluster,
) -> Result<(), KmsError> {
    let cluster = simulator.cloud_hsm().view(&Home::of(caller), id)?;
    cluster.configuration.check_active(id)?;
    if cluster.certificate != now.certificate {
        return Err(KmsError::new(
            "CloudHsmClusterNotRelatedException",
            format!(
                "CloudHSM cluster {id} has another cluster certificate than {}. Specify a cluster that shares a backup \
                 history with it.",
                now.id
            ),
        ));
    }
    cluster.configuration.check_two_zones(id)
}
