//! A keyring in PostgreSQL whose root key is wrapped by a token (SoftHSM) and by Transit (OpenBao): a proxy that starts
//! has it unwrapped, one that has started does without, and no file holds it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use harness::openbao::{OpenBao, Tenant};
use harness::postgres::Postgres;
use harness::softhsm::SoftHsm;
use harness::{backend, wait_for};

use crate::transit::transit_table;
use crate::two_stores::{Proxy, Tried, initialize};

#[test]
fn a_token_unwraps_the_root_key() {
    let found = || Ok((Postgres::start()?, SoftHsm::prepare()?));
    let (postgres, token) = match found() {
        Ok(found) => found,
        Err(reason) => {
            let reason: String = reason;
            return backend::missing("PostgreSQL and SoftHSM end to end", &reason);
        }
    };
    let _alone = crate::alone();
    token.make_key("xks-proxy-root");
    let pin = token.folder().join("pin");
    std::fs::write(&pin, SoftHsm::PIN).expect("a file in a folder of ours");
    let wrapper = format!(
        "type = \"pkcs11\"\nlibrary = \"{}\"\ntoken_label = \"{}\"\npin_file = \"{}\"\n",
        token.library().display(),
        SoftHsm::TOKEN,
        pin.display()
    );
    let environment = [("SOFTHSM2_CONF", token.configuration())];
    let away = token.folder().join("away");
    let renamed = |from: &Path, to: &Path| std::fs::rename(from, to).expect("a folder of ours");
    unseals(
        &postgres,
        &wrapper,
        &environment,
        || renamed(&token.tokens(), &away),
        || renamed(&away, &token.tokens()),
    );
}

#[test]
fn transit_unwraps_the_root_key() {
    let found = || Ok((Postgres::start()?, OpenBao::start()?));
    let (postgres, bao) = match found() {
        Ok(found) => found,
        Err(reason) => {
            let reason: String = reason;
            return backend::missing("PostgreSQL and OpenBao end to end", &reason);
        }
    };
    let _alone = crate::alone();
    let tenant = Tenant::root_of(Arc::new(bao));
    tenant.create_key("xks-proxy-root");
    let folder = harness::temp_dir();
    let token = folder.path().join("token");
    std::fs::write(&token, tenant.token(&["xks-proxy"], "1h")).expect("a file of ours");
    let wrapper = transit_table(&format!("https://{}", tenant.bao.address))
        .replace("\"bao-token\"", &format!("\"{}\"", token.display()));
    unseals(
        &postgres,
        &wrapper,
        &[],
        || tenant.bao.seal(),
        || tenant.bao.unseal(),
    );
}

/// From the first start on, with the key manager that wraps the root key away for a while.
fn unseals(
    postgres: &Postgres,
    wrapper: &str,
    environment: &[(&str, PathBuf)],
    away: impl FnOnce(),
    back: impl FnOnce(),
) {
    let table = format!(
        "type = \"postgres\"\ndata_dir = \"fleet\"\nurl = \"{}\"\npassword_file = \"{}\"\nca_file = \"{}\"\n\
         root_key_wrapped_file = \"root.key.wrapped\"\nroot_key_wrapped_by = \"wrapper\"\n\
         root_key_wrapping_key = \"xks-proxy-root\"\n[key_managers.wrapper]\n{wrapper}",
        postgres.url(),
        postgres.password_file().display(),
        postgres.ca_file().display(),
    );
    let tried = Tried {
        table: &table,
        key: "payments",
        limits: "",
        environment,
    };
    let mut proxy = Proxy::start(&tried, |folder| initialize(folder, environment));
    wait_for("a message", LIMIT, || proxy.tried.round_trip().ok());
    let before = proxy.tried.encrypt();
    assert_eq!(before.status, 200);
    assert!(proxy.folder.path().join("root.key.wrapped").is_file());
    assert!(!proxy.folder.path().join("fleet/root.key").exists());

    away();
    // The root key is in memory since the start.
    assert_eq!(proxy.tried.round_trip(), Ok(()));
    let (made, told) = proxy.command(&["key", "create", "meanwhile", "--key-manager", "tried"]);
    assert!(made, "{told}");
    // Nothing of it is elsewhere.
    let told = proxy.restart_fails();
    assert!(
        told.contains("wrapped by the key manager wrapper"),
        "{told}"
    );
    back();
    proxy.restart();
    wait_for("the message of before", LIMIT, || {
        (proxy.tried.decrypt(&before).status == 200).then_some(())
    });

    // Another root key, wrapped anew by itself.
    let wrapped = || std::fs::read(proxy.folder.path().join("root.key.wrapped")).unwrap();
    let old = wrapped();
    let (rotated, told) = proxy.command(&["root-key", "rotate", "--key-manager", "tried"]);
    assert!(rotated, "{told}");
    assert_ne!(wrapped(), old);
    proxy.restart();
    wait_for("the message of before", LIMIT, || {
        (proxy.tried.decrypt(&before).status == 200).then_some(())
    });
    proxy.has_not_panicked();
}

const LIMIT: Duration = Duration::from_secs(60);
