//! Metrics with CloudWatch's names and dimensions, and the last requests to a proxy.

use std::collections::BTreeMap;
use std::time::SystemTime;

use kms_sim::stub_proxy::{ACCESS_KEY_ID, HOST};
use serde_json::{Value, json};

use crate::ctl::{ctl, ctl_json};
use crate::simulator::exchange;
use crate::with_proxy::WithProxy;

/// The dimensions and statistics of each metric of that name.
fn metrics(simulator: &WithProxy, name: &str) -> Vec<(BTreeMap<String, String>, Value)> {
    let answer = simulator.get("/metrics");
    let all = answer["Metrics"].as_array().expect("a list");
    let wanted = all.iter().filter(|metric| metric["MetricName"] == name);
    wanted
        .map(|metric| {
            assert_eq!(metric["Namespace"], "AWS/KMS");
            assert_eq!(
                (&metric["Account"], &metric["Region"]),
                (&json!("123456789012"), &json!("us-east-1"))
            );
            let dimensions = metric["Dimensions"].as_array().expect("a list");
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let pairs = dimensions.iter();
            let pairs = pairs.map(|pair| (text(&pair["Name"]), text(&pair["Value"])));
            (pairs.collect(), metric["Statistics"].clone())
        })
        .collect()
}

fn dimensions<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn encrypt(simulator: &WithProxy, key: &str) -> Result<Value, (String, String)> {
    simulator.kms("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="}))
}

//= kms guide "Monitoring with Amazon CloudWatch", "Monitor external key stores": dimensions and what may be retried.
#[test]
fn each_way_for_a_proxy_to_fail_counts_with_its_exception_name() {
    let simulator = WithProxy::impatient();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    for (fault, requests, error_type, exception) in [
        (
            json!({"Reply": {"Status": 500, "ErrorName": "InternalException"}}),
            1,
            "Retryable",
            "InternalException",
        ),
        (
            json!({"Reply": {"Status": 503, "ErrorName": "DependencyTimeoutException"}}),
            1,
            "Retryable",
            "DependencyTimeoutException",
        ),
        (
            json!({"Reply": {"Status": 429, "ErrorName": "ThrottlingException"}}),
            1,
            "Retryable",
            "ThrottlingException",
        ),
        (
            json!({"Reply": {"Status": 404, "ErrorName": "KeyNotFoundException"}}),
            1,
            "Non-retryable",
            "KeyNotFoundException",
        ),
        (
            json!({"Reply": {"Status": 403, "ErrorName": "AccessDeniedException"}}),
            1,
            "Non-retryable",
            "AccessDeniedException",
        ),
        (
            json!({"Reply": {"Defect": "wrong-cdiv"}}),
            1,
            "Non-retryable",
            "XksProxyInvalidResponseException",
        ),
        // KMS tries twice when time runs out; refused connections count for the same exception.
        (
            json!({"LatencyMs": 3_000}),
            2,
            "Retryable",
            "XksProxyUnreachableException",
        ),
        (
            json!({"Tcp": "refused"}),
            3,
            "Retryable",
            "XksProxyUnreachableException",
        ),
        (
            json!({"Tls": "expired"}),
            4,
            "Retryable",
            "XksProxyUnreachableException",
        ),
    ] {
        simulator.set("PUT", "/link", fault.clone());
        assert!(encrypt(&simulator, &key).is_err(), "{fault}");
        simulator.control("DELETE", "/link", None);
        let expected = dimensions([
            ("CustomKeyStoreId", &store),
            ("KmsOperation", "Encrypt"),
            ("XksOperation", "Encrypt"),
            ("KeySpec", "SYMMETRIC_DEFAULT"),
            ("ErrorType", error_type),
            ("ExceptionName", exception),
        ]);
        let errors = metrics(&simulator, "XksProxyErrors");
        let found = errors
            .iter()
            .find(|(dimensions, _)| *dimensions == expected);
        let (_, statistics) = found.unwrap_or_else(|| panic!("{fault}: {errors:?}"));
        assert_eq!(statistics["Sum"], requests, "{fault}");
    }
}

