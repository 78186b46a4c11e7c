//! What the two programs say when they cannot start: which file or address, what was found there, what to do; no secret.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use harness::process::{Process, run};
use harness::programs::{DevProxy, Simulator};
use harness::{backend, binaries, certificates, free_port, temp_dir};
use tempfile::TempDir;

use crate::LIMIT;

/// A folder from which a proxy would start.
struct Place {
    folder: TempDir,
    port: u16,
}

impl Place {
    fn new() -> Self {
        let folder = temp_dir();
        let install = |from: &str, to: &str| {
            fs::copy(certificates::path(from), folder.path().join(to)).unwrap();
        };
        install("server-ecdsa.crt.pem", "chain.pem");
        install("server-ecdsa.test-key.pem", "key.pem");
        install("server-rsa.test-key.pem", "other-key.pem");
        install("root-ca.crt.pem", "ca.pem");
        fs::write(folder.path().join("text"), "hello\n").unwrap();
        let place = Self {
            folder,
            port: free_port(),
        };
        place.configure("");
        let (status, _, errors) = place.proxy(&["init", "--no-credential"]);
        assert_eq!(status, Some(0), "{errors}");
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes the configuration, with more tables.
    fn configure(&self, more: &str) {
        let text = format!(
            "listen = \"127.0.0.1:{}\"\n[tls]\ncertificate_file = \"chain.pem\"\nprivate_key_file = \"key.pem\"\n\
             [drain]\ndelay = \"0s\"\n[key_managers.embedded]\ntype = \"embedded\"\ndata_dir = \"data\"\n{more}\n\
             [[key_stores]]\nuri_path_prefix = \"/a\"\nkey_manager = \"embedded\"\n",
            self.port
        );
        fs::write(self.folder.path().join("x.toml"), text).unwrap();
    }

    fn change(&self, from: &str, to: &str) {
        self.configure("");
        let file = self.folder.path().join("x.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::xks_proxy());
        command
            .args(arguments)
            .args(["--config", &self.path("x.toml")]);
        command
    }

    fn proxy(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let (status, stdout, stderr) = run(&mut self.command(arguments), LIMIT);
        (status.code(), stdout, stderr)
    }

    /// That `serve` ends at once, with that status and all of these words.
    fn refuses(&self, code: i32, words: &[&str]) {
        let (status, _, errors) = self.proxy(&["serve"]);
        assert_eq!(status, Some(code), "{errors}");
        contains(&errors, words);
    }
}

fn contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
}

#[test]
fn a_proxy_that_cannot_start_says_where_what_and_what_to_do() {
    let _alone = crate::alone();
    let place = Place::new();
    let taken = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    place.refuses(
        1,
        &[
            "listen: cannot listen on 127.0.0.1:",
            "another process listens there",
            "take another port",
        ],
    );
    drop(taken);
    place.change("chain.pem", "none.pem");
    place.refuses(
        2,
        &[
            "x.toml:3: tls.certificate_file: ",
            "none.pem cannot be read: No such file",
            "expected a PEM file",
        ],
    );
    place.change("\"key.pem\"", "\"other-key.pem\"");
    place.refuses(
        2,
        &[
            "x.toml:4: tls.private_key_file: ",
            "do not go together",
            "expected the key of the first certificate",
        ],
    );
    place.change("\"data\"", "\"nowhere\"");
    place.refuses(
        1,
        &[
            "key manager embedded: ",
            "holds no store",
            "run `xks-proxy init --data-dir ",
        ],
    );
    place.configure(
        "[key_managers.hsm]\ntype = \"pkcs11\"\nlibrary = \"none.so\"\ntoken_label = \"t\"",
    );
    place.refuses(
        2,
        &[
            "x.toml:12: key_managers.hsm.library: ",
            "none.so is not there",
            "installed on this machine",
        ],
    );
    place.configure(
        "[key_managers.hsm]\ntype = \"pkcs11\"\nlibrary = \"text\"\ntoken_label = \"t\"",
    );
    place.refuses(
        1,
        &[
            "key manager hsm: the PKCS#11 library ",
            "text does not load",
            "`ldd ",
        ],
    );

    place.configure("");
    let mut serving = Process::start(&mut place.command(&["serve"]));
    serving.wait_until("its readiness", LIMIT, |process| {
        process.stderr().contains("serving").then_some(())
    });
    place.change(&place.port.to_string(), &free_port().to_string());
    place.refuses(1, &["another process holds the store in ", "stop it"]);
}

#[test]
fn a_key_manager_out_of_reach_is_named_with_its_address() {
    let _alone = crate::alone();
    let place = Place::new();
    let nobody = format!("https://127.0.0.1:{}", free_port());
    fs::write(place.folder.path().join("token"), "hvs.s3cr3t\n").unwrap();
    fs::set_permissions(place.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
    place.configure(&format!(
        "[key_managers.bao]\ntype = \"transit\"\naddresses = [\"{nobody}\"]\nca_file = \"ca.pem\"\ntoken_file = \"token\""
    ));
    let (status, told, errors) = place.proxy(&["check"]);
    assert_eq!(status, Some(1), "{told}{errors}");
    let line = told.lines().find(|line| line.contains("key manager bao"));
    let line = line.unwrap_or_else(|| panic!("{told}"));
    let address = nobody.trim_start_matches("https://");
    contains(line, &["FAILED", address, "Connection refused"]);
    // It starts all the same, and tells the log.
    let mut serving = Process::start(&mut place.command(&["serve"]));
    serving.wait_until("a word of it", LIMIT, |process| {
        let log = process.stderr();
        (log.contains("serving") && log.contains("bao")).then_some(())
    });
    assert!(!format!("{told}{}", serving.outputs()).contains("s3cr3t"));
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let _alone = crate::alone();
    let place = Place::new();
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    fs::write(
        place.path("chain.pem"),
        certificates::server_valid_until(yesterday),
    )
    .unwrap();
    let mut serving = Process::start(&mut place.command(&["serve"]));
    serving.wait_until("the warning", LIMIT, |process| {
        let log = process.stderr();
        let line = log
            .lines()
            .find(|line| line.contains("tls.certificate_file"))?;
        contains(
            line,
            &["WARN", "the server's certificate expired at", "renew it"],
        );
        Some(())
    });
}

/// As the user of a package, to whom root has not given the key.
#[test]
fn a_file_of_somebody_else_is_named_with_who_may_not_read_it() {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || Command::new("setpriv").arg("--version").output().is_err() {
        return backend::optional("files of another user", "takes root and setpriv");
    }
    let _alone = crate::alone();
    let place = Place::new();
    let program = place.path("xks-proxy");
    fs::copy(binaries::xks_proxy(), &program).unwrap();
    for folder in [place.folder.path(), Path::new(&place.path("data"))] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(place.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", &program]);
        let (status, _, errors) = run(
            command.args(["serve", "--config", &place.path("x.toml")]),
            LIMIT,
        );
        (status.code(), errors)
    };
    let (status, errors) = as_nobody();
    assert_eq!(status, Some(2), "{errors}");
    let expected = [
        "x.toml:4: tls.private_key_file: ",
        "key.pem cannot be read: Permission denied",
        "user id 65534",
    ];
    contains(&errors, &expected);
    fs::set_permissions(place.path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let (status, errors) = as_nobody();
    assert_eq!(status, Some(1), "{errors}");
    contains(
        &errors,
        &["key manager embedded: ", &place.path("data"), "user id"],
    );
}

#[test]
fn a_simulator_that_cannot_start_says_where_what_and_what_to_do() {
    let _alone = crate::alone();
    let place = Place::new();
    let write = |name: &str, text: &str| {
        fs::write(place.folder.path().join(name), text).unwrap();
        place.path(name)
    };
    let (chain, other_key) = (place.path("chain.pem"), place.path("other-key.pem"));
    let (none, text) = (place.path("none"), place.path("text"));
    let seed = write(
        "seed.toml",
        "[[keys]]\nid = \"one\"\nmaterial = \"s3cr3t\"\n",
    );
    let broken = write(
        "broken.toml",
        "account = \"123456789012\"\nmaterial = \"s3cr3t\n",
    );
    let lonely = write(
        "lonely.toml",
        "[[custom-key-stores]]\nid = \"cks-0123456789abcdef0\"\nname = \"n\"\nuri-endpoint = \"https://nobody.test\"\n\
         uri-path = \"/kms/xks/v1\"\naccess-key-id = \"ABCDEFGHIJKLMNOPQRST\"\nsecret-access-key = \
         \"s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3t\"\nconnected = true\n",
    );
    let accounts = write(
        "accounts.toml",
        "[[principals]]\nsecret-access-key = \"s3cr3t\"\n",
    );
    let script = write("script.toml", "[[rules]]\nstatus = 99\n");
    let held = place.path("held");
    let _holder = Simulator::start(&["--data-dir", &held]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let nobody = format!("nobody.test=127.0.0.1:{}", free_port());
    for (arguments, words) in [
        (
            &["serve", "--listen", &address][..],
            &[
                "cannot listen on 127.0.0.1:",
                "Another program may have the port",
                "--listen",
            ][..],
        ),
        (
            &["serve", "--control", &address],
            &["cannot listen on 127.0.0.1:", "choose one with --control"],
        ),
        (
            &["serve", "--control", "0.0.0.0:0"],
            &[
                "--control 0.0.0.0:0: other machines could reach it",
                "--control-remote",
            ],
        ),
        (
            &["serve", "--tls-cert", &none, "--tls-key", &other_key],
            &[
                "--tls-cert /",
                "none: cannot be read: No such file",
                "expected a PEM file",
            ],
        ),
        (
            &["serve", "--tls-cert", &chain, "--tls-key", &none],
            &["--tls-key /", "none: cannot be read: No such file"],
        ),
        (
            &["serve", "--tls-cert", &text, "--tls-key", &other_key],
            &["text: expected PEM with -----BEGIN CERTIFICATE-----, found none"],
        ),
        (
            &["serve", "--tls-cert", &chain, "--tls-key", &other_key],
            &[
                "other-key.pem: is not the key of the first certificate in ",
                "chain.pem",
                "made together",
            ],
        ),
        (
            &["serve", "--client-cert", &chain, "--client-key", &other_key],
            &[
                "--client-key /",
                "other-key.pem: is not the key of the first certificate in ",
            ],
        ),
        (
            &["serve", "--trust-ca", &text],
            &[
                "--trust-ca /",
                "text: expected PEM with -----BEGIN CERTIFICATE-----",
            ],
        ),
        (
            &["serve", "--data-dir", &held],
            &[
                "the data folder ",
                "held is in use by another process",
                "--data-dir",
            ],
        ),
        (
            &["serve", "--data-dir", &text],
            &[
                "text",
                "Expected a folder that this user may write to",
                "--data-dir",
            ],
        ),
        (
            &["serve", "--events", "/"],
            &[
                "--events /: ",
                "expected a file that this user may append to",
            ],
        ),
        (
            &["serve", "--seed", &none],
            &[
                "none: found a file that cannot be read (No such file",
                "expected a TOML file",
            ],
        ),
        (
            &["serve", "--seed", &broken],
            &[
                "broken.toml:2: found what is no TOML",
                "expected a TOML document",
            ],
        ),
        (
            &["serve", "--seed", &seed],
            &[
                "seed.toml has 2 problems:",
                "seed.toml:2: keys[0].id: found \"one\"; expected a UUID",
                "seed.toml:3: keys[0].material: found another text (not shown: it is a secret); expected 32 bytes",
            ],
        ),
        (
            &[
                "serve",
                "--seed",
                &lonely,
                "--resolve",
                &nobody,
                "--seed-connect-timeout",
                "0",
            ],
            &[
                "the seed wants custom key store cks-0123456789abcdef0 connected, but",
                "Start its proxy first",
            ],
        ),
        (
            &["serve", "--accounts", &accounts],
            &[
                "accounts.toml:1: principals[0].access-key-id: found nothing; expected an access key id",
            ],
        ),
        (
            &["stub-proxy", "--dir", &held, "--script", &script],
            &["script.toml:2: rules[0].status: found 99; expected a whole number from 200 to 599"],
        ),
        (
            &["stub-proxy", "--dir", &text],
            &[
                "--dir ",
                "text: ",
                "expected a folder that this user may write to",
            ],
        ),
    ] {
        let mut command = Command::new(binaries::kms_sim());
        command.args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let (status, _, errors) = run(&mut command, LIMIT);
        assert!(
            matches!(status.code(), Some(1 | 2)),
            "{arguments:?}: {errors}"
        );
        contains(&errors, words);
        assert!(!errors.contains("s3cr3t"), "{errors}");
    }
}

#[test]
fn both_programs_print_what_to_do_next() {
    let _alone = crate::alone();
    let folder = temp_dir();
    let mut proxy = DevProxy::start(folder.path());
    proxy
        .process()
        .wait_until("the next step", LIMIT, |process| {
            let told = process.stderr();
            (told.contains("To ask for the health") && told.contains("curl --cacert")).then_some(())
        });
    let simulator = Simulator::start(&["--region=eu-west-1"]);
    let told = simulator.output();
    let next = told.lines().find(|line| line.starts_with("Next: "));
    let next = next.unwrap_or_else(|| panic!("{told}"));
    contains(
        next,
        &["kms create-key", &simulator.endpoint_url(), "eu-west-1"],
    );
    let Ok(aws) = backend::aws_cli() else {
        return backend::missing("the next step of kms-sim", "there is no AWS CLI");
    };
    let command = next.trim_start_matches("Next: ");
    let command = command.replacen(" aws ", &format!(" {} ", aws.display()), 1);
    let (status, answer, errors) = run(Command::new("sh").args(["-c", &command]), LIMIT);
    assert!(
        status.success() && answer.contains("KeyId"),
        "{answer}{errors}"
    );
}
