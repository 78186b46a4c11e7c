//! Grants: what a key's owner lets others do. They are kept and listed here; what they allow is `access`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::journal::{Changed, Journal};
use crate::looked_at::counted;

/// The most grants that a key can have.
pub(crate) const MAX_GRANTS: usize = 50_000;

/// One grant of one key.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// 64 hexadecimal digits.
    pub(crate) id: Arc<str>,
    /// Names the grant to RetireGrant without its key.
    pub(crate) token: String,
    pub(crate) created: SystemTime,
    /// The account that created it, if that is not the key's.
    pub(crate) issuing_account: Option<String>,
    pub(crate) terms: GrantTerms,
}

/// What CreateGrant was given; a second request with the same name and terms makes no second grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GrantTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) grantee: GrantPrincipal,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retiring: Option<GrantPrincipal>,
    pub(crate) operations: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) constraints: Option<GrantConstraints>,
}

/// Whom a grant names.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) enum GrantPrincipal {
    /// An account, a user, a role or a session, by its ARN.
    Aws(String),
    /// A service, such as `ebs.amazonaws.com`.
    Service(String),
}

impl GrantPrincipal {
    /// `GranteePrincipal` or `RetiringPrincipal`
    pub(crate) fn principal(&self) -> Option<String> {
        match self {
            Self::Aws(principal) => Some(principal.clone()),
            Self::Service(_) => None,
        }
    }

    /// `GranteeServicePrincipal` or `RetiringServicePrincipal`
    pub(crate) fn service_principal(&self) -> Option<String> {
        match self {
            Self::Aws(_) => None,
            Self::Service(service) => Some(service.clone()),
        }
    }
}

/// `GrantConstraints`
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GrantConstraints {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_context_subset: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_context_equals: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_arn: Option<String>,
}

impl GrantConstraints {
    /// Whether it asks for an encryption context.
    pub(crate) const fn has_encryption_context(&self) -> bool {
        self.encryption_context_subset.is_some() || self.encryption_context_equals.is_some()
    }
}

/// Key id and grant id.
pub(crate) type GrantName = (Arc<str>, Arc<str>);

/// The grants of the keys of one account and Region.
#[derive(Default)]
pub(crate) struct Grants {
    by_key: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Grant>>,
    /// The ids of a key's grants, by whom they are for.
    by_grantee: BTreeMap<Arc<str>, BTreeMap<GrantPrincipal, BTreeSet<Arc<str>>>>,
    by_token: BTreeMap<String, GrantName>,
    /// By retiring principal: grant id and key id.
    retirable: BTreeMap<GrantPrincipal, BTreeMap<Arc<str>, Arc<str>>>,
    changed: Changed<GrantName>,
}

impl Grants {
    /// From now on changes are named.
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.changed = Changed::new(journal);
    }

    /// A grant of a key.
    pub(crate) fn get(&self, key_id: &str, grant_id: &str) -> Option<&Grant> {
        self.by_key.get(key_id)?.get(grant_id)
    }

    /// Key id and grant id of a grant token.
    pub(crate) fn find_token(&self, token: &str) -> Option<&GrantName> {
        self.by_token.get(token)
    }

    /// How many grants a key has.
    pub(crate) fn count_of(&self, key_id: &str) -> usize {
        self.by_key.get(key_id).map_or(0, BTreeMap::len)
    }

    /// The grants of a key after a grant id, in the order of the ids.
    pub(crate) fn of_key_after<'a>(
        &'a self,
        key_id: &str,
        after: Bound<&str>,
    ) -> impl Iterator<Item = &'a Grant> + use<'a> {
        let grants = self.by_key.get(key_id);
        let grants = grants.map(|grants| grants.range::<str, _>((after, Bound::Unbounded)));
        counted(grants.into_iter().flatten().map(|(_, grant)| grant))
    }

    /// As [`of_key_after`](Self::of_key_after), those for a grantee alone.
    pub(crate) fn of_grantee_after<'a>(
        &'a self,
        key_id: &str,
        grantee: &GrantPrincipal,
        after: Bound<&str>,
    ) -> impl Iterator<Item = &'a Grant> + use<'a> {
        let grants = self.by_key.get(key_id);
        let ids = self.by_grantee.get(key_id).and_then(|of| of.get(grantee));
        let ids = ids.map(|ids| ids.range::<str, _>((after, Bound::Unbounded)));
        let ids = counted(ids.into_iter().flatten());
        ids.filter_map(move |id| grants?.get(id))
    }

    /// Key ids and grants that a principal can retire, after a grant id, in the order of the grant ids.
    pub(crate) fn retirable_after<'a>(
        &'a self,
        principal: &GrantPrincipal,
        after: Bound<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Grant)> + use<'a> {
        let names = self.retirable.get(principal);
        let names = names.map(|names| names.range::<str, _>((after, Bound::Unbounded)));
        let names = counted(names.into_iter().flatten());
        names.filter_map(|(grant, key)| Some((key, self.get(key, grant)?)))
    }

    /// Every grant, with the id of its key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Grant)> {
        let keys = self.by_key.iter();
        keys.flat_map(|(key, grants)| grants.values().map(move |grant| (key, grant)))
    }

    /// Adds a grant to a key.
    pub(crate) fn insert(&mut self, key_id: &Arc<str>, grant: Grant) {
        let name = (Arc::clone(key_id), Arc::clone(&grant.id));
        self.changed.note(|| name.clone());
        self.by_token.insert(grant.token.clone(), name.clone());
        let (key, id) = name;
        if let Some(principal) = &grant.terms.retiring {
            let retirable = self.retirable.entry(principal.clone()).or_default();
            retirable.insert(Arc::clone(&id), Arc::clone(&key));
        }
        let of_key = self.by_grantee.entry(Arc::clone(&key)).or_default();
        let of_grantee = of_key.entry(grant.terms.grantee.clone()).or_default();
        of_grantee.insert(Arc::clone(&id));
        self.by_key.entry(key).or_default().insert(id, grant);
    }

    /// Removes a grant of a key; `None` if there is no such grant.
    pub(crate) fn remove(&mut self, key_id: &str, grant_id: &str) -> Option<Grant> {
        let grants = self.by_key.get_mut(key_id)?;
        let grant = grants.remove(grant_id)?;
        if grants.is_empty() {
            self.by_key.remove(key_id);
        }
        self.forget(key_id.into(), &grant);
        Some(grant)
    }

    /// Removes every grant of a key.
    pub(crate) fn remove_all_of(&mut self, key_id: &Arc<str>) {
        let grants = self.by_key.remove(key_id).unwrap_or_default();
        for grant in grants.into_values() {
            self.forget(Arc::clone(key_id), &grant);
        }
    }

    fn forget(&mut self, key_id: Arc<str>, grant: &Grant) {
        self.by_token.remove(&grant.token);
        if let Some(of_key) = self.by_grantee.get_mut(&key_id)
            && let Some(of_grantee) = of_key.get_mut(&grant.terms.grantee)
        {
            of_grantee.remove(&grant.id);
            if of_grantee.is_empty() {
                of_key.remove(&grant.terms.grantee);
            }
            if of_key.is_empty() {
                self.by_grantee.remove(&key_id);
            }
        }
        if let Some(principal) = &grant.terms.retiring
            && let Some(retirable) = self.retirable.get_mut(principal)
        {
            retirable.remove(&grant.id);
            if retirable.is_empty() {
                self.retirable.remove(principal);
            }
        }
        self.changed.note(|| (key_id, Arc::clone(&grant.id)));
    }

    /// For the writer: the names of what is to be saved now.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<GrantName> {
        self.changed.take()
    }
}
