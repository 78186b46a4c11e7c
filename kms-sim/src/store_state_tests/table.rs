//! Every operation in every ConnectionState.

use super::*;

/// What is done; for which kind of store; the source; what comes of it while DISCONNECTED, CONNECTING, CONNECTED, FAILED
/// and DISCONNECTING.
///
/// `-` is success, `>STATE` success that leads to that state (`>gone`: to no store at all), anything else the exception:
/// `STORE` is CustomKeyStoreInvalidStateException, `KEY` KMSInvalidStateException.
const TABLE: &str = "
    Connect                         both  [M]CustomKeyStoreInvalidState      >CONNECTING    -               -               STORE           STORE
    Disconnect                      both  [M]CustomKeyStoreInvalidState      STORE          >DISCONNECTING  >DISCONNECTING  >DISCONNECTING  STORE
    Update:name                     xks   [G]update-xks-keystore+[I]         -              STORE           -               -               STORE
    Update:name                     hsm   [M]CustomKeyStoreInvalidState+[I]  -              STORE           -               STORE           STORE
    Update:credential               xks   [G]update-xks-keystore+[I]         -              STORE           -               -               STORE
    Update:path                     xks   [G]update-xks-keystore+[I]         -              STORE           -               -               STORE
    Update:name+credential+path     xks   [G]update-xks-keystore+[I]         -              STORE           -               -               STORE
    Update:endpoint                 xks   [G]update-xks-keystore             -              STORE           STORE           STORE           STORE
    Update:connectivity             xks   [G]update-xks-keystore             -              STORE           STORE           STORE           STORE
    Update:name+endpoint            xks   [G]update-xks-keystore             -              STORE           STORE           STORE           STORE
    Update:password                 hsm   [M]UpdateCustomKeyStore            -              STORE           STORE           STORE           STORE
    Update:cluster                  hsm   [M]UpdateCustomKeyStore            -              STORE           STORE           STORE           STORE
    Update:name+cluster             hsm   [M]UpdateCustomKeyStore            -              STORE           STORE           STORE           STORE
    Delete:empty                    both  [M]CustomKeyStoreInvalidState      >gone          STORE           STORE           STORE           STORE
    Delete:with-a-key               both  [M]DeleteCustomKeyStore+[I]        HASKEYS        STORE           STORE           STORE           STORE
    Delete:with-a-deleted-key       both  [M]DeleteCustomKeyStore+[I]        HASKEYS        STORE           STORE           STORE           STORE
    CreateKey                       both  [M]CustomKeyStoreInvalidState      STORE          STORE           -               STORE           STORE
    Encrypt                         both  [G]key-state-11                    KEY            KEY             -               KEY             KEY
    Encrypt:disabled                both  [G]key-state-11                    KEY            KEY             DISABLED        KEY             KEY
    Decrypt                         both  [G]key-state-11                    KEY            KEY             -               KEY             KEY
    GenerateDataKey                 both  [G]key-state-11                    KEY            KEY             -               KEY             KEY
    GenerateDataKeyWithoutPlaintext both  [G]key-state-11                    KEY            KEY             -               KEY             KEY
    ReEncrypt:from                  both  [G]key-state-11                    KEY            KEY             -               KEY             KEY
    ReEncrypt:to                    both  [G]key-state-11                    KEY            KEY             -               KEY             KEY
    GenerateRandom:of-the-store     hsm   [M]GenerateRandom                  STORE          STORE           -               STORE           STORE
    GenerateRandom:of-the-store     xks   [M]GenerateRandom                  UNSUPPORTED    UNSUPPORTED     UNSUPPORTED     UNSUPPORTED     UNSUPPORTED
    GenerateRandom                  both  [M]GenerateRandom                  -              -               -               -               -
    DescribeCustomKeyStores         both  [G]disconnect-keystore             -              -               -               -               -
    ListKeys                        both  [G]disconnect-keystore             -              -               -               -               -
    DescribeKey                     both  [G]key-state                       -              -               -               -               -
    CreateAlias                     both  [G]key-state                       -              -               -               -               -
    UpdateAlias                     both  [G]key-state                       -              -               -               -               -
    DeleteAlias                     both  [G]key-state                       -              -               -               -               -
    ListAliases                     both  [G]key-state                       -              -               -               -               -
    TagResource                     both  [G]key-state                       -              -               -               -               -
    UntagResource                   both  [G]key-state                       -              -               -               -               -
    ListResourceTags                both  [G]key-state                       -              -               -               -               -
    GetKeyPolicy                    both  [G]key-state                       -              -               -               -               -
    PutKeyPolicy                    both  [G]key-state                       -              -               -               -               -
    ListKeyPolicies                 both  [G]key-state                       -              -               -               -               -
    CreateGrant                     both  [G]key-state                       -              -               -               -               -
    ListGrants                      both  [G]key-state                       -              -               -               -               -
    ListRetirableGrants             both  [G]key-state                       -              -               -               -               -
    RetireGrant                     both  [G]key-state                       -              -               -               -               -
    RevokeGrant                     both  [G]key-state                       -              -               -               -               -
    EnableKey                       both  [G]key-state-12                    -              -               -               -               -
    DisableKey                      both  [G]key-state-12                    -              -               -               -               -
    UpdateKeyDescription            both  [G]key-state                       -              -               -               -               -
    ScheduleKeyDeletion             both  [G]key-state                       -              -               -               -               -
    CancelKeyDeletion               both  [G]key-state-13                    -              -               -               -               -
    CancelKeyDeletion:enabled       both  [G]key-state-4                     KEY            KEY             KEY             KEY             KEY
    EnableKeyRotation               both  [G]key-state-7                     UNSUPPORTED    UNSUPPORTED     UNSUPPORTED     UNSUPPORTED     UNSUPPORTED
    DisableKeyRotation              both  [G]key-state-7                     UNSUPPORTED    UNSUPPORTED     UNSUPPORTED     UNSUPPORTED     UNSUPPORTED
    GetKeyRotationStatus            both  [G]key-state-7                     UNSUPPORTED    UNSUPPORTED     UNSUPPORTED     UNSUPPORTED     UNSUPPORTED
    RotateKeyOnDemand               both  [I]like-EnableKeyRotation          UNSUPPORTED    UNSUPPORTED     UNSUPPORTED     UNSUPPORTED     UNSUPPORTED
    ListKeyRotations                both  [I]like-GetKeyRotationStatus       UNSUPPORTED    UNSUPPORTED     UNSUPPORTED     UNSUPPORTED     UNSUPPORTED
