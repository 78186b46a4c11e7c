//! Terraform with its AWS provider, where both are installed: `XKS_TEST_TERRAFORM_PLUGINS` names the folder that
//! `terraform init -plugin-dir` takes. `story/terraform.py` makes the same calls everywhere.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{backend, temp_dir, wait_for};
use serde_json::{Map, json};

use crate::clients::{Client, RustSdk};
use crate::page::Page;
use crate::scenario;
use crate::stage::Stage;

#[test]
fn terraform_manages_a_store_and_its_keys() {
    let plugins = match plugins() {
        Ok(plugins) => plugins,
        Err(reason) => return backend::optional("Terraform end to end", &reason),
    };
    let _alone = crate::alone();
    let stage = Stage::start(&scenario::PACE);
    let folder = temp_dir();
    let terraform = Terraform::new(folder.path(), &stage);
    let mut kms = RustSdk::new(stage.endpoint_url());

    let plugins = format!("-plugin-dir={}", plugins.display());
    terraform.ok(&["init", "-no-color", &plugins]);
    terraform.ok(&["apply", "-no-color", "-auto-approve"]);
    assert_eq!(terraform.plan(false).0, NOTHING_TO_DO);

    let store = terraform.ok(&["output", "-raw", "store"]);
    let mut turn = |operation: &str, state: &str| {
        let input = Map::from_iter([("CustomKeyStoreId".to_owned(), json!(store))]);
        kms.call(operation, &input).unwrap();
        wait_for(state, LIMIT, || {
            let stores = kms.call("DescribeCustomKeyStores", &input).ok()?;
            (stores["CustomKeyStores"][0]["ConnectionState"] == state).then_some(())
        });
    };
    turn("ConnectCustomKeyStore", "CONNECTED");
    terraform.ok(&["apply", "-no-color", "-auto-approve", "-var=connected=true"]);
    assert_eq!(terraform.plan(true).0, NOTHING_TO_DO);

    turn("DisconnectCustomKeyStore", "DISCONNECTED");
    let (status, said) = terraform.plan(true);
    assert_eq!(status, SOMETHING_TO_DO, "{said}");
    assert!(said.contains("is_enabled"), "{said}");
    assert!(
        said.contains("0 to add, 1 to change, 0 to destroy"),
        "{said}"
    );

    turn("ConnectCustomKeyStore", "CONNECTED");
    assert_eq!(terraform.plan(true).0, NOTHING_TO_DO);
    let said = terraform.ok(&[
        "destroy",
        "-no-color",
        "-auto-approve",
        "-var=connected=true",
    ]);
    assert!(
        said.contains("Destroy complete! Resources: 5 destroyed."),
        "{said}"
    );
    // It dropped KMS's refusal.
    let stores = kms.call("DescribeCustomKeyStores", &Map::new()).unwrap();
    assert_eq!(stores["CustomKeyStores"].as_array().map(Vec::len), Some(1));
}

/// A folder with the guide's provider block and the resources of `terraform/resources.tf`.
struct Terraform<'t> {
    folder: &'t Path,
    variables: Vec<(String, String)>,
}

impl<'t> Terraform<'t> {
    fn new(folder: &'t Path, stage: &Stage) -> Self {
        let guide = Page::read("kms-sim/docs/clients.md");
        let provider = guide.share("terraform_manages_a_store_and_its_keys").rest();
        let provider = provider.replace("http://127.0.0.1:4599", &stage.endpoint_url());
        let resources = include_str!("terraform/resources.tf");
        std::fs::write(folder.join("main.tf"), format!("{provider}{resources}")).unwrap();
        let description = stage.description();
        let variable = |name: &str| {
            let value = description[name].as_str().unwrap().to_owned();
            (format!("TF_VAR_{name}"), value)
        };
        let names = [
            "proxy_uri_path",
            "access_key_id",
            "secret_access_key",
            "external_key_id",
        ];
        Self {
            folder,
            variables: names.map(variable).to_vec(),
        }
    }

    /// Its standard output, if it succeeds.
    fn ok(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(arguments);
        assert_eq!(status, Some(0), "terraform {arguments:?}: {stdout}{stderr}");
        stdout
    }

    fn plan(&self, connected: bool) -> (Option<i32>, String) {
        let connected = format!("-var=connected={connected}");
        let (status, stdout, stderr) =
            self.run(&["plan", "-no-color", "-detailed-exitcode", &connected]);
        (status, format!("{stdout}{stderr}"))
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new("terraform");
        command
            .args(arguments)
            .current_dir(self.folder)
            .envs(self.variables.iter().cloned())
            .env("TF_CLI_CONFIG_FILE", "/dev/null")
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1");
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        (status.code(), stdout, stderr)
    }
}

pub(crate) fn plugins() -> Result<PathBuf, String> {
    let folder = std::env::var_os("XKS_TEST_TERRAFORM_PLUGINS");
    let folder =
        folder.ok_or("XKS_TEST_TERRAFORM_PLUGINS names no folder with its AWS provider")?;
    match Command::new("terraform").arg("version").output() {
        Ok(output) if output.status.success() => Ok(folder.into()),
        Ok(output) => Err(format!("terraform: {}", output.status)),
        Err(error) => Err(format!("terraform: {error}")),
    }
}

/// `plan -detailed-exitcode`
const NOTHING_TO_DO: Option<i32> = Some(0);
const SOMETHING_TO_DO: Option<i32> = Some(2);
/// The provider is a large program, and it waits for changes to be seen several times.
const LIMIT: Duration = Duration::from_secs(120);
