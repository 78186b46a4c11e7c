//! The console over raw HTTP: who may see it and send its forms, that input stays text, and that forms do what they say.
//! What people see of it, a browser tells (`tests/e2e/console.rs`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use harness::https::Response;
use kms_sim::stub_proxy::SECRET_ACCESS_KEY;
use kms_sim::{Config, WebOrigin};
use serde_json::{Value, json};

use crate::simulator::{Simulator, exchange};
use crate::with_proxy::WithProxy;

const HOSTILE: &str = "\"><script>alert('x')</script><img src=x onerror=alert(1)>";

impl Simulator {
    fn look_with(&self, path: &str, headers: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
        exchange(self.control, &request)
    }

    fn look(&self, path: &str) -> String {
        let response = self.look_with(path, &format!("host: {}\r\n", self.control));
        assert_eq!(response.status, 200, "{path}");
        String::from_utf8(response.body).expect("a page in UTF-8")
    }

    /// The token that is in every form.
    fn token(&self) -> String {
        let page = self.look("/console/switchboard");
        let (_, after) = page.split_once("name=\"token\" value=\"").expect("a form");
        after.split('"').next().expect("a value").to_owned()
    }

    fn send_with(&self, path: &str, fields: &str, headers: &str) -> Response {
        let request = format!(
            "POST {path} HTTP/1.1\r\n{headers}content-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{fields}",
            fields.len()
        );
        exchange(self.control, &request)
    }

    /// Sends a form as a browser sends it, and gives where it leads.
    fn send(&self, path: &str, fields: &str) -> String {
        let fields = format!("token={}&{fields}", self.token());
        let own = format!(
            "host: {0}\r\norigin: http://{0}\r\nsec-fetch-site: same-origin\r\n",
            self.control
        );
        let response = self.send_with(path, &fields, &own);
        let told = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status, 303, "{path} {fields}: {told}");
        response.header("location").expect("a location").to_owned()
    }
}

#[test]
fn head_tells_what_get_would_and_brings_no_page() {
    let simulator = Simulator::start(Config::default());
    for path in [
        "/",
        "/console/",
        "/console/keys",
        "/console/look.css",
        "/console/none",
    ] {
        let headers = format!("host: {}\r\nconnection: close\r\n", simulator.control);
        let got = simulator.look_with(path, &headers);
        let mut stream = TcpStream::connect(simulator.control).unwrap();
        write!(stream, "HEAD {path} HTTP/1.1\r\n{headers}\r\n").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        let (head, body) = told.split_once("\r\n\r\n").expect("the end of a head");
        assert!(
            head.starts_with(&format!("HTTP/1.1 {} ", got.status)),
            "{path}: {head}"
        );
        let length = format!("content-length: {}", got.body.len());
        assert!(head.contains(&length), "{path}: {head}");
        assert_eq!(body, "", "{path}");
    }
}

#[test]
fn only_its_own_forms_do_anything() {
    let simulator = Simulator::start(Config::default());
    let token = simulator.token();
    let key = simulator.key();
    let host = format!("host: {}\r\n", simulator.control);
    let own = format!(
        "{host}origin: http://{}\r\nsec-fetch-site: same-origin\r\n",
        simulator.control
    );
    let reset = "/console/switch/reset";
    for (fields, headers) in [
        ("", own.clone()),
        ("token=", own.clone()),
        ("token=0123", own.clone()),
        (
            &*format!("token={token}"),
            "host: evil.example:4600\r\n".to_owned(),
        ),
        (
            &*format!("token={token}"),
            format!("{host}origin: http://evil.example\r\n"),
        ),
        (
            &*format!("token={token}"),
            format!("{host}origin: null\r\n"),
        ),
        (
            &*format!("token={token}"),
            format!("{host}sec-fetch-site: cross-site\r\n"),
        ),
        (
            &*format!("token={token}"),
            format!(
                "{host}sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"
            ),
        ),
    ] {
        let refused = simulator.send_with(reset, fields, &headers);
        assert_eq!(refused.status, 403, "{fields} {headers}");
    }
    simulator.ok("DescribeKey", json!({"KeyId": key}));
    let other = Simulator::start(Config::default());
    let foreign = other.send_with(
        reset,
        &format!("token={token}"),
        &format!("host: {}\r\n", other.control),
    );
    assert_eq!(foreign.status, 403, "the token is that of another process");
    assert_eq!(simulator.send(reset, ""), "/console/?done=reset");
    let gone = simulator.exception("DescribeKey", json!({"KeyId": key}));
    assert_eq!(gone, "NotFoundException");
}

