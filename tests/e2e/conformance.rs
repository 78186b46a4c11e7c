//! `kms-sim conformance` and its page: the real programs, the reports, and what a broken proxy looks like.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::programs::DevProxy;
use harness::{backend, binaries, free_port, temp_dir};
use serde_json::Value;

use crate::page::{Page, in_a_shell};

#[test]
fn the_page_about_conformance_does_as_it_says() {
    let _alone = crate::alone();
    let page = Page::read("kms-sim/docs/conformance.md");
    let script = page
        .share("the_page_about_conformance_does_as_it_says")
        .rest();
    let script = script.replace("8443", &free_port().to_string());
    let script = format!("trap 'kill $(jobs -p)' EXIT\n{script}");
    let folder = temp_dir();
    let path = std::env::var("PATH").unwrap_or_default();
    let programs = [binaries::xks_proxy(), binaries::kms_sim()];
    let programs = programs.map(|file| file.parent().unwrap().display().to_string());
    let (status, stdout, stderr) = run(
        Command::new("bash")
            .args(["-e", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", format!("{}:{path}", programs.join(":"))),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    assert!(
        stdout.contains("cdiv-over-all-fields (MUST; Appendix C)"),
        "{stdout}"
    );
    assert!(
        stdout.ends_with("1 passed, 0 failed, 0 skipped\n"),
        "{stdout}"
    );
    check_reports(folder.path());
}

#[test]
fn the_job_of_the_page_runs_conformance() {
    // The CLI has a YAML parser.
    let python = match backend::python_with(&["yaml"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("a YAML parser", &reason),
    };
    let _alone = crate::alone();
    let page = Page::read("kms-sim/docs/conformance.md");
    let job = page.share("the_job_of_the_page_runs_conformance").rest();
    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    let (env, folder) = (&proxy.env, temp_dir());
    std::fs::copy(&env.ca_file, folder.path().join("ca.pem")).unwrap();
    // Expressions of GitHub are the proxy's credential; one case is enough.
    let job = job
        .replace("${{ vars.XKS_ACCESS_KEY_ID }}", &env.signer.access_key_id)
        .replace(
            "${{ secrets.XKS_SECRET_ACCESS_KEY }}",
            &env.signer.secret_access_key,
        )
        .replace(
            "XKS_PROXY_URI_PATH: /kms/xks/v1",
            &format!("XKS_PROXY_URI_PATH: {}", env.uri_path),
        )
        .replace(
            "XKS_KEY_ID: conformance",
            &format!("XKS_KEY_ID: {}", env.key_id),
        )
        .replace("xks.example.com", "xks.test")
        .replace("127.0.0.1:8443", &env.address.to_string())
        .replace(
            "kms-sim conformance",
            "kms-sim conformance --only encrypt-and-decrypt",
        );
    std::fs::write(folder.path().join("job.yaml"), job).unwrap();
    let script = "import yaml, shlex
run, upload = yaml.safe_load(open('job.yaml'))
for name, value in run['env'].items():
    print(f'export {name}={shlex.quote(value)}')
print(run['run'])
print('ls', upload['with']['path'])
";
    let mut steps = Command::new(python);
    let (status, steps, stderr) = run(steps.args(["-c", script]).current_dir(folder.path()), LIMIT);
    assert!(status.success(), "{stderr}");
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", &steps]);
    let (status, stdout, stderr) = run(in_a_shell(&mut bash, folder.path()), LIMIT);
    assert!(status.success(), "{stdout}{stderr}");
    assert!(
        stdout.ends_with("1 passed, 0 failed, 0 skipped\nxks.html\nxks.xml\n"),
        "{stdout}"
    );
}

#[test]
fn the_proxy_passes_every_case_as_programs() {
    let _alone = crate::alone();
    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    let more = [
        "--strict",
        "--encrypt-only-key=encrypt-only",
        "--decrypt-only-key=decrypt-only",
        "--load-balancer-path=/ping",
    ];
    let (code, stdout, stderr) = conformance(&proxy, &more);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let [passed, failed, skipped] = counts(&stdout);
    assert!(passed > 400 && failed == 0 && skipped < 25, "{stdout}");
    assert!(!stdout.contains(&proxy.env.signer.secret_access_key));
}

#[test]
fn a_proxy_that_refuses_fails_and_one_that_is_not_there_is_said_so() {
    let _alone = crate::alone();
    let data_dir = temp_dir();
    let mut proxy = DevProxy::start(data_dir.path());
    let folder = temp_dir();
    let json = format!("--json={}", folder.path().join("report.json").display());
    // No such key: what is encrypted is not.
    let (code, stdout, _) = conformance(
        &proxy,
        &["--only=encrypt-and-decrypt", "--key-id=none", &json],
    );
    assert_eq!(code, 1, "{stdout}");
    for expected in [
        "FAILED encrypt-and-decrypt (MUST)",
        "required: what Encrypt gives, Decrypt turns back",
        "xks_proxy_api_spec.md#encrypt",
        "found: expected 200; got 404 KeyNotFoundException",
        "POST ",
        "Signature=[64 characters]",
        "NOTICE the proxy does not take the external key none of --key-id",
    ] {
        assert!(stdout.contains(expected), "no {expected:?} in:\n{stdout}");
    }
    assert!(
        stdout.ends_with("0 passed, 1 failed, 0 skipped\n"),
        "{stdout}"
    );
    let report = read_json(&folder.path().join("report.json"));
    assert_eq!(report["cases"][0]["verdict"], "failed");
    assert!(report["notice"].as_str().unwrap().contains("--key-id"));
    assert!(
        report["cases"][0]["exchanges"][0]["answer"]
            .as_str()
            .unwrap()
            .contains("404")
    );

    let (code, _, stderr) = conformance(&proxy, &["--only=no-such-case"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--list lists them all"), "{stderr}");
    // Nobody tried it, so it has not passed.
    let (code, stdout, stderr) = conformance(&proxy, &["--only=encrypt-only-key"]);
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stdout.contains("--encrypt-only-key"), "{stdout}");
    assert!(stderr.contains("no case was tried"), "{stderr}");
    proxy.kill();
    let (code, stdout, stderr) = conformance(&proxy, &[]);
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("cannot be reached"), "{stderr}");
    assert!(stderr.contains("--resolve localhost=IP:PORT"), "{stderr}");
}

#[test]
fn results_and_cases_are_json_on_standard_output() {
    let _alone = crate::alone();
    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    let only = ["--only=cdiv-over-all-fields", "--json"];
    let (code, stdout, stderr) = conformance(&proxy, &only);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let results: Value = serde_json::from_str(&stdout).expect(&stdout);
    assert_eq!(
        (&results["passed"], &results["failed"]),
        (&1.into(), &0.into())
    );
    let (code, stdout, stderr) = conformance(&proxy, &[&only[..], &["--list"]].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    let cases: Value = serde_json::from_str(&stdout).expect(&stdout);
    assert_eq!(cases.as_array().map(Vec::len), Some(1), "{cases}");
    assert_eq!(cases[0]["name"], results["cases"][0]["name"]);
    assert_eq!(cases[0]["requires"], results["cases"][0]["requires"]);
}

#[test]
fn an_old_report_outlives_a_run_that_cannot_begin() {
    let _alone = crate::alone();
    let data_dir = temp_dir();
    let mut proxy = DevProxy::start(data_dir.path());
    let folder = temp_dir();
    let file = folder.path().join("report");
    std::fs::write(&file, "old").unwrap();
    let json = format!("--json={}", file.display());
    let html = format!("--html={}", file.display());
    let env = folder.path().join("empty");
    std::fs::write(&env, "").unwrap();
    let no_secret = format!("--secret-access-key-file={}", env.display());
    let refused: [(&[&str], &str); 6] = [
        (&[&json, &no_secret], "expected the secret"),
        (&[&json, &html], "two reports cannot have one file"),
        (&[&json, "--list"], "cannot be used with"),
        (&["--key-id=a/b"], "an external key id has 1 to 128"),
        (&["--uri-path=/kms/xks"], "expected /kms/xks/v1"),
        (
            &[&json, "--resolve=localhost=127.0.0.1:1"],
            "cannot be reached",
        ),
    ];
    for (more, expected) in refused {
        let (code, stdout, stderr) = conformance(&proxy, more);
        assert_eq!(code, 2, "{more:?}: {stdout}{stderr}");
        assert!(stderr.contains(expected), "{more:?}: {stderr}");
    }
    proxy.kill();
    let (code, ..) = conformance(&proxy, &[&json]);
    assert_eq!(code, 2);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "report and empty");
}

fn conformance(proxy: &DevProxy, more: &[&str]) -> (i32, String, String) {
    let env = &proxy.env;
    let mut command = Command::new(binaries::kms_sim());
    command
        .arg("conformance")
        .args(more)
        .env("XKS_PROXY_ENDPOINT", &env.endpoint)
        .env("XKS_PROXY_URI_PATH", &env.uri_path)
        .env("XKS_ACCESS_KEY_ID", &env.signer.access_key_id)
        .env("XKS_SECRET_ACCESS_KEY", &env.signer.secret_access_key)
        .env("XKS_KEY_ID", &env.key_id)
        .env("XKS_CA_FILE", &env.ca_file);
    let (status, stdout, stderr) = run(&mut command, LIMIT);
    (status.code().unwrap_or(-1), stdout, stderr)
}

/// Of the last line.
fn counts(stdout: &str) -> [usize; 3] {
    let last = stdout.lines().last().unwrap_or_default();
    let numbers = last.split(' ').filter_map(|word| word.parse().ok());
    let numbers: Vec<usize> = numbers.collect();
    numbers.try_into().expect("N passed, N failed, N skipped")
}

fn read_json(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The three reports tell the same, each in a form that others read.
fn check_reports(folder: &Path) {
    let report = read_json(&folder.join("report.json"));
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("failed"), 0, "{report:#}");
    assert!(count("passed") >= 200);
    let all = report["cases"].as_array().unwrap().len() as u64;
    assert_eq!(all, count("passed") + count("failed") + count("skipped"));

    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert_eq!(page.matches("<details").count() as u64, all);
    for elsewhere in ["src=", "url(", "@import", "<link", "<script"] {
        assert!(
            !page.contains(elsewhere),
            "the page loads something: {elsewhere}"
        );
    }

    let python = match backend::python_with(&["xml"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("Python", &reason),
    };
    let read = "import sys, xml.etree.ElementTree as x\n\
                suite = x.parse(sys.argv[1]).getroot()[0]\n\
                print(suite.get('tests'), len(suite.findall('testcase')), suite.get('failures'),\n\
                \x20     len(suite.findall('testcase/failure')), suite.get('skipped'),\n\
                \x20     len(suite.findall('testcase/skipped')))";
    let (status, stdout, stderr) = run(
        Command::new(python)
            .args(["-c", read])
            .arg(folder.join("report.xml")),
        LIMIT,
    );
    assert!(status.success(), "{stderr}");
    let skipped = count("skipped");
    let expected = format!("{all} {all} 0 0 {skipped} {skipped}");
    assert_eq!(stdout.trim(), expected);
}

const LIMIT: Duration = Duration::from_secs(180);
