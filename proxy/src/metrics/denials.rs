//! What policies denied last: a few of each external key store, so that one that is denied much hides no other.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use xks_api::route::OperationName;

use crate::authorize::{Access, Denial};

/// A request that a policy denied, without anything of its body but what KMS says of its caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Denied {
    pub(crate) at: SystemTime,
    pub(crate) operation: OperationName,
    pub(crate) external_key_id: String,
    pub(crate) kms_operation: String,
    pub(crate) aws_principal_arn: String,
    pub(crate) kms_request_id: String,
    /// The rule, or the Rego statement.
    pub(crate) by: String,
    /// In a sentence.
    pub(crate) why: String,
}

impl Denied {
    #[cold]
    pub(crate) fn new(access: &Access<'_>, denial: &Denial) -> Self {
        let metadata = access.metadata;
        Self {
            at: access.now,
            operation: access.operation,
            external_key_id: access.external_key_id.to_owned(),
            kms_operation: cut(&metadata.kms_operation),
            aws_principal_arn: cut(&metadata.aws_principal_arn),
            kms_request_id: cut(&metadata.kms_request_id),
            by: cut(&denial.by),
            why: cut(&denial.why),
        }
    }
}

/// The last [`KEPT`].
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<VecDeque<Denied>>);

impl Denials {
    pub(super) fn add(&self, denied: Denied) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front(denied);
    }

    pub(super) fn newest_first(&self) -> Vec<Denied> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

/// A caller's text can be as long as a body; the log has more of it.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// Of each key store.
const KEPT: usize = 50;
/// Characters; an ARN of a role and its session has some 150.
const LONGEST: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(number: usize) -> Denied {
        Denied {
            at: SystemTime::UNIX_EPOCH,
            operation: OperationName::Encrypt,
            external_key_id: number.to_string(),
            kms_operation: "Encrypt".into(),
            aws_principal_arn: "arn".into(),
            kms_request_id: "r".into(),
            by: "rule".into(),
            why: "rule denies it".into(),
        }
    }

    #[test]
    fn the_last_are_kept_and_long_texts_are_cut() {
        let denials = Denials::default();
        for number in 0..KEPT + 3 {
            denials.add(denied(number));
        }
        let kept = denials.newest_first();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0], denied(KEPT + 2));
        assert_eq!(kept[KEPT - 1], denied(3));
        assert_eq!(cut(&"ä".repeat(300)), "ä".repeat(300));
        assert_eq!(cut(&"ä".repeat(301)), "ä".repeat(300) + "…");
    }
}
