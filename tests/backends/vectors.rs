//! The committed vectors are what the second implementation writes now.

use std::process::Command;

use harness::backend;

#[test]
fn the_embedded_ciphers_vectors_are_those_of_the_script() {
    assert_written_by_the_script("embedded_cipher.json");
}

#[test]
fn the_pkcs11_vectors_are_those_of_the_script() {
    assert_written_by_the_script("pkcs11_messages.json");
}

fn assert_written_by_the_script(name: &str) {
    let python = match backend::python_with(&["cryptography"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("Python's cryptography", &reason),
    };
    let committed = harness::workspace().join("tests/vectors").join(name);
    // The script writes beside itself, so it runs from a copy.
    let folder = harness::temp_dir();
    let script = folder.path().join(name).with_extension("py");
    std::fs::copy(committed.with_extension("py"), &script).unwrap();
    let output = Command::new(python).arg(&script).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let written = std::fs::read(script.with_extension("json")).unwrap();
    assert!(
        written == std::fs::read(committed).unwrap(),
        "run {}",
        script.display()
    );
}
