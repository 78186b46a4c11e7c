//! `kms-sim ctl link`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use kms_sim::stub_proxy::Defect;
use serde_json::{Value, json};

use super::client::{Call, members, segment};

#[derive(Args, Debug)]
pub(super) struct LinkArgs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sets the fault of a link, in place of the one that it had.
    Set(Box<Set>),
    /// Mends a link; without a store or an endpoint, every one.
    Clear(Which),
}

#[derive(Args, Debug)]
struct Which {
    /// The link of this store, by its CustomKeyStoreId.
    #[arg(long, value_name = "ID", conflicts_with = "endpoint")]
    store: Option<String>,
    /// The links to this XksProxyUriEndpoint, also of stores that are being created.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

#[derive(Args, Debug)]
struct Set {
    #[command(flatten)]
    which: Which,
    /// The operations of the proxy that meet the fault; without it all.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(OPERATIONS))]
    operations: Vec<String>,
    /// How many attempts meet the fault; without it all. KMS tries twice when time runs out.
    #[arg(long, value_name = "N")]
    times: Option<u32>,
    #[command(flatten)]
    faults: Faults,
    /// Decides which requests are lost and how much jitter they get.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Faults {
    /// Answers come so much later; KMS waits 250 ms.
    #[arg(long, value_name = "N")]
    latency_ms: Option<u32>,
    /// Answers come up to so much later still.
    #[arg(long, value_name = "N")]
    jitter_ms: Option<u32>,
    /// How many requests never arrive: a probability from 0 to 1.
    #[arg(long, value_name = "P", value_parser = probability)]
    loss: Option<f64>,
    /// No TCP connection.
    #[arg(long, conflicts_with = "tls", value_parser = PossibleValuesParser::new(TCP))]
    tcp: Option<String>,
    /// No TLS session.
    #[arg(long, value_parser = PossibleValuesParser::new(TLS))]
    tls: Option<String>,
    /// The connection is reset after so many bytes of the answer.
    #[arg(long, value_name = "N")]
    reset_after_bytes: Option<u64>,
    /// Answers come as slowly as this.
    #[arg(long, value_name = "N")]
    bytes_per_second: Option<u32>,
    /// The HTTP status of an answer in place of the proxy's.
    #[arg(long, value_name = "N")]
    status: Option<u16>,
    /// The errorName of an answer in place of the proxy's, with the specification's status unless --status is given.
    #[arg(long, value_name = "NAME", conflicts_with = "body")]
    error_name: Option<String>,
    /// The body of an answer in place of the proxy's.
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The proxy's answer, but for this defect.
    #[arg(
        long,
        conflicts_with_all = ["status", "error_name", "body"],
        value_parser = PossibleValuesParser::new(Defect::NAMES)
    )]
    defect: Option<String>,
}

impl Faults {
    fn reply(&self) -> Option<Value> {
        let reply = members([
            ("Status", self.status.map(Value::from)),
            ("ErrorName", self.error_name.clone().map(Value::from)),
            ("Body", self.body.clone().map(Value::from)),
            ("Defect", self.defect.clone().map(Value::from)),
        ]);
        (reply != json!({})).then_some(reply)
    }
}

impl Set {
    fn call(self) -> Call {
        let faults = self.faults;
        let reply = faults.reply();
        let body = members([
            ("CustomKeyStoreId", self.which.store.map(Value::from)),
            ("XksProxyUriEndpoint", self.which.endpoint.map(Value::from)),
            ("Operations", Some(json!(self.operations))),
            ("Times", self.times.map(Value::from)),
            ("LatencyMs", faults.latency_ms.map(Value::from)),
            ("JitterMs", faults.jitter_ms.map(Value::from)),
            ("Loss", faults.loss.map(Value::from)),
            ("Seed", self.seed.map(Value::from)),
            ("Tcp", faults.tcp.map(Value::from)),
            ("Tls", faults.tls.map(Value::from)),
            ("ResetAfterBytes", faults.reset_after_bytes.map(Value::from)),
            ("BytesPerSecond", faults.bytes_per_second.map(Value::from)),
            ("Reply", reply),
        ]);
        Call::put("/link", body)
    }
}

impl LinkArgs {
    pub(super) fn call(self) -> Call {
        match self.command {
            None => Call::get("/link"),
            Some(Command::Set(set)) => set.call(),
            Some(Command::Clear(Which {
                store: Some(id), ..
            })) => Call::delete(format!("/link?CustomKeyStoreId={}", segment(&id))),
            Some(Command::Clear(Which {
                endpoint: Some(endpoint),
                ..
            })) => Call::delete(format!("/link?XksProxyUriEndpoint={}", segment(&endpoint))),
            Some(Command::Clear(Which { .. })) => Call::delete("/link"),
        }
    }
}

/// JSON has no NaN: the simulator would be told of nothing.
fn probability(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok().filter(|n| (0.0..=1.0).contains(n));
    number.ok_or("expected a probability: a number from 0 to 1, such as 0.25")
}

const OPERATIONS: [&str; 4] = ["GetHealthStatus", "GetKeyMetadata", "Encrypt", "Decrypt"];
const TCP: [&str; 4] = ["refused", "black-hole", "no-address", "silent"];
const TLS: [&str; 9] = [
    "untrusted-authority",
    "expired",
    "not-yet-valid",
    "other-name",
    "old-version",
    "no-common-suite",
    "client-certificate",
    "plain-http",
    "closed",
];

pub(super) const EXAMPLES: &str = "\
Examples:
  The proxy is too slow for KMS: KMSInvalidStateException, XKS_PROXY_TIMED_OUT:
    kms-sim ctl link set --endpoint https://xks.test --latency-ms 400

  Every third request is lost, the same ones each time:
    kms-sim ctl link set --loss 0.33 --seed 7

  The certificate has expired:
    kms-sim ctl link set --store cks-… --tls expired

  The next Encrypt is throttled by the proxy:
    kms-sim ctl link set --operations Encrypt --times 1 --error-name ThrottlingException

  All is well again:
    kms-sim ctl link clear";
