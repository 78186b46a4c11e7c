//! A whole proxy in front of each key manager, tried by `kms-sim conformance`'s suite, with every case that there is.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use harness::certificates as files;
use kms_sim::ClientCertificate;
use kms_sim::conformance::{Credential, More, Results, Selection, Target, Verdict, run};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use xks_api::ids::{ExternalKeyId, UriPathPrefix};
use xks_api::sigv4::Regions;
use xks_proxy::authenticate::Credentials;
use xks_proxy::health::{Monitored, ProxyIdentity};
use xks_proxy::key_manager::{Answer, Description, ExternalKey, KeyManager};
use xks_proxy::key_store::{ExternalKeyStore, KeySelection, KeyStores};
use xks_proxy::request_log::{LogFormat, RequestLog};
use xks_proxy::runtime::{Limits, Runtime, Snapshot};
use xks_proxy::server::{self, Drain, Listeners};
use xks_proxy::tls::{ClientAuthentication, TlsMaterial, server_config};

use crate::suite::Backend;

/// Instantiates the test in a module of the backend.
#[macro_export]
macro_rules! conforms {
    ($backend:ty) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_proxy_in_front_of_it_conforms() {
            if let Some(backend) = <$backend as $crate::suite::Backend>::prepare() {
                $crate::conformance::conforms(backend).await;
            }
        }
    };
    ($backend:ty, through $runner:path) => {
        #[test]
        fn a_proxy_in_front_of_it_conforms() {
            let path = concat!(module_path!(), "::a_proxy_in_front_of_it_conforms");
            $runner(path, async || {
                let backend = <$backend as $crate::suite::Backend>::prepare().unwrap();
                $crate::conformance::conforms(backend).await;
            });
        }
    };
}

/// Every case passes, SHOULDs as well.
pub async fn conforms<B: Backend + Send + Sync + 'static>(backend: B) {
    let (stop, signal) = oneshot::channel::<()>();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (log, log_guard) = RequestLog::start(Box::new(std::io::sink()), LogFormat::Json).unwrap();
    let snapshot = snapshot(Arc::new(InProxy(backend)));
    let runtime = Arc::new(Runtime::new(snapshot, log, SystemTime::now));
    let drain = Drain {
        delay: Duration::ZERO,
        timeout: Duration::from_secs(5),
    };
    let listeners = Listeners {
        api: listener,
        health: None,
    };
    let server = tokio::spawn(server::run(listeners, runtime, drain, async {
        drop(signal.await);
    }));
    let (tell, told) = oneshot::channel();
    // The suite blocks, and has a runtime of its own for HTTP/2.
    std::thread::spawn(move || {
        let selection = Selection {
            only: Vec::new(),
            strict: true,
        };
        drop(tell.send(run(&target::<B>(address), &selection, |_, _, _| {})));
    });
    let results = told.await.unwrap().unwrap();
    drop(stop);
    server.await.unwrap();
    drop(log_guard);
    assert_all_passed(&results);
}

fn assert_all_passed(results: &Results) {
    // What a proxy cannot be tried for that does more, or less, than is asked for.
    let may_be_skipped = |why: &str| why.contains("20 bytes already");
    let others = results.cases.iter().filter(|tried| match &tried.verdict {
        Verdict::Passed => false,
        Verdict::Skipped(why) => !may_be_skipped(why),
        Verdict::Warned(_) | Verdict::Failed(_) => true,
    });
    let others: Vec<_> = others
        .map(|tried| {
            let exchange = tried.exchanges.last();
            format!("{}: {:?}\n{exchange:#?}", tried.case.name, tried.verdict)
        })
        .collect();
    assert!(others.is_empty(), "{}", others.join("\n"));
    assert!(results.passed() > 440, "{}", results.summary());
}

/// A backend owned by a proxy.
struct InProxy<B>(B);

impl<B: Backend + Send + Sync> KeyManager for InProxy<B> {
    fn resolve<'a>(&'a self, id: &'a ExternalKeyId) -> Answer<'a, Arc<dyn ExternalKey>> {
        self.0.key_manager().resolve(id)
    }

    fn test_key(&self) -> Answer<'_, Arc<dyn ExternalKey>> {
        self.0.key_manager().test_key()
    }

    fn description(&self) -> Description {
        self.0.key_manager().description()
    }
}