";

/// One line of the table.
struct Row {
    what: &'static str,
    source: &'static str,
    cells: [&'static str; 5],
}

fn rows(kind: Kind) -> impl Iterator<Item = Row> {
    let lines = TABLE.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .filter_map(move |line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let [what, kinds, source, cells @ ..] = &words[..] else {
                panic!("{line}");
            };
            assert!(source.starts_with('['), "{line}");
            let row = Row {
                what,
                source,
                cells: cells.try_into().expect("five cells"),
            };
            let of_kind = match *kinds {
                "both" => true,
                "xks" => kind == Kind::Xks,
                "hsm" => kind == Kind::CloudHsm,
                other => panic!("{other} is no kind"),
            };
            of_kind.then_some(row)
        })
}

fn exception(cell: &str) -> &'static str {
    match cell {
        "STORE" => "CustomKeyStoreInvalidStateException",
        "KEY" => "KMSInvalidStateException",
        "HASKEYS" => "CustomKeyStoreHasCMKsException",
        "UNSUPPORTED" => "UnsupportedOperationException",
        "DISABLED" => "DisabledException",
        other => panic!("{other} is no exception of the table"),
    }
}

/// What a row is about: made while the store is CONNECTED.
struct Call {
    operation: &'static str,
    input: Value,
    /// A key of the store and its KeyState while the store is CONNECTED.
    key: Option<(String, &'static str)>,
}

impl World {
    fn call_of(&self, what: &'static str) -> Call {
        if let Some(call) = self.call_of_the_store(what) {
            return call;
        }
        let (operation, variant) = what.split_once(':').unwrap_or((what, ""));
        let key = self.key();
        let mut key_state = "Enabled";
        let ok = |operation: &str, input: Value| self.client.ok(operation, input);
        let on_key = json!({"KeyId": key});
        let with = |member: &str, value: Value| json!({"KeyId": key, member: value});
        let alias = |target: &str| json!({"AliasName": "alias/a", "TargetKeyId": target});
        let grant = || {
            let input = json!({
                "KeyId": key, "Operations": ["Encrypt"], "GranteePrincipal": ALICE, "RetiringPrincipal": ALICE,
            });
            ok("CreateGrant", input)
        };
        let own = self.client.key();
        let input = match (operation, variant) {
            ("Encrypt", _) => {
                if variant == "disabled" {
                    ok("DisableKey", on_key);
                    key_state = "Disabled";
                }
                with("Plaintext", json!("AAAA"))
            }
            ("Decrypt", _) => json!({"CiphertextBlob": self.encrypt(&key)}),
            ("GenerateDataKey" | "GenerateDataKeyWithoutPlaintext", _) => {
                with("KeySpec", json!("AES_256"))
            }
            ("ReEncrypt", "from") => {
                json!({"CiphertextBlob": self.encrypt(&key), "DestinationKeyId": own})
            }
            ("ReEncrypt", _) => {
                json!({"CiphertextBlob": self.encrypt(&own), "DestinationKeyId": key})
            }
            ("CreateAlias", _) => alias(&key),
            ("UpdateAlias", _) => {
                ok("CreateAlias", alias(&own));
                alias(&key)
            }
            ("DeleteAlias", _) => {
                ok("CreateAlias", alias(&key));
                json!({"AliasName": "alias/a"})
            }
            ("TagResource", _) => with("Tags", json!([{"TagKey": "a", "TagValue": "b"}])),
            ("UntagResource", _) => with("TagKeys", json!(["a"])),
            ("PutKeyPolicy", _) => {
                let policy = ok("GetKeyPolicy", on_key)["Policy"].take();
                with("Policy", policy)
            }
            ("CreateGrant", _) => {
                json!({"KeyId": key, "Operations": ["Decrypt"], "GranteePrincipal": ALICE})
            }
            ("ListRetirableGrants", _) => {
                grant();
                json!({"RetiringPrincipal": ALICE})
            }
            ("RetireGrant", _) => json!({"GrantToken": grant()["GrantToken"]}),
            ("RevokeGrant", _) => with("GrantId", grant()["GrantId"].take()),
            ("UpdateKeyDescription", _) => with("Description", json!("text")),
            ("CancelKeyDeletion", "") => {
                ok("ScheduleKeyDeletion", on_key.clone());
                key_state = "PendingDeletion";
                on_key
            }
            _ => on_key,
        };
        Call {
            operation,
            input,
            key: Some((key, key_state)),
        }
    }

