//! `xks-proxy kms …`: KMS's side of an external key store.

mod advice;
mod connection;
mod create_key;
mod keys;
mod link;
mod progress;
mod proxy_side;
mod rotate;
mod rotation_record;
mod setup;
mod status;

use std::future::Future;
use std::time::Duration;

use clap::{Args, Subcommand};

use self::proxy_side::KeyStoreArguments;
use super::Failure;
use crate::kms::{Choice, Environment, KmsClient, Settings};
use crate::process_memory;

/// Create and look after KMS's side of an external key store.
///
/// Calls KMS with credentials, Region and endpoint from where the AWS CLI takes them: environment, profiles, containers,
/// EC2 instances. Run it where the proxy runs, as its user: what is needed of the proxy comes through its admin socket.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: KmsCommand,
}

#[derive(Debug, Subcommand)]
enum KmsCommand {
    /// Create the custom key store in KMS from the proxy's configuration, and connect it
    Link(link::Arguments),
    /// Compare both sides: state, credentials, keys, and why a key cannot be used
    Status(status::Arguments),
    /// Make the KMS key of an external key
    CreateKey(create_key::Arguments),
    /// Give KMS a new credential without an outage, and revoke the old one when KMS has stopped using it
    RotateCredential(rotate::Arguments),
    /// Disconnect the custom key store: no KMS key of it can be used until it is connected again
    Disconnect(connection::Arguments),
    /// Connect the custom key store, and wait until it is
    Connect(connection::Arguments),
    /// Print what links a key store by other means: the AWS CLI, Terraform, CloudFormation
    Setup(setup::Arguments),
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    // A command lives for a moment; what cannot be protected in it is the server's to tell.
    process_memory::protect();
    match arguments.command {
        KmsCommand::Link(arguments) => within_runtime(link::run(arguments)),
        KmsCommand::Status(arguments) => within_runtime(status::run(arguments)),
        KmsCommand::CreateKey(arguments) => within_runtime(create_key::run(arguments)),
        KmsCommand::RotateCredential(arguments) => within_runtime(rotate::run(arguments)),
        KmsCommand::Disconnect(arguments) => within_runtime(connection::disconnect(arguments)),
        KmsCommand::Connect(arguments) => within_runtime(connection::connect(arguments)),
        KmsCommand::Setup(arguments) => setup::run(arguments),
    }
}

fn within_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::of("cannot start", &e))?
        .block_on(command)
}

/// Which KMS is called, and as whom.
#[derive(Args, Debug)]
struct AwsArguments {
    /// Call this KMS instead of AWS's own, such as kms-sim; plain HTTP on this machine alone
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// The AWS Region [default: AWS_REGION, AWS_DEFAULT_REGION, or the profile's]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The AWS profile [default: AWS_PROFILE, or "default"]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl AwsArguments {
    async fn client(self) -> Result<KmsClient, Failure> {
        let choice = Choice {
            endpoint_url: self.endpoint_url,
            region: self.region,
            profile: self.profile,
        };
        let settings = Settings::resolve(Environment::of_process(), choice).await;
        let settings = settings.map_err(|e| Failure::Failed(e.to_string()))?;
        let client = KmsClient::new(settings).await;
        client.map_err(|e| Failure::Failed(e.to_string()))
    }
}

/// `"90s"`, `"10m"`
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number = digits.parse::<u32>().ok();
    let unit = match text.get(digits.len()..) {
        Some("s") => Some(1),
        Some("m") => Some(60),
        Some("h") => Some(3_600),
        _ => None,
    };
    let seconds = number.zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    seconds
        .filter(|seconds| *seconds <= 86_400)
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or_else(|| "expected a time of at most a day, such as 90s, 10m or 1h".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy kms link --config FILE --prefix /tenant-a --uri-endpoint https://xks.example.com
  xks-proxy kms create-key payroll --config FILE --alias payroll
  xks-proxy kms status --config FILE
  xks-proxy kms rotate-credential --config FILE
  xks-proxy kms setup --config FILE --format terraform

proxy/docs/kms.md tells of each command, and of the permissions that it needs in AWS.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_an_end() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for bad in ["", "5", "m", "5 m", "-5s", "25h", "4294967295m"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
