//! The life of keys, and what hangs on them, through the API.

use std::time::Duration;

use crate::stub_proxy::{Answer, StubProxy};
use serde_json::{Value, json};

use crate::test_client::TestClient;

#[test]
fn a_new_key_is_described_as_kms_describes_it() {
    let client = TestClient::new();
    let output = client.ok(
        "CreateKey",
        json!({"Description": "text", "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
    );
    let metadata = &output["KeyMetadata"];
    let id = metadata["KeyId"].as_str().unwrap();
    assert_eq!(
        metadata["Arn"],
        format!("arn:aws:kms:us-east-1:111122223333:key/{id}")
    );
    let material = metadata["CurrentKeyMaterialId"].as_str().unwrap();
    assert!(material.len() == 64 && material.bytes().all(|b| b.is_ascii_hexdigit()));
    for (name, expected) in [
        ("AWSAccountId", json!("111122223333")),
        ("Enabled", json!(true)),
        ("Description", json!("text")),
        ("KeyUsage", json!("ENCRYPT_DECRYPT")),
        ("KeyState", json!("Enabled")),
        ("Origin", json!("AWS_KMS")),
        ("KeyManager", json!("CUSTOMER")),
        ("CustomerMasterKeySpec", json!("SYMMETRIC_DEFAULT")),
        ("KeySpec", json!("SYMMETRIC_DEFAULT")),
        ("EncryptionAlgorithms", json!(["SYMMETRIC_DEFAULT"])),
        ("MultiRegion", json!(false)),
    ] {
        assert_eq!(metadata[name], expected, "{name}");
    }
    for absent in [
        "DeletionDate",
        "CustomKeyStoreId",
        "XksKeyConfiguration",
        "ValidTo",
    ] {
        assert!(metadata.get(absent).is_none(), "{absent}");
    }
    let described = client.ok("DescribeKey", json!({"KeyId": metadata["Arn"]}));
    assert_eq!(described["KeyMetadata"], *metadata);
    let tags = client.ok("ListResourceTags", json!({"KeyId": id}));
    assert_eq!(
        tags,
        json!({"Tags": [{"TagKey": "a", "TagValue": "b"}], "Truncated": false})
    );
}

#[test]
fn a_key_of_an_external_key_store_follows_its_connection() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let key = client.external_key(&store, "demo");
    let state = || {
        let metadata = client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].clone();
        assert_eq!(metadata["Enabled"], metadata["KeyState"] == "Enabled");
        assert_eq!(metadata["XksKeyConfiguration"], json!({"Id": "demo"}));
        assert_eq!(metadata["CustomKeyStoreId"], store);
        assert_eq!(metadata["Origin"], "EXTERNAL_KEY_STORE");
        assert!(metadata.get("CurrentKeyMaterialId").is_none());
        metadata["KeyState"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "Enabled");
    client.disconnect(&store);
    let silent_since = proxy.bytes();
    assert_eq!(state(), "Unavailable");
    // Accepted, and seen after the store is connected again.
    client.ok("DisableKey", json!({"KeyId": key}));
    assert_eq!(state(), "Unavailable");
    let (name, message) = client
        .call("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}))
        .unwrap_err();
    assert_eq!(name, "KMSInvalidStateException");
    assert!(
        message.contains("not connected to its external key store proxy"),
        "{message}"
    );
    let input =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "other"});
    assert_eq!(
        client.error("CreateKey", input),
        "CustomKeyStoreInvalidStateException"
    );
    assert_eq!(proxy.bytes(), silent_since);
    client.connect(&store);
    assert_eq!(state(), "Disabled");
    client.ok("EnableKey", json!({"KeyId": key}));
    assert_eq!(state(), "Enabled");
    // Pending deletion outranks Unavailable, and can be cancelled meanwhile.
    client.ok("ScheduleKeyDeletion", json!({"KeyId": key}));
    client.disconnect(&store);
    assert_eq!(state(), "PendingDeletion");
    let delete = json!({"CustomKeyStoreId": store});
    assert_eq!(
        client.error("DeleteCustomKeyStore", delete.clone()),
        "CustomKeyStoreHasCMKsException"
    );
    client.ok("CancelKeyDeletion", json!({"KeyId": key}));
    assert_eq!(state(), "Unavailable");
    client.ok(
        "ScheduleKeyDeletion",
        json!({"KeyId": key, "PendingWindowInDays": 7}),
    );
    client.advance_days(7);
    assert_eq!(
        client.error("DescribeKey", json!({"KeyId": key})),
        "NotFoundException"
    );
    client.ok("DeleteCustomKeyStore", delete);
}

