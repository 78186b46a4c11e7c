//! What strangers and broken clients send to the admin listener: it ends, tells nothing, and disturbs nobody.

use std::time::Duration;

use super::world::World;

#[test]
fn hostile_requests_of_the_admin_listener_are_refused_and_tell_nothing() {
    let world = World::start();
    let alice = world.basic("alice", "alice");
    let long = "a".repeat(12_000);
    for (path, status) in [
        ("/status/../../etc/passwd", 404),
        ("/status/%2e%2e/keys", 404),
        ("/status/", 404),
        ("//status", 404),
        ("/STATUS", 404),
        ("/status/store", 404),
        ("/status/store?prefix=/nowhere", 404),
        ("/status/store?prefix=%00%ff", 404),
        ("/status.json/x", 404),
        ("/status?after_store=%F0%9F%92%A9&store=%", 200),
        (
            "/status/keys?after_key=&after_key=x%20y%20z&key=%3Cscript%3E",
            200,
        ),
        ("/status/denials?store=%22%3E%3Cimg%20src=x%3E", 200),
        (&*format!("/status/keys?key={long}"), 200),
        (&*format!("/status?{}", "x=1&".repeat(2_000)), 400),
        ("/status/keys?%3Cscript%3E=1", 400),
        (&*format!("/status.json?{long}"), 400),
        ("*", 404),
    ] {
        let answer = world.ask("GET", path, Some(&alice));
        let shown = path.get(..60).unwrap_or(path);
        assert_eq!(answer.status, status, "{shown}");
        let page = String::from_utf8(answer.body).expect("text");
        assert!(
            !page.contains("<img src=x") && !page.contains("<script>"),
            "{page}"
        );
        // Strangers are told apart from nobody by it.
        assert_eq!(world.ask("GET", path, None).status, 401, "{shown}");
    }

    // What is too long or no HTTP at all ends; with an answer, it is one of refusal.
    let huge = "b".repeat(200_000);
    let twice = format!(
        "GET /status HTTP/1.1\r\nhost: x\r\nauthorization: {alice}\r\nauthorization: {alice}\r\n\r\n"
    );
    for request in [
        format!("GET /status?{huge} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("GET /status HTTP/1.1\r\nhost: x\r\nauthorization: Basic {huge}\r\n\r\n"),
        format!("GET /status HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(5_000)),
        twice,
        "GET /status HTTP/3.7\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET /status HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\r\n\r\nGET /status HTTP/1.1\r\n\r\n".to_owned(),
        "get /status HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        let mut connection = world.connect();
        // It may be closed before all of it is sent.
        let _ = connection.send(request.as_bytes());
        if let Ok(answer) = connection.receive() {
            let shown = request.get(..60).unwrap_or(&request);
            assert!((400..600).contains(&answer.status), "{} for {shown}", answer.status);
        }
    }

    // Who sends one byte and waits keeps no others out, as long as there is room.
    let mut waiting: Vec<_> = (0..8).map(|_| world.connect()).collect();
    for connection in &mut waiting {
        connection.send(b"G").expect("a byte");
    }
    assert_eq!(world.ask("GET", "/status", Some(&alice)).status, 200);
    let told = world.remote("alice", &["key", "list"]);
    assert!(told.contains("payroll"), "{told}");
    let mut first = waiting.swap_remove(0);
    assert!(
        first.is_closed_within(Duration::from_secs(30)),
        "it waits for ever"
    );
    assert_eq!(world.ask("GET", "/status", Some(&alice)).status, 200);
}

#[test]
fn a_mistyped_parameter_is_named_and_nothing_is_told_for_it() {
    let world = World::start();
    let alice = world.basic("alice", "alice");
    for (path, kind) in [
        ("/status?prefx=/tenant-a", "text/html; charset=utf-8"),
        (
            "/status/keys?prefix=/tenant-a&prefx=",
            "text/html; charset=utf-8",
        ),
        ("/status.json?prefx=/tenant-a", "application/json"),
    ] {
        let answer = world.ask("GET", path, Some(&alice));
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        let told = String::from_utf8(answer.body).expect("text");
        assert!(told.contains("There is no parameter prefx"), "{told}");
        assert!(!told.contains("tenant-a"), "{told}");
        if kind == "application/json" {
            let json: serde_json::Value = serde_json::from_str(&told).expect("JSON");
            assert!(json["error"].is_string(), "{json}");
        }
    }
    let all = "prefix=/tenant-a&store=tenant&key=pay&after_store=/&after_key=a";
    let answer = world.ask("GET", &format!("/status.json?{all}"), Some(&alice));
    assert_eq!(answer.status, 200);
}

#[test]
fn what_a_caller_says_of_itself_commands_no_terminal_and_keeps_rows_apart() {
    let world = World::start();
    let alice = world.basic("alice", "alice");
    // KMS may ask twice with one id.
    for _ in 0..2 {
        let status = world.encrypt(
            "/tenant-a",
            "payroll",
            "GenerateDataKey\u{1b}[2J\nx",
            "twice",
        );
        assert_eq!(status, 403);
    }
    let text = world.ok(&["status"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let told = text.matches(r"GenerateDataKey\u{1b}[2J\nx").count();
    assert_eq!(told, 2, "{text}");
    for path in [
        "/status",
        "/status/denials",
        "/status/store?prefix=/tenant-a",
    ] {
        let page = world.page(path, &alice);
        assert_eq!(page.matches("<code>twice</code>").count(), 2, "{path}");
        let ids = page.split(" id=\"").skip(1);
        let mut ids: Vec<_> = ids.filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id is there twice in {path}: {page}");
    }

    // Where others were denied, it is not said that nobody was.
    for (path, none) in [
        (
            "/status/denials?store=tenant-b",
            "that was looked for denied a request",
        ),
        (
            "/status?store=tenant-b",
            "that was looked for denied a request",
        ),
        (
            "/status/store?prefix=/tenant-b",
            "The policy of this external key store denied no request",
        ),
    ] {
        let page = world.page(path, &alice);
        assert!(page.contains(none), "{path}: {page}");
        assert!(
            !page.contains("No policy denied a request"),
            "{path}: {page}"
        );
    }
}
