//! `kms-sim ctl cloudhsm`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use kms_sim::cloudhsm::{ClusterState, HsmState, KmsuserChange};
use serde_json::{Value, json};

use super::client::{Call, members, segment};

#[derive(Args, Debug)]
pub(super) struct CloudHsmArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates a cluster, ACTIVE, with a kmsuser; prints what CreateCustomKeyStore needs.
    CreateCluster(CreateCluster),
    /// Lists the clusters.
    ListClusters,
    /// Shows a cluster: HSMs, subnets, kmsuser, keys.
    DescribeCluster(Cluster),
    /// Deletes a cluster; a backup stays.
    DeleteCluster(Cluster),
    /// Changes a cluster or its kmsuser.
    Set(Set),
    /// Sets the password of the kmsuser, whom it creates if there is none, and unlocks; KMS does not learn of it.
    SetPassword {
        #[command(flatten)]
        cluster: Cluster,
        /// 7 to 32 characters; a random one without it.
        #[arg(long, value_name = "TEXT")]
        password: Option<String>,
    },
    /// Adds an HSM.
    AddHsm {
        #[command(flatten)]
        cluster: Cluster,
        /// The Availability Zone; the one with the fewest HSMs without it.
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
    },
    /// Changes the state of an HSM.
    SetHsm {
        #[command(flatten)]
        cluster: Cluster,
        /// The HsmId, as describe-cluster shows it.
        #[arg(long, value_name = "ID")]
        hsm: String,
        /// KMS counts HSMs that are ACTIVE.
        #[arg(long, value_parser = PossibleValuesParser::new(HsmState::WORDS))]
        state: String,
    },
    /// Removes an HSM.
    DeleteHsm {
        #[command(flatten)]
        cluster: Cluster,
        /// The HsmId, as describe-cluster shows it.
        #[arg(long, value_name = "ID")]
        hsm: String,
    },
    /// Changes the private subnet of an Availability Zone.
    SetSubnet {
        #[command(flatten)]
        cluster: Cluster,
        /// The Availability Zone.
        #[arg(long, value_name = "ZONE")]
        zone: String,
        /// Whether it was deleted.
        #[arg(long, value_name = "BOOL")]
        deleted: Option<bool>,
        /// How many addresses nobody has taken.
        #[arg(long, value_name = "N")]
        free_addresses: Option<u32>,
    },
    /// Deletes the material of a KMS key in the cluster, behind KMS's back.
    DeleteKey {
        #[command(flatten)]
        cluster: Cluster,
        /// The id of the KMS key.
        #[arg(long, value_name = "ID")]
        key: String,
    },
    /// Makes a backup, from which related clusters can be created.
    CreateBackup(Cluster),
    /// Lists the backups.
    ListBackups,
}

#[derive(Args, Debug)]
struct Cluster {
    /// The ClusterId.
    #[arg(long, value_name = "ID")]
    cluster: String,
}

