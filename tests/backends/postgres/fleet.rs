//! Several proxies on one keyring: changes reach all, writers do not undo each other, and everybody is counted.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use harness::wait_for;
use xks_api::ids::UriPathPrefix;
use xks_api::message::{HealthStatus, KeyStatus};
use xks_proxy::key_manager::embedded::{Embedded, Force, Usages, VersionState};
use xks_proxy::key_manager::{InstanceHealth, KeyManager};

use super::{Fleet, SOON, decrypts, encrypt, id, shared, status};

#[test]
fn every_change_of_one_reaches_the_other_by_notification() {
    let Some(server) = shared() else { return };
    let mut fleet = Fleet::new(server);
    // What arrives, arrives by notification.
    fleet.config.poll_interval = Duration::from_secs(600);
    let (a, b) = (fleet.open("a"), fleet.open("b"));
    let admin = a.administration();

    let started = Instant::now();
    admin.create_key(&id("k"), Usages::EncryptDecrypt).unwrap();
    wait_for("the key", SOON, || encrypt(&b, "k").ok());
    // Far from the ten minutes that polling would take; a second on a machine with nothing else to do.
    assert!(started.elapsed() < SOON);

    let sealed = encrypt(&a, "k").unwrap();
    assert!(decrypts(&b, "k", &sealed));
    admin.rotate_key(&id("k")).unwrap();
    let rotated = encrypt(&a, "k").unwrap();
    wait_for("the rotation", SOON, || {
        decrypts(&b, "k", &rotated).then_some(())
    });
    assert!(decrypts(&b, "k", &sealed));

    admin
        .set_version_state(&id("k"), 1, VersionState::Retired)
        .unwrap();
    wait_for("the retirement", SOON, || {
        (!decrypts(&b, "k", &sealed)).then_some(())
    });
    admin.set_key_status(&id("k"), KeyStatus::Disabled).unwrap();
    wait_for("the disabling", SOON, || {
        (status(&b, "k") == Some(KeyStatus::Disabled)).then_some(())
    });
    admin.delete_key(&id("k"), Force::Yes).unwrap();
    wait_for("the deletion", SOON, || {
        status(&b, "k").is_none().then_some(())
    });

    let prefix = UriPathPrefix::try_from("/tenant").unwrap();
    let credential = admin.create_credential(&prefix).unwrap();
    let found = wait_for("the credential", SOON, || {
        b.credentials().find(credential.access_key_id.as_str())
    });
    assert!(found.secret.expose() == credential.secret.expose());
    let generation = b.credentials().generation();
    admin.revoke_credential(&credential.access_key_id).unwrap();
    wait_for("the revocation", SOON, || {
        b.credentials().snapshot().is_empty().then_some(())
    });
    assert_ne!(b.credentials().generation(), generation);
}

#[test]
fn polling_finds_what_no_notification_told() {
    let Some(server) = shared() else { return };
    let mut fleet = Fleet::new(server);
    fleet.config.poll_interval = Duration::from_millis(200);
    let (a, b) = (fleet.open("a"), fleet.open("b"));
    a.administration()
        .create_key(&id("before"), Usages::EncryptDecrypt)
        .unwrap();
    wait_for("the key", SOON, || encrypt(&b, "before").ok());
    // The other listens to a channel that nobody notifies; its connection stays.
    let schema = fleet.config.schema.to_string();
    let cut = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'LISTEN {schema}'"
    );
    fleet.sql(&cut);
    for number in 0..10 {
        let name = format!("k-{number}");
        a.administration()
            .create_key(&id(&name), Usages::EncryptDecrypt)
            .unwrap();
        wait_for("the key", SOON, || encrypt(&b, &name).ok());
    }
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::new(server);
    let proxies = ["a", "b", "c"].map(|machine| fleet.open(machine));
    let first = proxies[0].administration();
    first
        .create_key(&id("shared"), Usages::EncryptDecrypt)
        .unwrap();
    let barrier = Barrier::new(proxies.len());
    thread::scope(|scope| {
        for (number, proxy) in proxies.iter().enumerate() {
            let barrier = &barrier;
            scope.spawn(move || {
                let admin = proxy.administration();
                barrier.wait();
                for round in 0..8 {
                    let name = format!("{number}-{round}");
                    admin
                        .create_key(&id(&name), Usages::EncryptDecrypt)
                        .unwrap();
                    admin.rotate_key(&id("shared")).unwrap();
                }
            });
        }
    });
    let names: BTreeSet<_> = (0..3)
        .flat_map(|number| (0..8).map(move |round| format!("{number}-{round}")))
        .chain(["shared".to_owned()])
        .collect();
    let fresh = fleet.open("d");
    for proxy in proxies.iter().chain([&fresh]) {
        wait_for("all keys", SOON, || {
            let keys = proxy.administration().keys();
            let found: BTreeSet<_> = keys.iter().map(|key| key.id.clone()).collect();
            (found == names).then_some(())
        });
        wait_for("all rotations", SOON, || {
            let key = proxy.administration().key(&id("shared")).unwrap();
            (key.current_version == 25).then_some(())
        });
    }
    // 1 for init, 1 for the key, one for each change: no generation was given twice.
    let admin = fresh.administration();
    assert!(admin.create_key(&id("shared"), Usages::Encrypt).is_err());
}

