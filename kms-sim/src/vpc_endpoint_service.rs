//! Simulated VPC endpoint services: pure state, no IO, and what KMS demands of one through which it reaches a proxy.
//!
//! Packets do not go through them; where a proxy is found is still said by `--resolve`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::api::KmsError;
use crate::connection::ConnectionErrorCode;
use crate::custom_key_store::VpcEndpointServiceName;
use crate::journal::{Changed, Journal};
use crate::key_material::fill_random;
use crate::visibility::{Home, Visibility};

/// Every simulated VPC endpoint service; clones share them.
#[derive(Clone, Default)]
pub struct VpcEndpointServices(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    services: BTreeMap<String, VpcEndpointService>,
    changed: Changed<String>,
}

/// One VPC endpoint service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct VpcEndpointService {
    /// `com.amazonaws.vpce.us-east-1.vpce-svc-…`
    pub name: String,
    /// The account that owns it; any, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who sees it.
    pub visibility: Visibility,
    /// Principals that may make endpoints; `*` is everyone. KMS is `cks.kms.<region>.amazonaws.com`.
    pub allowed_principals: Vec<String>,
    /// Whether its owner must accept every connection.
    pub acceptance_required: bool,
    /// Whether it is for interface endpoints, with a network load balancer.
    pub interface: bool,
    /// Of the subnets to which the load balancer is connected.
    pub availability_zones: Vec<String>,
    /// The host name of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_dns_name: Option<String>,
    /// Whether its domain was verified.
    pub private_dns_name_verified: bool,
}

/// What is to change in a service; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct VpcEndpointServiceChange {
    /// Principals that may make endpoints.
    pub allowed_principals: Option<Vec<String>>,
    /// Whether its owner must accept every connection.
    pub acceptance_required: Option<bool>,
    /// Whether it is for interface endpoints.
    pub interface: Option<bool>,
    /// Of the load balancer.
    pub availability_zones: Option<Vec<String>>,
    /// The host name of the proxy, or that there is none.
    pub private_dns_name: Option<Option<String>>,
    /// Whether its domain was verified.
    pub private_dns_name_verified: Option<bool>,
}

impl VpcEndpointService {
    /// A service that meets every demand, for a proxy of that host name.
    ///
    /// # Errors
    /// No random bytes for its name.
    pub fn sound(region: &str, private_dns_name: &str) -> Result<Self, VpcEndpointServiceError> {
        let mut bytes = [0; 9];
        fill_random(&mut bytes).map_err(|_| VpcEndpointServiceError::Random)?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            name: format!("com.amazonaws.vpce.{region}.vpce-svc-{digits:.17}"),
            owner: None,
            visibility: Visibility::default(),
            allowed_principals: vec!["*".to_owned()],
            acceptance_required: false,
            interface: true,
            availability_zones: ["a", "b"].map(|zone| format!("{region}{zone}")).into(),
            private_dns_name: Some(private_dns_name.to_owned()),
            private_dns_name_verified: true,
        })
    }

    /// Whether KMS in the Region may make endpoints.
    fn allows_kms(&self, region: &str) -> bool {
        let kms = format!("cks.kms.{region}.amazonaws.com");
        let mut allowed = self.allowed_principals.iter();
        allowed.any(|principal| principal == "*" || *principal == kms)
    }

    /// What is wrong with it, of what KMS demands.
    fn fault(&self, host: &str) -> Option<String> {
        let zones: BTreeSet<_> = self.availability_zones.iter().collect();
        if !self.interface {
            return Some("is not for interface endpoints with a network load balancer".to_owned());
        }
        if zones.len() < 2 {
            return Some(format!(
                "has a network load balancer in {} Availability Zones; 2 are needed",
                zones.len()
            ));
        }
        if self.acceptance_required {
            return Some("requires that connections are accepted; it must not".to_owned());
        }
        let Some(name) = &self.private_dns_name else {
            return Some("has no private DNS name".to_owned());
        };
        if !self.private_dns_name_verified {
            return Some(format!(
                "has a private DNS name, '{name}', whose domain is not verified"
            ));
        }
        if !name.eq_ignore_ascii_case(host) {
            return Some(format!(
                "has the private DNS name '{name}'; XksProxyUriEndpoint is 'https://{host}'"
            ));
        }
        None
    }
}

impl VpcEndpointServices {
    /// Adds a service.
    ///
    /// # Errors
    /// There is one of that name.
    pub fn create(&self, service: VpcEndpointService) -> Result<(), VpcEndpointServiceError> {
        let mut state = self.lock();
        if state.services.contains_key(&service.name) {
            return Err(VpcEndpointServiceError::Exists(service.name));
        }
        state.changed.note(|| service.name.clone());
        state.services.insert(service.name.clone(), service);
        Ok(())
    }

    /// Every service, in the order of the names.
    pub fn list(&self) -> Vec<VpcEndpointService> {
        self.lock().services.values().cloned().collect()
    }

