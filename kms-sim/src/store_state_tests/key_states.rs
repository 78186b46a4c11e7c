//! KeyState, which follows from what the owner of a key decided and from its store.

use super::*;

/// [G] key-state, fix-keystore: what the owner decided; KeyState while the store is DISCONNECTED, CONNECTING, CONNECTED,
/// FAILED and DISCONNECTING.
const TABLE: [(&str, [&str; 5]); 3] = [
    // "Unavailable" also while DISCONNECTING: keys cannot be used "right away" [G] disconnect-keystore, [I].
    (
        "EnableKey",
        [
            "Unavailable",
            "Unavailable",
            "Enabled",
            "Unavailable",
            "Unavailable",
        ],
    ),
    (
        "DisableKey",
        [
            "Unavailable",
            "Unavailable",
            "Disabled",
            "Unavailable",
            "Unavailable",
        ],
    ),
    // Footnote 13.
    (
        "ScheduleKeyDeletion",
        [
            "PendingDeletion",
            "PendingDeletion",
            "PendingDeletion",
            "PendingDeletion",
            "PendingDeletion",
        ],
    ),
];

#[test]
fn key_state_follows_from_the_owner_and_the_store() {
    let proxy = StubProxy::start();
    for kind in KINDS {
        for (column, state) in STATES.into_iter().enumerate() {
            let world = World::new(&proxy, kind);
            let keys = TABLE.map(|(decision, states)| {
                let key = world.key();
                world.client.ok(decision, json!({"KeyId": key}));
                (key, decision, states)
            });
            let own = world.client.key();
            world.enter(&proxy, state);
            for (key, decision, states) in keys {
                let found = world.key_state(&key);
                assert_eq!(found, states[column], "{decision}, {kind:?} {state}");
            }
            // A key of KMS's own has nothing to do with it.
            assert_eq!(world.key_state(&own), "Enabled");
        }
    }
}

#[test]
fn a_reconnect_restores_what_was_decided_meanwhile() {
    let proxy = StubProxy::start();
    for kind in KINDS {
        let world = World::new(&proxy, kind);
        let client = &world.client;
        let [enabled, disabled, enabled_later, disabled_later, pending] =
            [(); 5].map(|()| world.key());
        for key in [&disabled, &enabled_later] {
            client.ok("DisableKey", json!({"KeyId": key}));
        }
        client.ok("ScheduleKeyDeletion", json!({"KeyId": pending}));
        client.disconnect(&world.store);
        // [G] key-state, footnote 12.
        client.ok("EnableKey", json!({"KeyId": enabled_later}));
        client.ok("DisableKey", json!({"KeyId": disabled_later}));
        for key in [&enabled, &disabled, &enabled_later, &disabled_later] {
            assert_eq!(world.key_state(key), "Unavailable");
        }
        assert_eq!(world.key_state(&pending), "PendingDeletion");
        client.connect(&world.store);
        for (key, expected) in [
            (&enabled, "Enabled"),
            (&disabled, "Disabled"),
            (&enabled_later, "Enabled"),
            (&disabled_later, "Disabled"),
            (&pending, "PendingDeletion"),
        ] {
            assert_eq!(world.key_state(key), expected, "{kind:?}");
        }
        // A key that is no longer to be deleted is Disabled, and in a disconnected store Unavailable [I].
        client.disconnect(&world.store);
        client.ok("CancelKeyDeletion", json!({"KeyId": pending}));
        assert_eq!(world.key_state(&pending), "Unavailable");
        client.connect(&world.store);
        assert_eq!(world.key_state(&pending), "Disabled");
    }
}
