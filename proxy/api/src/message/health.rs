//! GetHealthStatus: request and response.

use serde::{Deserialize, Serialize};

use super::{InvalidRequest, MalformedResponse, object, parse_request, parse_response};
use crate::metadata::HealthRequestMetadata;

/// What KMS asks when a store is created, updated or connected, and every few minutes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetHealthStatusRequest<'a> {
    /// Which KMS operation asks.
    #[serde(borrow, deserialize_with = "object::one")]
    pub request_metadata: HealthRequestMetadata<'a>,
}

impl<'a> GetHealthStatusRequest<'a> {
    /// Parses a request body.
    ///
    /// # Errors
    /// ValidationException for anything malformed.
    pub fn parse(body: &'a [u8]) -> Result<Self, InvalidRequest> {
        parse_request(body)
    }

    /// Encodes the request body, as KMS sends it.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always encode")
    }
}

/// What the proxy answers.
//= xks §GetHealthStatus R27
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetHealthStatusResponse {
    /// At least 1.
    pub xks_proxy_fleet_size: u32,
    /// Who made the proxy.
    pub xks_proxy_vendor: String,
    /// Product name and version.
    pub xks_proxy_model: String,
    /// Who made the external key manager.
    pub ekm_vendor: String,
    /// One to ten entries.
    #[serde(deserialize_with = "object::list")]
    pub ekm_fleet_details: Vec<EkmFleetDetail>,
}

impl GetHealthStatusResponse {
    /// Encodes the response body.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always encode")
    }

    /// Parses a response body, as KMS does.
    ///
    /// # Errors
    /// [`MalformedResponse`] for a missing member, a fleet size of 0, an unknown status, or a number of
    /// entries outside one to ten.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedResponse> {
        let response: Self = parse_response(body)?;
        if response.xks_proxy_fleet_size == 0 {
            return Err(MalformedResponse("xksProxyFleetSize is 0"));
        }
        if !(1..=10).contains(&response.ekm_fleet_details.len()) {
            return Err(MalformedResponse("ekmFleetDetails has not 1 to 10 entries"));
        }
        Ok(response)
    }
}

/// One instance of the external key manager.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EkmFleetDetail {
    /// Unique in the fleet.
    pub id: String,
    /// Product name and version.
    pub model: String,
    /// How it is.
    pub health_status: HealthStatus,
}

/// `healthStatus`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthStatus {
    /// Healthy.
    Active,
    /// Unhealthy, serves traffic all the same.
    Degraded,
    /// Serves no traffic.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = r#"{
        "xksProxyFleetSize": 2,
        "xksProxyVendor": "Acme Corp",
        "xksProxyModel": "Acme XKS Proxy 1.0",
        "ekmVendor": "Thales Group",
        "ekmFleetDetails": [
            {"id": "hsm-id-1", "model": "Luna 5.0", "healthStatus": "DEGRADED"},
            {"id": "hsm-id-2", "model": "Luna 5.1", "healthStatus": "ACTIVE"}
        ]
    }"#;

    #[test]
    fn the_specifications_examples_are_read_and_survive_encoding() {
        let request = r#"{"requestMetadata": {
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
            "kmsOperation": "CreateCustomKeyStore"}}"#;
        let parsed = GetHealthStatusRequest::parse(request.as_bytes()).unwrap();
        assert_eq!(
            &*parsed.request_metadata.kms_operation,
            "CreateCustomKeyStore"
        );
        let ours: serde_json::Value = serde_json::from_slice(&parsed.encode()).unwrap();
        assert_eq!(
            ours,
            serde_json::from_str::<serde_json::Value>(request).unwrap()
        );
        let response = GetHealthStatusResponse::parse(RESPONSE.as_bytes()).unwrap();
        assert_eq!(
            response.ekm_fleet_details[0].health_status,
            HealthStatus::Degraded
        );
        let ours: serde_json::Value = serde_json::from_slice(&response.encode()).unwrap();
        assert_eq!(
            ours,
            serde_json::from_str::<serde_json::Value>(RESPONSE).unwrap()
        );
    }

    #[test]
    fn each_defect_of_a_response_is_malformed() {
        let entry = r#"{"id": "hsm-id-1", "model": "Luna 5.0", "healthStatus": "DEGRADED"},"#;
        for (from, to) in [
            ("\"xksProxyFleetSize\": 2", "\"xksProxyFleetSize\": 0"),
            ("\"xksProxyFleetSize\": 2", "\"xksProxyFleetSize\": -1"),
            ("\"xksProxyFleetSize\": 2", "\"xksProxyFleetSize\": \"2\""),
            ("\"ACTIVE\"", "\"Active\""),
            ("\"ekmVendor\"", "\"vendor\""),
            (entry, &*entry.repeat(10)),
        ] {
            let body = RESPONSE.replacen(from, to, 1);
            assert!(
                GetHealthStatusResponse::parse(body.as_bytes()).is_err(),
                "{to:.80}"
            );
        }
        let none = format!("{}[]}}", &RESPONSE[..RESPONSE.find('[').unwrap()]);
        assert!(GetHealthStatusResponse::parse(none.as_bytes()).is_err());
    }

    #[test]
    fn an_empty_request_is_invalid() {
        for body in ["", "{}", r#"{"requestMetadata": {}}"#, "[]", "null"] {
            assert!(
                GetHealthStatusRequest::parse(body.as_bytes()).is_err(),
                "{body}"
            );
        }
    }
}
