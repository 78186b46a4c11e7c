//! Metrics of a real proxy: what they say of requests, handshakes and reloads; that promtool takes scrape and rules; and
//! that page, dashboards and alerts name what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use harness::https::Connection;
use harness::process::{run, run_with_input};
use harness::{backend, free_port, temp_dir, wait_for};
use rustix::process::Signal;

use crate::page::Page;
use crate::two_stores::{Proxy, Tried, initialize};

struct Measured {
    proxy: Proxy,
    address: SocketAddr,
}

/// A proxy with everything that has metrics. Nobody takes its traces.
fn start() -> Measured {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let tables = "[audit]\nfolder = \"audit\"\nkey_file = \"audit.key\"\n\
                  [traces]\nendpoint = \"http://127.0.0.1:1\"\n";
    let tried = Tried {
        table: "type = \"embedded\"\ndata_dir = \"tried\"",
        key: "payments",
        limits: tables,
        environment: &[],
    };
    let mut proxy = Proxy::start(&tried, |folder| initialize(folder, &[]));
    proxy.edit(
        "[tls]\n",
        &format!("metrics_listen = \"{address}\"\n[tls]\n"),
    );
    proxy.restart();
    Measured { proxy, address }
}

impl Measured {
    fn scrape(&self) -> String {
        let mut connection = Connection::plain(self.address).expect("the metrics listener");
        let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = connection.exchange(request).expect("a scrape");
        assert_eq!(answer.status, 200);
        let content_type = answer.header("content-type").unwrap().to_owned();
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
        String::from_utf8(answer.body).unwrap()
    }
}

/// Samples by name and labels, as they are written.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name, value.parse().expect("a number"))
        })
        .collect()
}

/// Names of families, with their types.
fn families(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').expect("a type");
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}

