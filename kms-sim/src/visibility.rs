//! Who sees what people make outside of KMS: CloudHSM clusters and VPC endpoint services.

use serde::{Deserialize, Serialize};

use crate::simulator::Caller;

/// The account and the Region from which KMS looks.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Home {
    pub(crate) account: String,
    pub(crate) region: String,
}

impl Home {
    /// Where the caller is.
    pub(crate) fn of(caller: &Caller) -> Self {
        Self {
            account: caller.account.clone(),
            region: caller.region.clone(),
        }
    }
}

/// Every account and every Region, unless one is given.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Visibility {
    /// 12 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// For example `us-east-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl Visibility {
    pub(crate) fn includes(&self, home: &Home) -> bool {
        let admits = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        admits(&self.account, &home.account) && admits(&self.region, &home.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_must_match() {
        let home = Home {
            account: "111122223333".into(),
            region: "eu-north-1".into(),
        };
        let cases = [
            (None, None, true),
            (Some("111122223333"), None, true),
            (Some("444455556666"), None, false),
            (None, Some("eu-north-1"), true),
            (None, Some("us-east-1"), false),
            (Some("111122223333"), Some("us-east-1"), false),
            (Some("111122223333"), Some("eu-north-1"), true),
        ];
        for (account, region, seen) in cases {
            let visibility = Visibility {
                account: account.map(str::to_owned),
                region: region.map(str::to_owned),
            };
            assert_eq!(visibility.includes(&home), seen, "{visibility:?}");
        }
    }
}
