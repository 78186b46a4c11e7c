//! What a disconnect breaks and what goes on working, asked of the code that decides it: the key-state table, the
//! machine of connections, and what a failing proxy becomes. `docs/disconnect.md` and the console show it.

#[cfg(test)]
mod page;

use std::time::SystemTime;

use xks_api::error::ErrorName;
use zeroize::Zeroizing;

use crate::access::Needs;
use crate::actions::multi_region::check_primary;
use crate::api::KmsError;
use crate::connection::{
    Change, Connect, Connection, ConnectionErrorCode, ConnectionState, InvalidState,
};
use crate::custom_key_store::{CustomKeyStoreId, CustomKeyStoreType, invalid_state};
use crate::key::{AdminState, Key, Origin};
use crate::key_material::KeyMaterial;
use crate::key_state::{KeyState, permit};
use crate::key_usage::check_usage;
use crate::operation::Operation;
use crate::proxy_failure::ProxyFailure;

/// What comes of an operation with a key while the key's store is not CONNECTED.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Works,
    /// It works while the store is CONNECTED.
    Fails(KmsError),
    /// It fails in any state: keys of custom key stores cannot do it.
    Never(KmsError),
}

/// Every operation that is about one key, with a key of such a store that its owner has enabled.
pub(crate) fn of_keys(kind: CustomKeyStoreType) -> Vec<(Operation, Effect)> {
    let Some(key) = example(kind) else {
        return Vec::new();
    };
    let operations = Operation::ALL.iter().copied();
    let of_keys = operations.filter(|operation| operation.needs() != Needs::Account);
    of_keys
        .map(|operation| (operation, effect(operation, &key)))
        .collect()
}

/// The operations that work while the store is CONNECTED and fail while it is not.
pub(crate) fn failing(kind: CustomKeyStoreType) -> Vec<(Operation, KmsError)> {
    let effects = of_keys(kind).into_iter();
    let failing = effects.filter_map(|(operation, effect)| match effect {
        Effect::Fails(error) => Some((operation, error)),
        Effect::Works | Effect::Never(_) => None,
    });
    failing.collect()
}

fn effect(operation: Operation, key: &Key) -> Effect {
    // A key that can be deleted no more is one whose deletion can be cancelled, connected or not.
    let (connected, not_connected) = match operation {
        Operation::CancelKeyDeletion => (KeyState::PendingDeletion, KeyState::PendingDeletion),
        _ => (KeyState::Enabled, KeyState::Unavailable),
    };
    let of_primaries = || match operation {
        Operation::ReplicateKey | Operation::UpdatePrimaryRegion => check_primary(key),
        _ => Ok(()),
    };
    let outcome = |state| {
        check_usage(operation, key)
            .and_then(|()| permit(operation, key, state))
            .and_then(|()| of_primaries())
    };
    match (outcome(connected), outcome(not_connected)) {
        (Ok(()), Ok(())) => Effect::Works,
        (Ok(()), Err(error)) => Effect::Fails(error),
        (Err(error), _) => Effect::Never(error),
    }
}

/// KeyState of a key of such a store for [`STATES`], by what its owner has decided.
pub(crate) fn key_states(kind: CustomKeyStoreType) -> Vec<(&'static str, [KeyState; 5])> {
    let decisions = [
        ("enabled it", AdminState::Enabled),
        ("disabled it", AdminState::Disabled),
        (
            "scheduled its deletion",
            AdminState::PendingDeletion(SystemTime::UNIX_EPOCH),
        ),
    ];
    let of = |(words, decision)| {
        let mut key = example(kind)?;
        key.admin_state = decision;
        let states = STATES.map(|connection| key.state_by(|_| Some(connection)));
        Some((words, states))
    };
    decisions.into_iter().filter_map(of).collect()
}

/// A key of a store of that kind; `None` if it cannot be made up.
fn example(kind: CustomKeyStoreType) -> Option<Key> {
    let store = CustomKeyStoreId::parse(STORE)?;
    let origin = match kind {
        CustomKeyStoreType::AwsCloudHsm => Origin::AwsCloudHsm { store },
        CustomKeyStoreType::ExternalKeyStore => Origin::ExternalKeyStore {
            store,
            external_key: "example".try_into().ok()?,
            material: KeyMaterial::new(Zeroizing::new([0; 32])).into(),
        },
    };
    Some(Key::new(KEY_ID, KEY_ARN, SystemTime::UNIX_EPOCH, origin))
}

/// What comes of an operation on a store in one of its states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It leads to that state.
    Moves(ConnectionState),
    Works,
    Fails(KmsError),
}

/// An operation on a store, or one that needs it.
pub(crate) struct StoreOperation {
    /// The operation, and of which kind it is.
    pub(crate) name: &'static str,
    /// For [`STATES`].
    pub(crate) outcomes: [Outcome; 5],
}

/// In the order in which a store comes into them.
pub(crate) const STATES: [ConnectionState; 5] = [
    ConnectionState::Disconnected,
    ConnectionState::Connecting,
    ConnectionState::Connected,
    ConnectionState::Failed,
    ConnectionState::Disconnecting,
];

