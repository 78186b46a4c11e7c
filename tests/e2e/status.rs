//! The status page of the proxy: over its admin listener with exact bytes, in a browser, and `proxy/docs/status.md`.

mod browser;
mod hostile;
mod world;

use std::process::Command;

use harness::certificates;
use harness::process::run;
use serde_json::{Value, json};

use crate::page::Page;
use world::{LIMIT, World};

#[test]
fn the_status_is_for_admins_with_their_token() {
    let world = World::start();
    let (alice, bob) = (world.basic("alice", "alice"), world.basic("bob", "bob"));
    let everything = [
        "/",
        "/status",
        "/status.json",
        "/status/keys",
        "/status/denials",
        "/status/store?prefix=%2Ftenant-a",
        "/status/look.css",
        "/status/live.js",
        "/status/icon.svg",
        "/no/such/page",
    ];
    let forged = format!("Bearer xksa_{}", "0".repeat(64));
    // Alice's name does not go with Bob's token; a token alone is enough for programs.
    for (credentials, known) in [
        (None, false),
        (Some(world.basic("alice", "bob")), false),
        (Some(forged), false),
        (Some("Basic !!!".to_owned()), false),
        (Some("Negotiate abc".to_owned()), false),
        (Some(alice.clone()), true),
        (Some(bob), true),
        (Some(format!("Bearer {}", world.token("alice"))), true),
    ] {
        for path in everything {
            let answer = world.ask("GET", path, credentials.as_deref());
            let expected = match (known, path) {
                (false, _) => 401,
                (true, "/") => 303,
                (true, "/no/such/page") => 404,
                (true, _) => 200,
            };
            assert_eq!(answer.status, expected, "{path} {credentials:?}");
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge.is_some(), !known, "{path}");
            for (name, value) in [
                ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
                ("connection", "close"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{path} {name}");
            }
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }

    // HEAD is GET without its body; nothing can be changed.
    let get = world.ask("GET", "/status/live.js", Some(&alice));
    let head = world.ask("HEAD", "/status/live.js", Some(&alice));
    assert_eq!((head.status, &*head.body), (200, &b""[..]));
    let length = |answer: &harness::https::Response| {
        answer
            .header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    assert_eq!(
        (length(&head), length(&get)),
        (get.body.len(), get.body.len())
    );
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = world.ask(method, "/status", Some(&alice));
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
        assert_eq!(world.ask(method, "/status", None).status, 401, "{method}");
    }

    // No script and no style is in a page, so that the policy needs no exception.
    let page = world.page("/status", &alice);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script src=\"/status/live.js\" defer></script>"));
    assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("<style"));

    // Commands go through the same port as before, and who looked is on record, once each however often.
    let told = world.remote("alice", &["key", "list"]);
    assert!(told.contains("payroll"), "{told}");
    let looks = |name: &str| {
        let log = world.audit_log().into_iter();
        let looks = log.filter(|line| line["command"] == "status" && line["admin"] == name);
        looks.filter(|line| line["phase"] == "done").count()
    };
    assert_eq!((looks("alice"), looks("bob")), (1, 1));

    // An admin who is removed sees nothing from then on.
    world.ok(&["admin", "remove", "bob"]);
    let bob = world.basic("bob", "bob");
    assert_eq!(world.ask("GET", "/status", Some(&bob)).status, 401);
}

