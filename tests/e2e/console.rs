//! The console of kms-sim in headless Chromium: `console/drive.mjs` does what a person does, and looks at what they see.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::https::Connection;
use harness::process::{Process, run};
use harness::{backend, binaries, free_port, workspace};

use crate::page::Page;
use crate::stage::{Pace, Stage};

#[test]
fn a_person_works_with_the_console_in_a_browser() {
    let (chromium, modules) = match backend::chromium() {
        Ok(found) => found,
        Err(reason) => {
            backend::missing("the console in a browser", &reason);
            return;
        }
    };
    let _alone = crate::alone();
    let control = format!("127.0.0.1:{}", free_port());
    // The picture of `kms-sim/docs/console.md` is made anew on demand, and shows KMS as impatient as it is.
    let (picture, pace) = match std::env::var_os("UPDATE_PAGES") {
        None => (PathBuf::new(), PACE),
        Some(_) => {
            let proxy_timeout = Duration::from_millis(250);
            let picture = workspace().join("kms-sim/docs/console.png");
            (
                picture,
                Pace {
                    proxy_timeout,
                    ..PACE
                },
            )
        }
    };
    let mut stage = Stage::start_with(&pace, &[format!("--control={control}")]);
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&screenshots).expect("a folder for screenshots");
    let (status, stdout, stderr) = run(
        Command::new("node")
            .arg("tests/e2e/console/drive.mjs")
            .current_dir(workspace())
            .env("XKS_TEST_NODE", modules)
            .env("CHROMIUM", chromium)
            .env("CONSOLE", format!("http://{control}"))
            .env("STAGE", stage.description().to_string())
            .env("SCREENSHOTS", &screenshots)
            .env("PICTURE", picture),
        LIMIT,
    );
    assert!(
        status.success(),
        "{stdout}{stderr}\nscreenshots: {}\n{}",
        screenshots.display(),
        stage.server_outputs()
    );
    // Past libtest's capture, for who wants to look.
    let line = format!("screenshots of the console: {}\n", screenshots.display());
    drop(std::io::stderr().write_all(line.as_bytes()));
}

#[test]
fn the_command_of_the_page_says_where_the_console_is() {
    let page = Page::read("kms-sim/docs/console.md");
    let command = page
        .share("the_command_of_the_page_says_where_the_console_is")
        .rest();
    let port = free_port().to_string();
    let command = command.replace("4600", &port);
    let arguments = command.split_whitespace().skip(1);
    let mut kms_sim = Process::start(
        Command::new(binaries::kms_sim())
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"]),
    );
    let url = format!("http://127.0.0.1:{port}/");
    let told = format!("Look at it in a browser: {url}\n");
    kms_sim.wait_until(&told, Duration::from_secs(30), |process| {
        process.stdout().contains(&told).then_some(())
    });
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    let mut connection = Connection::plain(address).unwrap();
    let answer = connection.exchange(request.as_bytes()).unwrap();
    assert_eq!(answer.header("location"), Some("/console/"));
}

/// Long enough to be seen on the way.
const PACE: Pace = Pace {
    transition: Duration::from_millis(300),
    proxy_timeout: Duration::from_secs(10),
};
const LIMIT: Duration = Duration::from_secs(600);
