//! The 250 ms that KMS waits: more than half of a few requests have to be answered in time, so that a busy machine
//! between the suite and the proxy does not decide.

use std::time::{Duration, Instant};

use xks_api::route::OperationName::{self, Decrypt, Encrypt, GetHealthStatus, GetKeyMetadata};

use super::super::case::Check::Story;
use super::super::case::{Case, Finding, Outcome, kms};
use super::super::connection::Connection;
use super::super::kit::Kit;
use super::{DECRYPT, ENCRYPT, GET_HEALTH_STATUS, GET_KEY_METADATA};

const IN_TIME: &str = "KMS waits 250 ms for an answer: the median of seven is faster";

pub(super) const CASES: &[Case] = &[
    kms(
        "health-in-time",
        GET_HEALTH_STATUS,
        IN_TIME,
        Story(|kit| in_time(kit, || timed(kit, GetHealthStatus))),
    ),
    kms(
        "metadata-in-time",
        GET_KEY_METADATA,
        IN_TIME,
        Story(|kit| in_time(kit, || timed(kit, GetKeyMetadata))),
    ),
    kms(
        "encrypt-in-time",
        ENCRYPT,
        IN_TIME,
        Story(|kit| in_time(kit, || timed(kit, Encrypt))),
    ),
    kms(
        "decrypt-in-time",
        DECRYPT,
        IN_TIME,
        Story(|kit| in_time(kit, || timed(kit, Decrypt))),
    ),
    kms(
        "largest-encrypt-in-time",
        ENCRYPT,
        "KMS waits 250 ms also for 4,300 bytes with an AAD of 8,192 and a CDIV: the median of seven is faster",
        Story(|kit| {
            in_time(kit, || {
                let wire = kit.encrypt_of(&[7; 4300], Some(&[8; 8192])).sign();
                let answer = kit.send(&wire)?;
                answer.sealed(None)?;
                Ok(answer.elapsed)
            })
        }),
    ),
    kms(
        "new-connection-in-time",
        GET_KEY_METADATA,
        "KMS's 250 ms have TCP connection and TLS handshake in them, where there is no connection yet: the median of seven is faster",
        Story(|kit| {
            in_time(kit, || {
                let wire = kit.encrypt().sign();
                let start = Instant::now();
                let connection = Connection::open(kit.target, &kit.tls);
                let mut connection =
                    connection.map_err(|trouble| Finding::failed(trouble.to_string()))?;
                kit.send_on(&mut connection, &wire)?.sealed(None)?;
                Ok(start.elapsed())
            })
        }),
    ),
];

fn timed(kit: &Kit<'_>, operation: OperationName) -> Result<Duration, Finding> {
    let wire = kit.request(operation)?.sign();
    let answer = kit.send(&wire)?;
    answer.served(operation)?;
    Ok(answer.elapsed)
}

/// Whether the median is in time; ends as soon as that is decided.
fn in_time(_: &Kit<'_>, once: impl Fn() -> Result<Duration, Finding>) -> Outcome {
    let mut late = Vec::new();
    let mut early = 0;
    while early <= SAMPLES / 2 {
        let elapsed = once()?;
        match elapsed < KMS_WAITS {
            true => early += 1,
            false => late.push(elapsed.as_millis().to_string()),
        }
        if late.len() > SAMPLES / 2 {
            return Err(Finding::failed(format!(
                "{} of {} answers took longer than {} ms: {} ms",
                late.len(),
                late.len() + early,
                KMS_WAITS.as_millis(),
                late.join(", ")
            )));
        }
    }
    Ok(())
}

const KMS_WAITS: Duration = Duration::from_millis(250);
const SAMPLES: usize = 7;
