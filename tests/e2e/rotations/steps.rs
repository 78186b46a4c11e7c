//! The rotations: each as an operator does it, and then a look whether it is in force.

use std::time::{Duration, SystemTime};

use harness::certificates::server_valid_until;
use harness::wait_for;
use serde_json::{Value, json};

use super::LIMIT;
use super::window::Rotation;
use super::world::{KEY, SERVICE, Settings, World, request_of};

/// In the order of the table.
pub(super) const ALL: &[Rotation] = &[
    Rotation {
        name: "nothing, to compare with",
        takes: 0,
        run: |_| {},
    },
    Rotation {
        name: "server certificate",
        takes: 0,
        run: server_certificate,
    },
    Rotation {
        name: "client CA (mTLS): both, then the new one alone",
        takes: 0,
        run: client_ca,
    },
    Rotation {
        name: "SigV4 credential, in four steps",
        takes: 4,
        run: credential,
    },
    Rotation {
        name: "external key",
        takes: 0,
        run: external_key,
    },
    Rotation {
        name: "root key",
        takes: 0,
        run: root_key,
    },
    Rotation {
        name: "policy: rules, then Rego",
        takes: 0,
        run: policy,
    },
    Rotation {
        name: "configuration: SIGHUP, then the command",
        takes: 0,
        run: configuration,
    },
];

/// Where systemd keeps the socket.
pub(super) const BINARY_UPGRADE: Rotation = Rotation {
    name: "binary upgrade, as systemd restarts it",
    takes: 0,
    run: binary_upgrade,
};

fn server_certificate(world: &World) {
    let shown = || {
        let connection = world
            .connect(&world.client("client"))
            .expect("a connection");
        let session = connection.session().expect("TLS");
        session.peer_certificates().expect("a certificate")[0].to_vec()
    };
    let before = shown();
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    world.write(
        &server_valid_until(SystemTime::now() + month),
        "tls/chain.pem",
    );
    world.proxy(&["reload"]);
    assert_ne!(shown(), before);
}

fn client_ca(world: &World) {
    let read = |name: &str| std::fs::read_to_string(world.path(name)).expect("a root");
    let (old, new) = (read("tls/old-root.pem"), read("tls/new-root.pem"));
    let is_served = |name: &str| {
        let ping = b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let connected = world.connect(&world.client(name));
        connected.and_then(|mut connection| connection.exchange(ping))
    };
    world.write(&(old + &new), "tls/client-ca.pem");
    world.proxy(&["reload"]);
    assert_eq!(
        is_served("client-of-old-root").expect("an answer").status,
        200
    );
    world.write(&new, "tls/client-ca.pem");
    world.proxy(&["reload"]);
    assert!(is_served("client-of-old-root").is_err());
    assert_eq!(is_served("client").expect("an answer").status, 200);
}

fn credential(world: &World) {
    let rotated = world.proxy(&["kms", "rotate-credential", "--quiet-for", "2s", "--json"]);
    let rotated: Value = serde_json::from_str(&rotated).expect("JSON");
    assert_eq!(rotated["revoked"], true, "{rotated}");
}

fn external_key(world: &World) {
    let version = || {
        let key = world.proxy(&["key", "show", KEY, "--json"]);
        let key: Value = serde_json::from_str(&key).expect("JSON");
        key["current_version"].as_u64().expect("a version")
    };
    let before = version();
    world.proxy(&["key", "rotate", KEY]);
    assert_eq!(version(), before + 1);
}

fn root_key(world: &World) {
    let read = || std::fs::read(world.path("data/root.key")).expect("a root key");
    let before = read();
    world.proxy(&["root-key", "rotate"]);
    assert_ne!(read(), before);
}

fn policy(world: &World) {
    let anyone = "[[key_stores.rules]]\nid = \"all\"\neffect = \"allow\"\n";
    let rule = format!(
        "{anyone}[[key_stores.rules]]\nid = \"leaver\"\neffect = \"deny\"\nprincipals = [\"{LEAVER}\"]\n"
    );
    let take_up = |policy: &str, refused: &str| {
        let settings = Settings {
            policy,
            ..Settings::default()
        };
        world.configure(&settings);
        world.proxy(&["reload"]);
        let answer = world.ask(&format!("keys/{KEY}/encrypt"), &request_of(refused));
        assert_eq!(answer.json()["errorName"], "AccessDeniedException");
    };
    take_up(&rule, LEAVER);
    let rego = |principal: &str| {
        format!(
            "package xks\n\ndefault allow := false\n\nallow if input.requestMetadata.awsPrincipalArn != \"{principal}\"\n"
        )
    };
    // The next one is the same configuration: only the file that it names is another.
    for refused in [LEAVER, OTHER] {
        world.write(&rego(refused), "policy.rego");
        take_up("[key_stores.rego]\nfiles = [\"policy.rego\"]\n", refused);
    }
    world.configure(&Settings::default());
    world.proxy(&["reload"]);
    let answer = world.ask(&format!("keys/{KEY}/encrypt"), &request_of(OTHER));
    assert_eq!(answer.status, 200);
}

fn configuration(world: &World) {
    let size = || {
        let body = json!({"requestMetadata": {
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae", "kmsOperation": "KmsHealthCheck",
        }});
        world.ask("health", &body).json()["xksProxyFleetSize"].clone()
    };
    let configure = |fleet_size| {
        world.configure(&Settings {
            fleet_size,
            ..Settings::default()
        });
    };
    configure(7);
    world.hang_up();
    wait_for("the reload", LIMIT, || (size() == 7).then_some(()));
    configure(3);
    world.proxy(&["reload"]);
    assert_eq!(size(), 3);
}

fn binary_upgrade(world: &World) {
    let systemd = world.systemd().expect("systemd");
    let process = || systemd.property(SERVICE, "MainPID");
    let before = process();
    world.install(&harness::binaries::xks_proxy(), "bin/xks-proxy");
    systemd.control(&["restart", SERVICE]);
    assert_ne!(process(), before);
    // It was asked to end, and did: systemd had to start none by itself.
    assert_eq!(
        systemd.property(SERVICE, "NRestarts"),
        "0",
        "{}",
        world.log()
    );
}

const LEAVER: &str = "arn:aws:iam::111122223333:user/leaver";
const OTHER: &str = "arn:aws:iam::111122223333:user/other";
