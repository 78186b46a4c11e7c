//! Who asks, and whom policies name.

use std::fmt;

use ring::digest;

/// Who asks: a principal of AWS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    /// For example `arn:aws:sts::111122223333:assumed-role/Operator/alice`.
    pub(crate) arn: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub(crate) partition: String,
    /// 12 digits.
    pub(crate) account: String,
    /// What sort of principal.
    pub(crate) kind: IdentityKind,
}

/// What sort of principal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum IdentityKind {
    /// The account's root user.
    Root,
    /// An IAM user, by its name without a path.
    User {
        /// For `aws:username`.
        name: String,
    },
    /// A session of a role.
    AssumedRole {
        /// `arn:aws:iam::111122223333:role/path/Operator`
        role_arn: String,
        /// The name of the session.
        session: String,
    },
    /// A federated user, by its name.
    FederatedUser {
        /// What `aws:userid` ends with.
        name: String,
    },
}

impl Identity {
    /// The principal of an ARN; a role is no principal, but each of its sessions is.
    ///
    /// The ARN of a session has no path of its role.
    pub(crate) fn of_arn(arn: &str) -> Option<Self> {
        let (partition, service, account, resource) = split(arn)?;
        let kind = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => IdentityKind::Root,
            ("iam", Some(("user", name))) => IdentityKind::User {
                name: last(name)?.to_owned(),
            },
            ("sts", Some(("assumed-role", rest))) => {
                let (role, session) = rest.split_once('/')?;
                if role.is_empty() || session.is_empty() || session.contains('/') {
                    return None;
                }
                IdentityKind::AssumedRole {
                    role_arn: format!("arn:{partition}:iam::{account}:role/{role}"),
                    session: session.to_owned(),
                }
            }
            ("sts", Some(("federated-user", name))) if !name.is_empty() => {
                IdentityKind::FederatedUser {
                    name: name.to_owned(),
                }
            }
            _ => return None,
        };
        Some(Self {
            arn: arn.to_owned(),
            partition: partition.to_owned(),
            account: account.to_owned(),
            kind,
        })
    }

    /// A session of the role of that ARN.
    pub(crate) fn of_role(role_arn: &str, session: &str) -> Option<Self> {
        let (partition, "iam", account, resource) = split(role_arn)? else {
            return None;
        };
        let role = last(resource.strip_prefix("role/")?)?;
        Some(Self {
            arn: format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session}"),
            partition: partition.to_owned(),
            account: account.to_owned(),
            kind: IdentityKind::AssumedRole {
                role_arn: role_arn.to_owned(),
                session: session.to_owned(),
            },
        })
    }

    /// The root user of an account.
    pub(crate) fn root(account: &str) -> Self {
        Self {
            arn: format!("arn:aws:iam::{account}:root"),
            partition: "aws".to_owned(),
            account: account.to_owned(),
            kind: IdentityKind::Root,
        }
    }

    /// `aws:userid` of a principal whose unique id nobody has told: it always has the same one.
    pub(crate) fn derived_user_id(&self) -> String {
        match &self.kind {
            IdentityKind::Root => self.account.clone(),
            IdentityKind::User { .. } => unique_id("AIDA", &self.arn),
            IdentityKind::AssumedRole { role_arn, session } => {
                format!("{}:{session}", unique_id("AROA", role_arn))
            }
            IdentityKind::FederatedUser { name } => format!("{}:{name}", self.account),
        }
    }

    /// `aws:PrincipalArn`: that of the role for a session.
    pub(crate) fn principal_arn(&self) -> &str {
        match &self.kind {
            IdentityKind::AssumedRole { role_arn, .. } => role_arn,
            IdentityKind::Root | IdentityKind::User { .. } | IdentityKind::FederatedUser { .. } => {
                &self.arn
            }
        }
    }
}

impl IdentityKind {
    /// `aws:PrincipalType`
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Root => "Account",
            Self::User { .. } => "User",
            Self::AssumedRole { .. } => "AssumedRole",
            Self::FederatedUser { .. } => "FederatedUser",
        }
    }
}

/// How a principal is meant by what a policy names.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum PrincipalMatch {
    /// Not at all.
    None,
    /// As one of its account, which decides with its identity policies what it may.
    Account,
    /// Itself.
    Principal,
}

/// `Principal` or `NotPrincipal` of a statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Principals {
    These(Vec<PrincipalRef>),
    AllBut(Vec<PrincipalRef>),
}

