//! The tables `[admin]` and `[approval]`.

use std::net::SocketAddr;
use std::time::Duration;

use super::document::{duration, socket_addr};
use super::read::{Fields, Reader};
use crate::admin::{ApprovalPolicy, Operation};

impl Reader<'_> {
    /// Where administrators with a token are listened to.
    pub(super) fn admin_listen(&self, root: &Fields<'_, '_>) -> Option<SocketAddr> {
        let fields = root.section("admin");
        let address = "an IP address and a port, such as \"127.0.0.1:8444\"";
        let listen = fields.optional("listen", socket_addr, address);
        fields.refuse_others();
        listen
    }

    /// What is under two-person approval.
    pub(super) fn approval(&self, root: &Fields<'_, '_>) -> ApprovalPolicy {
        let fields = root.section("approval");
        let operation = |text: &str| OPERATIONS.into_iter().find(|known| known.as_str() == text);
        let expected = "\"delete-key\", \"export-backup\" or \"unblock\"";
        let operations = fields.list("operations", operation, expected);
        let times = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 60 * 60);
        let expected = "a time from \"1m\" to \"43200m\"";
        let expires_after = fields.optional("expires_after", duration(times), expected);
        fields.refuse_others();
        ApprovalPolicy {
            operations: operations.unwrap_or_default(),
            expires_after: expires_after.unwrap_or(DEFAULT_EXPIRES_AFTER),
        }
    }
}

const OPERATIONS: [Operation; 3] = [
    Operation::DeleteKey,
    Operation::ExportBackup,
    Operation::Unblock,
];
pub(super) const DEFAULT_EXPIRES_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