#[test]
fn a_page_is_seen_by_who_visits_it_and_by_no_other_page() {
    let origin: WebOrigin = "http://localhost:5173".parse().unwrap();
    let simulator = Simulator::start(Config {
        allow_origins: vec![origin],
        ..Config::default()
    });
    let host = format!("host: {}\r\n", simulator.control);
    for (headers, status) in [
        (host.clone(), 200),
        (format!("{host}sec-fetch-site: same-origin\r\n"), 200),
        (
            format!(
                "{host}sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"
            ),
            200,
        ),
        (
            format!(
                "{host}sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: iframe\r\n"
            ),
            403,
        ),
        (
            format!("{host}sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n"),
            403,
        ),
        (
            format!("{host}origin: http://localhost:5173\r\nsec-fetch-site: same-site\r\n"),
            403,
        ),
        ("host: evil.example\r\n".to_owned(), 403),
        (
            "host: evil.example\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"
                .to_owned(),
            403,
        ),
    ] {
        let response = simulator.look_with("/console/", &headers);
        assert_eq!(response.status, status, "{headers}");
        let policy = response
            .header("content-security-policy")
            .unwrap_or_default();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[test]
fn every_page_is_there_and_nothing_else() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let own = simulator.key();
    for path in [
        "/console/".to_owned(),
        format!("/console/stores/{store}"),
        format!("/console/stores/{store}/disconnect"),
        "/console/keys".to_owned(),
        "/console/keys?text=%E4&home=x&store=y&state=z&after=nonsense".to_owned(),
        format!("/console/keys/123456789012/us-east-1/{key}"),
        format!("/console/keys/123456789012/us-east-1/{own}"),
        "/console/events".to_owned(),
        "/console/events?failed=yes&key=%00".to_owned(),
        "/console/switchboard".to_owned(),
        "/console/disconnect".to_owned(),
        "/console/reset".to_owned(),
    ] {
        let page = simulator.look(&path);
        assert!(
            page.starts_with("<!doctype html>") && page.ends_with("</html>\n"),
            "{path}"
        );
        for inline in ["<style", "style=", "onclick", "javascript:"] {
            assert!(!page.contains(inline), "{inline} on {path}");
        }
        assert!(!page.contains(SECRET_ACCESS_KEY), "{path}");
    }
    let host = format!("host: {}\r\n", simulator.control);
    for path in [
        "/console/nothing",
        "/console/stores/cks-0",
        "/console/stores/cks-0/disconnect",
        "/console/keys/123456789012/us-east-1/none",
        "/console/keys/123456789012/nowhere/none",
        "/console/%ff",
        "/console/..%2fcontrol",
    ] {
        let response = simulator.look_with(path, &host);
        assert_eq!(response.status, 404, "{path}");
    }
    for path in ["/", "/console"] {
        let response = simulator.look_with(path, &host);
        assert_eq!(
            (response.status, response.header("location")),
            (303, Some("/console/"))
        );
    }
    let put = exchange(
        simulator.control,
        &format!("PUT /console/ HTTP/1.1\r\n{host}content-length: 0\r\n\r\n"),
    );
    assert_eq!(
        (put.status, put.header("allow")),
        (405, Some("GET, HEAD, POST"))
    );
}

#[test]
fn what_people_typed_stays_text() {
    let simulator = WithProxy::start();
    let mut input = WithProxy::store_input();
    input["CustomKeyStoreName"] = HOSTILE.into();
    let store = simulator.ok("CreateCustomKeyStore", input)["CustomKeyStoreId"].clone();
    let store = store.as_str().unwrap();
    let key = simulator.key();
    simulator.ok(
        "UpdateKeyDescription",
        json!({"KeyId": key, "Description": HOSTILE}),
    );
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{"Sid": HOSTILE, "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}],
    });
    let put = json!({"KeyId": key, "PolicyName": "default", "Policy": policy.to_string()});
    // KMS may refuse such a Sid: then there is nothing to show.
    let _ = simulator.kms("PutKeyPolicy", put);
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for path in [
        "/console/".to_owned(),
        format!("/console/stores/{store}"),
        format!("/console/stores/{store}/disconnect"),
        format!("/console/keys?text={encoded}&home={encoded}&after={encoded}"),
        "/console/keys".to_owned(),
        format!("/console/keys/123456789012/us-east-1/{key}"),
        format!("/console/events?operation={encoded}&key={encoded}&request={encoded}"),
        "/console/events".to_owned(),
        format!("/console/?done={encoded}"),
    ] {
        let page = simulator.look(&path);
        for markup in ["<script>alert", "<img src=x", "onerror=alert(1)>"] {
            assert!(!page.contains(markup), "{markup} on {path}");
        }
    }
    assert!(
        simulator
            .look("/console/")
            .contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;")
    );
}

