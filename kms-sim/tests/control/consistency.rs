//! Reads that are stale for a while, as those of KMS may be, and what never is.

use std::time::Duration;

use kms_sim::Config;
use serde_json::{Value, json};

use crate::ctl::{ctl, ctl_json};
use crate::simulator::Simulator;
use crate::with_proxy::WithProxy;

/// A simulator whose clock stands still, with a lag.
fn lagging(lag_ms: u32, seed: u64) -> Simulator {
    let simulator = Simulator::start(Config::default());
    lag(&simulator, lag_ms, seed);
    simulator
}

fn lag(simulator: &Simulator, lag_ms: u32, seed: u64) {
    simulator.set("POST", "/clock/freeze", json!({}));
    let (lag_ms, seed) = (lag_ms.to_string(), seed.to_string());
    let set = ["consistency", "--lag-ms", &lag_ms, "--seed", &seed];
    let answer = ctl_json(simulator, &set);
    assert_eq!(answer["LagMs"].to_string(), lag_ms);
}

fn pass(simulator: &Simulator, time: &str) {
    simulator.set("POST", "/clock/advance", json!({"By": time}));
}

/// The values of a member of a list's entries.
fn listed(simulator: &Simulator, operation: &str, input: Value, path: [&str; 2]) -> Vec<String> {
    let output = simulator.ok(operation, input);
    let entries = output[path[0]].as_array().expect("a list");
    let text = |entry: &Value| entry[path[1]].as_str().expect("a text").to_owned();
    entries.iter().map(text).collect()
}

fn aliases(simulator: &Simulator) -> Vec<String> {
    listed(
        simulator,
        "ListAliases",
        json!({}),
        ["Aliases", "AliasName"],
    )
}

/// How many milliseconds pass until something is seen; at most 2,000.
fn seen_after(simulator: &Simulator, seen: impl Fn() -> bool) -> u32 {
    let mut millis = 0;
    while !seen() {
        millis += 5;
        assert!(millis <= 2_000, "it is never seen");
        pass(simulator, "5ms");
    }
    millis
}

#[test]
fn without_a_lag_every_change_is_seen_at_once() {
    let simulator = Simulator::start(Config::default());
    let unset = simulator.get("/consistency");
    assert_eq!(unset, json!({"LagMs": 0, "Seed": 0}));
    simulator.set("POST", "/clock/freeze", json!({}));
    let key = simulator.key();
    simulator.ok(
        "CreateAlias",
        json!({"AliasName": "alias/a", "TargetKeyId": key}),
    );
    assert_eq!(aliases(&simulator), ["alias/a"]);
    simulator.ok("DescribeKey", json!({"KeyId": "alias/a"}));
}

#[test]
fn aliases_tags_and_grants_are_seen_within_the_lag_and_decisions_are_never_stale() {
    let simulator = lagging(500, 7);
    let (one, two) = (simulator.key(), simulator.key());
    let create = json!({"AliasName": "alias/a", "TargetKeyId": one});
    simulator.ok("CreateAlias", create.clone());
    simulator.ok(
        "TagResource",
        json!({"KeyId": one, "Tags": [{"TagKey": "k", "TagValue": "v"}]}),
    );
    let grant = simulator.ok(
        "CreateGrant",
        json!({
            "KeyId": one, "Operations": ["Encrypt"], "GranteePrincipal": "arn:aws:iam::111122223333:role/x",
            "RetiringPrincipal": "arn:aws:iam::111122223333:role/y"
        }),
    );
    let tags = || {
        listed(
            &simulator,
            "ListResourceTags",
            json!({"KeyId": one}),
            ["Tags", "TagKey"],
        )
    };
    let grants = || {
        listed(
            &simulator,
            "ListGrants",
            json!({"KeyId": one}),
            ["Grants", "GrantId"],
        )
    };
    let retirable = || {
        let input = json!({"RetiringPrincipal": "arn:aws:iam::111122223333:role/y"});
        listed(
            &simulator,
            "ListRetirableGrants",
            input,
            ["Grants", "GrantId"],
        )
    };
    // Each of these was drawn a delay by the seed, none of them zero.
    assert!(aliases(&simulator).is_empty());
    assert!(tags().is_empty());
    assert!(grants().is_empty() && retirable().is_empty());
    let describe = || simulator.kms("DescribeKey", json!({"KeyId": "alias/a"}));
    let (exception, _) = describe().expect_err("the alias is not seen");
    assert_eq!(exception, "NotFoundException");
    // What is there is there, seen or not.
    let exists = simulator.exception("CreateAlias", create);
    assert_eq!(exists, "AlreadyExistsException");
    pass(&simulator, "500ms");
    assert_eq!(aliases(&simulator), ["alias/a"]);
    assert_eq!(tags(), ["k"]);
    let id = grant["GrantId"].as_str().unwrap().to_owned();
    assert_eq!(
        (grants(), retirable()),
        (vec![id.clone()], vec![id.clone()])
    );
    assert!(describe().is_ok());

    // The other way round: what is gone or different is still seen.
    simulator.ok("UntagResource", json!({"KeyId": one, "TagKeys": ["k"]}));
    simulator.ok("RetireGrant", json!({"GrantToken": grant["GrantToken"]}));
    simulator.ok(
        "UpdateAlias",
        json!({"AliasName": "alias/a", "TargetKeyId": two}),
    );
    assert_eq!(
        (tags().len(), grants(), retirable().len()),
        (1, vec![id.clone()], 1)
    );
    assert_eq!(describe().unwrap()["KeyMetadata"]["KeyId"], one.as_str());
    let again = simulator.exception("RevokeGrant", json!({"KeyId": one, "GrantId": id}));
    assert_eq!(again, "NotFoundException", "it is retired");
    pass(&simulator, "500ms");
    assert!(tags().is_empty() && grants().is_empty() && retirable().is_empty());
    assert_eq!(describe().unwrap()["KeyMetadata"]["KeyId"], two.as_str());
    simulator.ok("DeleteAlias", json!({"AliasName": "alias/a"}));
    assert_eq!(aliases(&simulator), ["alias/a"]);
    pass(&simulator, "500ms");
    assert!(aliases(&simulator).is_empty());
}

