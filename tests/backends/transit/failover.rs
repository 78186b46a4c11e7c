//! Several servers: a dead one, a sealed one, a standby, and a cluster that loses its leader under load.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::free_port;
use harness::openbao::{OpenBao, Tenant};
use rustix::process::Signal;
use xks_api::message::HealthStatus;
use xks_proxy::key_manager::transit::{Settings, Transit};
use xks_proxy::key_manager::{InstanceHealth, KeyManager as _};

use super::backend::{address, available, decrypts, encrypt, tenant, with_token};

#[tokio::test]
async fn a_server_that_is_not_there_is_passed_over() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let (mut settings, _folder) = with_token(&tenant, "1h");
    let nobody: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
    settings.addresses.insert(0, address(nobody));
    let transit = Transit::open("x", settings).unwrap();
    for _ in 0..20 {
        encrypt(&transit, "k").await.unwrap();
    }
}

#[tokio::test]
async fn a_sealed_server_is_passed_over_and_a_standby_passes_on() {
    let Some(nodes) = available(OpenBao::cluster(3)) else {
        return;
    };
    let cluster = Cluster::of(nodes);
    let (transit, _folder) = cluster.transit(Duration::from_secs(10));
    let (mut settings, _other_folder) = with_token(&cluster.tenant, "1h");
    let before = encrypt(&transit, "k").await.unwrap();
    let description = transit.description();
    assert_eq!(description.instances.len(), 3, "{description:?}");

    // The sealing of the leader makes another one.
    let old = cluster.leader();
    old.seal();
    let start = Instant::now();
    while let Err(error) = encrypt(&transit, "k").await {
        assert!(start.elapsed() < LIMIT, "{error:?}");
    }
    assert!(decrypts(&transit, "k", &before).await.unwrap());

    let leader = cluster.leader();
    let standby = |node: &&Arc<OpenBao>| !Arc::ptr_eq(node, &leader) && !Arc::ptr_eq(node, &old);
    let standby = cluster.nodes.iter().find(standby).unwrap();
    settings.addresses = vec![address(standby.address)];
    let transit = Transit::open("x", settings).unwrap();
    let sealed = encrypt(&transit, "k").await.unwrap();
    assert!(decrypts(&transit, "k", &sealed).await.unwrap());
}

#[tokio::test]
async fn each_server_of_a_cluster_is_told_of_as_it_is() {
    use InstanceHealth::AtBest;
    let Some(nodes) = available(OpenBao::cluster(3)) else {
        return;
    };
    let mut cluster = Cluster::of(nodes);
    let (transit, _folder) = cluster.transit(Duration::from_secs(10));
    let up = AtBest(HealthStatus::Active);
    let down = AtBest(HealthStatus::Unavailable);
    // The first request begins to look at the servers.
    encrypt(&transit, "k").await.unwrap();
    told(&transit, &cluster, &[up; 3]).await;

    for killed in [Signal::KILL, Signal::STOP] {
        let leader = cluster.leader();
        let mut expected = [up; 3];
        for (node, health) in cluster.nodes.iter().zip(&mut expected) {
            if Arc::ptr_eq(node, &leader) {
                *health = down;
            }
        }
        leader.signal(killed);
        told(&transit, &cluster, &expected).await;
        drop(leader);
        cluster.bring_back(killed, expected.iter().position(|health| *health == down));
        told(&transit, &cluster, &[up; 3]).await;
    }
    let last = &cluster.nodes[2];
    last.seal();
    told(&transit, &cluster, &[up, up, down]).await;
    last.unseal();
    told(&transit, &cluster, &[up; 3]).await;
}