#[test]
fn a_form_leads_back_into_the_console_alone() {
    let simulator = Simulator::start(Config::default());
    for back in [
        "https://evil.example/",
        "//evil.example",
        "/console//evil.example%0d%0ax:y",
        "/control/v1",
        "",
    ] {
        let to = simulator.send("/console/switch/lag", &format!("LagMs=0&back={back}"));
        assert_eq!(to, "/console/?done=lag", "{back}");
    }
    let to = simulator.send("/console/switch/lag", "LagMs=0&back=/console/switchboard");
    assert_eq!(to, "/console/switchboard?done=lag");
}

#[test]
fn an_unchanged_page_is_not_sent_again() {
    let simulator = Simulator::start(Config::default());
    let host = format!("host: {}\r\n", simulator.control);
    for path in [
        "/console/disconnect",
        "/console/look.css",
        "/console/live.js",
    ] {
        let first = simulator.look_with(path, &host);
        let tag = first.header("etag").expect("a tag").to_owned();
        let again = simulator.look_with(path, &format!("{host}if-none-match: {tag}\r\n"));
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let page = |tag: &str| {
        simulator.look_with("/console/keys", &format!("{host}if-none-match: {tag}\r\n"))
    };
    let tag = page("").header("etag").expect("a tag").to_owned();
    assert_eq!(page(&tag).status, 304);
    simulator.key();
    assert_eq!(page(&tag).status, 200);
}

#[test]
fn connect_and_disconnect_are_those_of_the_api_and_are_recorded() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let page = simulator.look(&format!("/console/stores/{store}/disconnect"));
    assert!(
        page.contains("<b id=\"unavailable\">1 key</b> becomes Unavailable"),
        "{page}"
    );
    let to = simulator.send(&format!("/console/stores/{store}/disconnect"), "");
    assert_eq!(to, format!("/console/stores/{store}?done=disconnect"));
    simulator.wait_for(&store, "DISCONNECTED");
    let encrypt = json!({"KeyId": key, "Plaintext": "AAAA"});
    assert_eq!(
        simulator.exception("Encrypt", encrypt.clone()),
        "KMSInvalidStateException"
    );
    let key_page = simulator.look(&format!("/console/keys/123456789012/us-east-1/{key}"));
    assert!(
        key_page
            .contains("stub is DISCONNECTED. ConnectCustomKeyStore makes the key usable again.")
    );

    // What the API refuses, the console refuses in its words.
    let fields = format!("token={}", simulator.token());
    let own = format!("host: {}\r\n", simulator.control);
    let path = format!("/console/stores/{store}/disconnect");
    let refused = simulator.send_with(&path, &fields, &own);
    assert_eq!(refused.status, 409);
    let text = String::from_utf8(refused.body).unwrap();
    assert!(
        text.contains("CustomKeyStoreInvalidStateException: "),
        "{text}"
    );

    simulator.send(&format!("/console/stores/{store}/connect"), "");
    simulator.wait_for(&store, "CONNECTED");
    simulator.ok("Encrypt", encrypt);
    let events = simulator.get("/events?Operation=DisconnectCustomKeyStore");
    let events = events["Events"].as_array().unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                &event["userIdentity"]["arn"],
                &event["requestParameters"]["customKeyStoreId"],
                &event["errorCode"],
            )
        })
        .collect();
    let root = json!("arn:aws:iam::123456789012:root");
    let (id, refusal) = (json!(store), json!("CustomKeyStoreInvalidStateException"));
    assert_eq!(told, [(&root, &id, &Value::Null), (&root, &id, &refusal)]);
}

