//! Multi-Region keys: replicas that share id and material, a primary that moves, and how the set is deleted.

use serde_json::{Value, json};

use crate::simulator::Caller;
use crate::test_client::TestClient;

const HERE: &str = "us-east-1";
const THERE: &str = "eu-west-1";

struct Set {
    client: TestClient,
    there: Caller,
    id: String,
}

impl Set {
    /// A primary here and a replica there.
    fn new(input: Value) -> Self {
        let client = TestClient::new();
        let mut all = json!({"MultiRegion": true});
        all.as_object_mut()
            .unwrap()
            .extend(input.as_object().unwrap().clone());
        let key = client.ok("CreateKey", all)["KeyMetadata"].clone();
        let id = key["KeyId"].as_str().unwrap().to_owned();
        assert!(id.starts_with("mrk-") && id.len() == 36, "{id}");
        let set = Self {
            there: TestClient::caller("111122223333", THERE),
            client,
            id,
        };
        let configuration = &key["MultiRegionConfiguration"];
        assert_eq!(configuration["MultiRegionKeyType"], "PRIMARY");
        assert_eq!(configuration["PrimaryKey"]["Region"], HERE);
        set
    }

    fn replicated(input: Value) -> Self {
        let set = Self::new(input);
        let replica = json!({"KeyId": set.id, "ReplicaRegion": THERE, "Description": "over there",
            "Tags": [{"TagKey": "Place", "TagValue": "there"}]});
        let output = set.client.ok("ReplicateKey", replica.clone());
        let metadata = &output["ReplicaKeyMetadata"];
        assert_eq!(metadata["KeyState"], "Creating");
        assert_eq!(metadata["KeyId"], set.id);
        let arn = format!("arn:aws:kms:{THERE}:111122223333:key/{}", set.id);
        assert_eq!(metadata["Arn"], arn);
        assert_eq!(metadata["Description"], "over there");
        assert_eq!(
            metadata["MultiRegionConfiguration"]["MultiRegionKeyType"],
            "REPLICA"
        );
        assert_eq!(
            metadata["MultiRegionConfiguration"]["ReplicaKeys"][0]["Arn"],
            arn
        );
        assert_eq!(
            output["ReplicaTags"],
            json!([{"TagKey": "Place", "TagValue": "there"}])
        );
        assert!(
            output["ReplicaPolicy"]
                .as_str()
                .unwrap()
                .contains("Statement")
        );
        assert_eq!(
            set.client.error("ReplicateKey", replica),
            "AlreadyExistsException"
        );
        set.advance(1);
        set
    }

    fn advance(&self, days: u32) {
        self.client.advance_days(days);
    }

    fn there(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.client.call_as(&self.there, operation, input)
    }

    fn key(&self) -> Value {
        json!({"KeyId": self.id})
    }

    /// KeyState and MultiRegionKeyType, here and there.
    fn states(&self) -> Value {
        let told = |key: Result<Value, (String, String)>| match key {
            Ok(key) => {
                let key = &key["KeyMetadata"];
                json!([
                    key["KeyState"],
                    key["MultiRegionConfiguration"]["MultiRegionKeyType"]
                ])
            }
            Err((name, _)) => json!(name),
        };
        let here = self.client.call("DescribeKey", self.key());
        json!([told(here), told(self.there("DescribeKey", self.key()))])
    }
}

