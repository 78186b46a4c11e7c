//! Which proxy endpoints and VPC endpoint services the external key stores of a Region have, in all accounts:
//! those with public and those with VPC endpoint service connectivity must not share an endpoint, and each of the
//! latter needs an endpoint and a service for itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::KmsError;
use crate::custom_key_store::{Connectivity, XksProxy};

/// Every endpoint and service in use; clones share them.
#[derive(Clone, Default)]
pub(crate) struct ProxyEndpoints(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    claims: u64,
    /// By Region and host in lower case; the service, if the claim is for VPC endpoint service connectivity.
    hosts: BTreeMap<(String, String), BTreeMap<u64, Option<String>>>,
    /// By Region and name.
    services: BTreeMap<(String, String), BTreeMap<u64, ()>>,
}

/// What a store has; free again when this is dropped.
pub(crate) struct EndpointClaim {
    endpoints: ProxyEndpoints,
    number: u64,
    host: (String, String),
    service: Option<(String, String)>,
}

impl ProxyEndpoints {
    /// Whether a store may have the proxy; `own` is its present claim.
    ///
    /// # Errors
    /// XksProxyUriEndpointInUseException, XksProxyVpcEndpointServiceInUseException, in this order.
    pub(crate) fn check(
        &self,
        region: &str,
        proxy: &XksProxy,
        own: Option<&EndpointClaim>,
    ) -> Result<(), KmsError> {
        self.lock().check(region, proxy, own)
    }

    /// As [`ProxyEndpoints::check`], and keeps it.
    ///
    /// # Errors
    /// As [`ProxyEndpoints::check`].
    pub(crate) fn claim(
        &self,
        region: &str,
        proxy: &XksProxy,
        own: Option<&EndpointClaim>,
    ) -> Result<EndpointClaim, KmsError> {
        let mut state = self.lock();
        state.check(region, proxy, own)?;
        Ok(state.keep(self, region, proxy))
    }

    /// Keeps it for a store that was saved, whatever others have.
    pub(crate) fn keep(&self, region: &str, proxy: &XksProxy) -> EndpointClaim {
        self.lock().keep(self, region, proxy)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(
        &mut self,
        endpoints: &ProxyEndpoints,
        region: &str,
        proxy: &XksProxy,
    ) -> EndpointClaim {
        self.claims += 1;
        let number = self.claims;
        let host = (region.to_owned(), proxy.host().to_ascii_lowercase());
        let service = service(proxy).map(|name| (region.to_owned(), name.to_owned()));
        let claims = self.hosts.entry(host.clone()).or_default();
        claims.insert(number, service.as_ref().map(|(_, name)| name.clone()));
        if let Some(service) = &service {
            let claims = self.services.entry(service.clone()).or_default();
            claims.insert(number, ());
        }
        EndpointClaim {
            endpoints: endpoints.clone(),
            number,
            host,
            service,
        }
    }

    fn check(
        &self,
        region: &str,
        proxy: &XksProxy,
        own: Option<&EndpointClaim>,
    ) -> Result<(), KmsError> {
        let own = own.map(|claim| claim.number);
        let host = (region.to_owned(), proxy.host().to_ascii_lowercase());
        let others = self.hosts.get(&host).into_iter().flatten();
        let others = others.filter(|(number, _)| Some(**number) != own);
        let service = service(proxy);
        let mut in_the_way = others
            .filter(|(_, other)| service.is_some() || other.is_some())
            .map(|(_, other)| {
                if other.is_some() {
                    "VPC_ENDPOINT_SERVICE"
                } else {
                    "PUBLIC_ENDPOINT"
                }
            });
        if let Some(connectivity) = in_the_way.next() {
            return Err(KmsError::new(
                "XksProxyUriEndpointInUseException",
                format!(
                    "XksProxyUriEndpoint '{}' is that of another external key store in this Region, with {connectivity} \
                     connectivity. Stores with VPC_ENDPOINT_SERVICE connectivity share their endpoint with no other store.",
                    proxy.uri_endpoint
                ),
            ));
        }
        let Some(name) = service else {
            return Ok(());
        };
        let mut users = self
            .services
            .get(&(region.to_owned(), name.to_owned()))
            .into_iter()
            .flatten();
        if users.any(|(number, ())| Some(*number) != own) {
            return Err(KmsError::new(
                "XksProxyVpcEndpointServiceInUseException",
                format!(
                    "VPC endpoint service '{name}' is that of another external key store in this Region."
                ),
            ));
        }
        Ok(())
    }
}

impl Drop for EndpointClaim {
    fn drop(&mut self) {
        let mut state = self.endpoints.lock();
        release(&mut state.hosts, &self.host, self.number);
        if let Some(service) = &self.service {
            release(&mut state.services, service, self.number);
        }
    }
}

fn release<V>(
    claims: &mut BTreeMap<(String, String), BTreeMap<u64, V>>,
    key: &(String, String),
    number: u64,
) {
    if let Some(users) = claims.get_mut(key) {
        users.remove(&number);
        if users.is_empty() {
            claims.remove(key);
        }
    }
}

fn service(proxy: &XksProxy) -> Option<&str> {
    match &proxy.connectivity {
        Connectivity::PublicEndpoint => None,
        Connectivity::VpcEndpointService(service) => Some(&service.name),
    }
}
