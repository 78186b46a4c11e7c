//! Lists of an account with very many keys: each page looks at its own entries and no more, wherever it is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::marker;
use crate::arn::key_arn;
use crate::config::Config;
use crate::custom_key_store::CustomKeyStoreId;
use crate::grant::{Grant, GrantPrincipal, GrantTerms};
use crate::key::{Key, Origin};
use crate::looked_at::while_counting;
use crate::test_client::TestClient;

const KEYS: usize = 100_000;
const GRANTS: usize = 10_000;

/// 100,000 keys, each with an alias; the first has 50 aliases and 10,000 grants for two grantees by turns, which one
/// principal can retire.
fn crowded() -> (TestClient, String) {
    let client = TestClient::with(Config {
        max_keys: 1_000_000,
        transition: Duration::ZERO,
        ..Config::default()
    });
    let region = client.simulator.region(&client.caller);
    let mut state = region.lock();
    let now = client.now();
    let store = CustomKeyStoreId::unknown();
    let mut first: Option<Arc<str>> = None;
    for number in 0..KEYS {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let arn = key_arn(&client.caller, &id);
        let store = store.clone();
        let key = Key::new(&id, &arn, now, Origin::AwsCloudHsm { store });
        let id = Arc::clone(key.id());
        state.keys.insert(key);
        let alias = format!("alias/{number:06}");
        state.keys.aliases.create(&alias, &id, now).unwrap();
        first.get_or_insert(id);
    }
    let first = first.unwrap();
    for number in 1..50 {
        let alias = format!("alias/zz/{number:02}");
        state.keys.aliases.create(&alias, &first, now).unwrap();
    }
    for number in 0..GRANTS {
        let id = format!("{number:064}");
        let grant = Grant {
            token: format!("token {id}"),
            id: id.into(),
            created: now,
            issuing_account: None,
            terms: GrantTerms {
                name: None,
                grantee: GrantPrincipal::Aws([ALICE, BOB][number % 2].to_owned()),
                retiring: Some(GrantPrincipal::Aws(CAROL.to_owned())),
                operations: vec!["Encrypt".to_owned()],
                constraints: None,
            },
        };
        state.keys.grants.insert(&first, grant);
    }
    drop(state);
    (client, first.to_string())
}

/// A list: the operation with its output's member, the input, the largest page, how many entries there are, and the name of
/// each by its number.
type List = (
    (&'static str, &'static str),
    Value,
    usize,
    usize,
    fn(usize) -> String,
);

#[test]
fn a_page_looks_at_its_own_entries_and_at_the_next() {
    let (client, first) = crowded();
    let key = |n: usize| format!("00000000-0000-4000-8000-{n:012}");
    let alias = |n: usize| match n.checked_sub(KEYS) {
        None => format!("alias/{n:06}"),
        Some(n) => format!("alias/zz/{:02}", n + 1),
    };
    let of_first = |n: usize| match n {
        0 => "alias/000000".to_owned(),
        n => format!("alias/zz/{n:02}"),
    };
    let grant = |n: usize| format!("{n:064}");
    let of_alice = |n: usize| format!("{:064}", 2 * n);
    let last = |_| format!("{:064}", GRANTS - 1);
    let grants = ("ListGrants", "Grants");
    let to_alice = json!({"KeyId": first, "GranteePrincipal": ALICE});
    let one = json!({"KeyId": first, "GrantId": grant(GRANTS - 1)});
    let lists: [List; 7] = [
        (("ListKeys", "Keys"), json!({}), 1000, KEYS, key),
        (("ListAliases", "Aliases"), json!({}), 100, KEYS + 49, alias),
        (
            ("ListAliases", "Aliases"),
            json!({"KeyId": first}),
            20,
            50,
            of_first,
        ),
        (grants, json!({"KeyId": first}), 100, GRANTS, grant),
        (grants, to_alice, 100, GRANTS / 2, of_alice),
        (grants, one, 100, 1, last),
        (
            ("ListRetirableGrants", "Grants"),
            json!({"RetiringPrincipal": CAROL}),
            100,
            GRANTS,
            grant,
        ),
    ];
    for ((operation, member), mut input, limit, count, name) in lists {
        input["Limit"] = limit.into();
        for start in [0, 1, count / 2, count.saturating_sub(limit + 1), count - 1] {
            if start >= count {
                continue;
            }
            input["Marker"] = match start.checked_sub(1) {
                None => Value::Null,
                Some(before) => marker(&name(before)).into(),
            };
            let (looked_at, output) = while_counting(|| client.ok(operation, input.clone()));
            let items = output[member].as_array().unwrap();
            assert_eq!(items.len(), limit.min(count - start), "{operation} {input}");
            assert!(
                (items.len()..=limit + 1).contains(&looked_at),
                "{operation} {input}: {} entries, {looked_at} looked at",
                items.len()
            );
            for (number, item) in items.iter().enumerate() {
                let found = ["AliasName", "GrantId", "KeyId"].map(|name| item.get(name));
                let found = found.into_iter().flatten().next().and_then(Value::as_str);
                assert_eq!(found, Some(&*name(start + number)), "{operation} {input}");
            }
            let more = start + items.len() < count;
            assert_eq!(output["Truncated"], more, "{operation} {input}");
        }
    }
}

#[test]
fn what_is_about_one_thing_looks_at_no_other() {
    let (client, first) = crowded();
    let stores: Vec<_> = (0..10)
        .map(|number| client.cloud_hsm_store(&format!("Store {number}")))
        .collect();
    let grant = json!({
        "KeyId": first, "GranteePrincipal": ALICE, "Operations": ["Encrypt"], "Name": "new",
    });
    for (operation, input, most) in [
        ("DescribeKey", json!({"KeyId": "alias/050000"}), 0),
        ("CreateKey", json!({}), 0),
        (
            "CreateAlias",
            json!({"AliasName": "alias/new", "TargetKeyId": "00000000-0000-4000-8000-000000050000"}),
            0,
        ),
        ("ListResourceTags", json!({"KeyId": first}), 0),
        ("GetKeyPolicy", json!({"KeyId": first}), 0),
        ("DescribeCustomKeyStores", json!({}), 0),
        (
            "DescribeCustomKeyStores",
            json!({"CustomKeyStoreName": "Store 7"}),
            0,
        ),
        (
            "DisconnectCustomKeyStore",
            json!({"CustomKeyStoreId": stores[0]}),
            0,
        ),
        // The other grants of the same grantee, of which one could be the same.
        ("CreateGrant", grant, GRANTS / 2),
    ] {
        let (looked_at, _) = while_counting(|| client.ok(operation, input.clone()));
        assert!(looked_at <= most, "{operation} {input}: {looked_at}");
    }
    let mut input = json!({"Limit": 3});
    let sizes = [3, 3, 3, 1].map(|_| {
        let mut output = client.ok("DescribeCustomKeyStores", input.clone());
        input["Marker"] = output["NextMarker"].take();
        output["CustomKeyStores"].as_array().unwrap().len()
    });
    assert_eq!((sizes, input["Marker"].is_null()), ([3, 3, 3, 1], true));
}

const ALICE: &str = "arn:aws:iam::111122223333:user/Alice";
const BOB: &str = "arn:aws:iam::111122223333:user/Bob";
const CAROL: &str = "arn:aws:iam::111122223333:user/Carol";
