//! Amazon Resource Names of keys and aliases, and what the texts in `KeyId` members mean.

use crate::access::other_account;
use crate::api::KmsError;
use crate::credentials::partition;
use crate::operation::Operation;
use crate::simulator::Caller;
use crate::visibility::Home;

/// The ARN of a key in the caller's account and Region.
pub(crate) fn key_arn(caller: &Caller, key_id: &str) -> String {
    arn(caller, &format!("key/{key_id}"))
}

/// The ARN of an alias in the caller's account and Region; the name has its `alias/`.
pub(crate) fn alias_arn(caller: &Caller, alias_name: &str) -> String {
    arn(caller, alias_name)
}

fn arn(caller: &Caller, resource: &str) -> String {
    let Caller {
        account, region, ..
    } = caller;
    format!(
        "arn:{}:kms:{region}:{account}:{resource}",
        partition(region)
    )
}

/// What a `KeyId` member names in an account and Region.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyReference<'a> {
    /// A key id: a UUID, or `mrk-` and its digits.
    Id(&'a str),
    /// An alias name with its `alias/`.
    Alias(&'a str),
}

impl<'a> KeyReference<'a> {
    /// Reads a key id, key ARN, alias name or alias ARN; only an ARN names what is another account's than the caller's.
    ///
    /// # Errors
    /// NotFoundException for what cannot name a key here, InvalidArnException for what only begins like an ARN,
    /// AccessDeniedException for another account's key.
    pub(crate) fn parse(
        text: &'a str,
        caller: &Caller,
        home: &Home,
        operation: Operation,
    ) -> Result<Self, KmsError> {
        let (account, resource) = match text.strip_prefix("arn:") {
            Some(rest) => {
                let arn = KmsArn::parse(rest).ok_or_else(|| {
                    KmsError::new("InvalidArnException", format!("Invalid arn {text}"))
                })?;
                let region = &caller.region;
                if arn.region != region || arn.partition != partition(region) {
                    return Err(KmsError::not_found(format!("Invalid arn {}", arn.region)));
                }
                (arn.account, arn.resource)
            }
            None => (&*caller.account, text),
        };
        if account != home.account {
            return Err(match account == caller.account {
                // A key of the caller's, where another account's was found.
                true => KmsError::not_found(format!("Key '{text}' does not exist")),
                false => other_account(caller, operation.action()),
            });
        }
        let id = match resource.strip_prefix("key/") {
            Some(id) if resource.len() < text.len() => id,
            _ if resource.starts_with("alias/") => return Ok(Self::Alias(resource)),
            _ => resource,
        };
        if is_key_id(id) {
            return Ok(Self::Id(id));
        }
        Err(KmsError::not_found(format!("Invalid keyId '{id}'")))
    }
}

/// The parts of an ARN of a key or an alias.
struct KmsArn<'a> {
    partition: &'a str,
    region: &'a str,
    account: &'a str,
    /// `key/…` or `alias/…`
    resource: &'a str,
}

impl<'a> KmsArn<'a> {
    /// Reads an ARN without its `arn:`.
    fn parse(rest: &'a str) -> Option<Self> {
        let mut parts = rest.splitn(5, ':');
        let mut next = || parts.next();
        let (partition, "kms", region) = (next()?, next()?, next()?) else {
            return None;
        };
        let (account, resource) = (next()?, next()?);
        let known = resource.starts_with("key/") || resource.starts_with("alias/");
        known.then_some(Self {
            partition,
            region,
            account,
            resource,
        })
    }
}

/// The ARN of the same key or alias in another Region.
pub(crate) fn in_region(arn: &str, region: &str) -> String {
    let parts = arn.splitn(5, ':').enumerate();
    let parts = parts.map(|(at, part)| if at == REGION_PART { region } else { part });
    parts.collect::<Vec<_>>().join(":")
}

/// `arn:partition:kms:Region:…`
const REGION_PART: usize = 3;

/// The account that an ARN of a key or an alias names.
pub(crate) fn account_of(text: &str) -> Option<&str> {
    KmsArn::parse(text.strip_prefix("arn:")?).map(|arn| arn.account)
}

/// Whether the text has the form of a key id.
pub(crate) fn is_key_id(text: &str) -> bool {
    is_uuid(text) || text.strip_prefix(MULTI_REGION).is_some_and(is_hex)
}

fn is_hex(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The ARN that a key of that ARN has in the caller's Region: another one for multi-Region keys of the caller's account.
pub(crate) fn local_arn(arn: &str, caller: &Caller) -> String {
    let id = arn.rsplit('/').next().unwrap_or_default();
    let there = arn.split(':').nth(3).unwrap_or_default();
    let of_caller = Caller::in_region(caller, there);
    match id.starts_with(MULTI_REGION) && is_key_id(id) && key_arn(&of_caller, id) == arn {
        true => key_arn(caller, id),
        false => arn.to_owned(),
    }
}

/// Begins the ids of multi-Region keys.
pub(crate) const MULTI_REGION: &str = "mrk-";

/// Whether the text is a UUID in lower case.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn caller() -> Caller {
        Caller::new(
            "111122223333".to_owned(),
            "us-east-1".to_owned(),
            "arn:aws:iam::111122223333:user/Alice".to_owned(),
            String::new(),
        )
    }

    fn home() -> Home {
        Home::of(&caller())
    }

    #[test]
    fn ids_arns_and_aliases_are_told_apart() {
        let arn = format!("arn:aws:kms:us-east-1:111122223333:key/{ID}");
        assert_eq!(key_arn(&caller(), ID), arn);
        for (text, expected) in [
            (ID, KeyReference::Id(ID)),
            (&arn, KeyReference::Id(ID)),
            ("alias/x", KeyReference::Alias("alias/x")),
            (
                "arn:aws:kms:us-east-1:111122223333:alias/a:b",
                KeyReference::Alias("alias/a:b"),
            ),
        ] {
            let found = KeyReference::parse(text, &caller(), &home(), Operation::DescribeKey);
            assert_eq!(found, Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_key_has_the_texts_of_kms() {
        for (text, name, message) in [
            (
                "fake-key-id",
                "NotFoundException",
                "Invalid keyId 'fake-key-id'",
            ),
            (
                "arn:aws:kms:us-west-2:111122223333:key/x",
                "NotFoundException",
                "Invalid arn us-west-2",
            ),
            (
                "arn:aws:kms:us-east-1:111122223333:key/x",
                "NotFoundException",
                "Invalid keyId 'x'",
            ),
            (
                "arn:aws:kms:us-east-1",
                "InvalidArnException",
                "Invalid arn arn:aws:kms:us-east-1",
            ),
            (
                "arn:aws:s3:us-east-1:111122223333:key/x",
                "InvalidArnException",
                "Invalid arn arn:aws:s3:us-east-1:111122223333:key/x",
            ),
            (
                "arn:aws:kms:us-east-1:999999999999:alias/x",
                "AccessDeniedException",
                "User: arn:aws:iam::111122223333:user/Alice is not authorized to perform: kms:DescribeKey on this \
                 resource because the resource does not exist in this Region, no resource-based policies allow \
                 access, or a resource-based policy explicitly denies access",
            ),
        ] {
            let error =
                KeyReference::parse(text, &caller(), &home(), Operation::DescribeKey).unwrap_err();
            assert_eq!(
                (error.name(), error.message()),
                (name, Some(message)),
                "{text}"
            );
        }
    }
}
