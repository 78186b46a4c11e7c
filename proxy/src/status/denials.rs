//! What policies denied last, so that an external key store that is denied much hides no other.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::gather::text;
use super::{DenialStatus, Status};
use crate::key_store::ExternalKeyStore;
use crate::metrics::Denied;

/// Those of these external key stores, the newest first.
pub(super) fn denials(stores: &[&ExternalKeyStore]) -> Vec<DenialStatus> {
    let of_store = |store: &&ExternalKeyStore| {
        let prefix = store.prefix.as_str().to_owned();
        (prefix, store.measures.denials())
    };
    told(stores.iter().map(of_store).collect())
}

/// All that is remembered of one, a few each of several.
fn told(stores: Vec<(String, Vec<Denied>)>) -> Vec<DenialStatus> {
    let denied = stores.iter().filter(|(_, denials)| !denials.is_empty());
    let each = match &*stores {
        [_] => MOST,
        _ => MOST.checked_div(denied.count()).unwrap_or(0).clamp(1, EACH),
    };
    let of_store = |(prefix, denials): (String, Vec<Denied>)| {
        let denials = denials.into_iter().take(each);
        denials.map(move |denied| (prefix.clone(), denied))
    };
    let mut all: Vec<_> = stores.into_iter().flat_map(of_store).collect();
    all.sort_by_key(|(_, denied)| Reverse(denied.at));
    all.truncate(MOST);
    let status = |(uri_path_prefix, denied): (String, Denied)| DenialStatus {
        at: text(denied.at),
        uri_path_prefix,
        operation: denied.operation.as_str().to_owned(),
        kms_operation: denied.kms_operation,
        external_key_id: denied.external_key_id,
        aws_principal_arn: denied.aws_principal_arn,
        denied_by: denied.by,
        why: denied.why,
        kms_request_id: denied.kms_request_id,
    };
    all.into_iter().map(status).collect()
}

impl Status {
    /// So many of the last denials; none is the second of an external key store before there is one of each.
    pub(crate) fn last_denials(&self, most: usize) -> Vec<&DenialStatus> {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let denials = self.denials.iter().enumerate();
        let ranked = denials.map(|(at, denial)| {
            let of_store = seen.entry(&denial.uri_path_prefix).or_default();
            *of_store += 1;
            (*of_store, at, denial)
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, at, _)| (*rank, *at));
        ranked.truncate(most);
        ranked.sort_by_key(|(_, at, _)| *at);
        ranked.into_iter().map(|(_, _, denial)| denial).collect()
    }
}

/// Of each external key store where several are told of.
const EACH: usize = 10;
/// Of all of them.
const MOST: usize = 500;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use xks_api::route::OperationName;

    use super::*;

    /// Denials of one external key store in these seconds, the newest first as they are kept.
    fn denied(prefix: &str, seconds: std::ops::Range<u64>) -> (String, Vec<Denied>) {
        let one = |second| Denied {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            operation: OperationName::Encrypt,
            external_key_id: "payroll".into(),
            kms_operation: "Encrypt".into(),
            aws_principal_arn: String::new(),
            kms_request_id: second.to_string(),
            by: "no-data-keys".into(),
            why: String::new(),
        };
        (prefix.to_owned(), seconds.rev().map(one).collect())
    }

    fn count(denials: &[&DenialStatus], prefix: &str) -> usize {
        let of_store = denials.iter().filter(|d| d.uri_path_prefix == prefix);
        of_store.count()
    }

    #[test]
    fn an_external_key_store_that_is_denied_much_hides_no_other() {
        let stores = vec![
            denied("/noisy", 1_000..1_050),
            denied("/quiet", 1..3),
            denied("/well", 0..0),
        ];
        let status = Status {
            denials: told(stores),
            ..Status::default()
        };
        let all: Vec<_> = status.denials.iter().collect();
        assert_eq!((count(&all, "/noisy"), count(&all, "/quiet")), (10, 2));
        assert!(all.is_sorted_by(|a, b| a.at >= b.at));
        let few = status.last_denials(5);
        assert_eq!((count(&few, "/noisy"), count(&few, "/quiet")), (3, 2));
        assert_eq!(few[0].kms_request_id, "1049");
    }

    #[test]
    fn of_one_external_key_store_everything_is_told_and_of_thousands_not_too_much() {
        assert_eq!(told(vec![denied("/noisy", 0..50)]).len(), 50);
        let many = (0..2_000).map(|n| denied(&format!("/{n}"), 0..50));
        let told = told(many.collect());
        assert_eq!(told.len(), MOST);
    }
}