    /// What is about the store and not about one of its keys.
    fn call_of_the_store(&self, what: &'static str) -> Option<Call> {
        let id = self.id();
        let with = |members: Value| {
            let mut input = self.id();
            for (member, value) in members.as_object().unwrap() {
                input[member] = value.clone();
            }
            input
        };
        let mut key = None;
        let (operation, input) = match what {
            "Connect" => ("ConnectCustomKeyStore", id),
            "Disconnect" => ("DisconnectCustomKeyStore", id),
            "Delete:empty" => ("DeleteCustomKeyStore", id),
            "Delete:with-a-key" => {
                key = Some((self.key(), "Enabled"));
                ("DeleteCustomKeyStore", id)
            }
            "Delete:with-a-deleted-key" => {
                let deleted = self.key();
                self.client
                    .ok("ScheduleKeyDeletion", json!({"KeyId": deleted}));
                key = Some((deleted, "PendingDeletion"));
                ("DeleteCustomKeyStore", id)
            }
            "CreateKey" => ("CreateKey", self.new_key()),
            "GenerateRandom:of-the-store" => ("GenerateRandom", with(json!({"NumberOfBytes": 8}))),
            "GenerateRandom" => ("GenerateRandom", json!({"NumberOfBytes": 8})),
            "DescribeCustomKeyStores" => ("DescribeCustomKeyStores", id),
            "ListKeys" => {
                key = Some((self.key(), "Enabled"));
                ("ListKeys", json!({}))
            }
            _ => {
                let members = what.strip_prefix("Update:")?;
                let mut input = self.id();
                for member in members.split('+') {
                    for (name, value) in self.update(member).as_object().unwrap() {
                        input[name] = value.clone();
                    }
                }
                ("UpdateCustomKeyStore", input)
            }
        };
        Some(Call {
            operation,
            input,
            key,
        })
    }