/// Waits until the description says this of the servers, in the order of their addresses.
async fn told(transit: &Transit, cluster: &Cluster, expected: &[InstanceHealth]) {
    let start = Instant::now();
    loop {
        let instances = transit.description().instances;
        let addresses = cluster.nodes.iter().map(|node| node.address.to_string());
        assert!(instances.iter().map(|i| i.id.clone()).eq(addresses));
        if instances
            .iter()
            .map(|i| i.health)
            .eq(expected.iter().copied())
        {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{instances:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_cluster_that_loses_its_leader_under_load_answers_again_and_never_wrongly() {
    leader_lost_under_load(Signal::KILL).await;
}

#[tokio::test]
async fn a_cluster_whose_leader_freezes_under_load_answers_again_and_never_wrongly() {
    leader_lost_under_load(Signal::STOP).await;
}

async fn leader_lost_under_load(signal: Signal) {
    let Some(nodes) = available(OpenBao::cluster(3)) else {
        return;
    };
    let cluster = Cluster::of(nodes);
    let (transit, _folder) = cluster.transit(Settings::DEFAULT_TIMEOUT);
    let load = Arc::new(Load::default());
    let transit = Arc::new(transit);
    let workers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(work(Arc::clone(&transit), Arc::clone(&load))))
        .collect();
    load.more_successes(100).await;
    let leader = cluster.leader();
    leader.signal(signal);
    let lost = Instant::now();
    let others = cluster
        .nodes
        .iter()
        .filter(|node| !Arc::ptr_eq(node, &leader));
    let others: Vec<_> = others.cloned().collect();
    // The servers are asked by a thread that may block.
    let elected = tokio::task::spawn_blocking(move || {
        harness::wait_for("another leader", LIMIT, || {
            others.iter().any(|node| node.is_active()).then_some(())
        });
    });
    elected.await.unwrap();
    let back = lost.elapsed();
    load.more_successes(100).await;
    load.ended.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let told = format!(
        "{signal:?} to the leader, another one after {back:?}: {} right, {} failed, {} wrong\n",
        count(&load.right),
        count(&load.failed),
        count(&load.wrong)
    );
    // Past the capture of output: these numbers are what the test is for.
    drop(std::io::Write::write_all(
        &mut std::io::stderr(),
        told.as_bytes(),
    ));
    assert_eq!(count(&load.wrong), 0, "{told}");
    leader.signal(Signal::CONT);
}

/// Encrypts and decrypts until the end, and counts.
async fn work(transit: Arc<Transit>, load: Arc<Load>) {
    while !load.ended.load(Ordering::Relaxed) {
        let counter = match encrypt(&transit, "k").await {
            Err(_) => &load.failed,
            Ok(sealed) => match decrypts(&transit, "k", &sealed).await {
                Ok(true) => &load.right,
                Ok(false) => &load.wrong,
                // What was just encrypted must not be taken for somebody else's.
                Err(xks_proxy::key_manager::KeyManagerError::InvalidCiphertext) => &load.wrong,
                Err(_) => &load.failed,
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[derive(Default)]
struct Load {
    ended: AtomicBool,
    right: AtomicU64,
    failed: AtomicU64,
    wrong: AtomicU64,
}

impl Load {
    async fn more_successes(&self, number: u64) {
        let enough = self.right.load(Ordering::Relaxed) + number;
        let start = Instant::now();
        while self.right.load(Ordering::Relaxed) < enough {
            assert!(start.elapsed() < LIMIT, "no more successes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Three servers with the key `k`.
struct Cluster {
    nodes: Vec<Arc<OpenBao>>,
    tenant: Tenant,
}

impl Cluster {
    fn of(nodes: Vec<OpenBao>) -> Self {
        let nodes: Vec<_> = nodes.into_iter().map(Arc::new).collect();
        let tenant = Tenant::root_of(Arc::clone(&nodes[0]));
        tenant.create_key("k");
        Self { nodes, tenant }
    }

    fn transit(&self, timeout: Duration) -> (Transit, tempfile::TempDir) {
        let (mut settings, folder) = with_token(&self.tenant, "1h");
        settings.timeout = timeout;
        settings.addresses = self
            .nodes
            .iter()
            .map(|node| address(node.address))
            .collect();
        (Transit::open("x", settings).unwrap(), folder)
    }

    /// Undoes a signal.
    fn bring_back(&mut self, signal: Signal, number: Option<usize>) {
        let number = number.unwrap();
        if signal == Signal::STOP {
            return self.nodes[number].signal(Signal::CONT);
        }
        // The tenant has the first one, too.
        if number == 0 {
            self.tenant.bao = Arc::clone(&self.nodes[1]);
        }
        Arc::get_mut(&mut self.nodes[number]).unwrap().restart();
    }

    fn leader(&self) -> Arc<OpenBao> {
        harness::wait_for("a leader", LIMIT, || {
            self.nodes.iter().find(|node| node.is_active()).cloned()
        })
    }
}

const LIMIT: Duration = Duration::from_secs(60);