/// "To use the permissions in a grant right away, use the grant token": AWS KMS Developer Guide, "Grant tokens".
#[test]
fn a_grant_token_works_before_its_grant_is_seen() {
    let simulator = lagging(500, 7);
    let key = simulator.key();
    let grant = simulator.ok(
        "CreateGrant",
        json!({"KeyId": key, "Operations": ["Encrypt"], "GranteePrincipal": "arn:aws:iam::111122223333:role/x"}),
    );
    let grants = || {
        listed(
            &simulator,
            "ListGrants",
            json!({"KeyId": key}),
            ["Grants", "GrantId"],
        )
    };
    assert!(grants().is_empty());
    let encrypt =
        json!({"KeyId": key, "Plaintext": "aGVsbG8=", "GrantTokens": [grant["GrantToken"]]});
    simulator.ok("Encrypt", encrypt);
    simulator.ok("RetireGrant", json!({"GrantToken": grant["GrantToken"]}));
    pass(&simulator, "500ms");
    assert!(grants().is_empty());
}

#[test]
fn the_same_seed_and_the_same_calls_give_the_same_answers() {
    let delays = |seed: u64| {
        let simulator = lagging(1_000, seed);
        let key = simulator.key();
        let delay = |n: u32| {
            let name = format!("alias/{n}");
            simulator.ok(
                "CreateAlias",
                json!({"AliasName": name, "TargetKeyId": key}),
            );
            seen_after(&simulator, || aliases(&simulator).contains(&name))
        };
        (0..6).map(delay).collect::<Vec<_>>()
    };
    let (once, again, other) = (delays(7), delays(7), delays(8));
    assert_eq!(once, again);
    assert_ne!(once, other);
    assert!(once.iter().all(|delay| *delay <= 1_000), "{once:?}");
    assert!(once.iter().any(|delay| *delay != once[0]), "{once:?}");
}

#[test]
fn changes_of_one_thing_are_seen_in_their_order() {
    let simulator = lagging(1_000, 3);
    let keys = [simulator.key(), simulator.key(), simulator.key()];
    let target = |operation: &str, key: &str| {
        simulator.ok(
            operation,
            json!({"AliasName": "alias/a", "TargetKeyId": key}),
        );
    };
    target("CreateAlias", &keys[0]);
    target("UpdateAlias", &keys[1]);
    target("UpdateAlias", &keys[2]);
    let place = || match simulator.kms("DescribeKey", json!({"KeyId": "alias/a"})) {
        Err(_) => 0,
        Ok(key) => {
            let id = key["KeyMetadata"]["KeyId"].as_str();
            1 + keys.iter().position(|key| Some(&**key) == id).unwrap()
        }
    };
    let mut places = vec![place()];
    for _ in 0..200 {
        pass(&simulator, "5ms");
        places.push(place());
    }
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!((places[0], places[200]), (0, 3));
}

