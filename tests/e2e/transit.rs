//! kms-sim, xks-proxy and OpenBao together: KMS keys whose key material never leaves Transit, beside an external key
//! store whose keys are in the proxy; and what each of them sees when OpenBao stops.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::https::Connection;
use harness::openbao::{OpenBao, Tenant, ca_file};
use harness::process::{Process, run};
use harness::programs::Simulator;
use harness::{backend, binaries, free_port, temp_dir, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::clients::{Client as _, RustSdk};
use crate::page::Page;
use crate::two_stores::{Proxy, Tried};

#[test]
fn kms_keys_in_transit_live_through_a_rotation_and_a_frozen_server() {
    let Some(bao) = bao() else { return };
    let _alone = crate::alone();
    // Nothing is measured here, and this machine may be busy.
    let Service { proxy, tenant } = Service::start(bao, "3s", "4s");
    let simulator = Simulator::start(&[
        format!("--resolve=xks.test={}", proxy.env.address),
        format!("--trust-ca={}", proxy.env.ca_file.display()),
        "--proxy-timeout-ms=8000".to_owned(),
    ]);
    let mut kms = Kms(RustSdk::new(simulator.endpoint_url()));
    let store = kms.works(
        "CreateCustomKeyStore",
        json!({
            "CustomKeyStoreName": "bao",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyUriEndpoint": "https://xks.test",
            "XksProxyUriPath": proxy.tried.uri_path,
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": proxy.tried.signer.access_key_id,
                "RawSecretAccessKey": proxy.tried.signer.secret_access_key,
            },
        }),
    );
    let store = &store["CustomKeyStoreId"];
    kms.works("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
    wait_for("CONNECTED", LIMIT, || {
        let described = kms.works(
            "DescribeCustomKeyStores",
            json!({"CustomKeyStoreId": store}),
        );
        (described["CustomKeyStores"][0]["ConnectionState"] == "CONNECTED").then_some(())
    });
    let key = |xks_key_id: &str| json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": xks_key_id});
    for (unknown, why) in [
        ("no-such-key", "missing"),
        ("xks-proxy-test", "the test key"),
    ] {
        let refused = kms.fails("CreateKey", key(unknown));
        assert_eq!(refused, "XksKeyNotFoundException", "{why}");
    }
    assert!(!tenant.has_key("no-such-key"));
    let key = kms.works("CreateKey", key("payments"))["KeyMetadata"]["Arn"].clone();

    let context = json!({"project": "nile"});
    let encrypt = json!({"KeyId": key, "Plaintext": "TmlsZSD/AA==", "EncryptionContext": context});
    let before = kms.works("Encrypt", encrypt.clone())["CiphertextBlob"].clone();
    tenant.post("transit/keys/payments/rotate", &json!({}));
    // Older than key_max_age: the next one is of the new version.
    std::thread::sleep(Duration::from_millis(1_100));
    let after = kms.works("Encrypt", encrypt.clone())["CiphertextBlob"].clone();
    let decrypt = |blob: &Value| json!({"CiphertextBlob": blob, "EncryptionContext": context});
    for blob in [&before, &after] {
        assert_eq!(
            kms.works("Decrypt", decrypt(blob))["Plaintext"],
            "TmlsZSD/AA=="
        );
    }
    // The old version alone is what Transit does not take any more.
    let config = json!({"min_decryption_version": 2});
    tenant.post("transit/keys/payments/config", &config);
    assert_eq!(
        kms.fails("Decrypt", decrypt(&before)),
        "KMSInvalidStateException"
    );
    kms.works("Decrypt", decrypt(&after));
    let wrong = json!({"CiphertextBlob": after, "EncryptionContext": {"project": "amazon"}});
    // KMS says this of whatever a proxy refuses; what the proxy found is in its log.
    assert_eq!(kms.fails("Decrypt", wrong), "KMSInvalidStateException");
    for found in ["InvalidStateException", "InvalidCiphertextException"] {
        wait_for(found, LIMIT, || {
            proxy
                .process
                .stdout()
                .contains(&format!("\"{found}\""))
                .then_some(())
        });
    }

    tenant.bao.signal(Signal::STOP);
    assert_eq!(kms.fails("Encrypt", encrypt), "KMSInvalidStateException");
    tenant.bao.signal(Signal::CONT);
    wait_for("Decrypt, by itself", LIMIT, || {
        kms.call("Decrypt", decrypt(&after)).ok()
    });
}

#[test]
fn a_frozen_or_sealed_transit_is_told_and_does_not_slow_other_stores() {
    let Some(bao) = bao() else { return };
    let _alone = crate::alone();
    let Service { mut proxy, tenant } = Service::start(bao, "150ms", "200ms");
    let both = [&proxy.tried, &proxy.embedded];
    for store in both {
        wait_for("a first encryption", LIMIT, || {
            (store.encrypt().status == 200).then_some(())
        });
        wait_for("a healthy key manager", LIMIT, || {
            (store.health() == "ACTIVE").then_some(())
        });
    }
    let bao = &tenant.bao;
    bao.signal(Signal::STOP);
    let ended = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let frozen: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while !ended.load(Ordering::Relaxed) && began.elapsed() < LIMIT {
                        let answer = proxy.tried.encrypt();
                        assert!(answer.is(503, "DependencyTimeoutException"), "{answer:?}");
                        answers.push(answer.took);
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    answers
                })
            })
            .collect();
        let unavailable = scope.spawn(|| {
            // Every second, and each probe ends with the time limit of its requests.
            wait_for("UNAVAILABLE", LIMIT, || {
                (proxy.tried.health() == "UNAVAILABLE").then_some(())
            });
        });
        for _ in 0..100 {
            // In time, or it would be a DependencyTimeoutException.
            assert_eq!(proxy.embedded.round_trip(), Ok(()));
            std::thread::sleep(Duration::from_millis(10));
        }
        unavailable.join().unwrap();
        assert_eq!(proxy.embedded.health(), "ACTIVE");
        ended.store(true, Ordering::Relaxed);
        let mut answers: Vec<_> = frozen.into_iter().flat_map(|t| t.join().unwrap()).collect();
        answers.sort();
        // With connection and handshake, on a machine that others use, too: half of them.
        let half = answers[answers.len() / 2];
        assert!(half < Duration::from_millis(250), "{answers:?}");
    });
    bao.signal(Signal::CONT);
    wait_for("service, by itself", LIMIT, || {
        (proxy.tried.encrypt().status == 200 && proxy.tried.health() != "UNAVAILABLE").then_some(())
    });

    bao.seal();
    wait_for("InternalException", LIMIT, || {
        let answer = proxy.tried.encrypt();
        answer.is(500, "InternalException").then_some(())
    });
    assert_eq!(proxy.embedded.round_trip(), Ok(()));
    bao.unseal();
    wait_for("service, by itself", LIMIT, || {
        (proxy.tried.encrypt().status == 200).then_some(())
    });
    proxy.has_not_panicked();
    let told = proxy.process.outputs();
    let token = std::fs::read_to_string(proxy.folder.path().join("bao-token")).unwrap();
    assert!(!told.contains(&token), "the token is in the output");
}