#[test]
fn switches_do_what_ctl_does() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let encrypt = || simulator.kms("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}));
    let of_store = |fields: &str| format!("CustomKeyStoreId={store}&{fields}");

    simulator.send("/console/switch/link", &of_store("preset=refused"));
    assert_eq!(
        simulator.get("/link")["Links"][0]["Faults"],
        json!(["no TCP: refused"])
    );
    assert!(encrypt().is_err());
    let page = simulator.look(&format!("/console/stores/{store}"));
    assert!(
        page.contains("XksProxyUnreachableException"),
        "the failed request is shown"
    );
    assert!(page.contains("id=\"preset-refused\" aria-pressed=\"true\""));
    assert!(page.contains("id=\"preset-expired\" aria-pressed=\"false\""));
    simulator.send("/console/switch/mend", &of_store(""));
    assert!(encrypt().is_ok());

    simulator.send(
        "/console/switch/link",
        "XksProxyUriEndpoint=https%3A%2F%2Fxks.test&Status=429&ErrorName=ThrottlingException&Times=2&Operations=Encrypt",
    );
    let links = simulator.get("/link");
    assert_eq!(links["Links"][0]["XksProxyUriEndpoint"], "https://xks.test");
    assert_eq!(links["Links"][0]["TimesLeft"], 2);
    assert_eq!(links["Links"][0]["Operations"], json!(["Encrypt"]));
    simulator.send("/console/switch/link", "preset=slow");
    simulator.send("/console/switch/mend", "back=/console/switchboard");
    let left = simulator.get("/link");
    assert_eq!(
        left["Links"].as_array().unwrap().len(),
        1,
        "only that for every link is mended"
    );
    simulator.send(
        "/console/switch/mend",
        "XksProxyUriEndpoint=https%3A%2F%2Fxks.test",
    );

    simulator.send("/console/switch/hold", &of_store("State=DISCONNECTING"));
    simulator.send("/console/switch/fail", &of_store("Code=INTERNAL_ERROR"));
    let set = simulator.get("/transition");
    assert_eq!(
        set["Held"],
        json!([{"CustomKeyStoreId": store, "State": "DISCONNECTING"}])
    );
    assert_eq!(set["Failures"][0]["ConnectionErrorCode"], "INTERNAL_ERROR");
    simulator.send("/console/switch/transitions-reset", "");
    assert_eq!(
        simulator.get("/transition"),
        json!({"Held": [], "Failures": []})
    );

    simulator.send("/console/switch/quota", &of_store("Rate=5"));
    simulator.send("/console/switch/quota-account", "Rate=");
    simulator.send("/console/switch/quota-keys", "Rate=7");
    let quota = simulator.get("/quota");
    assert_eq!(
        quota["Stores"],
        json!([{"CustomKeyStoreId": store, "RequestsPerSecond": 5}])
    );
    assert_eq!(
        (&quota["AccountRequestsPerSecond"], &quota["MaxKeys"]),
        (&Value::Null, &json!(7))
    );
    simulator.send("/console/switch/quota-reset", "");
    assert_eq!(simulator.get("/quota")["Stores"], json!([]));

    simulator.send("/console/switch/lag", "LagMs=500&Seed=7");
    assert_eq!(
        simulator.get("/consistency"),
        json!({"LagMs": 500, "Seed": 7})
    );
    simulator.send("/console/switch/clock/freeze", "");
    simulator.send("/console/switch/clock/advance", "By=8d");
    assert_eq!(simulator.get("/clock")["Frozen"], true);
    simulator.send("/console/switch/clock/reset", "");

    let fields = format!("token={}&", simulator.token());
    let own = format!("host: {}\r\n", simulator.control);
    for (path, wrong) in [
        ("link", "preset=nothing"),
        ("link", "Operations=Encrypt"),
        ("link", "LatencyMs=1"),
        ("link", "Loss=2&Operations=Encrypt"),
        ("link", "Loss=NaN&Operations=Encrypt"),
        ("quota-keys", "Rate="),
        ("fail", "Code=NONE"),
        ("clock/advance", "By=tomorrow"),
        ("lag", "LagMs=-1"),
    ] {
        let refused = simulator.send_with(
            &format!("/console/switch/{path}"),
            &format!("{fields}{wrong}"),
            &own,
        );
        assert_eq!(refused.status, 400, "{path} {wrong}");
        let told = String::from_utf8_lossy(&refused.body);
        let explained = !wrong.contains("Loss") || told.contains("a number from 0 to 1");
        assert!(explained, "{wrong}: {told}");
    }
    let unknown = simulator.send_with("/console/switch/nothing", &fields, &own);
    assert_eq!(unknown.status, 404);
    assert_eq!(simulator.get("/link")["Links"], json!([]));
}

