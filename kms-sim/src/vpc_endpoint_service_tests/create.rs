//! CreateCustomKeyStore and DescribeCustomKeyStores, and what must be unique.

use super::*;
use crate::visibility::Visibility;
use crate::vpc_endpoint_service::VpcEndpointServiceError;

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
