//! External key stores with VPC endpoint service connectivity, through the API.
//!
//! What is expected is retyped from AWS's documentation: [M] is the KMS API model, [G] the AWS KMS Developer Guide, [I]
//! marks what neither says and what was chosen.

mod connect;
mod create;
mod update;

use std::time::Duration;

use crate::stub_proxy::{ACCESS_KEY_ID, Answer, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use serde_json::{Value, json};

use crate::config::{Config, Resolve};
use crate::test_client::TestClient;
use crate::vpc_endpoint_service::{
    VpcEndpointService, VpcEndpointServiceChange, VpcEndpointServices,
};

/// A simulator, its proxy, and a sound service for it.
struct Rig {
    client: TestClient,
    proxy: StubProxy,
    service: String,
}

impl Rig {
    fn new() -> Self {
        let proxy = StubProxy::start();
        let resolve = |host: &str| Resolve {
            host: host.to_owned(),
            address: proxy.address(),
        };
        let client = TestClient::with(Config {
            transition: Duration::ZERO,
            resolve: vec![resolve(HOST)],
            trust_ca: vec![proxy.ca()],
            ..Config::default()
        });
        let service = add_service(client.simulator.vpc_endpoint_services(), HOST);
        Self {
            client,
            proxy,
            service,
        }
    }

    fn services(&self) -> &VpcEndpointServices {
        self.client.simulator.vpc_endpoint_services()
    }

    fn change(&self, change: VpcEndpointServiceChange) {
        self.services().update(&self.service, change).unwrap();
    }

    /// The id, or the exception's name.
    fn create(&self, input: Value) -> Result<String, String> {
        match self.client.call("CreateCustomKeyStore", input) {
            Ok(output) => Ok(output["CustomKeyStoreId"].as_str().unwrap().to_owned()),
            Err((name, _)) => Err(name),
        }
    }

    fn store(&self) -> String {
        self.create(new_store(&self.service)).unwrap()
    }

    fn connected(&self) -> String {
        let store = self.store();
        self.client.connect(&store);
        store
    }

    fn entry(&self, store: &str) -> Value {
        self.client.ok("DescribeCustomKeyStores", id(store))["CustomKeyStores"][0].take()
    }

    /// The exception's name, or "" for success.
    fn update(&self, store: &str, changes: Value) -> String {
        match self
            .client
            .call("UpdateCustomKeyStore", with(id(store), changes))
        {
            Ok(_) => String::new(),
            Err((name, _)) => name,
        }
    }
}

fn add_service(services: &VpcEndpointServices, host: &str) -> String {
    let service = VpcEndpointService::sound("us-east-1", host).unwrap();
    services.create(service.clone()).unwrap();
    service.name
}

fn id(store: &str) -> Value {
    json!({"CustomKeyStoreId": store})
}

fn new_store(service: &str) -> Value {
    json!({
        "CustomKeyStoreName": "Example",
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
        "XksProxyVpcEndpointServiceName": service,
        "XksProxyUriEndpoint": format!("https://{HOST}"),
        "XksProxyUriPath": URI_PATH,
        "XksProxyAuthenticationCredential": {
            "AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": SECRET_ACCESS_KEY,
        },
    })
}

fn public_store(name: &str, host: &str) -> Value {
    with(
        new_store(""),
        json!({
            "CustomKeyStoreName": name,
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyVpcEndpointServiceName": null,
            "XksProxyUriEndpoint": format!("https://{host}"),
        }),
    )
}

/// An input with some members changed, or left out where the value is `null`.
fn with(mut input: Value, changes: Value) -> Value {
    for (member, value) in changes.as_object().unwrap() {
        input[member] = value.clone();
    }
    input
}

/// Healthy at any path and with any signature.
fn healthy() -> Answer {
    let health = json!({
        "xksProxyFleetSize": 1, "xksProxyVendor": "x", "xksProxyModel": "x", "ekmVendor": "x",
        "ekmFleetDetails": [{"id": "1", "model": "x", "healthStatus": "ACTIVE"}],
    });
    Answer::Body(200, health.to_string())
}

const NOT_FOUND: &str = "XksProxyVpcEndpointServiceNotFoundException";
const INVALID: &str = "XksProxyVpcEndpointServiceInvalidConfigurationException";
const ENDPOINT_IN_USE: &str = "XksProxyUriEndpointInUseException";

/// What is wrong with a service, its exception of Create and Update, and its ConnectionErrorCode.
fn faults() -> Vec<(
    &'static str,
    VpcEndpointServiceChange,
    &'static str,
    &'static str,
)> {
    let sound = VpcEndpointServiceChange::default;
    let invalid_code = "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION";
    let zones = |zones: &[&str]| Some(zones.iter().map(|zone| (*zone).to_owned()).collect());
    vec![
        (
            "[M] the Allow principals list must include the KMS service principal for the Region",
            VpcEndpointServiceChange {
                allowed_principals: zones(&["cks.kms.eu-north-1.amazonaws.com"]),
                ..sound()
            },
            NOT_FOUND,
            "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
        ),
        (
            "[M] a network load balancer connected to at least two subnets, each in a different zone",
            VpcEndpointServiceChange {
                availability_zones: zones(&["us-east-1a", "us-east-1a"]),
                ..sound()
            },
            INVALID,
            invalid_code,
        ),
        (
            "[M] an endpoint service for interface endpoints",
            VpcEndpointServiceChange {
                interface: Some(false),
                ..sound()
            },
            INVALID,
            invalid_code,
        ),
        (
            "[M] it must not require acceptance of connection requests",
            VpcEndpointServiceChange {
                acceptance_required: Some(true),
                ..sound()
            },
            INVALID,
            invalid_code,
        ),
        (
            "[M] it must have a private DNS name",
            VpcEndpointServiceChange {
                private_dns_name: Some(None),
                ..sound()
            },
            INVALID,
            invalid_code,
        ),
        (
            "[M] the domain of the private DNS name must have a verification status of verified",
            VpcEndpointServiceChange {
                private_dns_name_verified: Some(false),
                ..sound()
            },
            INVALID,
            invalid_code,
        ),
        (
            "[M] XksProxyUriEndpoint: https:// followed by the private DNS name",
            VpcEndpointServiceChange {
                private_dns_name: Some(Some("other.test".to_owned())),
                ..sound()
            },
            INVALID,
            invalid_code,
        ),
    ]
}
