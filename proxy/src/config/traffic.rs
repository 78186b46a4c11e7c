//! How much of the proxy one key store, one address may have, and who says for whom it connects.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::document::integer;
use super::read::Fields;
use crate::server::networks::Network;
use crate::throttle::{QuotaConfig, Rate};

/// The quota of a key store, if it has one.
pub(super) fn quota(fields: &Fields<'_, '_>) -> Option<QuotaConfig> {
    let section = fields.section("quota");
    if !fields.has("quota") {
        return None;
    }
    let per_second = number(&section, "requests_per_second");
    let burst = number(&section, "burst");
    let concurrency = number(&section, "concurrency");
    section.refuse_others();
    if section.has("burst") && !section.has("requests_per_second") {
        let expected = "requests_per_second, too: a burst is what may come at once at that rate";
        section.problem(section.place("burst"), "a burst without a rate", expected);
    }
    if !section.has("requests_per_second") && !section.has("concurrency") {
        let expected =
            "requests_per_second, concurrency, or both; without the table there is no quota";
        section.problem(section.place(""), "an empty table", expected);
    }
    let rate = per_second.map(|per_second| Rate {
        per_second,
        burst: burst.unwrap_or(per_second),
    });
    (rate.is_some() || concurrency.is_some()).then_some(QuotaConfig { rate, concurrency })
}

/// Nothing unless it is there.
pub(super) fn number(fields: &Fields<'_, '_>, name: &'static str) -> Option<NonZeroU32> {
    let number = fields.optional(name, integer(1..=1_000_000), "a number from 1 to 1000000")?;
    NonZeroU32::new(u32::try_from(number).ok()?)
}

/// Peers that send a header of the PROXY protocol; nobody unless they are named.
pub(super) fn proxy_protocol_from(fields: &Fields<'_, '_>) -> Arc<[Network]> {
    let expected = "a network, such as \"10.0.0.0/16\" or \"fd00::/64\", whose other bits are zero, or an address";
    let network = |text: &str| Network::try_from(text).ok();
    let networks = fields.list("proxy_protocol_from", network, expected);
    networks.unwrap_or_default().into()
}