#[test]
fn what_an_external_key_must_be_is_said_in_the_words_of_kms() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let input =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "demo"});
    for (answer, name, message) in [
        (
            Answer::Changed(|body| body["keySpec"] = json!("RSA_2048")),
            "XksKeyInvalidConfigurationException",
            "The key spec of the external key must be AES_256. The key spec of specified external key is RSA_2048.",
        ),
        (
            Answer::Changed(|body| body["keyStatus"] = json!("DISABLED")),
            "XksKeyInvalidConfigurationException",
            "The status of the external key must be ENABLED. The status of specified external key is DISABLED.",
        ),
        (
            Answer::Changed(|body| body["keyUsage"] = json!(["ENCRYPT", "SIGN"])),
            "XksKeyInvalidConfigurationException",
            "The key usage of the external key must include ENCRYPT and DECRYPT. The key use of specified external \
             key is ENCRYPT, SIGN.",
        ),
        (
            Answer::Error(404, "KeyNotFoundException"),
            "XksKeyNotFoundException",
            "The external key store proxy rejected the request because it could not find the external key.",
        ),
    ] {
        proxy.next(answer);
        let expected = (name.to_owned(), message.to_owned());
        assert_eq!(client.call("CreateKey", input.clone()), Err(expected));
    }
    client.ok("CreateKey", input.clone());
    let asked = proxy.seen().len();
    assert_eq!(
        client.error("CreateKey", input),
        "XksKeyAlreadyInUseException"
    );
    assert_eq!(
        proxy.seen().len(),
        asked,
        "what is known here is not asked there"
    );
}