#[test]
fn after_a_disconnect_reads_may_be_stale_and_cryptography_never_is() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let encrypt = || simulator.kms("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    assert!(encrypt().is_ok());
    lag(&simulator, 60_000, 7);
    let disconnect = json!({"CustomKeyStoreId": store});
    simulator.ok("DisconnectCustomKeyStore", disconnect.clone());
    let seen = || {
        let stores = simulator.ok("DescribeCustomKeyStores", json!({}));
        let key = simulator.ok("DescribeKey", json!({"KeyId": key}));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (
            text(&stores["CustomKeyStores"][0]["ConnectionState"]),
            text(&key["KeyMetadata"]["KeyState"]),
            key["KeyMetadata"]["Enabled"] == true,
        )
    };
    let stale = ("CONNECTED".to_owned(), "Enabled".to_owned(), true);
    assert_eq!(seen(), stale);
    // The control API tells how it is; the clock stands still, so the lag goes on.
    harness::wait_for("DISCONNECTED", Duration::from_secs(10), || {
        let stores = simulator.get("/stores");
        (stores["Stores"][0]["ConnectionState"] == "DISCONNECTED").then_some(())
    });
    assert_eq!(seen(), stale);
    let requests = simulator.proxy.seen().len();
    for _ in 0..3 {
        let (exception, _) = encrypt().expect_err("the store is disconnected");
        assert_eq!(exception, "KMSInvalidStateException");
    }
    let again = simulator.exception("DisconnectCustomKeyStore", disconnect.clone());
    assert_eq!(again, "CustomKeyStoreInvalidStateException");
    let create =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "two"});
    let create = simulator.exception("CreateKey", create);
    assert_eq!(create, "CustomKeyStoreInvalidStateException");
    assert_eq!(
        simulator.proxy.seen().len(),
        requests,
        "nothing reaches the proxy"
    );
    pass(&simulator, "60s");
    let current = ("DISCONNECTED".to_owned(), "Unavailable".to_owned(), false);
    assert_eq!(seen(), current);
}

#[test]
fn a_reset_a_restore_and_other_settings_end_every_staleness() {
    let simulator = lagging(60_000, 7);
    let key = simulator.key();
    let alias = |name: &str| {
        simulator.ok(
            "CreateAlias",
            json!({"AliasName": name, "TargetKeyId": key}),
        );
    };
    alias("alias/a");
    assert!(aliases(&simulator).is_empty());
    // Other settings: what was changed before is seen; what is changed from now on is stale again.
    ctl_json(
        &simulator,
        &["consistency", "--lag-ms", "60000", "--seed", "8"],
    );
    assert_eq!(aliases(&simulator), ["alias/a"]);
    alias("alias/b");
    assert_eq!(aliases(&simulator), ["alias/a"]);
    // A clock that is set back does not prolong it.
    pass(&simulator, "365d");
    alias("alias/c");
    assert_eq!(aliases(&simulator), ["alias/a", "alias/b"]);
    simulator.set("POST", "/clock/reset", json!({}));
    assert_eq!(aliases(&simulator), ["alias/a", "alias/b", "alias/c"]);
    // A snapshot has what is there, and a restored state is seen as it is.
    simulator.set("POST", "/clock/freeze", json!({}));
    alias("alias/d");
    let snapshot = simulator.get("/snapshot");
    simulator.set("POST", "/restore", snapshot);
    assert_eq!(aliases(&simulator).len(), 4);
    let off = json!({"LagMs": 0, "Seed": 0});
    assert_eq!(simulator.get("/consistency"), off);
    lag(&simulator, 60_000, 7);
    simulator.set("POST", "/reset", json!({}));
    assert_eq!(simulator.get("/consistency"), off);
}

#[test]
fn settings_are_checked_and_shown() {
    let simulator = Simulator::start(Config::default());
    for bad in [
        json!({}),
        json!({"LagMs": -1}),
        json!({"LagMs": 1.5}),
        json!({"LagMs": 5, "Sede": 1}),
        json!({"LagMs": 4_294_967_296_u64}),
    ] {
        simulator.refused("PUT", "/consistency", bad);
    }
    assert_eq!(simulator.control("DELETE", "/consistency", None).0, 405);
    assert_eq!(simulator.control("GET", "/consistency/x", None).0, 404);
    ctl_json(
        &simulator,
        &["consistency", "--lag-ms", "500", "--seed", "7"],
    );
    let (_, shown, _) = ctl(simulator.control, &["consistency"]);
    assert_eq!(shown, "LagMs: 500\nSeed: 7\n");
}