#[test]
fn each_side_decrypts_what_the_other_encrypted_before_and_after_rotations() {
    let set = Set::replicated(json!({}));
    let client = &set.client;
    let seal = json!({"KeyId": set.id, "Plaintext": "c2VjcmV0", "EncryptionContext": {"a": "b"}});
    let open = |sealed: &Value| json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": {"a": "b"}});
    let mut blobs = Vec::new();
    let enable = json!({"KeyId": set.id, "RotationPeriodInDays": 90});
    let (name, message) = set.there("EnableKeyRotation", enable.clone()).unwrap_err();
    assert_eq!(name, "UnsupportedOperationException");
    assert!(
        message.ends_with("is not a multi-region primary key."),
        "{message}"
    );
    client.ok("EnableKeyRotation", enable);
    let status = set.there("GetKeyRotationStatus", set.key()).unwrap();
    assert_eq!(status["RotationPeriodInDays"], 90);
    for _ in 0..2 {
        blobs.push((client.ok("Encrypt", seal.clone()), HERE));
        blobs.push((set.there("Encrypt", seal.clone()).unwrap(), THERE));
        for (sealed, from) in &blobs {
            let here = client.ok("Decrypt", open(sealed));
            let there = set.there("Decrypt", open(sealed)).unwrap();
            for (opened, region) in [(&here, HERE), (&there, THERE)] {
                assert_eq!(opened["Plaintext"], "c2VjcmV0", "{from} in {region}");
                assert!(opened["KeyId"].as_str().unwrap().contains(region));
                assert_eq!(
                    opened["KeyMaterialId"],
                    sealed_by(set.client.ok("Decrypt", open(sealed)))
                );
            }
            let mut named = open(sealed);
            named["KeyId"] = set.id.clone().into();
            set.there("Decrypt", named).unwrap();
        }
        set.advance(90);
        client.ok("RotateKeyOnDemand", set.key());
    }
    let rotations = |listed: Value| listed["Rotations"].as_array().unwrap().len();
    let here = rotations(client.ok("ListKeyRotations", set.key()));
    let there = rotations(set.there("ListKeyRotations", set.key()).unwrap());
    assert_eq!((here, there), (4, 4));
    // Nobody else's account, and no third Region.
    let blob = open(&blobs[0].0);
    let stranger = TestClient::caller("444455556666", THERE);
    let third = TestClient::caller("111122223333", "eu-west-2");
    for caller in [stranger, third] {
        let error = client
            .call_as(&caller, "Decrypt", blob.clone())
            .unwrap_err()
            .0;
        assert_eq!(error, "AccessDeniedException");
    }
}

fn sealed_by(opened: Value) -> Value {
    opened["KeyMaterialId"].clone()
}

#[test]
fn pairs_and_macs_are_shared_too() {
    let set = Set::replicated(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}));
    let public_key = set.client.ok("GetPublicKey", set.key())["PublicKey"].clone();
    assert_eq!(
        set.there("GetPublicKey", set.key()).unwrap()["PublicKey"],
        public_key
    );
    let set = Set::replicated(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}));
    let mut input = json!({"KeyId": set.id, "Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"});
    input["Mac"] = set.client.ok("GenerateMac", input.clone())["Mac"].clone();
    set.there("VerifyMac", input).unwrap();
}

#[test]
fn the_primary_moves() {
    let set = Set::replicated(json!({}));
    let client = &set.client;
    let to = |region: &str| json!({"KeyId": set.id, "PrimaryRegion": region});
    assert_eq!(
        client.error("UpdatePrimaryRegion", to("eu-west-2")),
        "NotFoundException"
    );
    assert_eq!(
        client.error("UpdatePrimaryRegion", to(HERE)),
        "UnsupportedOperationException"
    );
    assert_eq!(
        client.error("UpdatePrimaryRegion", to("cn-north-1")),
        "UnsupportedOperationException"
    );
    let error = set.there("UpdatePrimaryRegion", to(HERE)).unwrap_err().0;
    assert_eq!(error, "UnsupportedOperationException");
    let other = client.key();
    let error = client.error(
        "ReplicateKey",
        json!({"KeyId": other, "ReplicaRegion": THERE}),
    );
    assert_eq!(error, "UnsupportedOperationException");
    client.ok("UpdatePrimaryRegion", to(THERE));
    assert_eq!(
        set.states(),
        json!([["Updating", "REPLICA"], ["Updating", "PRIMARY"]])
    );
    assert_eq!(
        client.error("DisableKey", set.key()),
        "KMSInvalidStateException"
    );
    client.ok("Encrypt", json!({"KeyId": set.id, "Plaintext": "eA=="}));
    set.advance(1);
    assert_eq!(
        set.states(),
        json!([["Enabled", "REPLICA"], ["Enabled", "PRIMARY"]])
    );
    let error = client.error("RotateKeyOnDemand", set.key());
    assert_eq!(error, "UnsupportedOperationException");
    set.there("RotateKeyOnDemand", set.key()).unwrap();
}

