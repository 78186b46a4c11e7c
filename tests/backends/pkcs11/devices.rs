//! Devices that make the IV themselves or take short AAD alone.

use xks_api::fields::{Aad, Plaintext};
use xks_api::sealed::FramedAad;
use xks_proxy::key_manager::KeyManager;
use xks_proxy::key_manager::pkcs11::{AadMode, IvSource};

use super::child::in_child;
use super::keys::{open, plaintext, seal, unavailable};
use super::shim::Shim;
use super::{Pkcs11Backend, id};
use crate::suite::Backend as _;

#[test]
fn each_device_has_its_way_with_ivs() {
    in_child(
        concat!(module_path!(), "::each_device_has_its_way_with_ivs"),
        async || {
            let shim = Shim::compile();
            let mut sealed_before = Vec::new();
            for (order, right) in [
                (None, IvSource::Proxy),
                (Some("iv-in-place"), IvSource::DeviceInPlace),
                (Some("iv-appended"), IvSource::DeviceAppended),
            ] {
                if let Some(order) = order {
                    shim.order(order, "");
                }
                for source in [
                    IvSource::Proxy,
                    IvSource::DeviceInPlace,
                    IvSource::DeviceAppended,
                ] {
                    let backend = Pkcs11Backend::again(|settings| {
                        settings.library = shim.library.clone();
                        settings.device.iv = source;
                    });
                    let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
                    let key = key.unwrap();
                    let result = seal(&*key).await;
                    if source != right {
                        let cause = unavailable(result.unwrap_err());
                        assert!(!cause.is_empty(), "{order:?} {source:?}");
                        continue;
                    }
                    let sealed = result.unwrap();
                    assert_ne!(sealed.iv.as_bytes(), [0; 12]);
                    assert!(!sealed_before.contains(&sealed.iv.as_bytes().to_vec()));
                    assert!(open(&*key, &sealed).await.unwrap() == plaintext());
                    sealed_before.push(sealed.iv.as_bytes().to_vec());
                }
                if let Some(order) = order {
                    shim.revoke(order);
                }
            }
            assert_eq!(sealed_before.len(), 3);
        },
    );
}

#[test]
fn a_short_aad_is_enough_for_the_hashed_framing() {
    in_child(
        concat!(
            module_path!(),
            "::a_short_aad_is_enough_for_the_hashed_framing"
        ),
        async || {
            let shim = Shim::compile();
            shim.order("max-aad", "34");
            for (mode, works) in [(AadMode::Whole, false), (AadMode::Sha256, true)] {
                let backend = Pkcs11Backend::again(|settings| {
                    settings.library = shim.library.clone();
                    settings.device.aad = mode;
                });
                let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
                let key = key.unwrap();
                let metadata = key.metadata().unwrap();
                let aad = FramedAad::new(&Aad::try_from(vec![7; 8_192]).unwrap(), &metadata);
                let plaintext = Plaintext::from(&b"Hello World!"[..]);
                let result = key.seal(&plaintext, metadata, &aad).await;
                assert_eq!(result.is_ok(), works, "{mode:?}");
                if let Ok(sealed) = result {
                    assert!(key.open(&sealed, &aad).await.unwrap() == plaintext);
                }
            }
        },
    );
}
