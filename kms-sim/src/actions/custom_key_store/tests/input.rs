//! Every rule for members that needs no state.
//!
//! Source: the KMS API model, CreateCustomKeyStore and UpdateCustomKeyStore: limits, patterns, and which type of store and
//! connectivity requires or takes a member.

use crate::stub_proxy::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, URI_PATH};
use serde_json::{Value, json};

use super::{Rig, healthy, id, new_store, with};

#[tokio::test(flavor = "multi_thread")]
async fn members_that_do_not_fit_are_refused_before_anything_is_asked() {
    let rig = Rig::at_once();
    let cluster = json!({
        "CustomKeyStoreType": "AWS_CLOUDHSM", "CloudHsmClusterId": "cluster-ia3b4cdefgh",
        "TrustAnchorCertificate": "-----BEGIN", "KeyStorePassword": "kmsPswd",
    });
    let cluster = with(json!({"CustomKeyStoreName": "Hsm"}), cluster);
    let id_with = |id: &str| json!({"AccessKeyId": id, "RawSecretAccessKey": SECRET_ACCESS_KEY});
    let secret = |s: &str| json!({"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": s});
    let vpc = "com.amazonaws.vpce.us-east-1.vpce-svc-0123abcd";
    let invalid = "ValidationException";
    let no_service = "XksProxyVpcEndpointServiceNotFoundException";
    let no_cluster = "CloudHsmClusterNotFoundException";
    for (input, exception) in [
        (json!({}), invalid),
        (
            with(new_store(), json!({"CustomKeyStoreName": null})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreName": ""})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreName": "x".repeat(257)})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreType": "OTHER"})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreType": null})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyConnectivity": null})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyConnectivity": "OTHER"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriEndpoint": null})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "https://xks.test:8443"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "https://xks.test/"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "https://xks_a.test"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "http://xks.test"}),
            ),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriEndpoint": "https://a"})),
            invalid,
        ),
        (with(new_store(), json!({"XksProxyUriPath": null})), invalid),
        (
            with(new_store(), json!({"XksProxyUriPath": "/kms/xks/v"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "/kms/xks/v123"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "//kms/xks/v1"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "/kms/xks/v1/"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "/a.b/kms/xks/v1"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "a/kms/xks/v1"})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": null}),
            ),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyAuthenticationCredential": {}})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": id_with("SHORT")}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": id_with(&"1".repeat(20))}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": secret("short")}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": secret(&"-".repeat(43))}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"CloudHsmClusterId": "cluster-ia3b4cdefgh"}),
            ),
            invalid,
        ),
        (
            with(new_store(), json!({"KeyStorePassword": "kmsPswd"})),
            invalid,
        ),
        (
            with(new_store(), json!({"TrustAnchorCertificate": "x"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyVpcEndpointServiceName": vpc})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyVpcEndpointServiceOwner": "111122223333"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                       "XksProxyVpcEndpointServiceName": vpc}),
            ),
            no_service,
        ),
        (cluster.clone(), no_cluster),
        (
            with(cluster.clone(), json!({"CustomKeyStoreType": null})),
            no_cluster,
        ),
        (
            with(
                cluster.clone(),
                json!({"CloudHsmClusterId": "cluster-1a3b4cdefgh"}),
            ),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"CloudHsmClusterId": null})),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"TrustAnchorCertificate": null})),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"KeyStorePassword": null})),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"KeyStorePassword": "short"})),
            invalid,
        ),
        (with(cluster, json!({"XksProxyUriPath": URI_PATH})), invalid),
    ] {
        let error = rig
            .call("CreateCustomKeyStore", input.clone())
            .await
            .unwrap_err();
        assert_eq!(error.0, exception, "{input} {}", error.1);
        assert!(!error.1.contains(SECRET_ACCESS_KEY) && !error.1.contains("kmsPswd"));
    }
    assert_eq!(rig.proxy.accepted(), 0);

    let store = rig.create().await;
    let asked = rig.proxy.seen().len();
    let update = |changes: Value| with(id(&store), changes);
    for (input, exception) in [
        (id(&store), invalid),
        (update(json!({"NewCustomKeyStoreName": ""})), invalid),
        (update(json!({"KeyStorePassword": "kmsPswd"})), invalid),
        (
            update(json!({"CloudHsmClusterId": "cluster-ia3b4cdefgh"})),
            invalid,
        ),
        (
            update(json!({"XksProxyUriEndpoint": "https://xks.test:443"})),
            invalid,
        ),
        (
            update(json!({"XksProxyVpcEndpointServiceName": vpc})),
            invalid,
        ),
        (
            update(json!({"XksProxyVpcEndpointServiceName": "short"})),
            invalid,
        ),
        (
            update(json!({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                          "XksProxyVpcEndpointServiceName": vpc})),
            invalid,
        ),
        (
            update(json!({"XksProxyAuthenticationCredential": {"AccessKeyId": ACCESS_KEY_ID}})),
            invalid,
        ),
        (json!({"NewCustomKeyStoreName": "x"}), invalid),
        (
            json!({"CustomKeyStoreId": "cks-none", "NewCustomKeyStoreName": "x"}),
            "CustomKeyStoreNotFoundException",
        ),
    ] {
        assert_eq!(
            rig.error("UpdateCustomKeyStore", input.clone()).await,
            exception,
            "{input}"
        );
    }
    assert_eq!(rig.proxy.seen().len(), asked);
    for operation in [
        "ConnectCustomKeyStore",
        "DisconnectCustomKeyStore",
        "DeleteCustomKeyStore",
    ] {
        assert_eq!(rig.error(operation, json!({})).await, invalid);
        assert_eq!(
            rig.error(operation, id("cks-none")).await,
            "CustomKeyStoreNotFoundException"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_patterns_of_kms_allow_is_accepted() {
    let rig = Rig::at_once();
    rig.proxy.always(healthy());
    for (number, path) in [
        "/kms/xks/v1",
        "/aws/kms/xks/v1",
        "/a_b/C-9/kms/xks/v99",
        "/a//b/kms/xks/v1",
    ]
    .into_iter()
    .enumerate()
    {
        let changes = json!({"XksProxyUriPath": path, "CustomKeyStoreName": number.to_string()});
        rig.ok("CreateCustomKeyStore", with(new_store(), changes))
            .await;
        let seen = rig.proxy.seen();
        assert_eq!(seen[number].path, format!("{path}/health"));
        assert_eq!(
            seen[number].body["requestMetadata"]["kmsOperation"],
            "CreateCustomKeyStore"
        );
    }
}
