//! GenerateMac and VerifyMac.

use std::sync::Arc;

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypto::{check_dry_run, dry_run};
use crate::api::shapes::{grant_tokens, key_id};
use crate::api::{Bytes, Input, KmsError, Members};
use crate::key_material::internal;
use crate::key_spec::MacAlgorithm;
use crate::key_usage::check_algorithm;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::usable_fixed_key::UsableFixedKey;

/// Input of GenerateMac, and what VerifyMac has in common with it.
pub(crate) struct GenerateMac {
    key_id: String,
    message: Zeroizing<Vec<u8>>,
    algorithm: MacAlgorithm,
    dry_run: bool,
}

impl Input for GenerateMac {
    fn read(m: &mut Members<'_>) -> Self {
        let algorithm = m.choice("MacAlgorithm", MacAlgorithm::CHOICES).optional();
        let input = Self {
            key_id: key_id(m, "KeyId"),
            message: m.blob("Message").length(1, 4096).required(),
            // A request without one goes no further than its violations.
            algorithm: m
                .require("MacAlgorithm", algorithm)
                .unwrap_or(MacAlgorithm::HmacSha256),
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        input
    }
}

impl GenerateMac {
    fn key(
        &self,
        simulator: &Simulator,
        caller: &Caller,
        operation: Operation,
    ) -> Result<UsableFixedKey, KmsError> {
        let region = simulator.region_of_key(caller, operation, &self.key_id);
        let key = region.lock().fixed_key(operation, caller, &self.key_id)?;
        let (kind, algorithm) = (key.kind(), self.algorithm);
        check_algorithm(kind, kind.mac_algorithms(), algorithm, algorithm.name())?;
        check_dry_run(self.dry_run)?;
        Ok(key)
    }
}

/// Output of GenerateMac.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GenerateMacOutput {
    mac: Bytes,
    mac_algorithm: MacAlgorithm,
    key_id: Arc<str>,
}

/// GenerateMac
pub(crate) async fn generate(
    simulator: &Simulator,
    caller: &Caller,
    input: GenerateMac,
) -> Result<GenerateMacOutput, KmsError> {
    let key = input.key(simulator, caller, Operation::GenerateMac)?;
    let mac = key.material().mac(input.algorithm, &input.message);
    let mac = mac.ok_or_else(internal)?;
    key.used(caller, simulator.clock().now());
    Ok(GenerateMacOutput {
        mac: Bytes(mac),
        mac_algorithm: input.algorithm,
        key_id: key.into_arn(),
    })
}

/// Input of VerifyMac.
pub(crate) struct VerifyMac {
    made: GenerateMac,
    mac: Zeroizing<Vec<u8>>,
}

impl Input for VerifyMac {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            made: GenerateMac::read(m),
            mac: m.blob("Mac").length(1, 6144).required(),
        }
    }
}

/// Output of VerifyMac.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VerifyMacOutput {
    key_id: Arc<str>,
    mac_valid: bool,
    mac_algorithm: MacAlgorithm,
}

/// VerifyMac: KMSInvalidMacException, without a message, is what failure looks like.
pub(crate) async fn verify(
    simulator: &Simulator,
    caller: &Caller,
    input: VerifyMac,
) -> Result<VerifyMacOutput, KmsError> {
    let (made, mac) = (&input.made, &input.mac);
    let key = made.key(simulator, caller, Operation::VerifyMac)?;
    if !key
        .material()
        .verify_mac(made.algorithm, &made.message, mac)
    {
        return Err(KmsError::without_message("KMSInvalidMacException"));
    }
    key.used(caller, simulator.clock().now());
    Ok(VerifyMacOutput {
        key_id: key.into_arn(),
        mac_valid: true,
        mac_algorithm: made.algorithm,
    })
}
