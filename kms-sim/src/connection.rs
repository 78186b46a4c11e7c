//! The ConnectionState machine of a custom key store: pure, no IO, no clock.
//!
//! Whoever moves it owes the rest: `connector.rs` runs the attempts and the drains, `custom_key_store.rs` asks for
//! the permissions. Messages and exceptions are made elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What `DescribeCustomKeyStores` shows, with what each state owns.
///
/// ```text
///                    connect             connected(attempt, client)
///   ┌──────────────┐ ───────► ┌────────────┐ ───────► ┌───────────┐
///   │ DISCONNECTED │          │ CONNECTING │          │ CONNECTED │ owns the client
///   └──────────────┘          └────────────┘          └───────────┘
///          ▲                    │        │ failed(attempt, code)  │
///          │                    │        ▼                        │
///          │                    │   ┌────────┐                    │
///          │                    │   │ FAILED │ owns the code      │
///          │                    │   └────────┘                    │
///          │                    ▼        ▼                        ▼
///          │        drained   ┌───────────────┐   disconnect, which hands back the client
///          └───────────────── │ DISCONNECTING │
///                             └───────────────┘
/// ```
///
/// A dead proxy or cluster moves nothing. Only `Connected` has a client and only `Failed` a code, so "disconnected but still
/// callable" cannot be written. Attempts are numbered, so that a result that comes after a disconnect finds no one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Connection<C> {
    state: State<C>,
    attempts: u64,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum State<C> {
    Disconnected,
    Connecting(Attempt),
    Connected(C),
    Failed(ConnectionErrorCode),
    Disconnecting,
}

impl<C> Connection<C> {
    /// DISCONNECTED, as every new store is.
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Disconnected,
            attempts: 0,
        }
    }

    /// The state in which a store was saved.
    pub(crate) fn restored(state: RestoredState<C>) -> Self {
        let state = match state {
            RestoredState::Connected(client) => State::Connected(client),
            RestoredState::Failed(code) => State::Failed(code),
        };
        Self { state, attempts: 0 }
    }

    /// What ConnectCustomKeyStore does: it starts an attempt, or changes nothing where one runs or has succeeded.
    ///
    /// # Errors
    /// While FAILED (disconnect first) and DISCONNECTING.
    pub(crate) fn connect(&mut self) -> Result<Connect, InvalidState> {
        match self.state {
            State::Disconnected => {
                self.attempts += 1;
                let attempt = Attempt(self.attempts);
                self.state = State::Connecting(attempt);
                Ok(Connect::Started(attempt))
            }
            State::Connecting(_) | State::Connected(_) => Ok(Connect::Unchanged),
            State::Failed(_) | State::Disconnecting => Err(self.invalid()),
        }
    }

    /// The attempt has reached the proxy or the cluster.
    ///
    /// # Errors
    /// Hands the client back, to be closed, if a disconnect has made the attempt stale.
    pub(crate) fn connected(&mut self, attempt: Attempt, client: C) -> Result<(), C> {
        if !self.runs(attempt) {
            return Err(client);
        }
        self.state = State::Connected(client);
        Ok(())
    }

    /// The attempt has failed; does nothing if a disconnect has made it stale.
    pub(crate) fn failed(&mut self, attempt: Attempt, code: ConnectionErrorCode) {
        if self.runs(attempt) {
            self.state = State::Failed(code);
        }
    }

    /// What DisconnectCustomKeyStore does: from here nobody gets the client. The caller drains what it is handed,
    /// if anything, and then calls [`Connection::drained`].
    ///
    /// # Errors
    /// While DISCONNECTED and DISCONNECTING.
    pub(crate) fn disconnect(&mut self) -> Result<Option<C>, InvalidState> {
        match std::mem::replace(&mut self.state, State::Disconnecting) {
            State::Connected(client) => Ok(Some(client)),
            State::Connecting(_) | State::Failed(_) => Ok(None),
            State::Disconnecting => Err(self.invalid()),
            State::Disconnected => {
                self.state = State::Disconnected;
                Err(self.invalid())
            }
        }
    }

    /// Every connection is closed and the transition has lasted long enough.
    pub(crate) fn drained(&mut self) {
        if matches!(self.state, State::Disconnecting) {
            self.state = State::Disconnected;
        }
    }

    /// Whether UpdateCustomKeyStore may change such properties now.
    pub(crate) fn permit_update(&self, change: Change) -> Result<(), InvalidState> {
        match (&self.state, change) {
            (State::Disconnected, _)
            | (State::Connected(_), Change::Name | Change::XksNameCredentialOrUriPath)
            | (State::Failed(_), Change::XksNameCredentialOrUriPath) => Ok(()),
            (State::Connected(_), Change::Other)
            | (State::Failed(_), Change::Name | Change::Other)
            | (State::Connecting(_) | State::Disconnecting, _) => Err(self.invalid()),
        }
    }

    /// Whether DeleteCustomKeyStore may go on.
    pub(crate) fn permit_delete(&self) -> Result<(), InvalidState> {
        match self.state {
            State::Disconnected => Ok(()),
            State::Connecting(_)
            | State::Connected(_)
            | State::Failed(_)
            | State::Disconnecting => Err(self.invalid()),
        }
    }

    /// The client; `None` unless CONNECTED.
    pub(crate) const fn client(&self) -> Option<&C> {
        match &self.state {
            State::Connected(client) => Some(client),
            State::Disconnected
            | State::Connecting(_)
            | State::Failed(_)
            | State::Disconnecting => None,
        }
    }

    /// As [`Connection::client`], to be changed by an update.
    pub(crate) const fn client_mut(&mut self) -> Option<&mut C> {
        match &mut self.state {
            State::Connected(client) => Some(client),
            State::Disconnected
            | State::Connecting(_)
            | State::Failed(_)
            | State::Disconnecting => None,
        }
    }

    /// `ConnectionState`
    pub(crate) const fn state(&self) -> ConnectionState {
        match self.state {
            State::Disconnected => ConnectionState::Disconnected,
            State::Connecting(_) => ConnectionState::Connecting,
            State::Connected(_) => ConnectionState::Connected,
            State::Failed(_) => ConnectionState::Failed,
            State::Disconnecting => ConnectionState::Disconnecting,
        }
    }

    /// `ConnectionErrorCode`; `None` unless FAILED.
    pub(crate) const fn error_code(&self) -> Option<ConnectionErrorCode> {
        match self.state {
            State::Failed(code) => Some(code),
            State::Disconnected
            | State::Connecting(_)
            | State::Connected(_)
            | State::Disconnecting => None,
        }
    }

    /// Whether a result of the attempt still counts.
    pub(crate) fn runs(&self, attempt: Attempt) -> bool {
        matches!(self.state, State::Connecting(current) if current == attempt)
    }

    const fn invalid(&self) -> InvalidState {
        InvalidState(self.state())
    }
}