/// The proxy is slow enough that nearly all of them ask it before the first has its answer.
#[test]
fn of_many_keys_for_one_external_key_one_is_created() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    proxy.always(Answer::Late(Duration::from_millis(30)));
    let input =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "demo"});
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| client.call("CreateKey", input.clone())))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let (created, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(created.len(), 1);
    for error in refused {
        assert_eq!(error.unwrap_err().0, "XksKeyAlreadyInUseException");
    }
    assert_eq!(
        client.ok("ListKeys", json!({}))["Keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn combinations_that_create_key_does_not_take() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let external = |extra: Value| {
        let mut input =
            json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "demo"});
        for (name, value) in extra.as_object().unwrap() {
            input[name] = value.clone();
        }
        input
    };
    for (input, name) in [
        (json!({"XksKeyId": "demo"}), "ValidationException"),
        (json!({"CustomKeyStoreId": store}), "ValidationException"),
        (
            json!({"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "demo"}),
            "ValidationException",
        ),
        (external(json!({"XksKeyId": null})), "ValidationException"),
        (external(json!({"XksKeyId": "a/b"})), "ValidationException"),
        (
            external(json!({"XksKeyId": "k".repeat(129)})),
            "ValidationException",
        ),
        (
            external(json!({"KeySpec": "RSA_2048"})),
            "UnsupportedOperationException",
        ),
        (
            external(json!({"KeyUsage": "SIGN_VERIFY"})),
            "UnsupportedOperationException",
        ),
        (
            external(json!({"MultiRegion": true})),
            "UnsupportedOperationException",
        ),
        (
            external(json!({"CustomKeyStoreId": "cks-none"})),
            "CustomKeyStoreNotFoundException",
        ),
        (
            external(json!({"Policy": "{"})),
            "MalformedPolicyDocumentException",
        ),
        (
            external(json!({"Tags": [{"TagKey": "aws:x", "TagValue": ""}]})),
            "TagException",
        ),
        (
            json!({"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"}),
            "ValidationException",
        ),
        (json!({"KeyUsage": "SIGN_VERIFY"}), "ValidationException"),
        (json!({"KeySpec": "DES"}), "ValidationException"),
    ] {
        let before = proxy.seen().len();
        assert_eq!(client.error("CreateKey", input.clone()), name, "{input}");
        assert_eq!(proxy.seen().len(), before, "{input}");
    }
}

#[test]
fn deletion_happens_when_the_clock_says_so_and_takes_aliases_along() {
    let client = TestClient::new();
    let (key, other) = (client.key(), client.key());
    client.ok(
        "CreateAlias",
        json!({"AliasName": "alias/a", "TargetKeyId": key}),
    );
    client.ok(
        "CreateAlias",
        json!({"AliasName": "alias/b", "TargetKeyId": other}),
    );
    for window in [6, 31] {
        let input = json!({"KeyId": key, "PendingWindowInDays": window});
        assert_eq!(
            client.error("ScheduleKeyDeletion", input),
            "ValidationException"
        );
    }
    let output = client.ok("ScheduleKeyDeletion", json!({"KeyId": key}));
    assert_eq!(
        (&output["KeyState"], &output["PendingWindowInDays"]),
        (&json!("PendingDeletion"), &json!(30))
    );
    client.advance_days(29);
    let metadata = client.ok("DescribeKey", json!({"KeyId": "alias/a"}))["KeyMetadata"].clone();
    assert_eq!(metadata["DeletionDate"], output["DeletionDate"]);
    client.ok("CancelKeyDeletion", json!({"KeyId": key}));
    client.advance_days(2);
    let metadata = client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].clone();
    assert_eq!(metadata["KeyState"], "Disabled");
    client.ok(
        "ScheduleKeyDeletion",
        json!({"KeyId": key, "PendingWindowInDays": 7}),
    );
    client.advance_days(7);
    let (name, message) = client
        .call("DescribeKey", json!({"KeyId": key}))
        .unwrap_err();
    let arn = format!("arn:aws:kms:us-east-1:111122223333:key/{key}");
    assert_eq!(
        (&*name, message),
        ("NotFoundException", format!("Key '{arn}' does not exist"))
    );
    let aliases = client.ok("ListAliases", json!({}));
    assert_eq!(aliases["Aliases"].as_array().unwrap().len(), 1);
    assert_eq!(aliases["Aliases"][0]["AliasName"], "alias/b");
    assert_eq!(
        client.ok("ListKeys", json!({}))["Keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn rotation_keeps_old_ciphertexts_readable() {
    let client = TestClient::new();
    let key = client.key();
    let status = || client.ok("GetKeyRotationStatus", json!({"KeyId": key}));
    assert_eq!(status(), json!({"KeyId": key, "KeyRotationEnabled": false}));
    let mut blobs = Vec::new();
    let mut encrypt = || {
        let output = client.ok(
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
        );
        blobs.push(output["CiphertextBlob"].clone());
        output["KeyMaterialId"].clone()
    };
    let first = encrypt();
    client.ok(
        "EnableKeyRotation",
        json!({"KeyId": key, "RotationPeriodInDays": 90}),
    );
    assert_eq!(status()["RotationPeriodInDays"], 90);
    client.advance_days(91);
    let second = encrypt();
    client.ok("RotateKeyOnDemand", json!({"KeyId": key}));
    let third = encrypt();
    assert!(first != second && second != third && third != first);
    // While it is disabled it does not rotate; what it missed happens when it is enabled.
    client.ok("DisableKey", json!({"KeyId": key}));
    client.advance_days(90);
    let rotations = || {
        client.ok("ListKeyRotations", json!({"KeyId": key}))["Rotations"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(rotations(), 2);
    client.ok("EnableKey", json!({"KeyId": key}));
    assert_eq!(rotations(), 3);
    for blob in &blobs {
        client.ok("Decrypt", json!({"CiphertextBlob": blob}));
    }
    let all = client.ok(
        "ListKeyRotations",
        json!({"KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}),
    );
    let all = all["Rotations"].as_array().unwrap();
    assert_eq!((all.len(), &all[0]["KeyMaterialId"]), (4, &first));
    assert!(all[0].get("RotationDate").is_none());
    assert_eq!(all[1]["RotationType"], "AUTOMATIC");
    assert_eq!(all[2]["RotationType"], "ON_DEMAND");
    assert_eq!(all[3]["KeyMaterialState"], "CURRENT");
    client.ok("DisableKeyRotation", json!({"KeyId": key}));
    assert_eq!(status()["KeyRotationEnabled"], false);
}

#[test]
fn aliases_and_their_errors() {
    let client = TestClient::new();
    let (key, other) = (client.key(), client.key());
    let named = |name: &str, key: &str| json!({"AliasName": name, "TargetKeyId": key});
    client.ok("CreateAlias", named("alias/a", &key));
    let arn = "arn:aws:kms:us-east-1:111122223333:alias/a";
    for (operation, input, name, message) in [
        (
            "CreateAlias",
            named("a", &key),
            "ValidationException",
            "Alias must start with the prefix \"alias/\". Please see \
             https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                .to_owned(),
        ),
        (
            "CreateAlias",
            named("alias/a", &other),
            "AlreadyExistsException",
            format!("An alias with the name {arn} already exists"),
        ),
        (
            "UpdateAlias",
            named("alias/none", &key),
            "NotFoundException",
            "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found.".to_owned(),
        ),
        (
            "CreateAlias",
            named("alias/c", "fake-key-id"),
            "NotFoundException",
            "Invalid keyId 'fake-key-id'".to_owned(),
        ),
        (
            "DisableKey",
            json!({"KeyId": "alias/a"}),
            "NotFoundException",
            "Invalid keyId 'alias/a'".to_owned(),
        ),
        (
            "DescribeKey",
            json!({"KeyId": "arn:aws:kms:eu-west-1:111122223333:key/x"}),
            "NotFoundException",
            "Invalid arn eu-west-1".to_owned(),
        ),
    ] {
        assert_eq!(
            client.call(operation, input),
            Err((name.to_owned(), message)),
            "{operation}"
        );
    }
    for reserved in ["alias/aws/s3", "alias/"] {
        assert_eq!(
            client.error("CreateAlias", named(reserved, &key)),
            "InvalidAliasNameException"
        );
    }
    let target = |key_id: &str| {
        client.ok("DescribeKey", json!({"KeyId": key_id}))["KeyMetadata"]["KeyId"].clone()
    };
    assert_eq!(target(arn), key);
    client.ok("UpdateAlias", named("alias/a", &other));
    assert_eq!(target("alias/a"), other);
    let listed = client.ok("ListAliases", json!({"KeyId": key}));
    assert_eq!(listed, json!({"Aliases": [], "Truncated": false}));
    // API reference, UpdateAlias: the same type, and the same usage.
    for (spec, usage) in [
        ("RSA_2048", "ENCRYPT_DECRYPT"),
        ("HMAC_256", "GENERATE_VERIFY_MAC"),
        ("ECC_NIST_P256", "SIGN_VERIFY"),
    ] {
        let input = json!({"KeySpec": spec, "KeyUsage": usage});
        let id = client.ok("CreateKey", input)["KeyMetadata"]["KeyId"].clone();
        let input = json!({"AliasName": "alias/a", "TargetKeyId": id});
        assert_eq!(
            client.error("UpdateAlias", input),
            "ValidationException",
            "{spec}"
        );
    }
    assert_eq!(target("alias/a"), other);
    client.ok("DeleteAlias", json!({"AliasName": "alias/a"}));
    assert_eq!(
        client.error("DeleteAlias", json!({"AliasName": "alias/a"})),
        "NotFoundException"
    );
    for n in 0..50 {
        client.ok("CreateAlias", named(&format!("alias/{n}"), &key));
    }
    assert_eq!(
        client.error("CreateAlias", named("alias/50", &key)),
        "LimitExceededException"
    );
}

#[test]
fn tags_policies_and_pages() {
    let client = TestClient::new();
    let key = client.key();
    let tag = |tags: Value| client.call("TagResource", json!({"KeyId": key, "Tags": tags}));
    let pair = |key: &str| json!({"TagKey": key, "TagValue": "v"});
    let error = |message: &str| Err(("TagException".to_owned(), message.to_owned()));
    assert_eq!(
        tag(json!([pair("a"), pair("a")])),
        error("Duplicate tag keys")
    );
    assert_eq!(
        tag(json!([pair("aws:a")])),
        error("Tags beginning with aws: are reserved")
    );
    let fifty: Vec<Value> = (0..50).map(|n| pair(&format!("{n:02}"))).collect();
    tag(json!(fifty)).unwrap();
    tag(json!([pair("07")])).unwrap();
    assert_eq!(tag(json!([pair("x")])), error("Too many tags"));
    let page = client.ok("ListResourceTags", json!({"KeyId": key, "Limit": 30}));
    assert_eq!(
        (page["Tags"].as_array().unwrap().len(), &page["Truncated"]),
        (30, &json!(true))
    );
    let input = json!({"KeyId": key, "Limit": 30, "Marker": page["NextMarker"]});
    let rest = client.ok("ListResourceTags", input);
    assert_eq!(
        (
            rest["Tags"].as_array().unwrap().len(),
            rest.get("NextMarker")
        ),
        (20, None)
    );
    let input = json!({"KeyId": key, "Marker": "made up"});
    assert_eq!(
        client.error("ListResourceTags", input),
        "InvalidMarkerException"
    );
    client.ok(
        "UntagResource",
        json!({"KeyId": key, "TagKeys": ["00", "unknown"]}),
    );
    tag(json!([pair("x")])).unwrap();

    let policy = client.ok("GetKeyPolicy", json!({"KeyId": key}));
    assert_eq!(policy["PolicyName"], "default");
    let document: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(
        document["Statement"][0]["Principal"]["AWS"],
        "arn:aws:iam::111122223333:root"
    );
    let put = |policy: &str| {
        client.call(
            "PutKeyPolicy",
            json!({"KeyId": key, "PolicyName": "default", "Policy": policy}),
        )
    };
    for bad in ["not json", "[]", "{}", "7"] {
        assert_eq!(
            put(bad).unwrap_err().0,
            "MalformedPolicyDocumentException",
            "{bad}"
        );
    }
    let new = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}"#;
    put(new).unwrap();
    assert_eq!(
        client.ok(
            "GetKeyPolicy",
            json!({"KeyId": key, "PolicyName": "default"})
        )["Policy"],
        new
    );
    let other = json!({"KeyId": key, "PolicyName": "other"});
    assert_eq!(client.error("GetKeyPolicy", other), "NotFoundException");
    let names = client.ok("ListKeyPolicies", json!({"KeyId": key}));
    assert_eq!(
        names,
        json!({"PolicyNames": ["default"], "Truncated": false})
    );
}

#[test]
fn a_grant_names_a_principal_or_a_service() {
    let client = TestClient::new();
    let key = client.key();
    let role = "arn:aws:iam::111122223333:role/Worker";
    let service = "ebs.us-east-1.amazonaws.com";
    let source = "arn:aws:ec2:us-east-1:111122223333:volume/*";
    let create = |terms: Value| {
        let mut input = json!({"KeyId": key, "Operations": ["Decrypt"]});
        for (name, value) in terms.as_object().unwrap() {
            input[name] = value.clone();
        }
        client.call("CreateGrant", input)
    };
    for wrong in [
        json!({}),
        json!({"GranteePrincipal": role, "GranteeServicePrincipal": service}),
        json!({"GranteePrincipal": role, "RetiringPrincipal": role, "RetiringServicePrincipal": service}),
        json!({"GranteeServicePrincipal": service, "RetiringPrincipal": role}),
        json!({"GranteeServicePrincipal": service, "Constraints": {"SourceArn": source}}),
    ] {
        let error = create(wrong.clone()).unwrap_err();
        assert_eq!(error.0, "ValidationException", "{wrong}");
    }
    let terms = json!({"GranteeServicePrincipal": service, "RetiringServicePrincipal": service,
                       "Constraints": {"SourceArn": source}});
    create(terms.clone()).unwrap();
    create(json!({"GranteePrincipal": role})).unwrap();
    for nobody in ["Worker", "arn:aws:iam::111122223333:group/Workers"] {
        let message = format!("ARN does not refer to a valid principal: {nobody}");
        let error = Err(("InvalidArnException".to_owned(), message));
        assert_eq!(create(json!({"GranteePrincipal": nobody})), error);
        let terms = json!({"GranteePrincipal": role, "RetiringPrincipal": nobody});
        assert_eq!(create(terms), error);
    }
    // API reference, CreateGrant: no encryption context constraint without an encryption context.
    let mac = json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"});
    let mac = client.ok("CreateKey", mac)["KeyMetadata"]["KeyId"].clone();
    let constrained = json!({"KeyId": mac, "GranteePrincipal": role, "Operations": ["GenerateMac"],
                             "Constraints": {"EncryptionContextSubset": {"a": "b"}}});
    assert_eq!(create(constrained).unwrap_err().0, "ValidationException");

    let found = |operation: &str, input: Value| {
        let grants = client.ok(operation, input)["Grants"].clone();
        assert_eq!(grants.as_array().unwrap().len(), 1, "{grants}");
        grants[0].clone()
    };
    let by_grantee = json!({"KeyId": key, "GranteeServicePrincipal": service});
    let grant = found("ListGrants", by_grantee);
    for (name, value) in terms.as_object().unwrap() {
        assert_eq!(grant[name], *value);
    }
    assert_eq!(grant.get("GranteePrincipal"), None);
    let by_retirer = json!({"RetiringServicePrincipal": service});
    assert_eq!(found("ListRetirableGrants", by_retirer), grant);
    let error = client.call("ListRetirableGrants", json!({})).unwrap_err();
    assert_eq!(error.0, "ValidationException");
}

#[test]
fn grants_are_kept_listed_retired_and_revoked() {
    let client = TestClient::new();
    let key = client.key();
    let grantee = "arn:aws:iam::111122223333:role/Worker";
    let create = |name: Option<&str>, operations: Value| {
        let input = json!({"KeyId": key, "GranteePrincipal": grantee, "RetiringPrincipal": grantee,
                           "Operations": operations, "Name": name,
                           "Constraints": {"EncryptionContextSubset": {"a": "b"}}});
        client.call("CreateGrant", input)
    };
    let first = create(Some("one"), json!(["Encrypt", "Decrypt"])).unwrap();
    assert_eq!(
        create(Some("one"), json!(["Encrypt", "Decrypt"])).unwrap(),
        first
    );
    let second = create(Some("one"), json!(["Encrypt"])).unwrap();
    let third = create(None, json!(["Encrypt"])).unwrap();
    assert_eq!(
        create(None, json!(["Sign"])).unwrap_err().0,
        "ValidationException"
    );
    assert_eq!(
        create(None, json!(["Fly"])).unwrap_err().0,
        "ValidationException"
    );
    let list = |extra: Value| {
        let mut input = json!({"KeyId": key});
        for (name, value) in extra.as_object().unwrap() {
            input[name] = value.clone();
        }
        client.ok("ListGrants", input)["Grants"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert_eq!(list(json!({})).len(), 3);
    assert_eq!(list(json!({"GranteePrincipal": "nobody"})).len(), 0);
    let found = list(json!({"GrantId": first["GrantId"]}));
    let arn = format!("arn:aws:kms:us-east-1:111122223333:key/{key}");
    assert_eq!(
        (found.len(), &found[0]["KeyId"], &found[0]["Name"]),
        (1, &json!(arn), &json!("one"))
    );
    assert_eq!(
        found[0]["Constraints"],
        json!({"EncryptionContextSubset": {"a": "b"}})
    );
    assert_eq!(found[0]["IssuingAccount"], "arn:aws:iam::111122223333:root");
    let retirable = client.ok(
        "ListRetirableGrants",
        json!({"RetiringPrincipal": grantee, "Limit": 2}),
    );
    assert_eq!(
        (
            retirable["Grants"].as_array().unwrap().len(),
            &retirable["Truncated"]
        ),
        (2, &json!(true))
    );

    client.ok("RetireGrant", json!({"GrantToken": first["GrantToken"]}));
    client.ok(
        "RetireGrant",
        json!({"KeyId": arn, "GrantId": second["GrantId"]}),
    );
    let revoke = json!({"KeyId": key, "GrantId": third["GrantId"]});
    client.ok("RevokeGrant", revoke.clone());
    assert_eq!(list(json!({})).len(), 0);
    assert_eq!(client.error("RevokeGrant", revoke), "NotFoundException");
    let token = json!({"GrantToken": first["GrantToken"]});
    assert_eq!(
        client.error("RetireGrant", token),
        "InvalidGrantTokenException"
    );
    assert_eq!(
        client.error("RetireGrant", json!({})),
        "ValidationException"
    );
}

#[test]
fn accounts_and_regions_are_apart() {
    let client = TestClient::new();
    let key = client.key();
    for (account, region) in [("444455556666", "us-east-1"), ("111122223333", "us-west-2")] {
        let caller = TestClient::caller(account, region);
        let keys = client.call_as(&caller, "ListKeys", json!({})).unwrap();
        assert_eq!(keys, json!({"Keys": [], "Truncated": false}));
        let error = client
            .call_as(&caller, "DescribeKey", json!({"KeyId": key}))
            .unwrap_err();
        let arn = format!("arn:aws:kms:{region}:{account}:key/{key}");
        assert_eq!(
            error,
            (
                "NotFoundException".to_owned(),
                format!("Key '{arn}' does not exist")
            )
        );
    }
}
