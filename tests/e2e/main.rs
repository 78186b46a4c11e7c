//! Simulator and proxy as processes, with a byte counter between them, driven by AWS clients that nobody changed.
//!
//! ```text
//! boto3, AWS CLI, SDKs for Rust and JavaScript ──HTTP──▶ kms-sim ──HTTPS──▶ byte counter ──▶ xks-proxy
//! ```
//! | | what | client |
//! |---|---|---|
//! | `story/main.py` | every detail: messages, a proxy that is dead or late, FAILED, updates, policies | boto3 |
//! | `story/accounts.py` | two accounts, users, roles, signatures, policies, grants | boto3 |
//! | `story/encryption_sdk.py` | messages for one key and for several, before and after a disconnect | AWS Encryption SDK |
//! | `story/terraform.py` | the calls that Terraform's AWS provider makes | boto3 |
//! | `kms_commands` | `xks-proxy kms …`: link, keys, status, rotation | Rust SDK |
//! | `kms_lost_answers` | KMS does what they ask, and nobody hears of it | Rust SDK |
//! | `kms_refusals` | what they say when something is wrong, and what they leave behind | Rust SDK |
//! | `authorization` | what KMS's callers see of a denial; `proxy/docs/authorization.md` | Rust SDK, bash |
//! | `audit` | the audit log after a `kill -9`, and on a full disk | raw HTTP |
//! | `audit_guide` | what `proxy/docs/audit.md` tells operators to run | bash |
//! | `aws_page` | what `proxy/docs/aws.md` tells, run or parsed | AWS CLI, Terraform |
//! | `pages` | all pages: blocks that nobody runs, links, options, settings, pictures; and pages without a test elsewhere | bash |
//! | `kms_guide` | what `proxy/docs/kms.md` tells operators to run | bash |
//! | `kms_setup` | what `xks-proxy kms setup` prints | AWS CLI, Terraform |
//! | `terraform` | the same, by the provider itself, where it is installed | Terraform |
//! | `console` | the console of kms-sim, in a browser, by keyboard, on a phone, without a script | Chromium |
//! | `status` | the status page of the proxy: who sees it, what it tells, hostile requests, in a browser; its page | raw HTTP, Chromium, bash |
//! | `scenario.json` | a store's life from its creation to its reconnection | all |
//! | `metrics` | what a scrape tells, and that page, dashboards and alerts name what there is | raw HTTP, promtool |
//! | `model` | KMS's model: the constraints of every input, every paginator | raw HTTP, boto3 |
//! | `guide` | what `kms-sim/docs/clients.md` tells users to paste | all, and pytest |
//! | `faults` | key managers with a full disk, behind a dead link, with an expired certificate | raw HTTP |
//! | `block` | the kill switch: each kind of key manager, a fleet with a proxy that is cut off, a full disk | raw HTTP |
//! | `kill_switch` | what `proxy/docs/kill-switch.md` tells operators to run, and what KMS's callers see of it | bash, Rust SDK |
//! | `conformance` | `kms-sim conformance` on the proxy, its reports, and `kms-sim/docs/conformance.md` | itself |
//! | `fleet` | three proxies on one database behind a load balancer, drained and killed under load | Rust SDK |
//! | `postgresql_guide` | what `proxy/docs/postgresql.md` tells operators to run | bash |
//! | `quotas_guide` | what `proxy/docs/quotas.md` tells operators to run | bash, curl |
//! | `reload` | other settings of an HSM and of Transit, and a corrected PIN, while requests run | raw HTTP |
//! | `rotations` | everything that is rotated, under load: certificates, CAs, keys, policies, the program, the database | `xks-load` |
//! | `unseal` | a keyring in PostgreSQL whose root key an HSM or Transit wraps | raw HTTP |
//! | `pasted` | what the README and the demo tell users to paste | boto3, AWS CLI |
//! | `manual`, `completions` | a page for each command, and what the TAB key gives | man, groff; bash, zsh, fish |
//! | `json` | what `--json` prints of every command of `xks-proxy` | itself |
//! | `progress` | what is shown of long work, at a terminal and elsewhere | a pseudo-terminal |
//! | `start_errors` | what the programs say when they cannot start | themselves |
//! | `load_tool` | `xks-load`: what it sends, counts, and says of servers that do not do well | itself |

