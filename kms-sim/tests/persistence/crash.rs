//! `kill -9` in the middle of changes: what was acknowledged is there.
//!
//! `KMS_SIM_CRASH_ROUNDS` sets the rounds; the moments of death spread over the first tenths of a second of work.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Client, Program};

/// What one client was told, and what it was about to be told.
#[derive(Default)]
struct Told {
    /// By key id: the number of the last acknowledged description, and that of one which may be there too.
    descriptions: BTreeMap<String, [u64; 2]>,
    /// The target of each alias; `None` where the last change was not acknowledged.
    aliases: BTreeMap<String, Option<String>>,
    /// Ciphertexts of every version of the keys.
    ciphertexts: Vec<Value>,
    /// Grants by key.
    grants: Vec<(String, String)>,
    number: u64,
}

impl Told {
    /// Changes things until the server dies.
    fn work(&mut self, client: &mut Client, name: &str) -> io::Result<()> {
        loop {
            let created = client.call("CreateKey", &json!({"Description": "0"}))?;
            let created = created.expect("CreateKey succeeds");
            let key = text(&created["KeyMetadata"]["KeyId"]);
            self.descriptions.insert(key.clone(), [0, 0]);
            for _ in 0..3 {
                self.number += 1;
                let alias = format!("alias/{name}/{}", self.number % 5);
                let operation = match self.aliases.get(&alias) {
                    None => "CreateAlias",
                    Some(Some(_)) => "UpdateAlias",
                    Some(None) => "DeleteAlias",
                };
                let mut input = json!({"AliasName": alias});
                if operation != "DeleteAlias" {
                    input["TargetKeyId"] = json!(key);
                }
                self.aliases.insert(alias.clone(), None);
                // An alias of unknown fate may be gone.
                let done = client.call(operation, &input)?.is_ok();
                match (operation, done) {
                    ("DeleteAlias", _) => drop(self.aliases.remove(&alias)),
                    (_, true) => drop(self.aliases.insert(alias, Some(key.clone()))),
                    (_, false) => panic!("{operation} {input}"),
                }
                let description = json!({"KeyId": key, "Description": self.number.to_string()});
                let numbers = self.descriptions.entry(key.clone()).or_default();
                numbers[1] = self.number;
                let described = client.call("UpdateKeyDescription", &description)?;
                described.expect("UpdateKeyDescription succeeds");
                numbers[0] = self.number;
                let rotated = client.call("RotateKeyOnDemand", &json!({"KeyId": key}))?;
                rotated.expect("RotateKeyOnDemand succeeds");
                let input = json!({"KeyId": key, "Plaintext": "c2VjcmV0"});
                let encrypted = client.call("Encrypt", &input)?.expect("Encrypt succeeds");
                self.ciphertexts.push(encrypted["CiphertextBlob"].clone());
            }
            let grant = json!({"KeyId": key, "GranteePrincipal": "arn:aws:iam::111122223333:user/Alice", "Operations": ["Decrypt"]});
            let grant = client
                .call("CreateGrant", &grant)?
                .expect("CreateGrant succeeds");
            self.grants.push((key, text(&grant["GrantId"])));
        }
    }

    /// Whether everything that was acknowledged is there.
    fn check(&self, client: &mut Client) {
        for (key, numbers) in &self.descriptions {
            let described = client.ok("DescribeKey", &json!({"KeyId": key}));
            let found = number(&described);
            assert!(numbers.contains(&found), "{found} for {numbers:?}");
        }
        for (alias, target) in &self.aliases {
            let Some(target) = target else { continue };
            let described = client.ok("DescribeKey", &json!({"KeyId": alias}));
            assert_eq!(described["KeyMetadata"]["KeyId"], **target, "{alias}");
        }
        for ciphertext in &self.ciphertexts {
            let output = client.ok("Decrypt", &json!({"CiphertextBlob": ciphertext}));
            assert_eq!(output["Plaintext"], "c2VjcmV0");
        }
        for (key, grant) in &self.grants {
            let grants = client.ok("ListGrants", &json!({"KeyId": key, "GrantId": grant}));
            assert_eq!(grants["Grants"].as_array().map(Vec::len), Some(1));
        }
    }

    /// What was not acknowledged is looked at anew, so that the next round begins with what is there.
    fn forget_the_uncertain(&mut self, client: &mut Client) {
        self.aliases.retain(|alias, target| {
            let found = client.call("DescribeKey", &json!({"KeyId": alias}));
            match found.expect("the server lives") {
                Ok(described) => {
                    *target = Some(text(&described["KeyMetadata"]["KeyId"]));
                    true
                }
                Err(_) => false,
            }
        });
        for (key, numbers) in &mut self.descriptions {
            let described = client.ok("DescribeKey", &json!({"KeyId": key}));
            *numbers = [number(&described); 2];
        }
        // The older ones were checked often enough.
        let old = self.ciphertexts.len().saturating_sub(60);
        self.ciphertexts.drain(..old);
        let old = self.grants.len().saturating_sub(20);
        self.grants.drain(..old);
        while self.descriptions.len() > 20 {
            self.descriptions.pop_first();
        }
    }
}

