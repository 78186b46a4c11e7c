//! `/control/v1/vpc-endpoint-services`: simulated VPC endpoint services, made and broken.

use http::Method;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use super::visibility::visibility;
use crate::vpc_endpoint_service::{
    VpcEndpointService, VpcEndpointServiceChange, VpcEndpointServiceError, VpcEndpointServices,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Create {
    private_dns_name: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    region: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Change {
    #[serde(default)]
    allowed_principals: Option<Vec<String>>,
    #[serde(default)]
    acceptance_required: Option<bool>,
    #[serde(default)]
    interface: Option<bool>,
    #[serde(default)]
    availability_zones: Option<Vec<String>>,
    /// `null` is no name.
    #[serde(default, deserialize_with = "given")]
    private_dns_name: Option<Option<String>>,
    #[serde(default)]
    private_dns_name_verified: Option<bool>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// `region` is the one of services for which none is said.
pub(super) fn answer(
    services: &VpcEndpointServices,
    region: &str,
    request: &ControlRequest<'_>,
) -> Answer {
    let (patch, delete) = (&Method::PATCH, &Method::DELETE);
    match (request.path, request.method) {
        ([], &Method::GET) => {
            let services: Vec<_> = services.list().iter().map(describe).collect();
            Ok(json!({"VpcEndpointServices": services}))
        }
        ([], &Method::POST) => {
            let service = create(region, request.input()?)?;
            services.create(service.clone())?;
            Ok(describe(&service))
        }
        ([], _) => Err(ControlError::method("GET, POST")),
        ([name], &Method::GET) => Ok(describe(&services.describe(name)?)),
        ([name], method) if method == patch => {
            let change: Change = request.input()?;
            if let Some(Some(name)) = &change.private_dns_name {
                private_dns_name(name)?;
            }
            let change = VpcEndpointServiceChange {
                allowed_principals: change.allowed_principals,
                acceptance_required: change.acceptance_required,
                interface: change.interface,
                availability_zones: change.availability_zones,
                private_dns_name: change.private_dns_name,
                private_dns_name_verified: change.private_dns_name_verified,
            };
            services.update(name, change)?;
            Ok(describe(&services.describe(name)?))
        }
        ([name], method) if method == delete => {
            request.no_input()?;
            services.delete(name)?;
            Ok(json!({}))
        }
        ([_], _) => Err(ControlError::method("GET, PATCH, DELETE")),
        _ => Err(super::unknown_path()),
    }
}

/// The host of a proxy, as XksProxyUriEndpoint can name one.
fn private_dns_name(name: &str) -> Result<(), ControlError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    match !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(ControlError::invalid(
            "PrivateDnsName must be a host of 1 to 253 of A-Z a-z 0-9 . -, such as xks.test.",
        )),
    }
}

fn create(region: &str, input: Create) -> Result<VpcEndpointService, ControlError> {
    private_dns_name(&input.private_dns_name)?;
    let of_region = input.region.as_deref().unwrap_or(region);
    let mut service = VpcEndpointService::sound(of_region, &input.private_dns_name)?;
    service.visibility = visibility(input.account, input.region)?;
    if let Some(owner) = &input.owner {
        visibility(Some(owner.clone()), None)
            .map_err(|_| ControlError::invalid("Owner must be 12 digits."))?;
    }
    service.owner = input.owner;
    if let Some(name) = input.name {
        if !name.contains(".vpce-svc-") || name.contains('/') {
            return Err(ControlError::invalid(
                "Name is no name of a VPC endpoint service, such as \
                 com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0; leave it out for a new one.",
            ));
        }
        service.name = name;
    }
    Ok(service)
}

fn describe(service: &VpcEndpointService) -> Value {
    json!({
        "Name": service.name,
        "Owner": service.owner,
        "Account": service.visibility.account,
        "Region": service.visibility.region,
        "AllowedPrincipals": service.allowed_principals,
        "AcceptanceRequired": service.acceptance_required,
        "Interface": service.interface,
        "AvailabilityZones": service.availability_zones,
        "PrivateDnsName": service.private_dns_name,
        "PrivateDnsNameVerified": service.private_dns_name_verified,
    })
}

impl From<VpcEndpointServiceError> for ControlError {
    fn from(error: VpcEndpointServiceError) -> Self {
        let message = error.to_string();
        match error {
            VpcEndpointServiceError::Exists(_) => Self::conflict(message),
            VpcEndpointServiceError::Unknown(_) => Self::not_found(message),
            VpcEndpointServiceError::Random => Self::internal(message),
        }
    }
}