    /// One service.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn describe(&self, name: &str) -> Result<VpcEndpointService, VpcEndpointServiceError> {
        let state = self.lock();
        let service = state.services.get(name);
        service
            .cloned()
            .ok_or_else(|| VpcEndpointServiceError::Unknown(name.to_owned()))
    }

    /// Changes a service.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn update(
        &self,
        name: &str,
        change: VpcEndpointServiceChange,
    ) -> Result<(), VpcEndpointServiceError> {
        fn set<T>(now: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *now = value;
            }
        }
        let mut state = self.lock();
        let State { services, changed } = &mut *state;
        let service = services
            .get_mut(name)
            .ok_or_else(|| VpcEndpointServiceError::Unknown(name.to_owned()))?;
        changed.note(|| name.to_owned());
        set(&mut service.allowed_principals, change.allowed_principals);
        set(&mut service.acceptance_required, change.acceptance_required);
        set(&mut service.interface, change.interface);
        set(&mut service.availability_zones, change.availability_zones);
        set(&mut service.private_dns_name, change.private_dns_name);
        set(
            &mut service.private_dns_name_verified,
            change.private_dns_name_verified,
        );
        Ok(())
    }

    /// Deletes a service; what goes through it ends.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn delete(&self, name: &str) -> Result<(), VpcEndpointServiceError> {
        let mut state = self.lock();
        match state.services.remove(name) {
            Some(_) => {
                state.changed.note(|| name.to_owned());
                Ok(())
            }
            None => Err(VpcEndpointServiceError::Unknown(name.to_owned())),
        }
    }

    /// Forgets every service.
    pub fn reset(&self) {
        self.lock().replace(BTreeMap::new());
    }

    /// Whether KMS can reach a proxy of that host through the service.
    pub(crate) fn check(
        &self,
        home: &Home,
        service: &VpcEndpointServiceName,
        host: &str,
    ) -> Result<(), Unfit> {
        let state = self.lock();
        let found = state.services.get(&service.name).filter(|found| {
            found.visibility.includes(home)
                && found
                    .owner
                    .as_ref()
                    .is_none_or(|owner| *owner == service.owner)
                && found.allows_kms(&home.region)
        });
        match found.map(|found| found.fault(host)) {
            None => Err(Unfit::NotFound {
                name: service.name.clone(),
                owner: service.owner.clone(),
                region: home.region.clone(),
            }),
            Some(Some(fault)) => Err(Unfit::InvalidConfiguration {
                name: service.name.clone(),
                fault,
            }),
            Some(None) => Ok(()),
        }
    }

    /// Whether packets of an endpoint that was made get through: to a load balancer that exists.
    pub(crate) fn carries(&self, name: &str) -> bool {
        let state = self.lock();
        let service = state.services.get(name);
        service.is_some_and(|service| !service.availability_zones.is_empty())
    }

    /// Locks all of them, for the writer and for a restored state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// From now on changes are named, and everything there is counts as changed.
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.changed = Changed::new(journal);
        for name in self.services.keys() {
            self.changed.note(|| name.clone());
        }
    }

    /// Every service, by name.
    pub(crate) const fn services(&self) -> &BTreeMap<String, VpcEndpointService> {
        &self.services
    }

    /// Other services take the place of those there are.
    pub(crate) fn replace(&mut self, services: BTreeMap<String, VpcEndpointService>) {
        let before = std::mem::replace(&mut self.services, services);
        for name in before.keys().chain(self.services.keys()) {
            self.changed.note(|| name.clone());
        }
    }

    /// For the writer: the names of what is to be saved now.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<String> {
        self.changed.take()
    }
}

impl std::fmt::Debug for VpcEndpointServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.lock().services.keys()).finish()
    }
}

/// Why KMS cannot use a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unfit {
    /// It does not exist for KMS.
    NotFound {
        name: String,
        owner: String,
        region: String,
    },
    /// It fails a demand.
    InvalidConfiguration { name: String, fault: String },
}

impl Unfit {
    /// What CreateCustomKeyStore and UpdateCustomKeyStore answer.
    pub(crate) fn key_store_error(&self) -> KmsError {
        match self {
            Self::NotFound {
                name,
                owner,
                region,
            } => KmsError::new(
                "XksProxyVpcEndpointServiceNotFoundException",
                format!(
                    "There is no VPC endpoint service '{name}' of account {owner} whose allowed principals include \
                     cks.kms.{region}.amazonaws.com."
                ),
            ),
            Self::InvalidConfiguration { name, fault } => KmsError::new(
                "XksProxyVpcEndpointServiceInvalidConfigurationException",
                format!("VPC endpoint service '{name}' {fault}."),
            ),
        }
    }

    /// What the store shows after an attempt to connect.
    pub(crate) const fn connection_error_code(&self) -> ConnectionErrorCode {
        match self {
            Self::NotFound { .. } => ConnectionErrorCode::XksVpcEndpointServiceNotFound,
            Self::InvalidConfiguration { .. } => {
                ConnectionErrorCode::XksVpcEndpointServiceInvalidConfiguration
            }
        }
    }
}

/// Why a service was not made or changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VpcEndpointServiceError {
    /// The name is taken.
    #[error("there is a VPC endpoint service '{0}' already; update it, or choose another name")]
    Exists(String),
    /// Never made, or deleted.
    #[error("there is no VPC endpoint service '{0}'; list the services to see those that exist")]
    Unknown(String),
    /// The system has no random bytes.
    #[error("no random bytes to be had for a name")]
    Random,
}