#[test]
fn clusters_and_services_are_broken_and_mended() {
    let simulator = Simulator::start(Config::default());
    let (status, created) = simulator.control("POST", "/cloudhsm/clusters", Some("{}"));
    assert_eq!(status, 200);
    let id = created["ClusterId"].as_str().unwrap();
    let cluster = || simulator.get(&format!("/cloudhsm/clusters/{id}"));
    let part = |part: &str| format!("/console/switch/cluster/{id}{part}");
    simulator.send(&part(""), "Reachable=false");
    simulator.send(&part(""), "Kmsuser=locked");
    assert_eq!(cluster()["Reachable"], false);
    assert_eq!(cluster()["Kmsuser"]["LockedOut"], true);
    simulator.send(&part("/password"), "");
    assert_eq!(
        cluster()["Kmsuser"]["LockedOut"],
        false,
        "another password unlocks"
    );
    let hsm = cluster()["Hsms"][0]["HsmId"].as_str().unwrap().to_owned();
    simulator.send(&part(&format!("/hsms/{hsm}")), "State=DEGRADED");
    simulator.send(&part("/hsms"), "");
    let hsms = cluster()["Hsms"].as_array().unwrap().len();
    assert_eq!(
        (hsms, &cluster()["Hsms"][0]["State"]),
        (3, &json!("DEGRADED"))
    );
    let zone = cluster()["Subnets"][0]["AvailabilityZone"]
        .as_str()
        .unwrap()
        .to_owned();
    simulator.send(&part(&format!("/subnets/{zone}")), "Deleted=true");
    simulator.send(&part(&format!("/subnets/{zone}")), "FreeAddresses=0");
    assert_eq!(cluster()["Subnets"][0]["Deleted"], true);
    assert_eq!(cluster()["Subnets"][0]["FreeAddresses"], 0);

    let service = simulator.set(
        "POST",
        "/vpc-endpoint-services",
        json!({"PrivateDnsName": "xks.test"}),
    );
    let name = service["Name"].as_str().unwrap();
    let path = format!("/console/switch/service/{name}");
    for fields in [
        "AcceptanceRequired=true",
        "Interface=false",
        "AllowKms=false",
    ] {
        simulator.send(&path, fields);
    }
    let broken = simulator.get(&format!("/vpc-endpoint-services/{name}"));
    assert_eq!(broken["AcceptanceRequired"], true);
    assert_eq!(broken["Interface"], false);
    assert_eq!(broken["AllowedPrincipals"], json!([]));
    simulator.send(&path, "AllowKms=true");
    let mended = simulator.get(&format!("/vpc-endpoint-services/{name}"));
    assert_eq!(mended["AllowedPrincipals"], json!(["*"]));
}
