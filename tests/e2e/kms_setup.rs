//! What `xks-proxy kms setup` prints is run by the tools that it is for.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{backend, binaries, temp_dir};

use crate::clients::{Client, RustSdk};
use crate::kms_commands::{Commands, ENDPOINT};
use crate::scenario::PACE;
use crate::stage::{REGION, Stage};
use crate::terraform;

fn printed(stage: &Stage, format: &str) -> String {
    let commands = Commands::of(stage);
    let arguments = [
        "kms",
        "setup",
        "--format",
        format,
        "--uri-endpoint",
        ENDPOINT,
    ];
    let keys = ["--key", "demo"];
    let (status, stdout, stderr) = run(
        &mut commands.command(&[&arguments[..], &keys].concat()),
        LIMIT,
    );
    assert!(status.success(), "{stderr}");
    let secret = stage.description()["secret_access_key"].clone();
    assert!(!stdout.contains(secret.as_str().unwrap()), "{stdout}");
    stdout
}

#[test]
fn the_commands_for_the_aws_cli_link_a_key_store() {
    let aws = match backend::aws_cli() {
        Ok(aws) => aws,
        Err(reason) => return backend::missing("`kms setup --format cli`", &reason),
    };
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let script = printed(&stage, "cli");
    let (status, stdout, stderr) = run(
        Command::new("bash")
            .arg("-c")
            .arg(format!(
                "aws() {{ command '{}' \"$@\"; }}\nxks-proxy() {{ '{}' \"$@\"; }}\n{script}",
                aws.display(),
                binaries::xks_proxy().display()
            ))
            .env("AWS_ENDPOINT_URL_KMS", stage.endpoint_url())
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PAGER", ""),
        LIMIT,
    );
    assert!(status.success(), "{script}{stdout}{stderr}");
    assert!(stdout.contains(" is CONNECTED"), "{stdout}");
    assert!(
        stdout
            .trim_end()
            .lines()
            .last()
            .unwrap()
            .starts_with("arn:aws:kms:"),
        "{stdout}"
    );
    // What they made is what `kms` finds.
    let (status, stdout, stderr) =
        run(&mut Commands::of(&stage).command(&["kms", "status"]), LIMIT);
    assert!(status.success(), "{stdout}{stderr}");
}

#[test]
fn the_configuration_for_terraform_links_a_key_store() {
    let plugins = match terraform::plugins() {
        Ok(plugins) => plugins,
        Err(reason) => return backend::optional("`kms setup --format terraform`", &reason),
    };
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let folder = temp_dir();
    let provider = format!(
        "provider \"aws\" {{\n  region = \"{REGION}\"\n  access_key = \"any\"\n  secret_key = \"any\"\n  \
         skip_credentials_validation = true\n  skip_requesting_account_id = true\n  skip_metadata_api_check = true\n  \
         endpoints {{\n    kms = \"{0}\"\n    sts = \"{0}\"\n  }}\n}}\n",
        stage.endpoint_url()
    );
    std::fs::write(folder.path().join("main.tf"), printed(&stage, "terraform")).unwrap();
    std::fs::write(folder.path().join("provider.tf"), provider).unwrap();
    let description = stage.description();
    let terraform = |arguments: &[&str]| {
        let (status, stdout, stderr) = run(
            Command::new("terraform")
                .args(arguments)
                .current_dir(folder.path())
                .env(
                    "TF_VAR_xks_access_key_id",
                    description["access_key_id"].as_str().unwrap(),
                )
                .env(
                    "TF_VAR_xks_secret_access_key",
                    description["secret_access_key"].as_str().unwrap(),
                )
                .env("TF_CLI_CONFIG_FILE", "/dev/null")
                .env("TF_IN_AUTOMATION", "1")
                .env("CHECKPOINT_DISABLE", "1"),
            LIMIT,
        );
        assert!(
            status.success(),
            "terraform {arguments:?}: {stdout}{stderr}"
        );
    };
    terraform(&[
        "init",
        "-no-color",
        &format!("-plugin-dir={}", plugins.display()),
    ]);
    terraform(&["validate", "-no-color"]);
    terraform(&["fmt", "-check", "-diff", "main.tf"]);
    terraform(&["apply", "-no-color", "-auto-approve"]);
    let connect = ["kms", "connect"];
    let (status, stdout, stderr) = run(&mut Commands::of(&stage).command(&connect), LIMIT);
    assert!(status.success(), "{stdout}{stderr}");
    terraform(&[
        "apply",
        "-no-color",
        "-auto-approve",
        "-var=xks_connected=true",
    ]);
    let mut kms = RustSdk::new(stage.endpoint_url());
    let keys = kms.call("ListKeys", &serde_json::Map::new()).unwrap();
    assert_eq!(keys["Keys"].as_array().map(Vec::len), Some(1), "{keys}");
}

#[test]
fn the_template_for_cloudformation_refers_to_what_it_has() {
    let python = match backend::python_with(&["awscli"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("`kms setup --format cloudformation`", &reason),
    };
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let folder = temp_dir();
    std::fs::write(
        folder.path().join("kms.yaml"),
        printed(&stage, "cloudformation"),
    )
    .unwrap();
    // As `aws cloudformation package` reads templates.
    let script = "
from awscli.customizations.cloudformation.yamlhelper import yaml_parse
template = yaml_parse(open('kms.yaml').read())
known = set(template['Parameters']) | set(template['Resources'])
def walk(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == 'Ref':
                assert inner in known, inner
            walk(inner)
    elif isinstance(value, list):
        for inner in value:
            walk(inner)
walk(template)
# CloudWatch finds a metric by all of its dimensions or not at all (Developer Guide, \"Monitoring KMS keys with CloudWatch\").
dimensions = {
    'XksProxyCertificateDaysToExpire': ['CustomKeyStoreId', 'CertificateName'],
    'XksProxyCredentialAge': ['CustomKeyStoreId'],
}
alarms = [r['Properties'] for r in template['Resources'].values() if r['Type'] == 'AWS::CloudWatch::Alarm']
for alarm in alarms:
    assert [d['Name'] for d in alarm['Dimensions']] == dimensions[alarm['MetricName']], alarm
assert len(alarms) == len(dimensions), alarms
print(sorted(resource['Type'] for resource in template['Resources'].values()))
";
    let (status, stdout, stderr) = run(
        Command::new(&python)
            .args(["-c", script])
            .current_dir(folder.path()),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    assert_eq!(
        stdout.trim(),
        "['AWS::CloudWatch::Alarm', 'AWS::CloudWatch::Alarm', 'AWS::IAM::ManagedPolicy', 'AWS::KMS::Alias']"
    );
}

const LIMIT: Duration = Duration::from_secs(120);
