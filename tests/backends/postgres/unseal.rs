//! A fleet whose root key is wrapped by Transit: proxies start without anybody who brings a secret.

use std::sync::Arc;

use xks_proxy::config::{KeyManagerConfig, WrappingKeyManager};
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource, Usages, WrappedRootKey};

use super::{Fleet, decrypts, encrypt, id, shared};
use crate::transit::backend::{tenant, with_token};

#[test]
fn transit_unwraps_the_root_key_of_a_fleet() {
    let (Some(server), Some(tenant)) = (shared(), tenant()) else {
        return;
    };
    tenant.create_key("xks-proxy-root");
    let (settings, _token) = with_token(&tenant, "1h");
    let fleet = Fleet::unprepared(server);
    let source = |key: &str| {
        RootKeySource::Wrapped(WrappedRootKey {
            path: fleet.path().join("root.key.wrapped"),
            key: id(key),
            by: Arc::new(WrappingKeyManager {
                name: "bao".into(),
                config: KeyManagerConfig::Transit(Box::new(settings.clone())),
            }),
        })
    };
    let place = |machine: &str, key: &str| {
        let mut place = fleet.place(machine);
        place.root_key = source(key);
        place
    };
    Embedded::init_at(&place("a", "xks-proxy-root")).unwrap();
    let a = Embedded::open_at(place("a", "xks-proxy-root")).unwrap();
    a.administration()
        .create_key(&id("k"), Usages::EncryptDecrypt)
        .unwrap();
    let sealed = encrypt(&a, "k").unwrap();
    // The wrapped root key is all that another machine needs.
    let b = Embedded::open_at(place("b", "xks-proxy-root")).unwrap();
    assert!(decrypts(&b, "k", &sealed));
    let error = Embedded::open_at(place("c", "no-such-key")).err().unwrap();
    let error = error.to_string();
    assert!(error.contains("wrapped by the key manager bao"), "{error}");
}