#[test]
fn latency_is_that_of_answers_and_of_waiting_in_vain() {
    let simulator = WithProxy::impatient();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let of_encrypt = || {
        let wanted = dimensions([
            ("CustomKeyStoreId", &store),
            ("KmsOperation", "Encrypt"),
            ("XksOperation", "Encrypt"),
            ("KeySpec", "SYMMETRIC_DEFAULT"),
        ]);
        let latencies = metrics(&simulator, "XksProxyLatency");
        let found = latencies
            .into_iter()
            .find(|(dimensions, _)| *dimensions == wanted);
        found.map(|(_, statistics)| statistics)
    };
    assert_eq!(of_encrypt(), None);
    simulator.set("PUT", "/link", json!({"Tcp": "refused", "Times": 1}));
    assert!(encrypt(&simulator, &key).is_err());
    assert_eq!(of_encrypt(), None, "nobody answered");
    simulator.control("DELETE", "/link", None);
    encrypt(&simulator, &key).expect("success");
    simulator.set("PUT", "/link", json!({"LatencyMs": 3_000, "Times": 1}));
    // The second attempt is in time.
    encrypt(&simulator, &key).expect("success");
    let statistics = of_encrypt().expect("latencies");
    assert_eq!(statistics["SampleCount"], 3);
    let number = |name: &str| statistics[name].as_f64().expect("a number");
    // The time limit of an impatient simulator.
    assert!(
        number("Maximum") >= 400.0 && number("p99") >= number("p50"),
        "{statistics}"
    );
    assert!(
        number("Minimum") > 0.0 && number("Minimum") < number("Maximum"),
        "{statistics}"
    );
    assert!(
        (number("Average") - number("Sum") / 3.0).abs() < 1e-6,
        "{statistics}"
    );
    let operations: Vec<_> = metrics(&simulator, "XksProxyLatency")
        .into_iter()
        .map(|(mut dimensions, _)| {
            (
                dimensions.remove("KmsOperation"),
                dimensions.remove("XksOperation"),
            )
        })
        .collect();
    for expected in [
        ("ConnectCustomKeyStore", "GetHealthStatus"),
        ("CreateKey", "GetKeyMetadata"),
    ] {
        let expected = (Some(expected.0.to_owned()), Some(expected.1.to_owned()));
        assert!(operations.contains(&expected), "{operations:?}");
    }
}

#[test]
fn throttled_requests_count_for_their_store_and_operation() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    assert!(metrics(&simulator, "ExternalKeyStoreThrottle").is_empty());
    simulator.set("PUT", "/quota", json!({"RequestsPerSecond": 0}));
    for _ in 0..3 {
        assert_eq!(
            encrypt(&simulator, &key).unwrap_err().0,
            "ThrottlingException"
        );
    }
    simulator.exception("DescribeKey", json!({"KeyId": key}));
    let found: Vec<_> = metrics(&simulator, "ExternalKeyStoreThrottle")
        .into_iter()
        .map(|(dimensions, statistics)| (dimensions, statistics["Sum"].clone()))
        .collect();
    let of = |operation| {
        dimensions([
            ("CustomKeyStoreId", &store),
            ("KmsOperation", operation),
            ("KeySpec", "SYMMETRIC_DEFAULT"),
        ])
    };
    assert_eq!(
        found,
        [(of("DescribeKey"), json!(1)), (of("Encrypt"), json!(3))]
    );
}

#[test]
fn health_certificate_and_credential_are_told_as_they_are() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    let own = dimensions([("CustomKeyStoreId", &store)]);
    let age = || {
        let ages = metrics(&simulator, "XksProxyCredentialAge");
        assert_eq!(ages.len(), 1);
        assert_eq!(ages[0].0, own);
        ages[0].1["Average"].as_f64().expect("days")
    };
    // A minute's grace for a slow machine, in days.
    let grace = 60.0 / 86_400.0;
    assert!(age() < grace, "{}", age());
    simulator.set("POST", "/clock/advance", json!({"By": "8d"}));
    assert!((8.0..8.0 + grace).contains(&age()), "{}", age());
    assert!(
        metrics(&simulator, "XksExternalKeyManagerStates").is_empty(),
        "no store has asked"
    );
    simulator.connect(&store);
    simulator.wait_for(&store, "CONNECTED");
    let states: BTreeMap<_, _> = metrics(&simulator, "XksExternalKeyManagerStates")
        .into_iter()
        .map(|(dimensions, statistics)| {
            (
                dimensions["XksExternalKeyManagerState"].clone(),
                statistics["Average"].clone(),
            )
        })
        .collect();
    // The stub's one key manager is ACTIVE.
    let expected = [("Active", 1.0), ("Degraded", 0.0), ("Unavailable", 0.0)];
    assert_eq!(
        states,
        expected
            .map(|(state, n)| (state.to_owned(), json!(n)))
            .into()
    );
    let certificates = metrics(&simulator, "XksProxyCertificateDaysToExpire");
    let expected = dimensions([("CustomKeyStoreId", &store), ("CertificateName", HOST)]);
    assert_eq!(certificates.len(), 1, "{certificates:?}");
    assert_eq!(certificates[0].0, expected);
    // The stub's certificate ends with 2049, 2,524,608,000 seconds after the epoch; the system's time decides.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    let left = (2_524_608_000.0 - now.as_secs_f64()) / 86_400.0;
    let found = certificates[0].1["Average"].as_f64().expect("days");
    assert!(
        (left..left + grace).contains(&found),
        "{found}, expected {left}"
    );
    let other = json!({"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": "A".repeat(43)});
    let input = json!({"CustomKeyStoreId": store, "XksProxyAuthenticationCredential": other});
    assert!(
        simulator.kms("UpdateCustomKeyStore", input).is_err(),
        "the proxy does not know it"
    );
    assert!(age() >= 8.0, "the old credential is still set");
}

