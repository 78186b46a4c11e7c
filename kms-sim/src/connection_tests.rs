//! Every state × event against the table of the documentation, and every interleaving of events.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::*;

const CODE: ConnectionErrorCode = ConnectionErrorCode::XksProxyTimedOut;

type Machine = Connection<u32>;

/// DISCONNECTED, CONNECTING, CONNECTED, FAILED, DISCONNECTING, in the table's order.
fn every_state() -> [(&'static str, Machine); 5] {
    let disconnected = Machine::new();
    let mut connecting = disconnected.clone();
    let Ok(Connect::Started(attempt)) = connecting.connect() else {
        panic!("no attempt");
    };
    let mut connected = connecting.clone();
    connected.connected(attempt, 7).unwrap();
    let mut failed = connecting.clone();
    failed.failed(attempt, CODE);
    let mut disconnecting = connected.clone();
    assert_eq!(disconnecting.disconnect(), Ok(Some(7)));
    [
        ("DISCONNECTED", disconnected),
        ("CONNECTING", connecting),
        ("CONNECTED", connected),
        ("FAILED", failed),
        ("DISCONNECTING", disconnecting),
    ]
}

/// Runs one event and says the state that follows, or `CKSInvalidState`, which must change nothing.
fn outcome<T>(
    machine: &Machine,
    event: impl FnOnce(&mut Machine) -> Result<T, InvalidState>,
) -> String {
    let mut after = machine.clone();
    match event(&mut after) {
        Ok(_) => after.state().to_string(),
        Err(InvalidState(state)) => {
            assert_eq!(&after, machine, "a refused event changes nothing");
            assert_eq!(state, machine.state());
            "CKSInvalidState".into()
        }
    }
}

#[test]
fn every_state_and_event_is_that_of_the_table() {
    let first = Attempt(1);
    let stale = Attempt(99);
    let bad = "CKSInvalidState";
    let same = [
        "DISCONNECTED",
        "CONNECTING",
        "CONNECTED",
        "FAILED",
        "DISCONNECTING",
    ];
    // event, then what follows in each column's state.
    type Event = fn(&mut Machine) -> Result<(), InvalidState>;
    let table: [(&str, Event, [&str; 5]); 11] = [
        (
            "connect",
            |m| m.connect().map(drop),
            ["CONNECTING", "CONNECTING", "CONNECTED", bad, bad],
        ),
        (
            "disconnect",
            |m| m.disconnect().map(drop),
            [bad, "DISCONNECTING", "DISCONNECTING", "DISCONNECTING", bad],
        ),
        (
            "update the name of a CloudHSM key store",
            |m| m.permit_update(Change::Name),
            ["DISCONNECTED", bad, "CONNECTED", bad, bad],
        ),
        (
            "update name, credential, path",
            |m| m.permit_update(Change::XksNameCredentialOrUriPath),
            ["DISCONNECTED", bad, "CONNECTED", "FAILED", bad],
        ),
        (
            "update other",
            |m| m.permit_update(Change::Other),
            ["DISCONNECTED", bad, bad, bad, bad],
        ),
        (
            "delete",
            |m| m.permit_delete(),
            ["DISCONNECTED", bad, bad, bad, bad],
        ),
        (
            "drained",
            |m| {
                m.drained();
                Ok(())
            },
            [
                "DISCONNECTED",
                "CONNECTING",
                "CONNECTED",
                "FAILED",
                "DISCONNECTED",
            ],
        ),
        (
            "connected",
            |m| {
                let _ = m.connected(Attempt(1), 8);
                Ok(())
            },
            [
                "DISCONNECTED",
                "CONNECTED",
                "CONNECTED",
                "FAILED",
                "DISCONNECTING",
            ],
        ),
        (
            "failed",
            |m| {
                m.failed(Attempt(1), CODE);
                Ok(())
            },
            [
                "DISCONNECTED",
                "FAILED",
                "CONNECTED",
                "FAILED",
                "DISCONNECTING",
            ],
        ),
        (
            "stale connected",
            |m| {
                assert_eq!(m.connected(Attempt(99), 9), Err(9), "the client comes back");
                Ok(())
            },
            same,
        ),
        (
            "stale failed",
            |m| {
                m.failed(Attempt(99), CODE);
                Ok(())
            },
            same,
        ),
    ];
    assert_ne!(first, stale);
    for (name, event, expected) in table {
        for ((state, machine), expected) in every_state().into_iter().zip(expected) {
            assert_eq!(machine.state().as_str(), state);
            assert_eq!(outcome(&machine, event), expected, "{name} while {state}");
        }
    }
}

#[test]
fn only_connected_has_a_client_and_only_failed_a_code() {
    for (state, mut machine) in every_state() {
        assert_eq!(machine.client().is_some(), state == "CONNECTED");
        assert_eq!(machine.client_mut().is_some(), state == "CONNECTED");
        assert_eq!(machine.error_code(), (state == "FAILED").then_some(CODE));
    }
}

/// The words of `ConnectionErrorCodeType` in the API's model, retyped.
const CODES: [&str; 18] = [
    "INVALID_CREDENTIALS",
    "CLUSTER_NOT_FOUND",
    "NETWORK_ERRORS",
    "INTERNAL_ERROR",
    "INSUFFICIENT_CLOUDHSM_HSMS",
    "USER_LOCKED_OUT",
    "USER_NOT_FOUND",
    "USER_LOGGED_IN",
    "SUBNET_NOT_FOUND",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
    "XKS_PROXY_ACCESS_DENIED",
    "XKS_PROXY_NOT_REACHABLE",
    "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
    "XKS_PROXY_INVALID_RESPONSE",
    "XKS_PROXY_INVALID_CONFIGURATION",
    "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION",
    "XKS_PROXY_TIMED_OUT",
    "XKS_PROXY_INVALID_TLS_CONFIGURATION",
];

#[test]
fn error_codes_are_those_of_the_api_on_the_wire_and_where_a_store_is_saved() {
    let known: BTreeSet<_> = ConnectionErrorCode::ALL.map(|code| code.as_str()).into();
    assert_eq!(known, BTreeSet::from(CODES));
    for word in CODES {
        let code = ConnectionErrorCode::from_wire(word).unwrap();
        assert_eq!(code.as_str(), word);
        assert_eq!(serde_json::to_value(code).unwrap(), word);
    }
    assert_eq!(ConnectionErrorCode::from_wire("xks_proxy_timed_out"), None);
}

#[test]
fn a_saved_store_goes_on_where_it_was() {
    let mut connected = Machine::restored(RestoredState::Connected(7));
    assert_eq!(connected.client(), Some(&7));
    assert_eq!(connected.connect(), Ok(Connect::Unchanged));
    *connected.client_mut().unwrap() = 8;
    assert_eq!(connected.disconnect(), Ok(Some(8)));

    let mut failed = Machine::restored(RestoredState::Failed(CODE));
    assert_eq!(failed.error_code(), Some(CODE));
    let refused = Err(InvalidState(ConnectionState::Failed));
    assert_eq!(failed.connect(), refused);
    assert_eq!(failed.disconnect(), Ok(None));
}

/// Everything around a machine that its events depend on.
#[derive(Clone, Eq, Hash, PartialEq)]
struct World {
    machine: Machine,
    /// Attempts whose result is still to come, each with the client that it has opened.
    pending: BTreeSet<(u64, u32)>,
    /// Clients with open connections.
    open: BTreeSet<u32>,
    /// A drain runs, for these clients.
    drain: Option<BTreeSet<u32>>,
    /// Whether the last accepted command was a connect.
    wanted: bool,
    deleted: bool,
    /// Updates that were applied to a client.
    retargeted: bool,
}

impl World {
    fn new() -> Self {
        Self {
            machine: Machine::new(),
            pending: BTreeSet::new(),
            open: BTreeSet::new(),
            drain: None,
            wanted: false,
            deleted: false,
            retargeted: false,
        }
    }

    /// Every world that one event leads to; `commands` switches the user's on.
    fn next(&self, commands: bool, max_attempts: u64) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        let mut push = |name: String, world: Self| next.push((name, world));
        for &(number, client) in &self.pending {
            let mut world = self.clone();
            world.pending.remove(&(number, client));
            if let Err(client) = world.machine.connected(Attempt(number), client) {
                world.open.remove(&client);
            }
            push(format!("connected({number})"), world);

            let mut world = self.clone();
            world.pending.remove(&(number, client));
            world.open.remove(&client);
            world.machine.failed(Attempt(number), CODE);
            push(format!("failed({number})"), world);
        }
        if let Some(clients) = &self.drain {
            // The drain also waits for a cancelled attempt to close what it has opened.
            let mut world = self.clone();
            world.open.retain(|client| !clients.contains(client));
            world.drain = None;
            world.machine.drained();
            push("drained".into(), world);
        }
        if !commands || self.deleted {
            return next;
        }
        let mut world = self.clone();
        match world.machine.connect() {
            Ok(Connect::Started(Attempt(number))) if number <= max_attempts => {
                let client = u32::try_from(number).unwrap();
                world.pending.insert((number, client));
                world.open.insert(client);
                world.wanted = true;
                push("connect".into(), world);
            }
            Ok(Connect::Started(_)) | Err(_) => {}
            Ok(Connect::Unchanged) => {
                assert!(
                    self.wanted,
                    "connect is a no-op only where it is what holds"
                );
                assert!(world == *self);
            }
        }
        let mut world = self.clone();
        if let Ok(client) = world.machine.disconnect() {
            assert!(world.drain.is_none(), "one drain at a time");
            let mut clients: BTreeSet<u32> = client.into_iter().collect();
            clients.extend(world.pending.iter().map(|&(_, client)| client));
            world.drain = Some(clients);
            world.wanted = false;
            push("disconnect".into(), world);
        }
        for change in [Change::XksNameCredentialOrUriPath, Change::Other] {
            let mut world = self.clone();
            if world.machine.permit_update(change).is_ok() {
                assert!(change == Change::XksNameCredentialOrUriPath || world.open.is_empty());
                world.retargeted = world.machine.client_mut().is_some();
                push(format!("update({change:?})"), world);
            }
        }
        let mut world = self.clone();
        if world.machine.permit_delete().is_ok() {
            world.deleted = true;
            push("delete".into(), world);
        }
        next
    }

    fn check(&self) {
        let state = self.machine.state();
        let callable = self.machine.client().is_some();
        assert_eq!(
            callable,
            state == ConnectionState::Connected,
            "no client outside CONNECTED"
        );
        if !self.wanted {
            assert!(
                !matches!(
                    state,
                    ConnectionState::Connected
                        | ConnectionState::Connecting
                        | ConnectionState::Failed
                ),
                "never {state} after a later disconnect"
            );
        }
        if state == ConnectionState::Disconnected {
            assert!(self.open.is_empty(), "DISCONNECTED with an open connection");
        }
        if self.deleted {
            assert!(
                self.open.is_empty() && self.drain.is_none(),
                "deleted with work left"
            );
        }
        let mut owned: BTreeSet<u32> = self.machine.client().copied().into_iter().collect();
        owned.extend(self.pending.iter().map(|&(_, client)| client));
        owned.extend(self.drain.iter().flatten());
        assert!(
            self.open.is_subset(&owned),
            "an open client that nobody closes"
        );
    }

    /// Delivers all that is under way, in any order, without a further command.
    fn settle(&self, max_attempts: u64) {
        let mut queue = VecDeque::from([self.clone()]);
        while let Some(world) = queue.pop_front() {
            let next = world.next(false, max_attempts);
            if next.is_empty() {
                let state = world.machine.state();
                let settled = match world.wanted {
                    true => matches!(state, ConnectionState::Connected | ConnectionState::Failed),
                    false => state == ConnectionState::Disconnected,
                };
                assert!(settled, "a lost transition: {state} for good");
            }
            queue.extend(next.into_iter().map(|(_, world)| world));
        }
    }
}

#[test]
fn every_interleaving_keeps_the_promises_of_a_disconnect() {
    const MAX_ATTEMPTS: u64 = 4;
    let mut seen = HashSet::from([World::new()]);
    let mut queue = VecDeque::from([World::new()]);
    let mut events = BTreeSet::new();
    let mut states = BTreeSet::new();
    while let Some(world) = queue.pop_front() {
        world.check();
        world.settle(MAX_ATTEMPTS);
        states.insert(world.machine.state().as_str());
        for (event, next) in world.next(true, MAX_ATTEMPTS) {
            events.insert(event);
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    assert_eq!(states.len(), 5, "{states:?}");
    for event in [
        "connect",
        "connected(4)",
        "failed(4)",
        "disconnect",
        "drained",
        "delete",
    ] {
        assert!(events.contains(event), "{event} never happened: {events:?}");
    }
    assert!(seen.len() > 100, "only {} worlds", seen.len());
}
