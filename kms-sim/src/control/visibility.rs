//! Who sees what is made through the control API: every account and Region, unless one is given.

use super::error::ControlError;
use crate::visibility::Visibility;

/// `Account` and `Region` of an input.
///
/// # Errors
/// An account that is not 12 digits, a Region that cannot be one.
pub(super) fn visibility(
    account: Option<String>,
    region: Option<String>,
) -> Result<Visibility, ControlError> {
    let is_account = |text: &String| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if account.as_ref().is_some_and(|account| !is_account(account)) {
        return Err(ControlError::invalid("Account must be 12 digits."));
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_region = |text: &String| (1..=32).contains(&text.len()) && text.bytes().all(allowed);
    if region.as_ref().is_some_and(|region| !is_region(region)) {
        return Err(ControlError::invalid(
            "Region must be lowercase letters, digits and hyphens, such as us-east-1.",
        ));
    }
    Ok(Visibility { account, region })
}