/// Connects and disconnects a CloudHSM key store, which changes the password on both sides, until the server dies.
fn toggle(client: &mut Client, store: &str) -> io::Result<()> {
    let input = json!({"CustomKeyStoreId": store});
    loop {
        let stores = client
            .call("DescribeCustomKeyStores", &input)?
            .expect("it is there");
        let operation = match stores["CustomKeyStores"][0]["ConnectionState"].as_str() {
            Some("CONNECTED") => "DisconnectCustomKeyStore",
            Some("DISCONNECTED") => "ConnectCustomKeyStore",
            Some("CONNECTING" | "DISCONNECTING") => continue,
            other => panic!("{other:?}: {stores}"),
        };
        client.call(operation, &input)?.expect("it succeeds");
    }
}

/// Whether KMS can log in, and the key in the cluster still opens what it sealed.
fn check_cluster(client: &mut Client, store: &str, ciphertext: &Value) {
    let input = json!({"CustomKeyStoreId": store});
    let mut state = || {
        let stores = client.ok("DescribeCustomKeyStores", &input);
        text(&stores["CustomKeyStores"][0]["ConnectionState"])
    };
    let settled = harness::wait_for("a settled state", Duration::from_secs(10), || {
        Some(state()).filter(|state| !state.ends_with("ING"))
    });
    if settled == "DISCONNECTED" {
        client.ok("ConnectCustomKeyStore", &input);
    }
    let stores = client.ok("DescribeCustomKeyStores", &input);
    assert_eq!(
        stores["CustomKeyStores"][0]["ConnectionState"], "CONNECTED",
        "{stores}"
    );
    let output = client.ok("Decrypt", &json!({"CiphertextBlob": ciphertext}));
    assert_eq!(output["Plaintext"], "c2VjcmV0");
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds = std::env::var("KMS_SIM_CRASH_ROUNDS");
    let rounds: u64 = rounds.ok().and_then(|text| text.parse().ok()).unwrap_or(50);
    let folder = harness::temp_dir();
    let data = folder.path().join("data");
    let program = Program::start(&data, &[]);
    let (store, ciphertext) = cluster(&program);
    let mut told = [Told::default(), Told::default()];
    let mut program = Some(program);
    for round in 0..rounds {
        let mut running = program.take().expect("it was started");
        std::thread::scope(|scope| {
            for (number, told) in told.iter_mut().enumerate() {
                let mut client = running.client();
                // Ends when the server dies.
                scope.spawn(move || told.work(&mut client, &number.to_string()).unwrap_err());
            }
            let mut client = running.client();
            let store = &store;
            scope.spawn(move || toggle(&mut client, store).unwrap_err());
            // 7 and 101 have no common divisor: the moments differ in each of a hundred rounds.
            std::thread::sleep(Duration::from_millis(10 + round * 7 % 101 * 2));
            running.process.kill();
        });
        let restarted = Program::start(&data, &[]);
        let mut client = restarted.client();
        for told in &mut told {
            told.check(&mut client);
            told.forget_the_uncertain(&mut client);
        }
        check_cluster(&mut client, &store, &ciphertext);
        program = Some(restarted);
    }
    let changes: u64 = told.iter().map(|told| told.number).sum();
    assert!(changes > rounds, "the clients did their work: {changes}");
}

/// A CloudHSM key store, CONNECTED, with a key; and what the key has sealed.
fn cluster(program: &Program) -> (String, Value) {
    let created = program.control("POST", "/cloudhsm/clusters", r#"{"Hsms": 2}"#);
    let mut client = program.client();
    let store = client.ok(
        "CreateCustomKeyStore",
        &json!({
            "CustomKeyStoreName": "hsm",
            "CloudHsmClusterId": created["ClusterId"],
            "TrustAnchorCertificate": created["TrustAnchorCertificate"],
            "KeyStorePassword": created["KeyStorePassword"],
        }),
    );
    let store = text(&store["CustomKeyStoreId"]);
    client.ok("ConnectCustomKeyStore", &json!({"CustomKeyStoreId": store}));
    let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let key = text(&client.ok("CreateKey", &input)["KeyMetadata"]["KeyId"]);
    let encrypted = client.ok("Encrypt", &json!({"KeyId": key, "Plaintext": "c2VjcmV0"}));
    (store, encrypted["CiphertextBlob"].clone())
}

/// The description of a key, which is a number.
fn number(described: &Value) -> u64 {
    let description = text(&described["KeyMetadata"]["Description"]);
    description.parse().expect("a number")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
