//! External key stores with VPC endpoint service connectivity, through the API.
//!
//! What is expected is retyped from AWS's documentation: [M] is the KMS API model, [G] the AWS KMS Developer Guide, [I]
//! marks what neither says and what was chosen.

use std::time::Duration;

use harness::stub_proxy::{ACCESS_KEY_ID, Answer, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use serde_json::{Value, json};

use crate::config::{Config, Resolve};
use crate::test_client::TestClient;
use crate::visibility::Visibility;
use crate::vpc_endpoint_service::{
    VpcEndpointService, VpcEndpointServiceChange, VpcEndpointServiceError, VpcEndpointServices,
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

#[test]
fn a_service_that_does_not_fit_is_refused_and_the_proxy_is_not_asked() {
    for (source, fault, exception, _) in faults() {
        let rig = Rig::new();
        rig.change(fault);
        assert_eq!(
            rig.create(new_store(&rig.service)),
            Err(exception.to_owned()),
            "{source}"
        );
        let stores = rig.client.ok("DescribeCustomKeyStores", json!({}));
        assert_eq!(stores["CustomKeyStores"], json!([]), "{source}");
    }
    let rig = Rig::new();
    let unknown = "com.amazonaws.vpce.us-east-1.vpce-svc-00000000000000000";
    assert_eq!(rig.create(new_store(unknown)), Err(NOT_FOUND.to_owned()));
    let kms = vec!["cks.kms.us-east-1.amazonaws.com".to_owned()];
    rig.change(VpcEndpointServiceChange {
        allowed_principals: Some(kms),
        ..VpcEndpointServiceChange::default()
    });
    rig.store();
    // [M] "KMS connects when you call the ConnectCustomKeyStore operation"
    assert_eq!(rig.proxy.accepted(), 0);
}

#[test]
fn each_fault_of_a_service_has_its_connection_error_code() {
    for (source, fault, _, code) in faults() {
        let rig = Rig::new();
        let store = rig.store();
        rig.change(fault);
        rig.client.ok("ConnectCustomKeyStore", id(&store));
        let entry = rig.entry(&store);
        assert_eq!(entry["ConnectionState"], "FAILED", "{source}");
        assert_eq!(entry["ConnectionErrorCode"], code, "{source}");
        assert_eq!(rig.proxy.accepted(), 0, "{source}");
    }
    let rig = Rig::new();
    let store = rig.store();
    let service = rig.services().describe(&rig.service).unwrap();
    rig.services().delete(&rig.service).unwrap();
    rig.client.ok("ConnectCustomKeyStore", id(&store));
    let code = rig.entry(&store)["ConnectionErrorCode"].clone();
    assert_eq!(code, "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND");
    rig.client.disconnect(&store);
    rig.services().create(service).unwrap();
    // With a sound service on the way, the proxy decides.
    for (answer, code) in [
        (
            Answer::Error(403, "AccessDeniedException"),
            "XKS_PROXY_ACCESS_DENIED",
        ),
        (
            Answer::Error(401, "AuthenticationFailedException"),
            "INVALID_CREDENTIALS",
        ),
        (
            Answer::Body(200, "x".to_owned()),
            "XKS_PROXY_INVALID_RESPONSE",
        ),
    ] {
        rig.proxy.next(answer);
        rig.client.ok("ConnectCustomKeyStore", id(&store));
        assert_eq!(rig.entry(&store)["ConnectionErrorCode"], code);
        rig.client.disconnect(&store);
    }
    rig.client.connect(&store);
    let seen = rig.proxy.seen();
    let operations = seen
        .iter()
        .map(|seen| &seen.body["requestMetadata"]["kmsOperation"]);
    assert!(
        seen.len() == 4
            && operations
                .into_iter()
                .all(|name| name == "ConnectCustomKeyStore")
    );
}

#[test]
fn a_store_is_described_with_its_service_and_the_owner() {
    let rig = Rig::new();
    let store = rig.store();
    // [M] XksProxyConfigurationType; the owner is the caller unless one is given.
    assert_eq!(
        rig.entry(&store)["XksProxyConfiguration"],
        json!({
            "Connectivity": "VPC_ENDPOINT_SERVICE",
            "AccessKeyId": ACCESS_KEY_ID,
            "UriEndpoint": format!("https://{HOST}"),
            "UriPath": URI_PATH,
            "VpcEndpointServiceName": rig.service,
            "VpcEndpointServiceOwner": "111122223333",
        })
    );
    rig.client.ok("DeleteCustomKeyStore", id(&store));
    let owner = json!({"XksProxyVpcEndpointServiceOwner": "444455556666"});
    let store = rig.create(with(new_store(&rig.service), owner)).unwrap();
    let entry = rig.entry(&store);
    assert_eq!(
        entry["XksProxyConfiguration"]["VpcEndpointServiceOwner"],
        "444455556666"
    );
}

#[test]
fn owner_account_and_region_must_fit() {
    let rig = Rig::new();
    let service = |owner: Option<&str>, account: Option<&str>, region: Option<&str>| {
        let mut service = VpcEndpointService::sound("us-east-1", HOST).unwrap();
        service.owner = owner.map(str::to_owned);
        service.visibility = Visibility {
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
        };
        rig.services().create(service.clone()).unwrap();
        service.name
    };
    let mine = "111122223333";
    for (name, owner, found) in [
        (service(Some(mine), None, None), None, true),
        (service(Some(mine), None, None), Some(mine), true),
        (service(Some(mine), None, None), Some("444455556666"), false),
        (service(Some("444455556666"), None, None), None, false),
        (
            service(Some("444455556666"), None, None),
            Some("444455556666"),
            true,
        ),
        (service(None, Some("444455556666"), None), None, false),
        (service(None, None, Some("eu-north-1")), None, false),
        (service(None, Some(mine), Some("us-east-1")), None, true),
    ] {
        let input = with(
            new_store(&name),
            json!({"XksProxyVpcEndpointServiceOwner": owner}),
        );
        let created = rig.create(input);
        let expected = if found { "" } else { NOT_FOUND };
        assert_eq!(
            created.clone().err().unwrap_or_default(),
            expected,
            "{name}"
        );
        if let Ok(store) = created {
            rig.client.ok("DeleteCustomKeyStore", id(&store));
        }
    }
}

#[test]
fn an_endpoint_and_a_service_belong_to_one_store_of_the_region() {
    let rig = Rig::new();
    rig.proxy.always(healthy());
    let store = rig.store();
    let elsewhere = TestClient::caller("444455556666", "us-east-1");
    let north = TestClient::caller("111122223333", "eu-north-1");
    let create_as = |caller, input| {
        let created = rig.client.call_as(caller, "CreateCustomKeyStore", input);
        created.err().map(|(name, _)| name).unwrap_or_default()
    };
    let other_path = json!({"CustomKeyStoreName": "Other", "XksProxyUriPath": "/other/kms/xks/v1"});
    let other_name = json!({"CustomKeyStoreName": "Other"});
    let second = add_service(rig.services(), HOST);
    // [M] XksProxyUriInUse, XksProxyUriEndpointInUse, XksProxyVpcEndpointServiceInUse
    let in_use = |input| rig.create(input).unwrap_err();
    assert_eq!(
        in_use(with(new_store(&second), other_name)),
        "XksProxyUriInUseException"
    );
    assert_eq!(
        in_use(with(new_store(&second), other_path.clone())),
        ENDPOINT_IN_USE
    );
    assert_eq!(
        in_use(with(public_store("Other", HOST), other_path.clone())),
        ENDPOINT_IN_USE
    );
    let upper = json!({"XksProxyUriEndpoint": "https://XKS.TEST"});
    assert_eq!(
        in_use(with(with(new_store(&second), other_path), upper)),
        ENDPOINT_IN_USE
    );
    let host = json!({"CustomKeyStoreName": "Other", "XksProxyUriEndpoint": "https://free.test"});
    let service_in_use = "XksProxyVpcEndpointServiceInUseException";
    assert_eq!(in_use(with(new_store(&rig.service), host)), service_in_use);
    // In every account of the Region, and in no other Region.
    assert_eq!(create_as(&elsewhere, new_store(&second)), ENDPOINT_IN_USE);
    assert_eq!(
        create_as(&elsewhere, public_store("Other", HOST)),
        ENDPOINT_IN_USE
    );
    assert_eq!(create_as(&north, new_store(&second)), "");

    // What is deleted is free again; public stores share an endpoint with each other alone.
    rig.client.ok("DeleteCustomKeyStore", id(&store));
    assert_eq!(create_as(&elsewhere, public_store("Other", HOST)), "");
    assert_eq!(in_use(new_store(&rig.service)), ENDPOINT_IN_USE);
    rig.create(public_store("Public", HOST)).unwrap();
}

#[test]
fn connectivity_changes_with_endpoint_and_service_together() {
    let rig = Rig::new();
    rig.proxy.always(healthy());
    let store = rig.create(public_store("Example", HOST)).unwrap();
    let vpc = "VPC_ENDPOINT_SERVICE";
    let public = "PUBLIC_ENDPOINT";
    // Only its own store may move between the two at one host.
    let endpoint = format!("https://{HOST}");
    let configuration = || rig.entry(&store)["XksProxyConfiguration"].clone();
    let invalid = "ValidationException";
    // [M] XksProxyConnectivity: "you must also change the XksProxyUriEndpoint and add …"
    for changes in [
        json!({"XksProxyConnectivity": vpc}),
        json!({"XksProxyConnectivity": vpc, "XksProxyUriEndpoint": endpoint}),
        json!({"XksProxyConnectivity": vpc, "XksProxyVpcEndpointServiceName": rig.service}),
        json!({"XksProxyVpcEndpointServiceName": rig.service}),
        json!({"XksProxyVpcEndpointServiceOwner": "111122223333"}),
        json!({"XksProxyConnectivity": public, "XksProxyVpcEndpointServiceName": rig.service}),
    ] {
        assert_eq!(rig.update(&store, changes.clone()), invalid, "{changes}");
    }
    let to_vpc = json!({
        "XksProxyConnectivity": vpc, "XksProxyUriEndpoint": endpoint,
        "XksProxyVpcEndpointServiceName": rig.service,
    });
    // What is new is tested: the service, then the proxy.
    let before = configuration();
    for (source, fault, exception, _) in faults() {
        let sound = rig.services().describe(&rig.service).unwrap();
        rig.change(fault);
        assert_eq!(rig.update(&store, to_vpc.clone()), exception, "{source}");
        rig.services().delete(&rig.service).unwrap();
        rig.services().create(sound).unwrap();
    }
    rig.proxy.next(Answer::Error(403, "AccessDeniedException"));
    assert_eq!(
        rig.update(&store, to_vpc.clone()),
        "XksProxyInvalidConfigurationException"
    );
    assert_eq!(configuration(), before, "nothing changes");
    assert_eq!(rig.update(&store, to_vpc.clone()), "");
    let after = configuration();
    assert_eq!(after["Connectivity"], vpc);
    assert_eq!(after["UriEndpoint"], endpoint);
    assert_eq!(after["VpcEndpointServiceName"], rig.service);
    assert_eq!(after["VpcEndpointServiceOwner"], "111122223333");

    // [M] "specify a null or empty string for the XksProxyVpcEndpointServiceName"; SDKs can only omit it.
    for changes in [
        json!({"XksProxyConnectivity": public}),
        json!({"XksProxyConnectivity": public, "XksProxyUriEndpoint": endpoint,
               "XksProxyVpcEndpointServiceName": rig.service}),
        json!({"XksProxyConnectivity": public, "XksProxyUriEndpoint": endpoint,
               "XksProxyVpcEndpointServiceOwner": "111122223333"}),
        json!({"XksProxyUriPath": URI_PATH, "XksProxyVpcEndpointServiceName": ""}),
    ] {
        assert_eq!(rig.update(&store, changes.clone()), invalid, "{changes}");
    }
    let to_public = json!({"XksProxyConnectivity": public, "XksProxyUriEndpoint": endpoint});
    for name in [
        json!({}),
        json!({"XksProxyVpcEndpointServiceName": ""}),
        json!({"XksProxyVpcEndpointServiceName": null}),
    ] {
        assert_eq!(
            rig.update(&store, with(to_public.clone(), name.clone())),
            "",
            "{name}"
        );
        assert_eq!(configuration(), before);
        assert_eq!(rig.update(&store, to_vpc.clone()), "");
    }
}

#[test]
fn a_service_can_be_exchanged_while_the_store_is_disconnected() {
    let rig = Rig::new();
    rig.proxy.always(healthy());
    let store = rig.connected();
    let second = add_service(rig.services(), HOST);
    let name = json!({"XksProxyVpcEndpointServiceName": second});
    let owner = json!({"XksProxyVpcEndpointServiceOwner": "444455556666"});
    // [M] "To change this value, the external key store must be disconnected."
    for changes in [&name, &owner] {
        assert_eq!(
            rig.update(&store, changes.clone()),
            "CustomKeyStoreInvalidStateException"
        );
    }
    // Name, credential and path can change at any time; the proxy is asked through the service.
    assert_eq!(
        rig.update(&store, json!({"XksProxyUriPath": "/other/kms/xks/v1"})),
        ""
    );
    rig.client.disconnect(&store);
    assert_eq!(rig.update(&store, owner), "");
    assert_eq!(rig.update(&store, name), "");
    // [M] the owner: "If not specified … will not be updated."
    let configuration = rig.entry(&store)["XksProxyConfiguration"].clone();
    assert_eq!(configuration["VpcEndpointServiceName"], second);
    assert_eq!(configuration["VpcEndpointServiceOwner"], "444455556666");
    assert_eq!(configuration["UriPath"], "/other/kms/xks/v1");
    // The first service is free for another store.
    rig.change(VpcEndpointServiceChange {
        private_dns_name: Some(Some("free.test".to_owned())),
        ..VpcEndpointServiceChange::default()
    });
    let changes =
        json!({"CustomKeyStoreName": "Other", "XksProxyUriEndpoint": "https://free.test"});
    rig.create(with(new_store(&rig.service), changes)).unwrap();
}

#[test]
fn a_deleted_service_is_not_a_disconnect() {
    let rig = Rig::new();
    let store = rig.connected();
    let key = rig.client.external_key(&store, "demo");
    let encrypt = json!({"KeyId": key, "Plaintext": "AAAA"});
    let blob = rig.client.ok("Encrypt", encrypt.clone())["CiphertextBlob"].clone();
    let service = rig.services().describe(&rig.service).unwrap();
    // KMS has its endpoint: what is only needed to make one does not matter any more.
    rig.change(VpcEndpointServiceChange {
        allowed_principals: Some(Vec::new()),
        acceptance_required: Some(true),
        ..VpcEndpointServiceChange::default()
    });
    rig.client.ok("Encrypt", encrypt.clone());
    rig.services().delete(&rig.service).unwrap();
    let asked = rig.proxy.seen().len();
    assert_eq!(
        rig.client.error("Encrypt", encrypt.clone()),
        "KMSInvalidStateException"
    );
    let create_key =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "other"});
    assert_eq!(
        rig.client.error("CreateKey", create_key),
        "CustomKeyStoreInvalidStateException"
    );
    assert_eq!(rig.proxy.seen().len(), asked);
    assert_eq!(rig.entry(&store)["ConnectionState"], "CONNECTED");
    let described = rig.client.ok("DescribeKey", json!({"KeyId": key}));
    assert_eq!(described["KeyMetadata"]["KeyState"], "Enabled");
    rig.services().create(service).unwrap();
    rig.client.ok("Decrypt", json!({"CiphertextBlob": blob}));
}

#[test]
fn services_are_listed_and_named_once() {
    let services = VpcEndpointServices::default();
    let service = VpcEndpointService::sound("us-east-1", HOST).unwrap();
    services.create(service.clone()).unwrap();
    let exists = VpcEndpointServiceError::Exists(service.name.clone());
    assert_eq!(services.create(service.clone()), Err(exists));
    assert_eq!(services.list(), std::slice::from_ref(&service));
    // [M] XksProxyVpcEndpointServiceNameType: 20 to 64 characters.
    assert!(
        service
            .name
            .starts_with("com.amazonaws.vpce.us-east-1.vpce-svc-")
    );
    assert!((20..=64).contains(&service.name.len()), "{}", service.name);
    services.delete(&service.name).unwrap();
    let unknown = VpcEndpointServiceError::Unknown(service.name.clone());
    assert_eq!(services.delete(&service.name), Err(unknown.clone()));
    assert_eq!(
        services.update(&service.name, VpcEndpointServiceChange::default()),
        Err(unknown)
    );
}