/// The commands of `proxy/docs/transit.md`, in their order, each server in a terminal of its own.
#[test]
fn the_commands_of_the_page_lead_to_a_connected_key_store() {
    let found = || Ok((backend::openbao()?, backend::aws_cli()?));
    let (bao, aws) = match found() {
        Ok(found) => found,
        Err(reason) => {
            let reason: String = reason;
            return backend::missing("OpenBao and the AWS CLI", &reason);
        }
    };
    let _alone = crate::alone();
    let page = Page::read("proxy/docs/transit.md");
    let mut share = page.share("the_commands_of_the_page_lead_to_a_connected_key_store");
    let ports: Vec<_> = ["8200", "8443", "4599"]
        .into_iter()
        .map(|port| {
            (
                format!("127.0.0.1:{port}"),
                format!("127.0.0.1:{}", free_port()),
            )
        })
        .collect();
    let here = |block: &str| {
        let replace = |text: String, (there, here): &(String, String)| text.replace(there, here);
        ports.iter().fold(block.to_owned(), replace)
    };
    let folder = temp_dir();
    let mut terminal = Terminal {
        folder: folder.path().to_owned(),
        programs: vec![bao, aws, binaries::xks_proxy(), binaries::kms_sim()],
        exported: format!(
            "export XKS_PROXY_SOURCE='{}'\n",
            harness::workspace().display()
        ),
    };
    let [config] = *page.blocks("toml") else {
        panic!("one configuration");
    };
    let _server = terminal.serve(&here(share.next()), &ports[0].1);
    terminal.run(&here(share.next()));
    std::fs::write(folder.path().join("xks-proxy.toml"), here(config)).expect("a file");
    terminal.run(&here(share.next()));
    let _proxy = terminal.serve(&here(share.next()), &ports[1].1);
    let _kms_sim = terminal.serve(&here(share.next()), &ports[2].1);
    let told = terminal.run(&here(share.next()));
    assert!(told.ends_with("Hello, world"), "{told}");
}