    fn update(&self, member: &str) -> Value {
        match member {
            "name" => json!({"NewCustomKeyStoreName": "New"}),
            "credential" => json!({"XksProxyAuthenticationCredential": credential()}),
            "path" => json!({"XksProxyUriPath": URI_PATH}),
            "endpoint" => json!({"XksProxyUriEndpoint": format!("https://{HOST}")}),
            "connectivity" => json!({
                "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                "XksProxyUriEndpoint": format!("https://{HOST}"),
                "XksProxyVpcEndpointServiceName": self.vpc_endpoint_service(),
            }),
            "password" => json!({"KeyStorePassword": "kmsPswd of the test"}),
            "cluster" => json!({"CloudHsmClusterId": self.cluster().id.as_str()}),
            other => panic!("{other} is no member"),
        }
    }
}

#[test]
fn each_operation_in_each_state_of_an_external_key_store_is_that_of_the_table() {
    assert_eq!(check_all(Kind::Xks), 43 + 8);
}

#[test]
fn each_operation_in_each_state_of_a_cloud_hsm_key_store_is_that_of_the_table() {
    assert_eq!(check_all(Kind::CloudHsm), 43 + 5);
}

/// Gives the number of rows.
fn check_all(kind: Kind) -> usize {
    let check_row = |row: Row| {
        let proxy = StubProxy::start();
        for (state, cell) in STATES.into_iter().zip(row.cells) {
            check(&proxy, kind, &row, state, cell);
        }
    };
    rows(kind).map(check_row).count()
}

fn check(proxy: &StubProxy, kind: Kind, row: &Row, state: &str, cell: &str) {
    let world = World::new(proxy, kind);
    let call = world.call_of(row.what);
    world.enter(proxy, state);
    let name = format!("{} of {kind:?} while {state} ({})", row.what, row.source);
    if let Some((key, connected)) = &call.key {
        // [G] key-state, fn 13: PendingDeletion is not hidden; what else a key is, is.
        let expected = match (state, *connected) {
            ("CONNECTED", _) | (_, "PendingDeletion") => connected,
            _ => "Unavailable",
        };
        assert_eq!(world.key_state(key), expected, "{name}");
    }
    let before = world.entry();
    let asked = proxy.seen().len();
    let outcome = world.client.call(call.operation, call.input.clone());
    match outcome {
        Ok(output) => {
            let next = match cell {
                "-" => state,
                ">gone" => "",
                _ => cell
                    .strip_prefix('>')
                    .unwrap_or_else(|| panic!("{name} succeeded: {output}")),
            };
            assert_eq!(world.state(), next, "{name}");
        }
        Err((found, message)) => {
            let success = cell == "-" || cell.starts_with('>');
            assert!(!success, "{name}: {found} {message}");
            assert_eq!(found, exception(cell), "{name}: {message}");
            assert_eq!(world.entry(), before, "{name} changes nothing");
            assert_eq!(proxy.seen().len(), asked, "{name} asks no proxy");
            if cell == "KEY" && row.source == "[G]key-state-11" {
                let (key, _) = call.key.as_ref().expect("cryptography has a key");
                // The specification's text for external keys, the guide's for the others.
                let unavailable = match kind {
                    Kind::Xks => "This KMS key is in a custom key store that is not connected to its external key \
                                  store proxy. Connect the external key store and try the request again."
                        .to_owned(),
                    Kind::CloudHsm => {
                        format!("arn:aws:kms:us-east-1:111122223333:key/{key} is unavailable.")
                    }
                };
                assert_eq!(message, unavailable, "{name}");
            }
        }
    }
    if state != "CONNECTED" && call.operation != "UpdateCustomKeyStore" {
        let reached = &proxy.seen()[asked..];
        let connects = state == "DISCONNECTED" && row.what == "Connect";
        let health = |path: &str| connects && path.ends_with("/health");
        let reached: Vec<_> = reached.iter().filter(|seen| !health(&seen.path)).collect();
        assert!(reached.is_empty(), "{name}: a request reached the proxy");
    }
}

const ALICE: &str = "arn:aws:iam::111122223333:user/Alice";
