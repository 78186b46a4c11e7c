//! Tokens: the ways to get one, renewal before the end, another one after it, and that they stay secret.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::openbao::{Tenant, ca_file};
use serde_json::{Value, json};
use tempfile::TempDir;
use xks_proxy::key_manager::KeyManagerError;
use xks_proxy::key_manager::transit::{Login, Settings, Transit};

use super::backend::{encrypt, settings, tenant, token_file, with_token};

#[tokio::test]
async fn an_approle_logs_in_renews_and_logs_in_again_when_its_token_may_live_no_longer() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    // Renewed after 2 s and 4 s, replaced before 6 s.
    let role = AppRole::new(&tenant, "3s", "6s");
    let transit = Transit::open("x", role.settings(&tenant)).unwrap();
    let start = Instant::now();
    let mut requests = 0;
    while start.elapsed() < Duration::from_secs(10) {
        encrypt(&transit, "k").await.unwrap();
        requests += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(requests > 20, "{requests}");
    let tokens = tenant.call("LIST", "auth/token/accessors", &Value::Null);
    let tokens = tokens["data"]["keys"].as_array().unwrap().len();
    assert!((1..=3).contains(&tokens), "{tokens} tokens live");
}

#[tokio::test]
async fn a_token_that_is_revoked_is_replaced_within_the_request_that_finds_out() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let role = AppRole::new(&tenant, "1h", "2h");
    let transit = Transit::open("x", role.settings(&tenant)).unwrap();
    encrypt(&transit, "k").await.unwrap();
    for _ in 0..2 {
        // A token that was good a moment ago is not doubted at once.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        revoke_all(&tenant);
        encrypt(&transit, "k").await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_secret_id_is_told_and_a_right_one_is_taken_up() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let role = AppRole::new(&tenant, "1h", "2h");
    let right = std::fs::read_to_string(role.secret_id_file()).unwrap();
    std::fs::write(
        role.secret_id_file(),
        "2b2d6e5c-0000-4000-8000-3a0b6f1f0a55",
    )
    .unwrap();
    let transit = Transit::open("x", role.settings(&tenant)).unwrap();
    let refused = encrypt(&transit, "k").await;
    let Err(KeyManagerError::Unavailable(cause)) = refused else {
        panic!("{refused:?}");
    };
    let cause = cause.to_string();
    assert!(cause.contains("invalid role or secret ID"), "{cause}");
    assert!(!cause.contains("2b2d6e5c"), "{cause}");
    std::fs::write(role.secret_id_file(), right).unwrap();
    returns(&transit).await;
}

#[tokio::test]
async fn a_token_in_a_file_is_renewed_and_its_successor_taken_up() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let (settings, folder) = with_token(&tenant, "2s");
    let transit = Transit::open("x", settings).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        encrypt(&transit, "k").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    revoke_all(&tenant);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let refused = encrypt(&transit, "k").await;
    assert!(
        matches!(refused, Err(KeyManagerError::Unavailable(_))),
        "{refused:?}"
    );
    std::fs::write(token_file(&folder), tenant.token(&["xks-proxy"], "1h")).unwrap();
    returns(&transit).await;
}

/// OpenBao's own Kubernetes method; the TokenReview API that it asks is a fake of this test.
#[tokio::test]
async fn a_service_account_logs_in() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let api = TokenReviews::start();
    tenant.post("sys/auth/kubernetes", &json!({"type": "kubernetes"}));
    let config = json!({
        "kubernetes_host": format!("http://127.0.0.1:{}", api.port),
        "kubernetes_ca_cert": std::fs::read_to_string(ca_file()).unwrap(),
        "disable_local_ca_jwt": true,
        "token_reviewer_jwt": service_account_token("reviewer"),
    });
    tenant.post("auth/kubernetes/config", &config);
    let role = json!({
        "bound_service_account_names": "xks-proxy",
        "bound_service_account_namespaces": "kms",
        "audience": "openbao",
        "token_policies": "xks-proxy",
        "token_ttl": "1h",
    });
    tenant.post("auth/kubernetes/role/xks-proxy", &role);
    let folder = harness::temp_dir();
    let jwt_file = folder.path().join("jwt");
    let token = service_account_token("xks-proxy");
    std::fs::write(&jwt_file, &token).unwrap();
    let login = Login::Kubernetes {
        mount: "kubernetes".try_into().unwrap(),
        role: "xks-proxy".to_owned(),
        jwt_file,
    };
    let transit = Transit::open("x", settings(&tenant, login)).unwrap();
    encrypt(&transit, "k").await.unwrap();
    let reviewed = api.reviewed.lock().unwrap().clone();
    assert_eq!(reviewed, [token]);
}

