//! The guide for clients, `kms-sim/docs/clients.md`: what can be run of it is run as it is printed there.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use harness::process::run;
use harness::programs::Simulator;
use harness::{backend, binaries, free_port, temp_dir};

use crate::page::Page;

#[test]
fn its_commands_and_its_profile_reach_kms_sim() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let _alone = crate::alone();
    let simulator = Simulator::start::<&str>(&[]);
    let guide = guide();
    let mut share = guide.share("its_commands_and_its_profile_reach_kms_sim");
    let mut here = |heading: &str| {
        share
            .after(heading)
            .replace("127.0.0.1:4599", &simulator.address.to_string())
    };
    let folder = temp_dir();
    let exports = here("# Clients");

    let who = format!("{exports}{}", here("## Who calls"));
    let (status, stdout, stderr) = clients.bash(folder.path(), &who);
    assert!(status.success(), "{stdout}{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], "arn:aws:iam::111122223333:root");
    assert!(
        lines[1].starts_with("arn:aws:kms:us-east-1:111122223333:key/"),
        "{stdout}"
    );

    std::fs::create_dir(folder.path().join(".aws")).unwrap();
    std::fs::write(folder.path().join(".aws/config"), here("## A profile")).unwrap();
    let profile = "aws --profile kms-sim kms create-key --query KeyMetadata.KeyState --output text\n\
                   aws --profile kms-sim sts get-caller-identity --query Account --output text";
    let (status, stdout, stderr) = clients.bash(folder.path(), profile);
    assert!(status.success(), "{stdout}{stderr}");
    assert_eq!(stdout, "Enabled\n123456789012\n");
}

#[test]
fn its_code_for_python_and_javascript_runs() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let _alone = crate::alone();
    let simulator = Simulator::start::<&str>(&[]);
    let guide = guide();
    let mut share = guide.share("its_code_for_python_and_javascript_runs");
    let mut here = |heading: &str| {
        share
            .after(heading)
            .replace("127.0.0.1:4599", &simulator.address.to_string())
    };
    let mut python = Command::new(&clients.python);
    python.args(["-c", &here("**Python**")]);
    // What is imported by code of the command line is found from the working folder.
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", &here("**JavaScript**")])
        .current_dir(&clients.modules);
    for mut command in [python, node] {
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        assert!(status.success(), "{stdout}{stderr}");
        assert!(
            stdout.trim_end().ends_with(" is disabled."),
            "{stdout}{stderr}"
        );
    }
}

#[test]
fn its_pytest_fixtures_work() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let _alone = crate::alone();
    let guide = guide();
    let mut share = guide.share("its_pytest_fixtures_work");
    let folder = temp_dir();
    for file in ["conftest.py", "test_store.py"] {
        let code = share.after(&format!("<!-- {file} -->"));
        std::fs::write(folder.path().join(file), code).unwrap();
    }
    let tests = "python -m pytest -q -p no:cacheprovider .";
    let (status, stdout, stderr) = clients.bash(folder.path(), tests);
    assert!(status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}");
}

#[test]
fn its_recipe_for_continuous_integration_works() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let _alone = crate::alone();
    let guide = guide();
    let mut share = guide.share("its_recipe_for_continuous_integration_works");
    let folder = temp_dir();
    let recipe = share.rest();
    let address = format!("127.0.0.1:{}", free_port());
    let recipe = recipe.replace("127.0.0.1:4599", &address);
    std::fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
    // The CLI has a YAML parser. The step that installs is what the tests did before they began; the simulator that is
    // started in the background ends with the shell.
    let script = "import yaml, shlex
job = yaml.safe_load(open('recipe.yaml'))['jobs']['test']
print('trap \"kill %1\" EXIT')
for name, value in job['env'].items():
    print(f'export {name}={shlex.quote(value)}')
for step in job['steps']:
    if step.get('name') in ('start', 'test'):
        print(step['run'])