/// Runs what the page says in one folder, with the programs that it names.
struct Terminal {
    folder: PathBuf,
    programs: Vec<PathBuf>,
    /// What was exported before.
    exported: String,
}

impl Terminal {
    fn command(&self, script: &str) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.programs.iter().filter_map(|program| program.parent());
        let path = folders
            .map(PathBuf::from)
            .chain(std::env::split_paths(&path));
        let mut command = Command::new("bash");
        command
            .args(["-e", "-c", &format!("{}{script}", self.exported)])
            .current_dir(&self.folder)
            .env("PATH", std::env::join_paths(path).expect("folders"))
            .env("HOME", &self.folder);
        command
    }

    fn run(&mut self, script: &str) -> String {
        let (status, stdout, stderr) = run(&mut self.command(script), SCRIPT_LIMIT);
        assert!(status.success(), "{script}{stdout}{stderr}");
        for line in script.lines().filter(|line| line.starts_with("export ")) {
            self.exported.push_str(line);
            self.exported.push('\n');
        }
        stdout
    }

    /// Starts a server and waits for its port.
    fn serve(&self, script: &str, address: &str) -> Process {
        let mut process = Process::start(&mut self.command(&format!("exec {script}")));
        let address = address.parse().expect("an address");
        process.wait_until("an open port", LIMIT, |_| {
            Connection::plain(address).is_ok().then_some(())
        });
        process
    }
}

fn bao() -> Option<OpenBao> {
    OpenBao::start()
        .map_err(|reason| backend::missing("OpenBao end to end", &reason))
        .ok()
}

/// The SDK, whose answers are expected.
struct Kms(RustSdk);

impl Kms {
    fn call(&mut self, operation: &str, input: Value) -> Result<Value, String> {
        let input = input.as_object().expect("an object").clone();
        let answer = self.0.call(operation, &input);
        answer.map_err(|e| e.name.clone().unwrap_or_else(|| format!("{e:?}")))
    }

    fn works(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|exception| panic!("{operation}: {exception}"))
    }

    fn fails(&mut self, operation: &str, input: Value) -> String {
        match self.call(operation, input) {
            Ok(answer) => panic!("{operation} works: {answer}"),
            Err(exception) => exception,
        }
    }
}

/// A proxy with a store on Transit, and OpenBao.
struct Service {
    proxy: Proxy,
    tenant: Tenant,
}

impl Service {
    fn start(bao: OpenBao, timeout: &str, key_manager_timeout: &str) -> Self {
        let tenant = Tenant::root_of(Arc::new(bao));
        for key in ["payments", "xks-proxy-test"] {
            tenant.create_key(key);
        }
        let table = transit_table(&format!("https://{}", tenant.bao.address));
        let tried = Tried {
            table: &format!("{table}timeout = \"{timeout}\"\n"),
            key: "payments",
            limits: &format!("key_manager_timeout = \"{key_manager_timeout}\""),
            environment: &[],
        };
        let token = tenant.token(&["xks-proxy"], "1h");
        let proxy = Proxy::start(&tried, |folder| {
            std::fs::write(folder.join("bao-token"), token).expect("a file in a folder of ours");
        });
        Self { proxy, tenant }
    }
}

/// The table of a key manager on a server at this URL, whose token is in `bao-token`.
pub(crate) fn transit_table(url: &str) -> String {
    format!(
        "type = \"transit\"\naddresses = [\"{url}\"]\nca_file = \"{}\"\ntoken_file = \"bao-token\"\n\
         key_max_age = \"1s\"\n",
        ca_file().display()
    )
}

const LIMIT: Duration = Duration::from_secs(60);
/// For a block of the page: the AWS CLI takes seconds to start on a busy machine.
const SCRIPT_LIMIT: Duration = Duration::from_secs(240);
