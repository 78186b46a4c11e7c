//! `proxy/docs/aws.md` and `kms.md`: the commands of the first are run against kms-sim as far as that has them, the rest
//! is parsed by the tool that it is for, and every option that a page names is one of its program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{backend, binaries, temp_dir};

use crate::kms_commands::Commands;
use crate::page::blocks;
use crate::scenario::PACE;
use crate::stage::{REGION, Stage};
use crate::terraform;

fn page(name: &str) -> (PathBuf, String) {
    let path = harness::workspace().join("proxy/docs").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn its_commands_of_the_aws_cli_go_through_a_stores_life() {
    let aws = match backend::aws_cli() {
        Ok(aws) => aws,
        Err(reason) => return backend::missing("proxy/docs/aws.md", &reason),
    };
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let (_, text) = page("aws.md");
    let script = blocks(&text, "sh").concat();
    let script = script
        .replace("https://xks.example.com", "https://xks.test")
        .replace("/tenant-a", "/dev/tenant-a")
        .replace("name tenant-a", "name dev-tenant-a");
    // What kms-sim is not is checked against the model of the service, and not sent.
    let aws = aws.display();
    let proxy = binaries::xks_proxy();
    let prelude = format!(
        "aws() {{ case $1 in ec2) command '{aws}' \"$@\" --generate-cli-skeleton output;; *) command '{aws}' \"$@\";; esac; }}\n\
         xks-proxy() {{ '{}' \"$@\"; }}\nbalancer=arn:aws:elasticloadbalancing:x\nxks-proxy key create payroll\n",
        proxy.display()
    );
    let folder = temp_dir();
    let mut bash = Command::new("bash");
    bash.args(["-e", "-o", "pipefail", "-c", &(prelude + &script)])
        .current_dir(folder.path())
        .env("XKS_PROXY_CONFIG", stage.proxy_config())
        .env("AWS_ENDPOINT_URL_KMS", stage.endpoint_url())
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_PAGER", "");
    let (status, stdout, stderr) = run(&mut bash, LIMIT);
    assert!(status.success(), "{stdout}{stderr}");
    let commands = Commands::of(&stage);
    commands.ok(&["kms", "connect"]);
    let status = commands.json(&["kms", "status"]);
    let mut keys = status["keys"].as_array().unwrap().iter();
    assert!(
        keys.any(|key| key["external_key"] == "payroll" && key["kms_key_state"] == "Enabled"),
        "{status}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn its_configuration_for_terraform_is_valid() {
    let plugins = match terraform::plugins() {
        Ok(plugins) => plugins,
        Err(reason) => return backend::optional("proxy/docs/aws.md for Terraform", &reason),
    };
    let (_, text) = page("aws.md");
    let folder = temp_dir();
    let text = blocks(&text, "hcl").concat() + "\nvariable \"network_load_balancer_arn\" {}\n";
    std::fs::write(folder.path().join("main.tf"), text).unwrap();
    let plugins = format!("-plugin-dir={}", plugins.display());
    for arguments in [
        &["init", "-no-color", &*plugins][..],
        &["validate", "-no-color"],
    ] {
        let (status, stdout, stderr) = run(
            Command::new("terraform")
                .args(arguments)
                .current_dir(folder.path())
                .env("TF_CLI_CONFIG_FILE", "/dev/null")
                .env("CHECKPOINT_DISABLE", "1"),
            LIMIT,
        );
        assert!(status.success(), "{stdout}{stderr}");
    }
}

#[test]
fn every_option_that_the_pages_name_is_one_of_the_program() {
    let mut checked = BTreeSet::new();
    for name in ["aws.md", "kms.md"] {
        let (path, text) = page(name);
        let in_blocks = blocks(&text, "sh").concat().replace("\\\n", " ");
        let without_comment = |line: &str| line.split(" #").next().unwrap_or_default().to_owned();
        let in_blocks = in_blocks.lines().map(without_comment);
        // What stands between single backticks, also across the end of a line.
        let prose: String = text.split("```").step_by(2).collect();
        let inline = prose.split('`').skip(1).step_by(2);
        let inline = inline.map(|code| code.replace('\n', " "));
        for command in in_blocks.chain(inline) {
            let mut words = command.split_whitespace();
            let program = match words.next() {
                Some("xks-proxy") => binaries::xks_proxy(),
                Some("kms-sim") => binaries::kms_sim(),
                _ => continue,
            };
            let words: Vec<&str> = words.collect();
            let options = words.iter().filter(|word| word.starts_with("--"));
            let subcommands = words
                .iter()
                .take_while(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
            let subcommands: Vec<&str> = subcommands.copied().collect();
            let help = help(&program, &subcommands);
            let help = help.unwrap_or_else(|said| panic!("{name}: {command}: {said}"));
            for option in options {
                let known = help.split([' ', ',', '\n']).any(|word| word == *option);
                assert!(known, "{name}: {command}: no {option} in\n{help}");
            }
            checked.insert(command);
        }
        for target in text.split("](").skip(1) {
            let target = target.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                let target = path.with_file_name("").join(target);
                assert!(target.exists(), "{name}: {}", target.display());
            }
        }
    }
    assert!(checked.len() > 25, "{checked:?}");
}

/// The help of a command, whose last words may be its arguments.
fn help(program: &Path, words: &[&str]) -> Result<String, String> {
    let (status, stdout, stderr) = run(Command::new(program).args(words).arg("--help"), LIMIT);
    match status.success() {
        true => Ok(stdout),
        false => Err(stderr),
    }
}

const LIMIT: Duration = Duration::from_secs(120);
