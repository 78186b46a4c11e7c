//! VPC endpoint services made and broken from outside.

use kms_sim::stub_proxy::HOST;
use serde_json::{Value, json};

use crate::ctl::ctl_json;
use crate::with_proxy::WithProxy;

fn store_input(service: &str) -> Value {
    let mut input = WithProxy::store_input();
    input["XksProxyConnectivity"] = "VPC_ENDPOINT_SERVICE".into();
    input["XksProxyVpcEndpointServiceName"] = service.into();
    input
}

#[test]
fn each_demand_of_kms_can_be_failed_and_met_again() {
    let simulator = WithProxy::start();
    let created = ctl_json(&simulator, &["vpc", "create", "--private-dns-name", HOST]);
    let service = created["Name"].as_str().unwrap();
    let created = simulator.ok("CreateCustomKeyStore", store_input(service));
    let store = created["CustomKeyStoreId"].as_str().unwrap();
    let invalid = "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION";
    assert_eq!(simulator.connection_outcome(store), "CONNECTED");
    for (option, wrong, right, code) in [
        ("--acceptance-required", "true", "false", invalid),
        ("--interface", "false", "true", invalid),
        ("--zones", "us-east-1a", "us-east-1a,us-east-1b", invalid),
        ("--private-dns-name", "other.test", HOST, invalid),
        ("--private-dns-name", "", HOST, invalid),
        ("--private-dns-name-verified", "false", "true", invalid),
        (
            "--allowed-principals",
            "cks.kms.eu-west-1.amazonaws.com",
            "cks.kms.us-east-1.amazonaws.com",
            "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
        ),
    ] {
        let set = |value: &str| {
            ctl_json(
                &simulator,
                &["vpc", "set", "--service", service, option, value],
            )
        };
        set(wrong);
        assert_eq!(
            simulator.connection_outcome(store),
            code,
            "{option} {wrong}"
        );
        set(right);
        assert_eq!(
            simulator.connection_outcome(store),
            "CONNECTED",
            "{option} {right}"
        );
    }
    ctl_json(&simulator, &["vpc", "delete", "--service", service]);
    assert_eq!(
        simulator.connection_outcome(store),
        "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND"
    );
}

#[test]
fn wrong_input_changes_nothing() {
    let simulator = WithProxy::start();
    let path = "/vpc-endpoint-services";
    for input in [
        json!({}),
        json!({"PrivateDnsName": "x", "Owner": "me"}),
        json!({"PrivateDnsName": "x", "Account": "me"}),
        json!({"PrivateDnsName": "x", "Name": "x"}),
        json!({"PrivateDnsName": "x", "Zones": []}),
        json!({"PrivateDnsName": ""}),
        json!({"PrivateDnsName": "https://x"}),
    ] {
        simulator.refused("POST", path, input);
    }
    assert_eq!(simulator.get(path), json!({"VpcEndpointServices": []}));
    let created = simulator.set(
        "POST",
        path,
        json!({"PrivateDnsName": "x", "Owner": "111122223333"}),
    );
    let own = format!("{path}/{}", created["Name"].as_str().unwrap());
    simulator.refused("PATCH", &own, json!({"Interface": 1}));
    simulator.refused("PATCH", &own, json!({"PrivateDnsName": "x y"}));
    assert_eq!(simulator.get(&own), created);
    let again = json!({"PrivateDnsName": "x", "Name": created["Name"]}).to_string();
    assert_eq!(simulator.control("POST", path, Some(&again)).0, 409);
    assert_eq!(simulator.control("GET", &format!("{path}/x"), None).0, 404);
}