/// A state that a store can begin in when it was in it before; the others are reached from DISCONNECTED.
pub(crate) enum RestoredState<C> {
    Connected(C),
    Failed(ConnectionErrorCode),
}

/// Numbers an attempt to connect, per store.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Attempt(u64);

/// What a connect led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Connect {
    /// The caller runs this attempt and reports its result.
    Started(Attempt),
    /// The store is CONNECTING or CONNECTED already.
    Unchanged,
}

/// Which properties an update changes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Change {
    /// Nothing but the name of a CloudHSM key store.
    Name,
    /// Nothing but name, proxy credential and URI path of an external key store.
    XksNameCredentialOrUriPath,
    /// Any other property.
    Other,
}

/// The operation does not fit the state that the store is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InvalidState(pub(crate) ConnectionState);

/// `ConnectionState`
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum ConnectionState {
    Connected,
    Connecting,
    Failed,
    Disconnected,
    Disconnecting,
}

impl ConnectionState {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "CONNECTED",
            Self::Connecting => "CONNECTING",
            Self::Failed => "FAILED",
            Self::Disconnected => "DISCONNECTED",
            Self::Disconnecting => "DISCONNECTING",
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `ConnectionErrorCode`: why the last attempt failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ConnectionErrorCode {
    InternalError,
    NetworkErrors,
    InvalidCredentials,
    XksProxyAccessDenied,
    XksProxyInvalidConfiguration,
    XksProxyInvalidResponse,
    XksProxyInvalidTlsConfiguration,
    XksProxyNotReachable,
    XksProxyTimedOut,
    XksVpcEndpointServiceNotFound,
    XksVpcEndpointServiceInvalidConfiguration,
    ClusterNotFound,
    #[serde(rename = "INSUFFICIENT_CLOUDHSM_HSMS")]
    InsufficientCloudHsmHsms,
    InsufficientFreeAddressesInSubnet,
    SubnetNotFound,
    UserLockedOut,
    UserLoggedIn,
    UserNotFound,
}

impl ConnectionErrorCode {
    /// Every code of the API's model.
    pub(crate) const ALL: [Self; 18] = [
        Self::InternalError,
        Self::NetworkErrors,
        Self::InvalidCredentials,
        Self::XksProxyAccessDenied,
        Self::XksProxyInvalidConfiguration,
        Self::XksProxyInvalidResponse,
        Self::XksProxyInvalidTlsConfiguration,
        Self::XksProxyNotReachable,
        Self::XksProxyTimedOut,
        Self::XksVpcEndpointServiceNotFound,
        Self::XksVpcEndpointServiceInvalidConfiguration,
        Self::ClusterNotFound,
        Self::InsufficientCloudHsmHsms,
        Self::InsufficientFreeAddressesInSubnet,
        Self::SubnetNotFound,
        Self::UserLockedOut,
        Self::UserLoggedIn,
        Self::UserNotFound,
    ];

    /// The code of that word.
    pub(crate) fn from_wire(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InternalError => "INTERNAL_ERROR",
            Self::NetworkErrors => "NETWORK_ERRORS",
            Self::InvalidCredentials => "INVALID_CREDENTIALS",
            Self::XksProxyAccessDenied => "XKS_PROXY_ACCESS_DENIED",
            Self::XksProxyInvalidConfiguration => "XKS_PROXY_INVALID_CONFIGURATION",
            Self::XksProxyInvalidResponse => "XKS_PROXY_INVALID_RESPONSE",
            Self::XksProxyInvalidTlsConfiguration => "XKS_PROXY_INVALID_TLS_CONFIGURATION",
            Self::XksProxyNotReachable => "XKS_PROXY_NOT_REACHABLE",
            Self::XksProxyTimedOut => "XKS_PROXY_TIMED_OUT",
            Self::XksVpcEndpointServiceNotFound => "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
            Self::XksVpcEndpointServiceInvalidConfiguration => {
                "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION"
            }
            Self::ClusterNotFound => "CLUSTER_NOT_FOUND",
            Self::InsufficientCloudHsmHsms => "INSUFFICIENT_CLOUDHSM_HSMS",
            Self::InsufficientFreeAddressesInSubnet => "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
            Self::SubnetNotFound => "SUBNET_NOT_FOUND",
            Self::UserLockedOut => "USER_LOCKED_OUT",
            Self::UserLoggedIn => "USER_LOGGED_IN",
            Self::UserNotFound => "USER_NOT_FOUND",
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
