//! `proxy/docs/aws.md`: its commands are run against kms-sim as far as that has them, the rest is parsed by the tool that it
//! is for.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{backend, free_port, temp_dir};

use crate::kms_commands::Commands;
use crate::page::{Page, in_a_shell};
use crate::pages::stand_ins;
use crate::scenario::PACE;
use crate::stage::{REGION, Stage};
use crate::terraform;

#[test]
fn its_commands_of_the_aws_cli_go_through_a_stores_life() {
    if let Err(reason) = backend::aws_cli() {
        return backend::missing("proxy/docs/aws.md", &reason);
    }
    let _alone = crate::alone();
    let control = format!("127.0.0.1:{}", free_port());
    let stage = Stage::start_with(&PACE, &[format!("--control={control}")]);
    let page = Page::read("proxy/docs/aws.md");
    let script = page
        .share("its_commands_of_the_aws_cli_go_through_a_stores_life")
        .rest();
    let script = script
        .replace("https://xks.example.com", "https://xks.test")
        .replace("/tenant-a", "/dev/tenant-a")
        .replace("name tenant-a", "name dev-tenant-a");
    // The network of an account, and the external key, are what the page takes for granted.
    let prelude = stand_ins::functions(&[&stand_ins::AWS])
        + "vpc=vpc-0123456789abcdef0 subnets='subnet-a subnet-b' proxies='Id=10.0.1.10 Id=10.0.2.10' zone=Z0123456789ABC\n\
           topic=arn:aws:sns:us-east-1:111122223333:on-call\nxks-proxy key create payroll\n";
    let folder = temp_dir();
    let mut bash = Command::new("bash");
    bash.args(["-e", "-o", "pipefail", "-c", &(prelude + &script)]);
    in_a_shell(&mut bash, folder.path())
        .env("XKS_PROXY_CONFIG", stage.proxy_config())
        .env("AWS_ENDPOINT_URL_KMS", stage.endpoint_url())
        .env("KMS_SIM_CONTROL", format!("http://{control}"))
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any");
    let (status, stdout, stderr) = run(&mut bash, LIMIT);
    assert!(status.success(), "{stdout}{stderr}");
    // The last command of the page shows what the clock has done to the credential.
    let mut ages = stdout.lines().rev();
    let age = ages.find(|line| line.contains("XksProxyCredentialAge"));
    assert!(age.is_some_and(|line| line.contains("91 days")), "{stdout}");
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
    let _alone = crate::alone();
    let plugins = match terraform::plugins() {
        Ok(plugins) => plugins,
        Err(reason) => return backend::optional("proxy/docs/aws.md for Terraform", &reason),
    };
    let page = Page::read("proxy/docs/aws.md");
    let text = page
        .share("its_configuration_for_terraform_is_valid")
        .rest();
    let folder = temp_dir();
    let variables = [
        "vpc_id",
        "zone_id",
        "topic_arn",
        "access_key_id",
        "raw_secret_access_key",
    ];
    let lists = ["subnet_ids", "proxy_addresses"];
    let variables = variables
        .map(|name| format!("variable \"{name}\" {{}}\n"))
        .concat();
    let lists = lists
        .map(|name| format!("variable \"{name}\" {{ type = list(string) }}\n"))
        .concat();
    let text = format!("{text}\n{variables}{lists}");
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
fn its_certificate_is_where_its_configuration_looks() {
    let page = Page::read("proxy/docs/aws.md");
    let request = page
        .share("its_certificate_is_where_its_configuration_looks")
        .rest();
    let script = stand_ins::functions(&[&stand_ins::CERTBOT]) + &request;
    let (status, stdout, stderr) = run(Command::new("bash").args(["-e", "-c", &script]), LIMIT);
    assert!(status.success(), "{stderr}");
    let folder = stdout.trim();
    let [configuration, ..] = *page.blocks("toml") else {
        panic!("a configuration beside it");
    };
    for file in ["fullchain.pem", "privkey.pem"] {
        let file = format!("\"{folder}/{file}\"");
        assert!(
            configuration.contains(&file),
            "no {file} in {configuration}"
        );
    }
}

const LIMIT: Duration = Duration::from_secs(120);
