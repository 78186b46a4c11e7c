//! What is shown of long work: a bar at a terminal, plain lines elsewhere, and nothing of it in what a program reads.

use std::path::Path;
use std::process::Command;

use harness::process::run;
use harness::programs::{DevEnv, DevProxy};
use harness::{backend, binaries, temp_dir};

use crate::LIMIT;

/// Work, and what is shown of it at a terminal.
struct Work {
    command: Vec<String>,
    shown: &'static str,
}

#[test]
fn a_terminal_gets_a_bar_and_a_pipe_gets_lines() {
    let python = match backend::python_with(&["pty"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("progress at a terminal", &reason),
    };
    let _alone = crate::alone();
    let folder = temp_dir();
    let proxy = DevProxy::start(folder.path());
    for Work { command, shown } in works(folder.path()) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        // Each makes something new.
        let numbered = |n: &str| {
            words
                .iter()
                .map(|word| word.replace("NEW", n))
                .collect::<Vec<_>>()
        };
        let mut terminal = Command::new(&python);
        terminal
            .args([
                "-c",
                "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)",
            ])
            .args(numbered("1"));
        let (status, output, errors) = run(with(&mut terminal, &proxy.env), LIMIT);
        assert!(status.success(), "{command:?}: {output}{errors}");
        assert!(
            output.contains(shown) && output.contains('\u{1b}'),
            "{command:?}: {output}"
        );

        let words = numbered("2");
        let mut pipe = Command::new(&words[0]);
        pipe.args(&words[1..]);
        let (status, output, errors) = run(with(&mut pipe, &proxy.env), LIMIT);
        assert!(status.success(), "{command:?}: {output}{errors}");
        for text in [&output, &errors] {
            assert!(!text.contains(['\u{1b}', '\r']), "{command:?}: {text:?}");
        }
        serde_json::from_str::<serde_json::Value>(&output).expect(&output);
    }
}

/// Where there is no terminal, a line comes every five seconds.
#[test]
fn lines_say_how_long_it_takes_still() {
    let _alone = crate::alone();
    let folder = temp_dir();
    let proxy = DevProxy::start(folder.path());
    let mut load = Command::new(env!("CARGO_BIN_EXE_xks-load"));
    load.args([
        "--rate=20",
        "--warm-up=0s",
        "--duration=6s",
        "--timeout=10s",
    ]);
    let (status, _, errors) = run(with(&mut load, &proxy.env), LIMIT);
    assert!(status.success(), "{errors}");
    let line = errors.lines().find(|line| line.ends_with("s left"));
    assert!(
        line.is_some_and(|line| line.starts_with("xks-load: ")),
        "{errors}"
    );
}

fn works(folder: &Path) -> [Work; 6] {
    let config = folder.join("stores.toml");
    let text = "[key_managers.a]\ntype = \"embedded\"\ndata_dir = \"a\"\n\
                [key_managers.b1]\ntype = \"embedded\"\ndata_dir = \"b1\"\n\
                [key_managers.b2]\ntype = \"embedded\"\ndata_dir = \"b2\"\n\
                [[key_stores]]\nuri_path_prefix = \"/a\"\nkey_manager = \"a\"\n";
    std::fs::write(&config, text).unwrap();
    let (config, proxy) = (
        config.display(),
        binaries::xks_proxy().display().to_string(),
    );
    for line in [
        "init --no-credential --key-manager a",
        "key create one --key-manager a",
    ] {
        let mut prepare = Command::new(&proxy);
        prepare
            .args(line.split(' '))
            .args(["--config", &config.to_string()]);
        let (status, _, errors) = run(&mut prepare, LIMIT);
        assert!(status.success(), "{errors}");
    }
    let folder = folder.display();
    let work = |program: &str, line: String, shown| Work {
        command: [program]
            .into_iter()
            .chain(line.split(' '))
            .map(str::to_owned)
            .collect(),
        shown,
    };
    let load = env!("CARGO_BIN_EXE_xks-load");
    let kms_sim = binaries::kms_sim().display().to_string();
    let seal = format!("--backup-key-file {folder}/backup.key");
    [
        work(
            &proxy,
            format!("store migrate --json --config {config} --from a --to bNEW"),
            "trying the copies",
        ),
        work(
            &proxy,
            format!(
                "key export-backup --json --data-dir {folder}/a --to {folder}/backup-NEW {seal}"
            ),
            "wrapping all keys and credentials",
        ),
        work(
            &proxy,
            format!(
                "key restore --json --data-dir {folder}/restored-NEW --from {folder}/backup-1 {seal}"
            ),
            "writing the store",
        ),
        work(
            &proxy,
            format!("root-key rotate --json --data-dir {folder}/a"),
            "wrapping everything under another root key",
        ),
        work(
            &kms_sim,
            "conformance --only cdiv --json --patience 60".to_owned(),
            " left: cdiv",
        ),
        work(
            load,
            "--json --warm-up=0s --duration=1s --timeout=10s".to_owned(),
            "s left",
        ),
    ]
}

/// With what a client of the proxy needs in the environment.
fn with<'c>(command: &'c mut Command, env: &DevEnv) -> &'c mut Command {
    command
        .env("XKS_PROXY_ENDPOINT", &env.endpoint)
        .env("XKS_PROXY_URI_PATH", &env.uri_path)
        .env("XKS_ACCESS_KEY_ID", &env.signer.access_key_id)
        .env("XKS_SECRET_ACCESS_KEY", &env.signer.secret_access_key)
        .env("XKS_KEY_ID", &env.key_id)
        .env("XKS_CA_FILE", &env.ca_file)
        .env("TERM", "xterm")
        .env_remove("XKS_PROXY_CONFIG")
}
