//! The credential of a fleet is rotated by one command, while the fleet serves.

use super::*;

#[test]
fn r35_the_credential_of_a_fleet_is_rotated_without_a_failed_request() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(reason) => return backend::missing("PostgreSQL end to end", &reason),
    };
    if let Err(reason) = haproxy_is_there() {
        return backend::missing("HAProxy", &reason);
    }
    let _alone = crate::alone();
    let mut fleet = Fleet::start(&postgres);
    fleet.wait_for_size(3);
    let simulator = simulator_before(&fleet);
    let kms = |arguments: &[&str]| -> Value {
        let config = fleet.proxies[0].config.display().to_string();
        let mut command = Command::new(binaries::xks_proxy());
        command
            .arg("kms")
            .args(arguments)
            .args(["--json", "--config", &config])
            .env("AWS_ENDPOINT_URL_KMS", simulator.endpoint_url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env_remove("AWS_PROFILE");
        let (status, stdout, stderr) = run(&mut command, SOON);
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
        serde_json::from_str(&stdout).expect("JSON")
    };
    let linked = kms(&["link", "--uri-endpoint", "https://xks.test"]);
    assert_eq!(linked["connection_state"], "CONNECTED");
    let made = kms(&["create-key", "payroll"]);
    let key = made["arn"].as_str().unwrap();

    let load = Load::default();
    let rotated = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (load, url) = (&load, simulator.endpoint_url());
            scope.spawn(move || load.run(RustSdk::new(url), key));
        }
        let _end = EndOfLoad(&load);
        load.wait_for_more(20);
        let rotated = kms(&["rotate-credential", "--quiet-for", "3s"]);
        load.wait_for_more(20);
        rotated
    });
    assert!(load.failures().is_empty(), "{:?}", load.failures());
    assert_eq!(load.wrong.load(Ordering::Relaxed), 0);
    assert_eq!(rotated["old"], linked["access_key_id"]);
    assert_eq!(rotated["revoked"], true);
    assert_eq!(kms(&["status"])["problems"], json!([]));
}