#[test]
fn metrics_end_with_their_store() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    assert_eq!(
        simulator.get("/metrics")["Metrics"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    simulator.ok("DeleteCustomKeyStore", json!({"CustomKeyStoreId": store}));
    assert_eq!(simulator.get("/metrics"), json!({"Metrics": []}));
}

#[test]
fn the_last_requests_carry_the_ids_that_the_proxy_got() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    encrypt(&simulator, &key).expect("success");
    let reply = json!({"Reply": {"Status": 429, "ErrorName": "ThrottlingException"}, "Times": 1});
    simulator.set("PUT", "/link", reply);
    assert!(encrypt(&simulator, &key).is_err());
    let answer = simulator.get(&format!("/requests?CustomKeyStoreId={store}"));
    let requests = answer["Requests"].as_array().expect("a list");
    let summary: Vec<_> = requests
        .iter()
        .map(|request| {
            let text = |name: &str| request[name].as_str().unwrap_or_default();
            (
                text("KmsOperation"),
                text("XksOperation"),
                text("Outcome"),
                text("ExceptionName"),
            )
        })
        .collect();
    let expected = [
        ("Encrypt", "Encrypt", "error", "ThrottlingException"),
        ("Encrypt", "Encrypt", "ok", ""),
        ("CreateKey", "GetKeyMetadata", "ok", ""),
        ("ConnectCustomKeyStore", "GetHealthStatus", "ok", ""),
    ];
    assert_eq!(summary, expected);
    // The probe of CreateCustomKeyStore came before there was a store.
    let seen = simulator.proxy.seen();
    let seen: Vec<_> = seen
        .iter()
        .rev()
        .take(4)
        .map(|seen| seen.body["requestMetadata"]["kmsRequestId"].clone())
        .collect();
    let ids: Vec<_> = requests
        .iter()
        .map(|request| request["KmsRequestId"].clone())
        .collect();
    assert_eq!(ids, seen);
    let (success, stdout, stderr) = ctl(simulator.control, &["requests", "--limit", "1"]);
    assert!(success, "{stderr}");
    assert_eq!(stdout.lines().count(), 1);
    assert!(
        stdout.contains("Encrypt for Encrypt") && stdout.contains("ThrottlingException"),
        "{stdout}"
    );
    for (query, status) in [
        ("?Limit=0", 400),
        ("?Limit=129", 400),
        ("?Limit=x", 400),
        ("?CustomKeyStoreId=cks-0", 404),
    ] {
        assert_eq!(
            simulator
                .control("GET", &format!("/requests{query}"), None)
                .0,
            status,
            "{query}"
        );
    }
}

#[test]
fn prometheus_scrapes_the_same() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    encrypt(&simulator, &key).expect("success");
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n",
        simulator.control
    );
    let response = exchange(simulator.control, &request);
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = String::from_utf8(response.body).expect("UTF-8");
    let mut types = BTreeMap::new();
    let mut buckets: Vec<u64> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(
                types.insert(name.to_owned(), kind.to_owned()).is_none(),
                "one family, one block"
            );
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let (name, labels) = series.split_once('{').expect("labels");
            assert!(
                labels.ends_with('}')
                    && labels.contains(&format!("custom_key_store_id=\"{store}\"")),
                "{line}"
            );
            let family = types
                .iter()
                .find(|(family, _)| name.starts_with(&***family));
            let (_, kind) = family.unwrap_or_else(|| panic!("{line} before its TYPE"));
            if kind == "histogram" && labels.contains("kms_operation=\"Encrypt\"") {
                if name.ends_with("_bucket") {
                    buckets.push(value.parse().expect("a count"));
                } else if name.ends_with("_count") {
                    assert_eq!(
                        (buckets.last(), value),
                        (Some(&1), "1"),
                        "+Inf is the last bucket"
                    );
                }
            }
        }
    }
    assert!(buckets.is_sorted() && !buckets.is_empty(), "{buckets:?}");
    for (name, kind) in [
        ("aws_kms_xks_proxy_latency_milliseconds", "histogram"),
        ("aws_kms_xks_external_key_manager_states", "gauge"),
        ("aws_kms_xks_proxy_certificate_days_to_expire", "gauge"),
        ("aws_kms_xks_proxy_credential_age_days", "gauge"),
    ] {
        assert_eq!(types.get(name).map(String::as_str), Some(kind), "{text}");
    }
    let foreign = exchange(
        simulator.control,
        "GET /metrics HTTP/1.1\r\nhost: evil.example\r\n\r\n",
    );
    assert_eq!(foreign.status, 403);
}

#[test]
fn metrics_from_a_shell() {
    let simulator = WithProxy::start();
    let (success, stdout, _) = ctl(simulator.control, &["metrics"]);
    assert!(
        success && stdout == "No external key store was observed.\n",
        "{stdout}"
    );
    simulator.connected_store();
    let answer = ctl_json(&simulator, &["metrics"]);
    assert_eq!(answer["Metrics"][0]["MetricName"], "XksProxyLatency");
    let (success, stdout, _) = ctl(simulator.control, &["metrics"]);
    assert!(
        success && stdout.contains("KmsOperation=ConnectCustomKeyStore"),
        "{stdout}"
    );
    assert_eq!(simulator.control("POST", "/metrics", None).0, 405);
    assert_eq!(stdout.lines().count(), 6, "{stdout}");
}
