//! The model by itself: what a person sees of it, and what it refuses.

use zeroize::Zeroizing;

use super::*;

fn home(account: &str) -> Home {
    Home {
        account: account.to_owned(),
        region: "us-east-1".to_owned(),
    }
}

fn new() -> NewCluster {
    NewCluster::in_region("us-east-1")
}

fn zones(clusters: &CloudHsm, id: &ClusterId) -> Vec<(String, u32)> {
    let subnets = clusters.cluster(id).unwrap().configuration.subnets;
    subnets
        .into_iter()
        .map(|s| (s.availability_zone, s.free_addresses))
        .collect()
}

#[test]
fn hsms_are_spread_over_the_zones_and_take_addresses() {
    let clusters = CloudHsm::default();
    let id = clusters
        .create_cluster(NewCluster { hsms: 4, ..new() })
        .unwrap()
        .id;
    let hsms = clusters.cluster(&id).unwrap().configuration.hsms;
    let places: Vec<_> = hsms.iter().map(|hsm| &*hsm.availability_zone).collect();
    assert_eq!(
        places,
        ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1a"]
    );
    let free = |a, b, c| {
        let all = [("us-east-1a", a), ("us-east-1b", b), ("us-east-1c", c)];
        all.map(|(zone, n)| (zone.to_owned(), n)).to_vec()
    };
    // A /24 network has 251 addresses beside those that AWS keeps.
    assert_eq!(zones(&clusters, &id), free(249, 250, 250));
    clusters.delete_hsm(&id, &hsms[1].id).unwrap();
    assert_eq!(zones(&clusters, &id), free(249, 251, 250));
    assert_eq!(
        clusters.delete_hsm(&id, &hsms[1].id),
        Err(CloudHsmError::NoHsm(hsms[1].id.clone()))
    );
    clusters.add_hsm(&id, None).unwrap();
    assert_eq!(
        zones(&clusters, &id),
        free(249, 250, 250),
        "where there are the fewest"
    );

    let none = SubnetChange {
        free_addresses: Some(0),
        ..SubnetChange::default()
    };
    clusters.update_subnet(&id, "us-east-1b", none).unwrap();
    let zone = "us-east-1b".to_owned();
    assert_eq!(
        clusters.add_hsm(&id, Some("us-east-1b")),
        Err(CloudHsmError::NoFreeAddress(zone))
    );
    let deleted = SubnetChange {
        deleted: Some(true),
        ..SubnetChange::default()
    };
    clusters.update_subnet(&id, "us-east-1c", deleted).unwrap();
    for zone in ["us-east-1c", "us-east-1x"] {
        let refused = clusters.add_hsm(&id, Some(zone));
        assert_eq!(refused, Err(CloudHsmError::NoSubnet(zone.to_owned())));
    }
    assert_eq!(
        clusters
            .create_cluster(NewCluster { hsms: 29, ..new() })
            .unwrap_err(),
        CloudHsmError::TooManyHsms
    );
    let nowhere = NewCluster {
        availability_zones: Vec::new(),
        ..new()
    };
    assert_eq!(
        clusters.create_cluster(nowhere).unwrap_err(),
        CloudHsmError::NoAvailabilityZone
    );
}

#[test]
fn a_login_lasts_until_its_session_is_dropped() {
    let clusters = CloudHsm::default();
    let created = clusters.create_cluster(new()).unwrap();
    let password = created.key_store_password.unwrap();
    let user = || clusters.cluster(&created.id).unwrap().kmsuser.unwrap();
    let (session, next) = clusters
        .log_in(&home("1"), &created.id, &password)
        .ok()
        .unwrap();
    assert!(user().kms_logged_in);
    let link = session.link();
    link.generate_key("key").unwrap();
    assert!(link.key("key").is_ok());
    assert_eq!(link.key("other").err(), Some(HsmFailure::NoSuchKey));
    let again = clusters.log_in(&home("2"), &created.id, &next);
    assert_eq!(again.err(), Some(ConnectionErrorCode::UserLoggedIn));
    drop(session);
    assert!(!user().kms_logged_in);
    // A link that is left over opens nothing, even after another login.
    assert_eq!(link.key("key").err(), Some(HsmFailure::LoggedOut));
    let old = clusters.log_in(&home("1"), &created.id, &password);
    assert_eq!(old.err(), Some(ConnectionErrorCode::InvalidCredentials));
    let (_session, _) = clusters
        .log_in(&home("1"), &created.id, &next)
        .ok()
        .unwrap();
    assert_eq!(link.key("key").err(), Some(HsmFailure::LoggedOut));
    assert_eq!(user().failed_logins, 0);
}