#[test]
fn the_status_tells_what_happened_and_no_secret() {
    let world = World::start();
    let alice = world.basic("alice", "alice");
    for _ in 0..5 {
        assert_eq!(world.encrypt("/tenant-a", "payroll", "Encrypt", "ok"), 200);
    }
    assert_eq!(
        world.encrypt("/tenant-a", "payroll", "GenerateDataKey", "denied"),
        403
    );
    assert_eq!(
        world.encrypt("/tenant-a", "no-such-key", "Encrypt", "unknown"),
        404
    );
    assert_eq!(world.encrypt("/dead", "elsewhere", "Encrypt", "dead"), 500);
    world.ok(&["key", "rotate", "payroll"]);
    world.ok(&["block", "archive", "--reason", "lost <laptop>"]);

    let status = world.json("/status.json", &alice);
    let traffic = |status: &Value, part: &str| {
        let part = &status["traffic"][part];
        let counts = ["total", "ok", "refused", "failed"].map(|name| part[name].as_u64().unwrap());
        let errors = part["errors"].as_array().unwrap().iter();
        let mut errors: Vec<_> = errors
            .map(|e| format!("{} {}", e["count"], e["error_name"].as_str().unwrap()))
            .collect();
        errors.sort();
        (counts, errors)
    };
    let names = [
        "1 AccessDeniedException",
        "1 InternalException",
        "1 KeyNotFoundException",
    ];
    let expected = ([8, 5, 2, 1], names.map(str::to_owned).to_vec());
    assert_eq!(traffic(&status, "since_start"), expected);
    assert_eq!(traffic(&status, "last_hour"), expected);
    let minutes = status["minutes"].as_array().unwrap();
    let sum = |name: &str| {
        minutes
            .iter()
            .map(|m| m[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((minutes.len(), sum("requests"), sum("errors")), (60, 8, 3));
    let latency = &status["traffic"]["last_hour"]["latency"];
    let at = |name: &str| latency[name].as_u64().unwrap();
    assert!(0 < at("p50_us") && at("p50_us") <= at("p99_us") && at("p99_us") <= at("p999_us"));

    // By prefix: what was asked of one is not told of another.
    let stores = status["key_stores"]["rows"].as_array().unwrap();
    let counts = stores.iter().map(|store| {
        let counts = &store["traffic"]["since_start"];
        let prefix = store["uri_path_prefix"].as_str().unwrap().to_owned();
        (prefix, counts["ok"].clone(), counts["total"].clone())
    });
    let expected = [("/dead", 0, 1), ("/tenant-a", 5, 7), ("/tenant-b", 0, 0)];
    let expected = expected.map(|(prefix, ok, all)| (prefix.to_owned(), json!(ok), json!(all)));
    assert_eq!(counts.collect::<Vec<_>>(), expected);
    let operation = &stores[1]["operations"][0];
    assert_eq!(
        (
            &operation["operation"],
            &operation["traffic"]["since_start"]["total"]
        ),
        (&json!("Encrypt"), &json!(7))
    );

    // The denial, with its rule.
    let denial = &status["denials"][0];
    for (name, value) in [
        ("denied_by", "no-data-keys"),
        ("uri_path_prefix", "/tenant-a"),
        ("operation", "Encrypt"),
        ("kms_operation", "GenerateDataKey"),
        ("external_key_id", "payroll"),
        ("kms_request_id", "denied"),
        ("aws_principal_arn", world::PRINCIPAL),
    ] {
        assert_eq!(denial[name], value, "{denial}");
    }
    assert_eq!(status["denials"].as_array().unwrap().len(), 1);

    // Keys and their versions, key managers and their circuits.
    let keys = status["keys"]["rows"].as_array().unwrap();
    let key = |id: &str| keys.iter().find(|key| key["id"] == id).unwrap();
    let payroll = key("payroll");
    assert_eq!(payroll["known"]["current_version"], 2);
    assert_eq!(payroll["known"]["versions"].as_array().unwrap().len(), 2);
    assert_eq!(payroll["uri_path_prefixes"], json!(["/tenant-a"]));
    assert_eq!(
        (&payroll["blocked"], &key("archive")["blocked"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&key("elsewhere")["key_manager"], &key("elsewhere")["known"]),
        (&json!("bao"), &Value::Null)
    );
    let managers = status["key_managers"].as_array().unwrap();
    let managers = managers.iter().map(|m| {
        (
            m["name"].clone(),
            m["kind"].clone(),
            m["circuit"]["open"].clone(),
        )
    });
    let expected = [
        ("bao", "transit", json!(false)),
        ("embedded", "embedded", Value::Null),
    ];
    let expected = expected.map(|(name, kind, open)| (json!(name), json!(kind), open));
    assert_eq!(managers.collect::<Vec<_>>(), expected);

    // Dates as openssl reads them; days count down.
    let certificate = &status["certificates"][0];
    let file = certificates::path("server-ecdsa.crt.pem");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(file);
    let (_, end, _) = run(&mut openssl, LIMIT);
    let end = end.trim().replace("notAfter=", "").replace(' ', "T");
    assert_eq!(certificate["not_after"], end);
    assert!(certificate["seconds_left"].as_i64().unwrap() > 0);
    let credential = &stores[1]["credentials"]["rows"][0];
    assert_eq!(
        credential["access_key_id"],
        world.signer("/tenant-a").access_key_id
    );
    assert!(
        credential["age_seconds"].as_u64().unwrap() < 3_600 && credential["last_used"].is_string()
    );

    // The same facts by command, and as pages.
    let by_command: Value = serde_json::from_str(&world.ok(&["status", "--json"])).unwrap();
    for name in [
        "key_stores",
        "key_managers",
        "keys",
        "denials",
        "blocks",
        "unrouted",
    ] {
        let last_used = |value: &Value| value.to_string().replace(char::is_numeric, "");
        assert_eq!(
            last_used(&by_command[name]),
            last_used(&status[name]),
            "{name}"
        );
    }
    let text = world.ok(&["status"]);
    for part in [
        "1 AccessDeniedException",
        "/tenant-a",
        "payroll",
        "no-data-keys",
        "block is in force",
        "lost <laptop>",
        "it is lifted",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let told = world.refused(&["status", "--prefix", "/nowhere"]);
    assert!(
        told.contains("there is no external key store /nowhere"),
        "{told}"
    );
    let one: Value =
        serde_json::from_str(&world.ok(&["status", "--json", "--prefix", "/tenant-b"])).unwrap();
    assert_eq!(
        (&one["traffic"]["since_start"]["total"], &one["denials"]),
        (&json!(0), &json!([]))
    );
    let overview = world.page("/status", &alice);
    for part in [
        "no-data-keys",
        "KeyNotFoundException",
        "/status/store?prefix=%2Ftenant-a",
        "the API&#39;s listener",
    ] {
        assert!(overview.contains(part), "no {part} in {overview}");
    }
    // A block is told where it concerns somebody, with its reason.
    for (path, told) in [
        ("/status", true),
        ("/status/store?prefix=/tenant-b", true),
        ("/status/store?prefix=/tenant-a", false),
    ] {
        let page = world.page(path, &alice);
        assert_eq!(page.contains("lost &lt;laptop&gt;"), told, "{path}: {page}");
    }
    let keys = world.page("/status/keys?key=arch", &alice);
    assert!(
        keys.contains("BLOCKED") && keys.contains("lost &lt;laptop&gt;"),
        "{keys}"
    );
    assert!(!keys.contains("payroll</b>"), "{keys}");

    // No secret is in any of it.
    let secrets = world.secrets();
    assert!(secrets.len() > 10, "{} secrets", secrets.len());
    let mut all = vec![world.ok(&["status"]), world.ok(&["status", "--json"])];
    for path in [
        "/status",
        "/status.json",
        "/status/keys",
        "/status/denials",
        "/status/store?prefix=%2Ftenant-a",
        "/status/store?prefix=%2Fdead",
    ] {
        all.push(world.page(path, &alice));
    }
    for (name, secret) in &secrets {
        assert!(
            !all.iter().any(|text| text.contains(secret)),
            "{name} is told"
        );
    }
}

#[test]
fn without_a_server_the_command_says_so_and_opens_nothing() {
    let place = world::Place::empty();
    let (status, stdout, stderr) = run(&mut place.command(&["status"]), LIMIT);
    assert_eq!((status.code(), &*stdout), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("no server is running"), "{stderr}");
    // Neither is there a root key, nor is a failed command on record.
    assert_eq!(place.files(), ["bao-token", "xks-proxy.toml"]);
}

#[test]
fn thousands_of_keys_are_a_page_at_a_time_and_found() {
    let world = World::start();
    let alice = world.basic("alice", "alice");
    world.many_keys(120);
    let mut seen = Vec::new();
    let mut path = "/status/keys?key=many-".to_owned();
    loop {
        let page = world.page(&path, &alice);
        let rows: Vec<_> = page.split("<b>many-").skip(1).collect();
        let ids = rows
            .iter()
            .map(|row| row.split_once("</b>").unwrap().0.to_owned());
        let ids: Vec<_> = ids.collect();
        assert!(ids.len() <= 50, "{} rows", ids.len());
        seen.extend(ids);
        let Some((before, _)) = page.split_once("\">Next page</a>") else {
            break;
        };
        path = before
            .rsplit_once("href=\"")
            .unwrap()
            .1
            .replace("&amp;", "&");
    }
    let all: Vec<_> = (0..120).map(|n| format!("{n:04}")).collect();
    assert_eq!(seen, all);
    let status = world.json("/status.json?key=many-0117", &alice);
    assert_eq!(status["keys"]["rows"].as_array().unwrap().len(), 1);
    assert_eq!(
        status["keys"]["total"], 123,
        "those of the key managers, all of them"
    );
}

#[test]
fn the_commands_of_the_status_page_do_what_it_says() {
    let _alone = crate::alone();
    let ran =
        Page::read("proxy/docs/status.md").run("the_commands_of_the_status_page_do_what_it_says");
    ran.says(&[
        "KEY MANAGER",
        "/tenant-a",
        "the last hour: 0 requests",
        "<title>Status · xks-proxy</title>",
        "\"uri_path_prefix\": \"/tenant-a\"",
    ]);
    assert!(ran.stdout.contains("401"), "{}", ran.stdout);
}
