//! A keyring that a fleet shares, as requests and GetHealthStatus see it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use time::OffsetDateTime;
use xks_api::message::HealthStatus;

use super::super::cipher::random_material;
use super::super::live::{Freshness, Live, Moment, Proxy};
use super::super::record::KeyRecord;
use super::super::store::Contents;
use super::{Embedded, Folder, Usages, id};
use crate::key_manager::{InstanceHealth, KeyManager as _, KeyManagerError};

/// A key manager with the key `a`, in memory as it was at this moment.
fn shared(max_age: Duration) -> (Folder, Embedded) {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let administration = folder.open(&root_key).unwrap().administration();
    let material = random_material().unwrap();
    let record = KeyRecord::new(Usages::None, material, OffsetDateTime::UNIX_EPOCH);
    let contents = Contents {
        keys: [(id("a"), record)].into(),
        ..Contents::default()
    };
    let live = Live::new(contents, Freshness::limited(max_age, Moment::now())).unwrap();
    let embedded = Embedded {
        live,
        administration,
    };
    (folder, embedded)
}

#[tokio::test]
async fn keys_are_used_until_their_snapshot_is_too_old() {
    let (_folder, embedded) = shared(Duration::from_secs(3_600));
    assert!(embedded.resolve(&id("a")).await.is_ok());
    assert!(embedded.test_key().await.is_ok());

    let (_folder, embedded) = shared(Duration::ZERO);
    sleep(Duration::from_millis(5));
    for refused in [
        embedded.resolve(&id("a")).await.map(drop),
        embedded.test_key().await.map(drop),
    ] {
        let Err(KeyManagerError::Unavailable(cause)) = refused else {
            panic!("{refused:?}");
        };
        assert!(cause.to_string().contains("snapshot_max_age"), "{cause}");
    }
}

#[test]
fn each_proxy_of_a_fleet_is_an_instance_and_those_that_are_there_count() {
    let (_folder, embedded) = shared(Duration::ZERO);
    assert_eq!(embedded.fleet_size(), None);
    let alone = embedded.description().instances;
    assert_eq!((alone.len(), &*alone[0].id), (1, "embedded"));

    let proxy = |id: &str, is_there, health| Proxy {
        id: id.into(),
        version: "9.8.7".into(),
        is_there,
        health,
    };
    let told = InstanceHealth::Told;
    embedded.live.proxies.store(Arc::new(vec![
        proxy("here", true, InstanceHealth::Probed),
        proxy("there", true, told(HealthStatus::Degraded)),
        proxy("gone", false, told(HealthStatus::Unavailable)),
    ]));
    assert_eq!(embedded.fleet_size(), NonZeroU32::new(2));
    let instances = embedded.description().instances;
    let ids: Vec<_> = instances.iter().map(|instance| &*instance.id).collect();
    assert_eq!(ids, ["here", "there", "gone"]);
    assert!(instances.iter().all(|i| i.model.ends_with(" 9.8.7")));
    assert_eq!(instances[1].health, told(HealthStatus::Degraded));
}