#[test]
fn a_backup_is_what_was_there_at_its_time() {
    let clusters = CloudHsm::default();
    let created = clusters.create_cluster(new()).unwrap();
    let password = created.key_store_password.unwrap();
    let (session, next) = clusters
        .log_in(&home("1"), &created.id, &password)
        .ok()
        .unwrap();
    session.link().generate_key("first").unwrap();
    let early = clusters.create_backup(&created.id).unwrap();
    session.link().generate_key("second").unwrap();
    drop(session);
    let last = clusters.delete_cluster(&created.id).unwrap();
    assert_eq!(
        clusters.delete_cluster(&created.id),
        Err(CloudHsmError::NoCluster(created.id.clone()))
    );
    let kept: Vec<_> = clusters
        .backups()
        .into_iter()
        .map(|b| (b.id, b.key_ids))
        .collect();
    assert!(
        kept.contains(&(early.clone(), vec!["first".to_owned()])),
        "{kept:?}"
    );
    let restored = |backup: &BackupId| {
        let new = NewCluster {
            backup: Some(backup.clone()),
            ..new()
        };
        clusters.create_cluster(new).unwrap()
    };
    for (backup, keys) in [(&early, &["first"][..]), (&last, &["first", "second"])] {
        let cluster = restored(backup);
        assert_eq!(
            cluster.trust_anchor_certificate,
            created.trust_anchor_certificate
        );
        assert!(cluster.key_store_password.is_none());
        assert_eq!(clusters.cluster(&cluster.id).unwrap().key_ids, keys);
        // Nobody is logged in, and the password is that of the backup.
        assert!(clusters.log_in(&home("1"), &cluster.id, &next).is_ok());
    }
    clusters.reset();
    assert!(clusters.clusters().is_empty() && clusters.backups().is_empty());
    let gone = NewCluster {
        backup: Some(last.clone()),
        ..new()
    };
    assert_eq!(
        clusters.create_cluster(gone).unwrap_err(),
        CloudHsmError::NoBackup(last)
    );
}

#[test]
fn a_missing_kmsuser_comes_back_with_a_password() {
    let clusters = CloudHsm::default();
    let id = clusters.create_cluster(new()).unwrap().id;
    let change = |kmsuser| ClusterChange {
        kmsuser: Some(kmsuser),
        ..ClusterChange::default()
    };
    clusters
        .update_cluster(&id, change(KmsuserChange::Delete))
        .unwrap();
    assert_eq!(clusters.cluster(&id).unwrap().kmsuser, None);
    for kmsuser in [
        KmsuserChange::LockOut,
        KmsuserChange::Unlock,
        KmsuserChange::LogIn,
        KmsuserChange::LogOut,
    ] {
        let with_more = ClusterChange {
            reachable: Some(false),
            ..change(kmsuser)
        };
        assert_eq!(
            clusters.update_cluster(&id, with_more),
            Err(CloudHsmError::NoKmsuser(id.clone()))
        );
    }
    assert!(
        clusters.cluster(&id).unwrap().configuration.reachable,
        "nothing is half done"
    );
    let given = KeyStorePassword::try_from(Zeroizing::new("kmsPswd".to_owned())).unwrap();
    assert_eq!(
        clusters.change_kmsuser_password(&id, Some(given.clone())),
        Ok(given.clone())
    );
    assert!(clusters.log_in(&home("1"), &id, &given).is_ok());
    let random = clusters.change_kmsuser_password(&id, None).unwrap();
    assert!(clusters.log_in(&home("1"), &id, &random).is_ok());
}

#[test]
fn words_are_read_back_and_secrets_are_not_shown() {
    for word in ClusterState::WORDS {
        assert_eq!(ClusterState::from_word(word).unwrap().as_str(), *word);
    }
    for word in HsmState::WORDS {
        assert_eq!(HsmState::from_word(word).unwrap().as_str(), *word);
    }
    for word in KmsuserChange::WORDS {
        assert_eq!(KmsuserChange::from_word(word).unwrap().as_str(), *word);
    }
    assert_eq!(ClusterState::from_word("active"), None);
    let clusters = CloudHsm::default();
    let created = clusters.create_cluster(new()).unwrap();
    let password = created.key_store_password.clone().unwrap();
    let shown = format!("{created:?} {clusters:?} {:?}", clusters.clusters());
    assert!(shown.contains(created.id.as_str()) && !shown.contains(password.expose()));
}
