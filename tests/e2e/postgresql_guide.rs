//! `proxy/docs/postgresql.md`: its blocks are run as they are printed there, one after another.

use std::process::Command;
use std::time::Duration;

use harness::postgres::Postgres;
use harness::process::run;
use harness::{backend, binaries, certificates, free_port, temp_dir};

use crate::page::Page;
use crate::pages::stand_ins;

#[test]
fn from_nothing_to_a_fleet() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(reason) => return backend::missing("PostgreSQL end to end", &reason),
    };
    let _alone = crate::alone();
    let (guide, scaling) = (
        Page::read("proxy/docs/postgresql.md"),
        Page::read("proxy/docs/scaling.md"),
    );
    let mut share = guide.share("from_nothing_to_a_fleet");
    // As long as the fleet runs: its connections, as another page counts them.
    let count = scaling.share("from_nothing_to_a_fleet").rest();
    let folder = temp_dir();
    let root = folder.path().display().to_string();
    // Certificates are what the guide takes for granted.
    let tls = folder.path().join("xks-proxy/tls");
    std::fs::create_dir_all(&tls).unwrap();
    for (from, to) in [
        ("server-ecdsa.crt.pem", "chain.pem"),
        ("server-ecdsa.test-key.pem", "key.pem"),
        ("root-ca.crt.pem", "database-ca.pem"),
        ("root-ca.crt.pem", "ca.pem"),
    ] {
        std::fs::copy(certificates::path(from), tls.join(to)).unwrap();
    }
    let mut commands = String::new();
    while share.len() > 1 {
        commands.push_str(share.next());
    }
    let commands = format!(
        "{commands}echo connections of the fleet\n{count}echo\n{}",
        share.next()
    );
    // All machines are this one: the second has ports of its own.
    let [proxy, other_proxy, health, other_health, kms] = [(); 5].map(|()| free_port());
    let elsewhere = format!(
        "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n\
         cp() {{ command cp \"$@\"; sed -i 's/:{proxy}\"/:{other_proxy}\"/; s/:{health}\"/:{other_health}\"/' \
         {root}/xks-proxy-2/xks-proxy.toml; }}\n"
    );
    let script = commands
        .replace("0.0.0.0:443", &format!("127.0.0.1:{proxy}"))
        .replace("127.0.0.1:443", &format!("127.0.0.1:{proxy}"))
        .replace("0.0.0.0:8080", &format!("127.0.0.1:{health}"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{health}"))
        .replace("127.0.0.1:4599", &format!("127.0.0.1:{kms}"))
        .replace("psql -c", "psql -q -X -A -t \"$DATABASE\" -c")
        .replace(
            "db.example.com:5432",
            &format!("127.0.0.1:{}", postgres.port()),
        )
        .replace("xks.example.com", "xks.test")
        .replace("/etc/", &format!("{root}/"));
    let script = elsewhere + &stand_ins::functions(&[&stand_ins::SUDO]) + &script;
    let mut path = std::env::var("PATH").unwrap_or_default();
    for program in [binaries::xks_proxy(), binaries::kms_sim()] {
        path = format!("{}:{path}", program.parent().unwrap().display());
    }
    let mut bash = Command::new("bash");
    bash.args(["-e", "-o", "pipefail", "-c", &script])
        .env("PATH", path)
        .env("DATABASE", postgres.url())
        .env(
            "PGPASSWORD",
            std::fs::read_to_string(postgres.password_file())
                .unwrap()
                .trim(),
        );
    let (status, stdout, stderr) = run(&mut bash, Duration::from_secs(120));
    assert!(status.success(), "{stdout}{stderr}");
    for expected in [
        "payroll",
        "everything is wrapped under the root key",
        "is CONNECTED",
        "arn:aws:kms:us-east-1:",
        "folder has all of fleet: 1 keys with 2 versions, 2 credentials, each one tried",
    ] {
        assert!(
            stdout.contains(expected),
            "no {expected:?} in:\n{stdout}{stderr}"
        );
    }
    // Two proxies have at most three each.
    let (_, counted) = stdout
        .split_once("connections of the fleet\n")
        .expect("the count");
    let counted: Vec<u32> = counted
        .lines()
        .map_while(|line| line.parse().ok())
        .collect();
    assert!(
        matches!(*counted, [connections, of] if (2..=6).contains(&connections) && of > connections),
        "{stdout}"
    );
    // The other machine saw the rotation and got the new root key.
    let listed = stdout.rsplit("KEY ").next().unwrap_or_default();
    assert!(
        listed.contains("payroll") && listed.contains("  2  "),
        "{stdout}"
    );
    assert!(
        !folder
            .path()
            .join("xks-proxy-2/data/root.key.next")
            .exists()
    );
}
