//! `kms-sim ctl vpc`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, members, segment};

#[derive(Args, Debug)]
pub(super) struct VpcArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates a service that meets every demand of KMS, and prints its name.
    Create(Create),
    /// Lists the services.
    List,
    /// Shows a service.
    Describe(Service),
    /// Changes a service, so that it meets a demand or does not.
    Set(Set),
    /// Deletes a service; nothing goes through it any more.
    Delete(Service),
}

#[derive(Args, Debug)]
struct Service {
    /// The XksProxyVpcEndpointServiceName.
    #[arg(long, value_name = "NAME")]
    service: String,
}

#[derive(Args, Debug)]
struct Create {
    /// The host of the XksProxyUriEndpoint, such as xks.test.
    #[arg(long, value_name = "HOST")]
    private_dns_name: String,
    /// The name; a random one without it.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The account that owns it; any without it.
    #[arg(long, value_name = "12 DIGITS")]
    owner: Option<String>,
    /// The only account that sees it; every one without it.
    #[arg(long, value_name = "12 DIGITS")]
    account: Option<String>,
    /// The only Region that sees it; every one without it.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

#[derive(Args, Debug)]
struct Set {
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Who may make endpoints, such as cks.kms.us-east-1.amazonaws.com or *; nobody for an empty text.
    #[arg(long, value_name = "PRINCIPAL,…")]
    allowed_principals: Option<String>,
    /// Whether its owner must accept every connection.
    #[arg(long, value_name = "BOOL")]
    acceptance_required: Option<bool>,
    /// Whether it is for interface endpoints, with a network load balancer.
    #[arg(long, value_name = "BOOL")]
    interface: Option<bool>,
    /// Of its load balancer; none for an empty text.
    #[arg(long, value_name = "ZONE,…")]
    zones: Option<String>,
    /// The host of the proxy; none for an empty text.
    #[arg(long, value_name = "HOST")]
    private_dns_name: Option<String>,
    /// Whether the domain of the name was verified.
    #[arg(long, value_name = "BOOL")]
    private_dns_name_verified: Option<bool>,
}

impl Service {
    fn path(&self) -> String {
        format!("/vpc-endpoint-services/{}", segment(&self.service))
    }
}

impl Changes {
    fn body(self) -> Value {
        let list = |text: String| {
            let words = text.split(',').map(str::trim);
            Value::from_iter(words.filter(|word| !word.is_empty()))
        };
        let name = self.private_dns_name.map(|name| match &*name {
            "" => Value::Null,
            name => name.into(),
        });
        members([
            ("AllowedPrincipals", self.allowed_principals.map(list)),
            (
                "AcceptanceRequired",
                self.acceptance_required.map(Value::from),
            ),
            ("Interface", self.interface.map(Value::from)),
            ("AvailabilityZones", self.zones.map(list)),
            ("PrivateDnsName", name),
            (
                "PrivateDnsNameVerified",
                self.private_dns_name_verified.map(Value::from),
            ),
        ])
    }
}

impl VpcArgs {
    pub(super) fn call(self) -> Call {
        match self.command {
            Command::Create(create) => {
                let body = members([
                    ("PrivateDnsName", Some(json!(create.private_dns_name))),
                    ("Name", create.service.map(Value::from)),
                    ("Owner", create.owner.map(Value::from)),
                    ("Account", create.account.map(Value::from)),
                    ("Region", create.region.map(Value::from)),
                ]);
                Call::post("/vpc-endpoint-services", body)
            }
            Command::List => Call::get("/vpc-endpoint-services"),
            Command::Describe(service) => Call::get(service.path()),
            Command::Set(set) => Call::patch(set.service.path(), set.changes.body()),
            Command::Delete(service) => Call::delete(service.path()),
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  A service for a store with VPC_ENDPOINT_SERVICE connectivity:
    kms-sim ctl vpc create --private-dns-name xks.test

  The next ConnectCustomKeyStore ends with XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION:
    kms-sim ctl vpc set --service com.amazonaws.vpce.us-east-1.vpce-svc-… --acceptance-required true

  KMS does not find it any more:
    kms-sim ctl vpc set --service com.amazonaws.vpce.us-east-1.vpce-svc-… --allowed-principals ''";
