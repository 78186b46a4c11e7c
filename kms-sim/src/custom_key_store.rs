//! Custom key stores: what is known of each, and the link to its proxy while it is CONNECTED.

use std::collections::BTreeMap;
use std::fmt;

use crate::xks_client::XksLink;

/// `cks-` and 17 lowercase hexadecimal digits.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct CustomKeyStoreId(Box<str>);

impl CustomKeyStoreId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomKeyStoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `CustomKeyStoreType`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CustomKeyStoreType {
    AwsCloudHsm,
    ExternalKeyStore,
}

/// `ConnectionState`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ConnectionState {
    Connected,
    Connecting,
    Failed,
    Disconnected,
    Disconnecting,
}

/// One custom key store.
pub(crate) struct CustomKeyStore {
    id: CustomKeyStoreId,
}

impl CustomKeyStore {
    pub(crate) fn id(&self) -> &CustomKeyStoreId {
        &self.id
    }

    pub(crate) fn kind(&self) -> CustomKeyStoreType {
        CustomKeyStoreType::ExternalKeyStore
    }

    pub(crate) fn connection_state(&self) -> ConnectionState {
        ConnectionState::Disconnected
    }

    /// A link for one operation; `None` unless the store is CONNECTED.
    pub(crate) fn link(&self) -> Option<XksLink> {
        None
    }
}

/// The custom key stores of one account and Region.
#[derive(Default)]
pub(crate) struct CustomKeyStores(BTreeMap<String, CustomKeyStore>);

impl CustomKeyStores {
    pub(crate) fn find(&self, id: &str) -> Option<&CustomKeyStore> {
        self.0.get(id)
    }
}
