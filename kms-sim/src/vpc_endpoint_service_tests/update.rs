//! UpdateCustomKeyStore.

use super::*;

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