/// Whatever looks like a metric in a text, as the family that it is of.
fn named(text: &str, families: &BTreeMap<String, String>) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("xks_") || word.starts_with("process_"))
        .map(|word| {
            let of_histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix))
                .filter(|family| {
                    families
                        .get(*family)
                        .is_some_and(|kind| kind == "histogram")
                });
            of_histogram.unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn metrics_count_what_was_done() {
    let _alone = crate::alone();
    let mut measured = start();
    let proxy = &measured.proxy;
    let sealed = proxy.tried.encrypt();
    assert_eq!(sealed.status, 200);
    for _ in 0..3 {
        assert_eq!(proxy.tried.decrypt(&sealed).status, 200);
    }
    let mut forger = proxy.tried.signer.clone();
    forger.secret_access_key = "x".repeat(48);
    let path = format!("{}/keys/payments/encrypt", proxy.tried.uri_path);
    for request in [
        forger.post("localhost", &path, "{}"),
        forger.post("localhost", "/nowhere/kms/xks/v1/health", "{}"),
    ] {
        proxy.env.connect().exchange(&request.http1()).unwrap();
    }
    // What is no TLS at all.
    let mut plain = Connection::plain(proxy.env.address).unwrap();
    assert!(plain.exchange(b"GET / HTTP/1.1\r\n\r\n").is_err());
    proxy.process.signal(Signal::HUP);
    wait_for("the reload", LIMIT, || {
        let done = "xks_reloads_total{result=\"ok\"} 1\n";
        measured.scrape().contains(done).then_some(())
    });

    let text = measured.scrape();
    let samples = samples(&text);
    let get = |name: &str| {
        *samples
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let of = |family: &str, operation: &str, more: &str| {
        get(&format!(
            "{family}{{uri_path_prefix=\"/tried\",operation=\"{operation}\"{more}}}"
        ))
    };
    let ok = ",outcome=\"ok\"";
    assert_eq!(of("xks_requests_total", "Encrypt", ok), 1.0);
    assert_eq!(of("xks_requests_total", "Decrypt", ok), 3.0);
    let refused = ",outcome=\"refused\",error_name=\"AuthenticationFailedException\"";
    assert_eq!(of("xks_requests_total", "Encrypt", refused), 1.0);
    assert_eq!(of("xks_request_duration_seconds_count", "Encrypt", ""), 2.0);
    assert_eq!(of("xks_request_duration_seconds_count", "Decrypt", ""), 3.0);
    let whole = of("xks_request_duration_seconds_sum", "Decrypt", "");
    let stages = ["authenticate", "key_manager", "rest"].map(|stage| {
        let name = format!("{{operation=\"Decrypt\",stage=\"{stage}\"}}");
        assert_eq!(
            get(&format!("xks_stage_duration_seconds_count{name}")),
            3.0,
            "{stage}"
        );
        get(&format!("xks_stage_duration_seconds_sum{name}"))
    });
    assert!(stages.iter().all(|time| *time > 0.0), "{stages:?}");
    assert!(
        (stages.iter().sum::<f64>() - whole).abs() < 1e-6,
        "{stages:?} of {whole}"
    );
    let unrouted =
        "xks_unrouted_requests_total{outcome=\"refused\",error_name=\"InvalidUriPathException\"}";
    assert_eq!(get(unrouted), 1.0);
    assert!(get("xks_tls_handshakes_total{result=\"ok\",version=\"1.3\"}") >= 6.0);
    assert_eq!(get("xks_tls_handshakes_total{result=\"failed\"}"), 1.0);
    assert!(get("xks_connections_total{listener=\"api\"}") >= 7.0);
    assert_eq!(
        get("xks_key_manager_state{key_manager=\"tried\",state=\"ACTIVE\"}"),
        1.0
    );
    assert!(get("xks_certificate_expires_in_seconds") > 0.0);
    let ages = samples
        .iter()
        .filter(|(name, _)| name.starts_with("xks_credential_age_seconds{"));
    assert!(
        ages.clone().count() >= 1 && ages.clone().all(|(_, age)| (0.0..3_600.0).contains(age)),
        "{text}"
    );
    assert!(get("xks_audit_sequence") >= 7.0);
    assert_eq!(get("xks_audit_failing"), 0.0);
    assert!(get("process_resident_memory_bytes") > 1e6);
    // That of the listener at least, and no more than one for each connection and a handful besides.
    assert!((1.0..100.0).contains(&get("xks_tasks")), "{text}");
    // Connections that are closed are not open.
    wait_for("closed connections", LIMIT, || {
        let closed = "xks_connections{listener=\"api\"} 0\n";
        measured.scrape().contains(closed).then_some(())
    });
    measured.proxy.has_not_panicked();
}

#[test]
fn page_dashboards_and_alerts_name_what_a_scrape_has() {
    let _alone = crate::alone();
    let measured = start();
    measured.proxy.tried.encrypt();
    let scrape = measured.scrape();
    let families = families(&scrape);
    let all: BTreeSet<_> = families.keys().cloned().collect();
    let read = |file: &str| std::fs::read_to_string(harness::workspace().join(file)).unwrap();
    let rules = read("proxy/deploy/prometheus/xks-proxy.rules.yml");
    let dashboards = ["xks-overview", "xks-proxy"].map(|name| {
        let text = read(&format!("proxy/deploy/grafana/{name}.json"));
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let panels = json["panels"].as_array().unwrap().clone();
        let targets = panels
            .iter()
            .flat_map(|panel| panel["targets"].as_array().unwrap().clone());
        let expressions: Vec<_> = targets
            .map(|t| t["expr"].as_str().unwrap().to_owned())
            .collect();
        assert!(expressions.len() >= panels.len());
        expressions
    });
    let expressions = dashboards.concat();
    for (what, text) in [("rules", &rules), ("dashboards", &expressions.join("\n"))] {
        let unknown: Vec<_> = named(text, &families).difference(&all).cloned().collect();
        // Labels look like names of metrics.
        let unknown: Vec<_> = unknown.iter().filter(|name| *name != "xks_proxy").collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
    let used = named(&(rules + &expressions.join("\n")), &families);
    assert!(
        all.is_subset(&used),
        "nobody looks at {:?}",
        all.difference(&used)
    );
    let page = read("proxy/docs/metrics.md");
    let documented = named(&page, &families);
    assert!(
        all.is_subset(&documented),
        "not in the page: {:?}",
        all.difference(&documented)
    );

    let promtool = Command::new("promtool").arg("--version").output();
    if let Err(error) = promtool {
        backend::missing("promtool", &error.to_string());
        return;
    }
    let (status, stdout, stderr) = run_with_input(
        Command::new("promtool").args(["check", "metrics"]),
        scrape.as_bytes(),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    let rules = harness::workspace().join("proxy/deploy/prometheus/xks-proxy.rules.yml");
    let (status, stdout, stderr) = run(
        Command::new("promtool").args(["check", "rules"]).arg(rules),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    // Prometheus reads the dashboards' expressions as rules, with Grafana's variables filled in.
    let mut text = String::from("groups:\n- name: dashboards\n  rules:\n");
    for (number, expression) in expressions.iter().enumerate() {
        let expression = expression
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".*");
        let expression = serde_json::to_string(&expression).unwrap();
        text.push_str(&format!(
            "  - record: panel:{number}\n    expr: {expression}\n"
        ));
    }
    let folder = temp_dir();
    let file = folder.path().join("dashboards.yml");
    std::fs::write(&file, text).unwrap();
    let (status, stdout, stderr) = run(
        Command::new("promtool").args(["check", "rules"]).arg(file),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
}

#[test]
fn the_page_about_metrics_leads_to_a_scrape() {
    let _alone = crate::alone();
    let ran = Page::read("proxy/docs/metrics.md").run("the_page_about_metrics_leads_to_a_scrape");
    let expected =
        "xks_requests_total{uri_path_prefix=\"/tenant-a\",operation=\"Encrypt\",outcome=\"ok\"} 0";
    ran.says(&[expected]);
}

#[test]
fn prometheus_takes_the_configuration_of_the_page() {
    if let Err(error) = Command::new("promtool").arg("--version").output() {
        backend::missing("promtool", &error.to_string());
        return;
    }
    let page = Page::read("proxy/docs/metrics.md");
    let configuration = page
        .share("prometheus_takes_the_configuration_of_the_page")
        .rest();
    let folder = temp_dir();
    let file = folder.path().join("prometheus.yml");
    let rules = "xks-proxy.rules.yml";
    let source = harness::workspace()
        .join("proxy/deploy/prometheus")
        .join(rules);
    std::fs::copy(source, folder.path().join(rules)).unwrap();
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(
            Command::new("promtool")
                .args(["check", "config"])
                .arg(&file),
            LIMIT,
        )
    };
    let (status, stdout, stderr) = check(&configuration);
    assert!(
        status.success() && stdout.contains("rules found"),
        "{stdout}{stderr}"
    );
    assert!(
        !check(&configuration.replace("job_name", "name_of_job"))
            .0
            .success()
    );
}

const LIMIT: Duration = Duration::from_secs(30);
