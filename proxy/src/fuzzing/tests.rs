//! That the doors lead where they seem to: what is genuine goes through, and what an assertion is for is found.

use serde_json::{Value, json};

use super::*;

fn door() -> (tempfile::TempDir, Door) {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::new(folder.path());
    (folder, door)
}

/// A file of the corpus.
fn corpus(target: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    std::fs::read(folder.join(target).join(name)).unwrap()
}

#[test]
fn genuine_bodies_are_answered() {
    let (_folder, door) = door();
    let Ended::Answer(opened) = door.decrypt(&corpus("decrypt", "genuine")) else {
        panic!("what another implementation encrypted is refused");
    };
    assert_eq!(opened, json!({"plaintext": "SGVsbG8gV29ybGQh"}));
    let Ended::Answer(sealed) = door.encrypt(&corpus("encrypt", "genuine")) else {
        panic!("Encrypt fails");
    };
    assert!(sealed["ciphertextDataIntegrityValue"].is_string());
    let Ended::Answer(metadata) = door.key_metadata(&corpus("key_metadata", "genuine")) else {
        panic!("GetKeyMetadata fails");
    };
    assert_eq!(metadata["keySpec"], "AES_256");
    let Ended::Answer(health) = door.health(&corpus("health", "genuine")) else {
        panic!("GetHealthStatus fails");
    };
    assert_eq!(health["xksProxyFleetSize"], 1);
}

#[test]
fn genuine_connections_are_served_over_both_protocols() {
    let (_folder, door) = door();
    for (name, served) in [
        ("http1-encrypt", "\"ciphertext\":"),
        ("http1-decrypt", "\"plaintext\":"),
        ("http1-two-requests", "\"keySpec\":"),
        ("http1-chunked", "\"xksProxyFleetSize\":"),
        ("http1-ping", "ok\n"),
        ("http2-health", "\"xksProxyFleetSize\":"),
        ("http2-encrypt", "\"ciphertext\":"),
    ] {
        let answer = door.connection(&corpus("connection", name));
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains(served), "{name}: {answer}");
    }
}

#[test]
fn a_configuration_of_the_corpus_is_sound() {
    let (folder, door) = door();
    let file = folder.path().join("input.toml");
    for name in ["smallest", "everything", "transit", "postgres", "pkcs11"] {
        door.configuration(&corpus("configuration", name));
        Config::load(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
#[should_panic(expected = "forged: ciphertext")]
fn a_forged_message_that_is_taken_would_be_found() {
    let (_folder, door) = door();
    // What Encrypt has just made is genuine, and not the one that the door knows.
    let genuine: Value = serde_json::from_slice(&corpus("decrypt", "genuine")).unwrap();
    let Ended::Answer(sealed) = door.encrypt(&corpus("encrypt", "genuine")) else {
        return;
    };
    let mut other = genuine;
    for member in [
        "ciphertext",
        "ciphertextMetadata",
        "initializationVector",
        "authenticationTag",
    ] {
        other[member] = sealed[member].clone();
    }
    door.decrypt(other.to_string().as_bytes());
}