";
    let (status, steps, stderr) = run(
        Command::new(&clients.python)
            .args(["-c", script])
            .current_dir(folder.path()),
        LIMIT,
    );
    assert!(status.success(), "{stderr}");
    let (status, stdout, stderr) = clients.bash(folder.path(), &steps);
    assert!(status.success(), "{steps}{stdout}{stderr}");
    assert!(
        stdout.contains("arn:aws:iam::123456789012:user/any"),
        "{stdout}"
    );
    assert!(stdout.contains("\"KeyState\": \"Enabled\""), "{stdout}");
    let log = std::fs::read_to_string(folder.path().join("kms-sim.log")).unwrap();
    assert!(log.contains("\"operation\":\"CreateKey\""), "{log}");
}

#[test]
fn its_code_for_rust_is_code_of_these_tests() {
    let code = guide()
        .share("its_code_for_rust_is_code_of_these_tests")
        .rest();
    let lines =
        |text: &str| -> Vec<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
    let (code, here) = (lines(&code), lines(include_str!("guide.rs")));
    let there = here.windows(code.len()).any(|window| window == code);
    assert!(
        there,
        "region_of_the_guides_client is to have these lines:\n{}",
        code.join("\n")
    );
    assert_eq!(region_of_the_guides_client().as_deref(), Some("us-east-1"));
}

#[test]
fn the_versions_of_its_clients_are_those_of_these_tests() {
    let read = |file: &str| std::fs::read_to_string(harness::workspace().join(file)).unwrap();
    let python = read("tests/run");
    let (cargo, node) = (
        read("Cargo.toml"),
        read("tests/e2e/clients/javascript/package.json"),
    );
    let guide = guide();
    for (client, pinned, source) in [
        ("boto3", "boto3==", &python),
        ("AWS CLI, version 1", "awscli==", &python),
        (
            "AWS Encryption SDK for Python",
            "aws-encryption-sdk==",
            &python,
        ),
        ("aws-sdk-kms (Rust)", "aws-sdk-kms = { version = \"", &cargo),
        (
            "AWS SDK for JavaScript v3",
            "\"@aws-sdk/client-kms\": \"",
            &node,
        ),
    ] {
        let (_, row) = guide
            .text
            .split_once(&format!("| {client} | "))
            .expect(client);
        let version = row.split(' ').next().unwrap();
        assert!(
            source.contains(&format!("{pinned}{version}")),
            "{client}: {version}"
        );
    }
}

/// What the guide shows, so that it is compiled.
fn region_of_the_guides_client() -> Option<String> {
    use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};

    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url("http://127.0.0.1:4599")
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "kms-sim"))
        .build();
    let kms = aws_sdk_kms::Client::from_conf(config);
    kms.config().region().map(ToString::to_string)
}

fn guide() -> Page {
    Page::read("kms-sim/docs/clients.md")
}

/// The programs that the guide is for.
struct Clients {
    python: PathBuf,
    aws: PathBuf,
    modules: PathBuf,
}

impl Clients {
    fn find() -> Option<Self> {
        let found = || {
            Ok(Self {
                python: backend::python_with(&["boto3", "pytest"])?,
                aws: backend::aws_cli()?,
                modules: backend::node_modules()?,
            })
        };
        found()
            .map_err(|reason: String| backend::missing("the guide for clients", &reason))
            .ok()
    }

    /// Runs a script in bash, with this folder as its home and all programs of the guide on its path.
    fn bash(&self, home: &Path, script: &str) -> (ExitStatus, String, String) {
        let folders = [
            self.python.parent(),
            self.aws.parent(),
            binaries::kms_sim().parent(),
            binaries::xks_proxy().parent(),
        ]
        .map(|folder| folder.unwrap_or(Path::new(".")).to_owned());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = folders.into_iter().chain(std::env::split_paths(&path));
        run(
            Command::new("bash")
                .args(["-e", "-c", script])
                .current_dir(home)
                .env("PATH", std::env::join_paths(path).unwrap())
                .env("HOME", home)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env_remove("AWS_CONFIG_FILE")
                .env_remove("AWS_SHARED_CREDENTIALS_FILE")
                .env_remove("AWS_PROFILE"),
            LIMIT,
        )
    }
}

/// For one script.
const LIMIT: Duration = Duration::from_secs(90);
