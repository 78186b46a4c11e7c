//! A server that is frozen, sealed, killed, slow, cut off or not the one that it says: what requests get meanwhile, and
//! that service returns by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::byte_counter::ByteCounter;
use harness::certificates;
use harness::openbao::{OpenBao, Tenant};
use rustix::process::Signal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use xks_proxy::key_manager::KeyManagerError;
use xks_proxy::key_manager::transit::{Settings, Transit};

use super::backend::{address, available, decrypts, encrypt, with_token};

#[tokio::test]
async fn a_frozen_server_is_a_timeout_in_time_for_kms_until_it_goes_on() {
    let Some(bao) = available(OpenBao::start()) else {
        return;
    };
    let service = Service::of(Arc::new(bao), |_| {});
    let sealed = service.works().await;
    service.tenant.bao.signal(Signal::STOP);
    // From the answers in time by itself, to those without asking, when the breaker has opened in between.
    let mut answers: Vec<Duration> = Vec::new();
    let at_once = |took: &&Duration| **took < Duration::from_millis(50);
    while answers.iter().filter(at_once).count() < 3 {
        assert!(answers.len() < 60, "the breaker is closed: {answers:?}");
        let start = Instant::now();
        let answer = encrypt(&service.transit, "k").await;
        assert!(
            matches!(answer, Err(KeyManagerError::TimedOut)),
            "{answer:?}"
        );
        answers.push(start.elapsed());
    }
    answers.sort();
    // Not the slowest ones: others use this machine, too.
    let half = answers[answers.len() / 2];
    assert!(half < Duration::from_millis(250), "{answers:?}");
    service.tenant.bao.signal(Signal::CONT);
    service.returns(&sealed).await;
}

#[tokio::test]
async fn a_sealed_server_is_a_failure_until_it_is_unsealed() {
    let Some(bao) = available(OpenBao::start()) else {
        return;
    };
    let service = Service::of(Arc::new(bao), |_| {});
    let sealed = service.works().await;
    service.tenant.bao.seal();
    service.fails_with("sealed").await;
    service.tenant.bao.unseal();
    service.returns(&sealed).await;
}

#[tokio::test]
async fn a_killed_server_is_a_failure_until_it_is_started_again() {
    // In memory, the key would be lost.
    let Some(mut nodes) = available(OpenBao::cluster(1)) else {
        return;
    };
    let bao = Arc::new(nodes.pop().unwrap());
    let mut service = Service::of(bao, |_| {});
    let sealed = service.works().await;
    service.tenant.bao.signal(Signal::KILL);
    service.fails_with("cannot be reached").await;
    Arc::get_mut(&mut service.tenant.bao).unwrap().restart();
    service.returns(&sealed).await;
}

#[tokio::test]
async fn a_slow_way_is_taken_and_a_too_slow_one_a_timeout() {
    let Some(bao) = available(OpenBao::start()) else {
        return;
    };
    let relay = ByteCounter::start(bao.address);
    let behind = address(relay.address());
    let service = Service::of(Arc::new(bao), |settings| settings.addresses = vec![behind]);
    let sealed = service.works().await;
    relay.slow_down(Duration::from_millis(15));
    assert!(decrypts(&service.transit, "k", &sealed).await.unwrap());
    relay.slow_down(Duration::from_millis(300));
    for _ in 0..20 {
        let answer = encrypt(&service.transit, "k").await;
        assert!(
            matches!(answer, Err(KeyManagerError::TimedOut)),
            "{answer:?}"
        );
    }
    relay.slow_down(Duration::ZERO);
    service.returns(&sealed).await;
}

#[tokio::test]
async fn a_partition_is_a_timeout_and_refused_connections_are_a_failure() {
    let Some(bao) = available(OpenBao::start()) else {
        return;
    };
    let mut relay = ByteCounter::start(bao.address);
    let behind = address(relay.address());
    let service = Service::of(Arc::new(bao), |settings| settings.addresses = vec![behind]);
    let sealed = service.works().await;
    relay.stall();
    let answer = encrypt(&service.transit, "k").await;
    assert!(
        matches!(answer, Err(KeyManagerError::TimedOut)),
        "{answer:?}"
    );
    relay.resume();
    service.returns(&sealed).await;
    // Connections that the server closes while nobody uses them are nobody's fault.
    for _ in 0..5 {
        relay.cut();
        assert!(decrypts(&service.transit, "k", &sealed).await.unwrap());
    }
    relay.refuse();
    relay.cut();
    service.fails_with("cannot be reached").await;
    relay.accept_again();
    service.returns(&sealed).await;
}

#[tokio::test]
async fn a_server_whose_certificate_is_of_another_ca_gets_no_token() {
    let Some(bao) = available(OpenBao::start()) else {
        return;
    };
    let foreign = certificates::path("foreign-ca.crt.pem");
    let foreign = CertificateDer::from_pem_file(foreign).unwrap();
    let service = Service::of(Arc::new(bao), |settings| settings.roots = vec![foreign]);
    service.fails_with("no CA in ca_file has issued it").await;
}

/// A key manager with the key `k`, and its server.
struct Service {
    transit: Transit,
    tenant: Tenant,
    _folder: tempfile::TempDir,
}

impl Service {
    fn of(bao: Arc<OpenBao>, change: impl FnOnce(&mut Settings)) -> Self {
        let tenant = Tenant::root_of(bao);
        tenant.create_key("k");
        let (mut settings, folder) = with_token(&tenant, "1h");
        // As in production.
        settings.timeout = Settings::DEFAULT_TIMEOUT;
        change(&mut settings);
        Self {
            transit: Transit::open("x", settings).unwrap(),
            tenant,
            _folder: folder,
        }
    }

    /// Encrypts; again where this busy machine was too slow at first.
    async fn works(&self) -> xks_api::sealed::Sealed {
        let start = Instant::now();
        loop {
            match encrypt(&self.transit, "k").await {
                Ok(sealed) => return sealed,
                Err(error) => assert!(start.elapsed() < LIMIT, "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn returns(&self, sealed: &xks_api::sealed::Sealed) {
        self.works().await;
        let start = Instant::now();
        loop {
            match decrypts(&self.transit, "k", sealed).await {
                Ok(right) => return assert!(right),
                Err(error) => assert!(start.elapsed() < LIMIT, "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// No success, and at last a failure whose cause says this.
    async fn fails_with(&self, what: &str) {
        let start = Instant::now();
        loop {
            let answer = encrypt(&self.transit, "k").await;
            let cause = match answer {
                Err(KeyManagerError::Unavailable(cause)) => cause.to_string(),
                Err(KeyManagerError::TimedOut) => String::new(),
                other => panic!("{other:?}"),
            };
            if cause.contains(what) {
                return;
            }
            assert!(start.elapsed() < LIMIT, "{cause}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

const LIMIT: Duration = Duration::from_secs(60);
