//! What a record is of: a text that no other record has, by which it is replaced and removed.

use std::fmt;
use std::sync::Arc;

use crate::cloudhsm::CloudHsmRecord;
use crate::grant::GrantName;
use crate::visibility::Home;

/// The name of a record.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum RecordName {
    Clock,
    CloudHsm(CloudHsmRecord),
    VpcEndpointService(String),
    CustomKeyStore(Home, String),
    Key(Home, Arc<str>),
    Alias(Home, Arc<str>),
    Grant(Home, GrantName),
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |home: &Home| format!("{}/{}", home.account, home.region);
        match self {
            Self::Clock => f.write_str("clock"),
            Self::CloudHsm(CloudHsmRecord::Cluster(id)) => write!(f, "cluster/{id}"),
            Self::CloudHsm(CloudHsmRecord::Key(id, key)) => write!(f, "cluster-key/{id}/{key}"),
            Self::CloudHsm(CloudHsmRecord::Backup(id)) => write!(f, "backup/{id}"),
            Self::VpcEndpointService(name) => write!(f, "vpc-endpoint-service/{name}"),
            Self::CustomKeyStore(home, id) => write!(f, "custom-key-store/{}/{id}", at(home)),
            Self::Key(home, id) => write!(f, "key/{}/{id}", at(home)),
            Self::Alias(home, name) => write!(f, "alias/{}/{name}", at(home)),
            Self::Grant(home, (key, id)) => write!(f, "grant/{}/{key}/{id}", at(home)),
        }
    }
}