#[test]
fn only_one_of_several_makes_a_key_of_one_name() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::new(server);
    let proxies = ["a", "b", "c"].map(|machine| fleet.open(machine));
    let barrier = Barrier::new(proxies.len());
    let made: usize = thread::scope(|scope| {
        let attempts: Vec<_> = proxies
            .iter()
            .map(|proxy| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let admin = proxy.administration();
                    barrier.wait();
                    usize::from(admin.create_key(&id("one"), Usages::EncryptDecrypt).is_ok())
                })
            })
            .collect();
        attempts
            .into_iter()
            .map(|attempt| attempt.join().unwrap())
            .sum()
    });
    assert_eq!(made, 1);
    let sealed = encrypt(&proxies[0], "one").unwrap();
    wait_for("the same key everywhere", SOON, || {
        let all = proxies.iter().all(|proxy| decrypts(proxy, "one", &sealed));
        all.then_some(())
    });
}

#[test]
fn the_tables_are_made_once_by_whoever_comes_first() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::unprepared(server);
    let barrier = Barrier::new(4);
    let results: Vec<_> = thread::scope(|scope| {
        let attempts: Vec<_> = ["a", "b", "c", "d"]
            .map(|machine| {
                let (barrier, fleet) = (&barrier, &fleet);
                scope.spawn(move || {
                    barrier.wait();
                    // One root key file each, so that a wrong one would be seen.
                    let mut place = fleet.place(machine);
                    place.root_key = fleet.root_key(&format!("{machine}.key"));
                    Embedded::init_at(&place).map(|()| place)
                })
            })
            .into_iter()
            .collect();
        attempts
            .into_iter()
            .map(|attempt| attempt.join().unwrap())
            .collect()
    });
    let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for error in refused {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("holds a keyring already"), "{error}");
    }
    let place = made.into_iter().next().unwrap().unwrap();
    drop(Embedded::open_at(place).unwrap());
    assert_eq!(
        fleet.sql("SELECT version FROM xks.schema_version").trim(),
        "4"
    );
}

#[test]
fn the_fleet_is_as_large_as_it_is() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::new(server);
    let (a, b) = (fleet.open("a"), fleet.open("b"));
    let counts = |embedded: &Embedded, expected: u32| {
        let size = embedded.fleet_size().map(std::num::NonZero::get);
        (size == Some(expected)).then_some(())
    };
    for proxy in [&a, &b] {
        wait_for("two proxies", SOON, || counts(proxy, 2));
        let description = proxy.description();
        assert_eq!(description.instances.len(), 2, "{description:?}");
        assert_ne!(description.instances[0].id, description.instances[1].id);
        let health = |wanted| {
            let instances = description.instances.iter();
            instances.filter(|i| i.health == wanted).count()
        };
        // Its own probes tell of one, the other one says so itself.
        assert_eq!(health(InstanceHealth::Probed), 1, "{description:?}");
        let active = InstanceHealth::Told(HealthStatus::Active);
        assert_eq!(health(active), 1, "{description:?}");
    }
    let c = fleet.open("c");
    wait_for("three proxies", SOON, || counts(&a, 3));
    // One that leaves says so; one that died is gone when it has missed its heartbeats.
    c.administration().close();
    drop(c);
    wait_for("two proxies again", SOON, || counts(&a, 2));
    fleet.sql("INSERT INTO xks.proxies VALUES ('dead', '0.0.0', clock_timestamp() + interval '2 seconds')");
    wait_for("the one that will die", SOON, || counts(&a, 3));
    wait_for("it to be gone", SOON, || counts(&a, 2));
    // It is told of for a while.
    let last = a.description().instances.pop().unwrap();
    assert_eq!((&*last.id, last.health), ("dead", told("UNAVAILABLE")));
    // As another program would say it of itself.
    for word in ["DEGRADED", "UNAVAILABLE", "ACTIVE"] {
        fleet.sql(&format!(
            "INSERT INTO xks.proxies VALUES ('0', '0.0.0', clock_timestamp() + interval '9 seconds', '{word}') \
             ON CONFLICT (id) DO UPDATE SET health = excluded.health"
        ));
        wait_for(word, SOON, || {
            let instances = a.description().instances;
            let other = instances.into_iter().find(|i| i.id == "0");
            (other?.health == told(word)).then_some(())
        });
    }
}

fn told(word: &str) -> InstanceHealth {
    InstanceHealth::Told(match word {
        "ACTIVE" => HealthStatus::Active,
        "DEGRADED" => HealthStatus::Degraded,
        _ => HealthStatus::Unavailable,
    })
}

#[test]
fn another_root_key_reaches_those_who_have_it() {
    let Some(server) = shared() else { return };
    let mut fleet = Fleet::new(server);
    fleet.config.poll_interval = Duration::from_millis(200);
    let a = fleet.open("a");
    a.administration()
        .create_key(&id("k"), Usages::EncryptDecrypt)
        .unwrap();
    let sealed = encrypt(&a, "k").unwrap();
    // The other machine's copy of the root key.
    let copy = fleet.path().join("b.key");
    std::fs::copy(fleet.path().join("root.key"), &copy).unwrap();
    let mut place = fleet.place("b");
    place.root_key = fleet.root_key("b.key");
    let b = Embedded::open_at(place).unwrap();

    let new = fleet.root_key("new.key");
    a.administration().rotate_root_key(Some(new)).unwrap();
    a.administration().rotate_key(&id("k")).unwrap();
    let after = encrypt(&a, "k").unwrap();
    assert!(decrypts(&b, "k", &sealed) && !decrypts(&b, "k", &after));
    let error = b.administration().rotate_key(&id("k")).unwrap_err();
    assert!(error.to_string().contains("bring that one here"), "{error}");
    // As if it had been left there before the rotation.
    std::fs::copy(
        fleet.path().join("new.key"),
        copy.with_extension("key.next"),
    )
    .unwrap();
    wait_for("the new root key", SOON, || {
        decrypts(&b, "k", &after).then_some(())
    });
    b.administration().rotate_key(&id("k")).unwrap();
}