mod audit;
mod audit_guide;
mod authorization;
mod aws_page;
mod block;
mod clients;
mod commands;
mod completions;
mod conformance;
mod console;
mod embedded_guide;
mod faults;
mod fleet;
mod guide;
mod hsm;
mod json;
mod kill_switch;
mod kms_commands;
mod kms_guide;
mod kms_lost_answers;
mod kms_refusals;
mod kms_setup;
mod load_tool;
mod manual;
mod metrics;
mod model;
mod page;
mod pages;
mod pasted;
mod postgresql_guide;
mod progress;
mod quotas_guide;
mod reload;
mod rotations;
mod scenario;
mod stage;
mod start_errors;
mod status;
mod story;
mod terraform;
mod traces;
mod transit;
mod two_stores;
mod unseal;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clients::{AwsCli, Client, Driver, RustSdk};
use harness::backend;
use stage::Stage;

/// For a program that has little to do.
const LIMIT: Duration = Duration::from_secs(60);

/// Tests of this program run one at a time: a proxy has 250 ms for an answer, whatever else the machine does.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn boto3_sees_what_a_disconnect_breaks_and_what_goes_on_working() {
    tell("main.py", "boto3", &["boto3"]);
}

#[test]
fn boto3_may_do_what_policies_and_grants_allow() {
    let accounts = harness::workspace().join("kms-sim/docs/accounts.example.toml");
    let arguments = [format!("--accounts={}", accounts.display())];
    tell_with("accounts.py", "boto3", &["boto3"], &arguments);
}

#[test]
fn the_aws_encryption_sdk_sees_a_disconnect() {
    let modules = ["aws_encryption_sdk", "aws_cryptographic_material_providers"];
    tell("encryption_sdk.py", "the AWS Encryption SDK", &modules);
}

#[test]
fn the_calls_of_terraforms_provider_find_what_it_made() {
    tell("terraform.py", "boto3", &["boto3"]);
}

#[test]
fn boto3_goes_through_the_scenario() {
    let Some(python) = found("boto3", backend::python_with(&["boto3"])) else {
        return;
    };
    play(|stage| Driver::boto3(&python, &stage.endpoint_url()));
}

#[test]
fn the_aws_cli_goes_through_the_scenario() {
    let Some(python) = found("the AWS CLI", backend::python_with(&["awscli"])) else {
        return;
    };
    play(|stage| AwsCli::start(&python, &stage.endpoint_url()));
}

#[test]
fn the_javascript_sdk_goes_through_the_scenario() {
    let Some(modules) = found("the AWS SDK for JavaScript", backend::node_modules()) else {
        return;
    };
    play(|stage| Driver::javascript(&modules, &stage.endpoint_url()));
}

#[test]
fn the_rust_sdk_goes_through_the_scenario() {
    play(|stage| RustSdk::new(stage.endpoint_url()));
}

/// Has a script of `story/` tell its story, alone.
fn tell(script: &str, name: &str, modules: &[&str]) {
    tell_with(script, name, modules, &[]);
}

/// As [`tell`], with more arguments for `kms-sim serve`.
fn tell_with(script: &str, name: &str, modules: &[&str], arguments: &[String]) {
    let Some(python) = found(name, backend::python_with(modules)) else {
        return;
    };
    let _alone = alone();
    let mut stage = Stage::start_with(&story::PACE, arguments);
    if let Err(report) = story::tell(&mut stage, &python, script) {
        panic!("{report}\n{}", stage.server_outputs());
    }
}

/// Takes a client through the scenario, alone.
fn play<C: Client>(client: impl FnOnce(&Stage) -> C) {
    let _alone = alone();
    let mut stage = Stage::start(&scenario::PACE);
    let mut client = client(&stage);
    if let Err(report) = scenario::run(&stage, &mut client) {
        panic!("{report}\n{}", stage.server_outputs());
    }
}

fn found(name: &str, client: Result<PathBuf, String>) -> Option<PathBuf> {
    client
        .map_err(|reason| backend::missing(&format!("{name} end to end"), &reason))
        .ok()
}