#[derive(Args, Debug)]
struct CreateCluster {
    /// How many HSMs it starts with; 2 without it, in different Availability Zones.
    #[arg(long, value_name = "N")]
    hsms: Option<u64>,
    /// Its Availability Zones; three of the Region without it.
    #[arg(long, value_name = "ZONE,…", value_delimiter = ',')]
    zones: Vec<String>,
    /// The only account that sees it; every one without it.
    #[arg(long, value_name = "12 DIGITS")]
    account: Option<String>,
    /// The only Region that sees it; every one without it.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The backup whose certificate, kmsuser and keys it has.
    #[arg(long, value_name = "ID")]
    backup: Option<String>,
    /// Of the kmsuser; a random one without it.
    #[arg(long, value_name = "TEXT")]
    password: Option<String>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Changes {
    /// KMS uses a cluster that is ACTIVE.
    #[arg(long, value_parser = PossibleValuesParser::new(ClusterState::WORDS))]
    state: Option<String>,
    /// What happens to the kmsuser.
    #[arg(long, value_parser = PossibleValuesParser::new(KmsuserChange::WORDS))]
    kmsuser: Option<String>,
    /// Whether the security group lets TCP ports 2223-2225 through.
    #[arg(long, value_name = "BOOL")]
    security_group_sound: Option<bool>,
    /// Whether KMS's packets reach the HSMs.
    #[arg(long, value_name = "BOOL")]
    reachable: Option<bool>,
    /// Whether an HSM has PKCS#11 sessions left.
    #[arg(long, value_name = "BOOL")]
    sessions_left: Option<bool>,
}

#[derive(Args, Debug)]
struct Set {
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    changes: Changes,
}

impl Cluster {
    fn path(&self, rest: &str) -> String {
        format!("/cloudhsm/clusters/{}{rest}", segment(&self.cluster))
    }
}

impl CreateCluster {
    fn call(self) -> Call {
        let zones = (!self.zones.is_empty()).then(|| json!(self.zones));
        let body = members([
            ("Hsms", self.hsms.map(Value::from)),
            ("AvailabilityZones", zones),
            ("Account", self.account.map(Value::from)),
            ("Region", self.region.map(Value::from)),
            ("BackupId", self.backup.map(Value::from)),
            ("KeyStorePassword", self.password.map(Value::from)),
        ]);
        Call::post("/cloudhsm/clusters", body)
    }
}

impl Set {
    fn call(self) -> Call {
        let changes = self.changes;
        let body = members([
            ("State", changes.state.map(Value::from)),
            ("Kmsuser", changes.kmsuser.map(Value::from)),
            (
                "SecurityGroupSound",
                changes.security_group_sound.map(Value::from),
            ),
            ("Reachable", changes.reachable.map(Value::from)),
            ("SessionsLeft", changes.sessions_left.map(Value::from)),
        ]);
        Call::patch(self.cluster.path(""), body)
    }
}

impl CloudHsmArgs {
    pub(super) fn call(self) -> Call {
        match self.command {
            Command::CreateCluster(arguments) => arguments.call(),
            Command::ListClusters => Call::get("/cloudhsm/clusters"),
            Command::DescribeCluster(cluster) => Call::get(cluster.path("")),
            Command::DeleteCluster(cluster) => Call::delete(cluster.path("")),
            Command::Set(arguments) => arguments.call(),
            Command::SetPassword { cluster, password } => {
                let body = members([("KeyStorePassword", password.map(Value::from))]);
                Call::post(cluster.path("/kmsuser/password"), body)
            }
            Command::AddHsm { cluster, zone } => {
                let body = members([("AvailabilityZone", zone.map(Value::from))]);
                Call::post(cluster.path("/hsms"), body)
            }
            Command::SetHsm {
                cluster,
                hsm,
                state,
            } => {
                let path = cluster.path(&format!("/hsms/{}", segment(&hsm)));
                Call::patch(path, json!({"State": state}))
            }
            Command::DeleteHsm { cluster, hsm } => {
                Call::delete(cluster.path(&format!("/hsms/{}", segment(&hsm))))
            }
            Command::SetSubnet {
                cluster,
                zone,
                deleted,
                free_addresses,
            } => {
                let body = members([
                    ("Deleted", deleted.map(Value::from)),
                    ("FreeAddresses", free_addresses.map(Value::from)),
                ]);
                Call::patch(cluster.path(&format!("/subnets/{}", segment(&zone))), body)
            }
            Command::DeleteKey { cluster, key } => {
                Call::delete(cluster.path(&format!("/keys/{}", segment(&key))))
            }
            Command::CreateBackup(cluster) => Call::post(cluster.path("/backups"), json!({})),
            Command::ListBackups => Call::get("/cloudhsm/backups"),
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  A cluster for CreateCustomKeyStore; prints ClusterId, TrustAnchorCertificate, KeyStorePassword:
    kms-sim ctl cloudhsm create-cluster --hsms 2

  The next ConnectCustomKeyStore ends with USER_LOCKED_OUT:
    kms-sim ctl cloudhsm set --cluster cluster-… --kmsuser locked

  One zone is gone: CreateKey says CloudHsmClusterInvalidConfigurationException:
    kms-sim ctl cloudhsm set-hsm --cluster cluster-… --hsm hsm-… --state DEGRADED";