impl Principals {
    pub(super) fn includes(&self, identity: &Identity) -> PrincipalMatch {
        let strongest = |named: &[PrincipalRef]| {
            let all = named.iter().map(|principal| principal.means(identity));
            all.max().unwrap_or(PrincipalMatch::None)
        };
        match self {
            Self::These(named) => strongest(named),
            Self::AllBut(named) => match strongest(named) {
                PrincipalMatch::None => PrincipalMatch::Principal,
                PrincipalMatch::Account | PrincipalMatch::Principal => PrincipalMatch::None,
            },
        }
    }

    pub(super) fn named(&self) -> &[PrincipalRef] {
        match self {
            Self::These(named) | Self::AllBut(named) => named,
        }
    }
}

/// One principal that a policy or a grant names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum PrincipalRef {
    /// `*`
    Everyone,
    /// An account, by its 12 digits or the ARN of its root.
    Account(String),
    /// A user, a session or a federated user, by its ARN.
    Principal(String),
    /// A role, by its ARN: all of its sessions.
    Role(String),
    /// The unique id (`AIDA…`, `AROA…`) that stays in a policy when its principal was deleted: nobody.
    UniqueId(String),
    /// A service of AWS, by its name.
    Service(String),
    /// An identity provider, or a canonical user of S3: nobody who calls here.
    Other(String),
}

impl PrincipalRef {
    /// What an `AWS` member names.
    pub(crate) fn of_aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everyone);
        }
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Some(Self::Account(text.to_owned()));
        }
        let unique = |id: &str| {
            (16..=128).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        if (text.starts_with("AIDA") || text.starts_with("AROA")) && unique(text) {
            return Some(Self::UniqueId(text.to_owned()));
        }
        // Wildcards match no part of a principal's ARN.
        if text.contains(['*', '?']) {
            return None;
        }
        let (_, service, account, resource) = split(text)?;
        match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => Some(Self::Account(account.to_owned())),
            ("iam", Some(("role", name))) => last(name).map(|_| Self::Role(text.to_owned())),
            _ => Identity::of_arn(text).map(|identity| Self::Principal(identity.arn)),
        }
    }

    /// How this means who asks.
    pub(crate) fn means(&self, identity: &Identity) -> PrincipalMatch {
        let itself = match self {
            Self::Everyone => true,
            Self::Account(account) if *account == identity.account => {
                return match identity.kind {
                    IdentityKind::Root => PrincipalMatch::Principal,
                    IdentityKind::User { .. }
                    | IdentityKind::AssumedRole { .. }
                    | IdentityKind::FederatedUser { .. } => PrincipalMatch::Account,
                };
            }
            Self::Principal(arn) => *arn == identity.arn,
            Self::Role(arn) => match &identity.kind {
                IdentityKind::AssumedRole { role_arn, .. } => arn == role_arn,
                IdentityKind::Root
                | IdentityKind::User { .. }
                | IdentityKind::FederatedUser { .. } => false,
            },
            Self::Account(_) | Self::UniqueId(_) | Self::Service(_) | Self::Other(_) => false,
        };
        match itself {
            true => PrincipalMatch::Principal,
            false => PrincipalMatch::None,
        }
    }
}

impl fmt::Display for PrincipalRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("*"),
            Self::Account(text)
            | Self::Principal(text)
            | Self::Role(text)
            | Self::UniqueId(text)
            | Self::Service(text)
            | Self::Other(text) => f.write_str(text),
        }
    }
}

/// A prefix and 17 of `A-Z 2-7` that follow from the ARN.
fn unique_id(prefix: &str, arn: &str) -> String {
    let digest = digest::digest(&digest::SHA256, arn.as_bytes());
    let digits = digest.as_ref().iter().take(UNIQUE_DIGITS);
    let digits = digits.filter_map(|byte| BASE32.get(usize::from(byte % 32)));
    prefix
        .chars()
        .chain(digits.map(|digit| char::from(*digit)))
        .collect()
}

const UNIQUE_DIGITS: usize = 17;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Partition, service, account and resource of an ARN of IAM or STS.
fn split(arn: &str) -> Option<(&str, &str, &str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let ("arn", partition, service) = (next()?, next()?, next()?) else {
        return None;
    };
    let ("", account, resource) = (next()?, next()?, next()?) else {
        return None;
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_partition = ["aws", "aws-cn", "aws-us-gov"].contains(&partition);
    (is_account && is_partition).then_some((partition, service, account, resource))
}

/// The name after the last slash of a path, none of whose parts may be empty.
fn last(path: &str) -> Option<&str> {
    let allowed = |c: char| c.is_ascii_graphic();
    let parts = || path.split('/');
    match parts().all(|part| !part.is_empty() && part.chars().all(allowed)) {
        true => parts().next_back(),
        false => None,
    }
}
