//! GetHealthStatus: every member of its answer.

use std::collections::BTreeSet;

use super::super::answer::Health;
use super::super::case::Check::Story;
use super::super::case::{Case, Finding, must, should};
use super::super::kit::Kit;
use super::GET_HEALTH_STATUS;
use super::key_metadata::holds;

pub(super) const CASES: &[Case] = &[
    must(
        "fleet-size-above-zero",
        GET_HEALTH_STATUS,
        "xksProxyFleetSize is an integer from 1 on",
        Story(|kit| {
            let size = health(kit)?.fleet_size.unwrap_or_default();
            holds(size.as_u64().is_some_and(|size| size > 0), || {
                format!("xksProxyFleetSize is {size}")
            })
        }),
    ),
    must(
        "proxy-vendor-named",
        GET_HEALTH_STATUS,
        "xksProxyVendor names the vendor of the proxy",
        Story(|kit| named("xksProxyVendor", &health(kit)?.proxy_vendor)),
    ),
    must(
        "proxy-model-named",
        GET_HEALTH_STATUS,
        "xksProxyModel names the model of the proxy",
        Story(|kit| named("xksProxyModel", &health(kit)?.proxy_model)),
    ),
    must(
        "key-manager-vendor-named",
        GET_HEALTH_STATUS,
        "ekmVendor names the vendor of the external key manager, also if it is that of the proxy",
        Story(|kit| named("ekmVendor", &health(kit)?.ekm_vendor)),
    ),
    must(
        "one-to-ten-key-managers",
        GET_HEALTH_STATUS,
        "ekmFleetDetails has one to ten entries",
        Story(|kit| {
            let count = health(kit)?.instances.len();
            holds((1..=10).contains(&count), || {
                format!("ekmFleetDetails has {count} entries")
            })
        }),
    ),
    must(
        "key-manager-ids-unique",
        GET_HEALTH_STATUS,
        "each entry of ekmFleetDetails has an id of its own",
        Story(|kit| {
            let instances = health(kit)?.instances;
            let ids: BTreeSet<_> = instances.iter().map(|instance| &instance.id).collect();
            let named = ids.iter().all(|id| !id.is_empty());
            holds(named && ids.len() == instances.len(), || {
                "two entries of ekmFleetDetails have one id, or one has none".to_owned()
            })
        }),
    ),
    must(
        "key-manager-models-named",
        GET_HEALTH_STATUS,
        "each entry of ekmFleetDetails names its model",
        Story(|kit| {
            let instances = health(kit)?.instances;
            let models = instances.iter().map(|instance| &*instance.model);
            let mut models = models.map(|model| named("ekmFleetDetails.model", model));
            models.find(Result::is_err).unwrap_or(Ok(()))
        }),
    ),
    must(
        "key-manager-statuses-known",
        GET_HEALTH_STATUS,
        "healthStatus is ACTIVE, DEGRADED or UNAVAILABLE",
        Story(|kit| {
            let instances = health(kit)?.instances;
            let known = ["ACTIVE", "DEGRADED", "UNAVAILABLE"];
            let unknown = instances
                .iter()
                .find(|instance| !known.contains(&&*instance.status));
            match unknown {
                None => Ok(()),
                Some(instance) => Err(Finding::failed(format!(
                    "healthStatus is {}",
                    instance.status
                ))),
            }
        }),
    ),
    should(
        "proxy-model-with-a-version",
        GET_HEALTH_STATUS,
        "xksProxyModel has the name of the product and its version",
        Story(|kit| {
            let model = health(kit)?.proxy_model;
            holds(model.chars().any(|c| c.is_ascii_digit()), || {
                format!("xksProxyModel is {model}, without a version")
            })
        }),
    ),
    should(
        "key-manager-models-with-versions",
        GET_HEALTH_STATUS,
        "the model of an external key manager has the name of the product and its version",
        Story(|kit| {
            let instances = health(kit)?.instances;
            let without = instances
                .iter()
                .find(|instance| !instance.model.chars().any(|c| c.is_ascii_digit()));
            match without {
                None => Ok(()),
                Some(instance) => Err(Finding::failed(format!(
                    "the model of {} is {}, without a version",
                    instance.id, instance.model
                ))),
            }
        }),
    ),
    must(
        "health-again-and-again",
        GET_HEALTH_STATUS,
        "a proxy that checks in the background answers from what it knows, however often it is asked",
        Story(|kit| {
            for _ in 0..20 {
                health(kit)?;
            }
            Ok(())
        }),
    ),
    should(
        "operations-succeed-after-health",
        GET_HEALTH_STATUS,
        "after a success of GetHealthStatus the next GetKeyMetadata, Encrypt and Decrypt succeed",
        Story(|kit| {
            health(kit)?;
            kit.serve(Ok(kit.metadata().sign()))?;
            let sealed = kit.seal(b"after health", None)?;
            kit.open(&sealed).map(drop)
        }),
    ),
];

pub(super) fn health(kit: &Kit<'_>) -> Result<Health, Finding> {
    kit.send(&kit.health().sign())?.health()
}

fn named(field: &str, name: &str) -> super::super::case::Outcome {
    holds(!name.trim().is_empty(), || format!("{field} is empty"))
}