/// An AppRole of the shipped policy, its secret id in a file.
struct AppRole {
    role_id: String,
    folder: TempDir,
}

impl AppRole {
    fn new(tenant: &Tenant, ttl: &str, max_ttl: &str) -> Self {
        tenant.post("sys/auth/approle", &json!({"type": "approle"}));
        let role = json!({
            "token_policies": "xks-proxy",
            "token_no_default_policy": true,
            "token_ttl": ttl,
            "token_max_ttl": max_ttl,
        });
        tenant.post("auth/approle/role/xks-proxy", &role);
        let path = "auth/approle/role/xks-proxy/role-id";
        let role_id = tenant.call("GET", path, &Value::Null);
        let path = "auth/approle/role/xks-proxy/secret-id";
        let secret_id = tenant.post(path, &json!({}));
        let role = Self {
            role_id: role_id["data"]["role_id"].as_str().unwrap().to_owned(),
            folder: harness::temp_dir(),
        };
        let secret_id = secret_id["data"]["secret_id"].as_str().unwrap();
        std::fs::write(role.secret_id_file(), format!("{secret_id}\n")).unwrap();
        role
    }

    fn secret_id_file(&self) -> PathBuf {
        self.folder.path().join("secret-id")
    }

    fn settings(&self, tenant: &Tenant) -> Settings {
        let login = Login::AppRole {
            mount: "approle".try_into().unwrap(),
            role_id: self.role_id.clone(),
            secret_id_file: self.secret_id_file(),
        };
        settings(tenant, login)
    }
}

/// Every token of the tenant's namespace; the root token is of another one.
fn revoke_all(tenant: &Tenant) {
    let tokens = tenant.call("LIST", "auth/token/accessors", &Value::Null);
    for accessor in tokens["data"]["keys"].as_array().unwrap() {
        tenant.post("auth/token/revoke-accessor", &json!({"accessor": accessor}));
    }
}

async fn returns(transit: &Transit) {
    let start = Instant::now();
    while let Err(error) = encrypt(transit, "k").await {
        assert!(start.elapsed() < Duration::from_secs(30), "{error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// As Kubernetes makes them, with a signature that only the TokenReview API could check.
fn service_account_token(name: &str) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = part(json!({"alg": "RS256", "kid": "test"}));
    let claims = part(json!({
        "aud": ["openbao"],
        "exp": 4_102_444_800_u64,
        "iat": 1_700_000_000,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "kubernetes.io": {
            "namespace": "kms",
            "serviceaccount": {"name": name, "uid": UID},
        },
        "sub": format!("system:serviceaccount:kms:{name}"),
    }));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 256]))
}

const UID: &str = "4b0c7c0e-0000-4000-8000-000000000001";

/// Takes every token for that of the service account `xks-proxy`, and remembers it; ends on drop.
struct TokenReviews {
    port: u16,
    reviewed: Arc<Mutex<Vec<String>>>,
}

impl TokenReviews {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let reviewed = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::downgrade(&reviewed);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(sink) = sink.upgrade() else { return };
                let Ok(mut stream) = stream else { continue };
                stream
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                let Some(review) = read_json(&mut stream) else {
                    continue;
                };
                let token = review["spec"]["token"].as_str().unwrap_or_default();
                sink.lock().unwrap().push(token.to_owned());
                let answer = json!({
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenReview",
                    "status": {
                        "authenticated": true,
                        "audiences": ["openbao"],
                        "user": {
                            "username": "system:serviceaccount:kms:xks-proxy",
                            "uid": UID,
                            "groups": ["system:serviceaccounts"],
                        },
                    },
                })
                .to_string();
                let head = format!(
                    "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n",
                    answer.len()
                );
                drop(stream.write_all(format!("{head}{answer}").as_bytes()));
            }
        });
        Self { port, reviewed }
    }
}

impl Drop for TokenReviews {
    fn drop(&mut self) {
        self.reviewed = Arc::default();
        // Wakes the thread, which then sees that nobody is left.
        drop(std::net::TcpStream::connect((
            Ipv4Addr::LOCALHOST,
            self.port,
        )));
    }
}

/// A request's body, as soon as it is whole.
fn read_json(stream: &mut impl std::io::Read) -> Option<Value> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(json) = serde_json::from_str(body)
        {
            return Some(json);
        }
    }
}