fn snapshot(key_manager: Arc<dyn KeyManager>) -> Snapshot {
    let monitored = Arc::new(Monitored::new(
        "suite",
        key_manager,
        Duration::from_millis(100),
    ));
    let client = ClientAuthentication {
        roots: certificates("client-ca"),
        crls: Vec::new(),
        subject_common_names: vec!["cks.kms.us-east-1.amazonaws.com".into()],
    };
    let material = TlsMaterial {
        chain: certificates("server-ecdsa"),
        key: key("server-ecdsa"),
        client: Some(client.clone()),
    };
    let stores = [
        (PREFIX, vec![FIRST, SECOND]),
        (OTHER_PREFIX, vec![ELSEWHERE]),
    ];
    let stores = stores.map(|(prefix, credentials)| {
        let prefix = UriPathPrefix::try_from(prefix).unwrap();
        let mut keys = KeySelection::default();
        keys.add("*").unwrap();
        let credentials = credentials
            .into_iter()
            .map(|(id, secret)| (id.try_into().unwrap(), secret.try_into().unwrap()))
            .collect();
        ExternalKeyStore {
            measures: Arc::default(),
            prefix: prefix.clone(),
            key_manager: Arc::clone(&monitored),
            keys,
            policy: None,
            quota: None,
            credentials: Credentials::new(prefix, Regions::Any, credentials, None).unwrap(),
            blocks: Arc::default(),
        }
    });
    Snapshot {
        tls: Arc::new(server_config(&material).unwrap()),
        admin_tls: None,
        client_authentication: Some(client),
        key_stores: KeyStores::new(stores),
        key_managers: vec![monitored],
        identity: ProxyIdentity {
            fleet_size: NonZeroU32::MIN,
            vendor: "xks-proxy".into(),
            model: "xks-proxy 0.1".into(),
        },
        limits: Limits::default(),
    }
}

fn target<B: Backend>(address: SocketAddr) -> Target {
    let credential = |(id, secret): (&str, &str)| Credential {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
    };
    let client = |name| ClientCertificate {
        chain: certificates(name),
        key: key(name),
    };
    let named = |name: &str| Some(name.to_owned());
    Target {
        host: "localhost".to_owned(),
        port: None,
        addresses: vec![address],
        uri_path: format!("{PREFIX}/kms/xks/v1"),
        credential: credential(FIRST),
        region: "us-east-1".to_owned(),
        key_id: B::KEY.to_owned(),
        trust: certificates("root-ca"),
        client: Some(client("client")),
        more: More {
            other_key: named(B::OTHER_KEY),
            encrypt_only_key: named(B::ENCRYPT_ONLY_KEY),
            decrypt_only_key: named(B::DECRYPT_ONLY_KEY),
            disabled_key: named(B::DISABLED_KEY),
            unknown_key: None,
            second_credential: Some(credential(SECOND)),
            other_uri_path: Some(format!("{OTHER_PREFIX}/kms/xks/v1")),
            other_subject: Some(client("client-wrong-cn")),
            load_balancer_path: named("/ping"),
        },
        principal_arn: "arn:aws:iam::123456789012:user/Alice".to_owned(),
        kms_key_arn: "arn:aws:kms:us-east-1:123456789012:key/1234abcd".to_owned(),
        patience: Duration::from_secs(10),
    }
}

fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    let file = files::path(&format!("{name}.crt.pem"));
    let read = CertificateDer::pem_file_iter(file).unwrap();
    read.collect::<Result<_, _>>().unwrap()
}

fn key(name: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(files::path(&format!("{name}.test-key.pem"))).unwrap()
}

const PREFIX: &str = "/conformance";
const OTHER_PREFIX: &str = "/elsewhere";
const FIRST: (&str, &str) = (
    "ABCDEFGHIJKLMNOPQRST",
    "Suite+Tests/Only=Suite+Tests/Only=Suite+Tests/Only=",
);
const SECOND: (&str, &str) = (
    "TSRQPONMLKJIHGFEDCBA",
    "Other+Tests/Only=Other+Tests/Only=Other+Tests/Only=",
);
const ELSEWHERE: (&str, &str) = (
    "ZYXWVUTSRQPONMLKJIHG",
    "Third+Tests/Only=Third+Tests/Only=Third+Tests/Only=",
);