#[test]
fn a_primary_is_deleted_after_its_replicas() {
    let set = Set::replicated(json!({}));
    let client = &set.client;
    let schedule = json!({"KeyId": set.id, "PendingWindowInDays": 10});
    let scheduled = client.ok("ScheduleKeyDeletion", schedule.clone());
    assert_eq!(scheduled["KeyState"], "PendingReplicaDeletion");
    assert!(scheduled["DeletionDate"].is_null());
    let described = client.ok("DescribeKey", set.key())["KeyMetadata"].clone();
    assert_eq!(described["PendingDeletionWindowInDays"], 10);
    let (_, message) = client
        .call("Encrypt", json!({"KeyId": set.id, "Plaintext": "eA=="}))
        .unwrap_err();
    assert!(
        message.ends_with("is pending replica deletion."),
        "{message}"
    );
    client.ok("CancelKeyDeletion", set.key());
    assert_eq!(set.states()[0][0], "Disabled");
    client.ok("ScheduleKeyDeletion", schedule);
    set.there(
        "ScheduleKeyDeletion",
        json!({"KeyId": set.id, "PendingWindowInDays": 7}),
    )
    .unwrap();
    assert_eq!(
        set.states(),
        json!([
            ["PendingReplicaDeletion", "PRIMARY"],
            ["PendingDeletion", "REPLICA"]
        ])
    );
    // Nobody looks at the replica's Region; its date counts all the same.
    set.advance(8);
    let described = client.ok("DescribeKey", set.key())["KeyMetadata"].clone();
    assert_eq!(described["KeyState"], "PendingDeletion");
    assert_eq!(
        described["MultiRegionConfiguration"]["ReplicaKeys"],
        json!([])
    );
    set.advance(8);
    assert_eq!(
        set.states()[0][0],
        "PendingDeletion",
        "10 days after the replica"
    );
    set.advance(2);
    assert_eq!(
        set.states(),
        json!(["NotFoundException", "NotFoundException"])
    );
}

/// What a replica encrypts with may not be lost: its answers wait for a rotation that the primary's Region has made.
#[test]
fn a_replica_waits_for_the_versions_that_its_primary_made() {
    let folder = harness::temp_dir();
    let client = TestClient::with(crate::config::Config {
        data_dir: Some(folder.path().to_owned()),
        ..Default::default()
    });
    let key = client.ok("CreateKey", json!({"MultiRegion": true}))["KeyMetadata"].clone();
    let id = key["KeyId"].clone();
    let there = TestClient::caller("111122223333", THERE);
    client.ok("ReplicateKey", json!({"KeyId": id, "ReplicaRegion": THERE}));
    client.advance_days(1);
    let seal = json!({"KeyId": id, "Plaintext": "eA=="});
    client.call_as(&there, "Encrypt", seal.clone()).unwrap();
    let before = there.last_dependency();
    client.ok("RotateKeyOnDemand", json!({"KeyId": id}));
    client.call_as(&there, "Encrypt", seal).unwrap();
    assert!(there.last_dependency() > before);
}

#[test]
fn a_saved_set_is_one_set_again() {
    let set = Set::replicated(json!({}));
    let image = serde_json::to_string(&set.client.simulator.image()).unwrap();
    let sealed = set
        .client
        .ok("Encrypt", json!({"KeyId": set.id, "Plaintext": "eA=="}));
    let client = TestClient::new();
    let image = serde_json::from_str::<crate::state_image::StateImage>(&image).unwrap();
    let restored = crate::state_image::Restored::read(image.into_records().unwrap()).unwrap();
    client.block_on(client.simulator.restore(restored));
    let set = Set { client, ..set };
    assert_eq!(
        set.states(),
        json!([["Enabled", "PRIMARY"], ["Enabled", "REPLICA"]])
    );
    set.there(
        "Decrypt",
        json!({"CiphertextBlob": sealed["CiphertextBlob"]}),
    )
    .unwrap();
    // What is done to the primary is seen there.
    set.client.ok("RotateKeyOnDemand", set.key());
    let sealed = set
        .client
        .ok("Encrypt", json!({"KeyId": set.id, "Plaintext": "eA=="}));
    set.there(
        "Decrypt",
        json!({"CiphertextBlob": sealed["CiphertextBlob"]}),
    )
    .unwrap();
    set.client.ok(
        "UpdatePrimaryRegion",
        json!({"KeyId": set.id, "PrimaryRegion": THERE}),
    );
    set.advance(1);
    assert_eq!(
        set.states(),
        json!([["Enabled", "REPLICA"], ["Enabled", "PRIMARY"]])
    );
}