/// What an operation does to the connection of a store.
type Act = dyn Fn(&mut Connection<()>) -> Outcome;

/// Every operation that depends on the state of a store.
pub(crate) fn of_stores() -> Vec<StoreOperation> {
    let update = |change: Change| {
        move |connection: &mut Connection<()>| {
            told(
                "updated so",
                connection.permit_update(change),
                Outcome::Works,
            )
        }
    };
    let rows: [(&'static str, &Act); 6] = [
        (
            "ConnectCustomKeyStore",
            &|connection| match connection.connect() {
                Ok(Connect::Started(_)) => Outcome::Moves(connection.state()),
                Ok(Connect::Unchanged) => Outcome::Works,
                Err(invalid) => refused("connected", invalid),
            },
        ),
        (
            "DisconnectCustomKeyStore",
            &|connection| match connection.disconnect() {
                Ok(_) => Outcome::Moves(connection.state()),
                Err(invalid) => refused("disconnected", invalid),
            },
        ),
        (
            "UpdateCustomKeyStore: name, credential, URI path of an external key store",
            &update(Change::XksNameCredentialOrUriPath),
        ),
        (
            "UpdateCustomKeyStore: name of a CloudHSM key store",
            &update(Change::Name),
        ),
        (
            "UpdateCustomKeyStore: anything else",
            &update(Change::Other),
        ),
        ("DeleteCustomKeyStore", &|connection| {
            told("deleted", connection.permit_delete(), Outcome::Works)
        }),
    ];
    rows.into_iter()
        .map(|(name, act)| StoreOperation {
            name,
            outcomes: STATES.map(|state| act(&mut in_state(state))),
        })
        .collect()
}

/// A store's connection that has come into that state.
fn in_state(state: ConnectionState) -> Connection<()> {
    let mut connection = Connection::new();
    let attempt = match connection.connect() {
        Ok(Connect::Started(attempt)) if state != ConnectionState::Disconnected => attempt,
        _ => return Connection::new(),
    };
    // Each move is one that the machine has in this state.
    match state {
        ConnectionState::Disconnected | ConnectionState::Connecting => {}
        ConnectionState::Connected => {
            let _ = connection.connected(attempt, ());
        }
        ConnectionState::Failed => connection.failed(attempt, ConnectionErrorCode::NetworkErrors),
        ConnectionState::Disconnecting => {
            let _ = connection.disconnect();
        }
    }
    connection
}

fn told(what: &str, result: Result<(), InvalidState>, outcome: Outcome) -> Outcome {
    match result {
        Ok(()) => outcome,
        Err(invalid) => refused(what, invalid),
    }
}

fn refused(what: &str, invalid: InvalidState) -> Outcome {
    Outcome::Fails(invalid_state(STORE, what, invalid))
}

/// Whatever can go wrong between KMS and the proxy of a store that is CONNECTED, in words.
pub(crate) fn proxy_failures() -> Vec<(String, ProxyFailure)> {
    let answered = ErrorName::ALL.map(|name| {
        let words = format!("The proxy answers {}", name.as_str());
        (words, ProxyFailure::Answered(name))
    });
    let others = [
        (
            "There is no TCP connection, or it ends",
            ProxyFailure::Unreachable,
        ),
        ("There is no TLS session", ProxyFailure::Tls),
        (
            "No answer comes within 250 ms, twice",
            ProxyFailure::TimedOut,
        ),
        (
            "The answer is not one of the specification",
            ProxyFailure::Malformed("example"),
        ),
        (
            "Every key manager of the proxy is UNAVAILABLE",
            ProxyFailure::Unhealthy,
        ),
        (
            "What the proxy decrypts does not open in KMS",
            ProxyFailure::InnerCiphertext,
        ),
    ];
    let others = others.map(|(words, failure)| (words.to_owned(), failure));
    others.into_iter().chain(answered).collect()
}

/// Stands for any store and any key in messages.
pub(crate) const STORE: &str = "cks-0123456789abcdef0";
pub(crate) const KEY_ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
pub(crate) const KEY_ARN: &str =
    "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

#[cfg(test)]
mod tests {
    use super::*;

    /// Key states of AWS KMS keys (Developer Guide), the column "Unavailable", footnote 11.
    #[test]
    fn what_fails_is_what_the_developer_guide_says() {
        for kind in [
            CustomKeyStoreType::ExternalKeyStore,
            CustomKeyStoreType::AwsCloudHsm,
        ] {
            let failing = failing(kind);
            let names: Vec<_> = failing
                .iter()
                .map(|(operation, _)| operation.name())
                .collect();
            let expected = [
                "Decrypt",
                "Encrypt",
                "GenerateDataKey",
                "GenerateDataKeyWithoutPlaintext",
                "ReEncrypt",
            ];
            assert_eq!(names, expected, "{kind:?}");
            for (_, error) in failing {
                assert_eq!(error.name(), "KMSInvalidStateException");
            }
        }
    }

    #[test]
    fn every_state_is_reached() {
        for state in STATES {
            assert_eq!(in_state(state).state(), state);
        }
    }
}
