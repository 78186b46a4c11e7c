//! The suite against the sound stub, and against every mutant of it.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::case::Finding;
use super::kit::Kit;
use super::mutants::{Flaw, Mutant, mutants};
use super::tls_client::Offer;
use super::*;
use crate::stub_proxy::{
    ACCESS_KEY_ID, Answer, HOST, Handshake, LOAD_BALANCER_PATH, LOCKED_URI_PATH, Reply,
    SECRET_ACCESS_KEY, Script, StubProxy, URI_PATH,
};
use crate::xks_tls::ClientCertificate;

mod over_http2;

const SECOND: (&str, &str) = (
    "STUBSTUBSTUBSTUBSTUB6767",
    "stubOtherStubOtherStubOtherStubOtherStub+/==",
);

/// A stub with every key that the suite can use.
fn stub() -> StubProxy {
    let script = serde_json::json!({
        "second-credential": {"access-key-id": SECOND.0, "secret-access-key": SECOND.1},
        "keys": [
            {"id": "demo"}, {"id": "other"},
            {"id": "encrypt-only", "usage": ["ENCRYPT"]},
            {"id": "decrypt-only", "usage": ["DECRYPT"]},
            {"id": "disabled", "status": "DISABLED"},
        ],
    });
    let folder = harness::temp_dir();
    let file = folder.path().join("script.json");
    std::fs::write(&file, script.to_string()).unwrap();
    let script = Script::load(&file).unwrap();
    StubProxy::with_script(script, TcpListener::bind("127.0.0.1:0").unwrap()).unwrap()
}

/// All that the suite may be told of it.
fn target(stub: &StubProxy) -> Target {
    let certificate = |(leaf, key)| ClientCertificate {
        chain: vec![leaf],
        key,
    };
    let name = |name: &str| Some(name.to_owned());
    Target {
        host: HOST.to_owned(),
        port: None,
        addresses: vec![stub.address()],
        uri_path: URI_PATH.to_owned(),
        credential: Credential {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        },
        region: "us-east-1".to_owned(),
        key_id: "demo".to_owned(),
        trust: vec![stub.ca()],
        client: Some(certificate(stub.client_certificate())),
        more: More {
            other_key: name("other"),
            encrypt_only_key: name("encrypt-only"),
            decrypt_only_key: name("decrypt-only"),
            disabled_key: name("disabled"),
            unknown_key: None,
            second_credential: Some(Credential {
                access_key_id: SECOND.0.to_owned(),
                secret_access_key: SECOND.1.to_owned(),
            }),
            other_uri_path: name(LOCKED_URI_PATH),
            other_subject: Some(certificate(stub.client_certificate_of("other.example.com"))),
            load_balancer_path: name(LOAD_BALANCER_PATH),
        },
        principal_arn: "arn:aws:iam::123456789012:user/Alice".to_owned(),
        kms_key_arn: "arn:aws:kms:us-east-1:123456789012:key/1234abcd".to_owned(),
        patience: Duration::from_secs(10),
    }
}

fn strictly() -> Selection {
    Selection {
        only: Vec::new(),
        strict: true,
    }
}

fn not_passed(results: &Results) -> Vec<String> {
    let others = results
        .cases
        .iter()
        .filter(|tried| tried.verdict != Verdict::Passed);
    others
        .map(|tried| format!("{}: {:?}", tried.case.name, tried.verdict))
        .collect()
}

#[test]
fn a_sound_proxy_passes_every_case() {
    let stub = stub();
    stub.handshake(Handshake::ClientCertificate);
    let results = run(&target(&stub), &strictly(), |_, _, _| {}).unwrap();
    let others = not_passed(&results);
    // The stub tells no date and speaks no HTTP/2.
    let untried = ["clock-of-the-proxy", "http2-"];
    let unexpected = others.iter().filter(|text| {
        let known = untried.iter().any(|name| text.starts_with(name));
        !known || !text.contains("Skipped")
    });
    let unexpected: Vec<_> = unexpected.collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(results.passed() > 400, "{}", results.summary());
}

#[test]
fn two_hundred_cases_run_with_what_is_required_alone() {
    let stub = stub();
    let target = Target {
        client: None,
        more: More::default(),
        ..target(&stub)
    };
    let results = run(&target, &strictly(), |_, _, _| {}).unwrap();
    assert!(results.failed() == 0, "{:#?}", not_passed(&results));
    assert!(results.passed() >= 200, "{}", results.summary());
    for tried in &results.cases {
        if let Verdict::Skipped(why) = &tried.verdict {
            let options = why.contains("give --");
            let cannot = why.contains("the proxy") || why.contains("the key id");
            assert!(options || cannot, "{}: {why}", tried.case.name);
        }
    }
}

#[test]
fn names_are_unique_and_texts_are_whole() {
    let mut names = BTreeSet::new();
    for case in cases() {
        assert!(names.insert(case.name), "{} twice", case.name);
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(case.name.bytes().all(word), "{}", case.name);
        assert!(case.requires.len() > 10, "{}", case.name);
        let marks = ['"', '|', '<'];
        assert!(
            !case.requires.ends_with('.') && !case.requires.contains(marks),
            "{}",
            case.name
        );
    }
}

/// What the mutant makes the case say.
fn tried(mutant: &Mutant, case: &Case) -> Result<(), Finding> {
    let stub = stub();
    let mut target = target(&stub);
    target.patience = Duration::from_secs(1);
    match mutant.flaw {
        Flaw::Answers(answer) => stub.always(Answer::Broken(answer)),
        Flaw::Connections(handshake) => stub.handshake(handshake),
        Flaw::Configuration(change) => change(&mut target),
    }
    let tls = Offer::of_kms(&target).config(&target).unwrap();
    let kit = Kit::new(&target, tls);
    kit.run(case).0
}

#[test]
fn every_mutant_is_found_by_the_cases_that_are_for_it() {
    let mutants: Vec<_> = mutants().collect();
    let misses = thread::scope(|scope| {
        // Most of them wait now and then.
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let mutants = &mutants;
                scope.spawn(move || {
                    let mine = mutants.iter().skip(worker).step_by(8);
                    mine.flat_map(|mutant| missed(mutant)).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join().unwrap());
        joined.flatten().collect::<Vec<_>>()
    });
    assert!(misses.is_empty(), "{misses:#?}");
}

fn missed(mutant: &Mutant) -> Vec<String> {
    let mut misses = Vec::new();
    let named = cases().filter(|case| mutant.is_found_by(case.name));
    for case in named {
        match tried(mutant, case) {
            Err(Finding::Failed(_)) => {}
            other => misses.push(format!("{} by {}: {other:?}", mutant.name, case.name)),
        }
    }
    misses
}

#[test]
fn every_case_finds_a_mutant() {
    for mutant in mutants() {
        for pattern in mutant.found_by {
            let alone = Mutant {
                found_by: std::slice::from_ref(pattern),
                ..*mutant
            };
            let names = cases().any(|case| alone.is_found_by(case.name));
            assert!(names, "{}: no case {pattern}", mutant.name);
        }
    }
    let without = cases().filter(|case| {
        !case.name.starts_with("http2-") && !mutants().any(|mutant| mutant.is_found_by(case.name))
    });
    let without: Vec<_> = without.map(|case| case.name).collect();
    assert!(without.is_empty(), "{without:#?}");
}

/// For people, in JSON, in JUnit XML and as a page.
fn reports(results: &Results) -> [String; 4] {
    let mut text = Vec::new();
    report::text::write(results, report::text::Colours::No, &mut text).unwrap();
    [
        String::from_utf8(text).unwrap(),
        report::json::document(results).to_string(),
        report::junit::document(results),
        report::html::page(results),
    ]
}

/// Makes nearly every case fail, so that nearly every request is in the reports.
#[test]
fn no_signature_gets_into_a_report_wherever_it_stands() {
    let answers = [
        Answer::Error(500, "InternalException"),
        Answer::Broken(|call| Some(call.trusting())),
        // Repeats what it was sent.
        Answer::Broken(|call| {
            let said = format!("{:?} {}", call.request.headers, call.request.target);
            let body = serde_json::json!({"errorName": said, "errorMessage": said});
            Some(Reply::json(418, body.to_string()))
        }),
    ];
    for answer in answers {
        let stub = stub();
        stub.always(answer.clone());
        let mut target = target(&stub);
        target.patience = Duration::from_secs(2);
        let results = run(&target, &strictly(), |_, _, _| {}).unwrap();
        let query = results.cases.iter();
        let mut query = query.filter(|tried| tried.case.name == "signature-in-the-query");
        let query = query.next().unwrap();
        assert!(
            query.verdict == Verdict::Passed
                || query.exchanges[0]
                    .request
                    .contains("X-Amz-Signature=[64 characters]"),
            "{:?}",
            query.exchanges
        );
        for report in &reports(&results) {
            let words = report.split(|c| !matches!(c, '0'..='9' | 'a'..='f'));
            let longest = words.max_by_key(|word| word.len()).unwrap();
            assert!(longest.len() < 64, "{answer:?}: {longest}");
        }
    }
}

#[test]
fn a_wrong_secret_path_or_key_is_said_at_the_top_and_at_the_bottom() {
    let selection = Selection {
        only: vec!["genuine-encrypt-request".to_owned()],
        strict: false,
    };
    type Mistake = fn(&mut Target);
    let mistakes: [(Mistake, &str); 3] = [
        (
            |target| target.credential.secret_access_key = "a".repeat(43),
            "the proxy does not take this credential",
        ),
        (
            |target| target.uri_path = "/none/kms/xks/v1".to_owned(),
            "the proxy does not take the path /none/kms/xks/v1 of --uri-path (404 InvalidUriPathException",
        ),
        (
            |target| target.key_id = "none".to_owned(),
            "the proxy does not take the external key none of --key-id (404 KeyNotFoundException",
        ),
    ];
    let stub = stub();
    for (mistake, expected) in mistakes {
        let mut target = target(&stub);
        mistake(&mut target);
        let results = run(&target, &selection, |_, _, _| {}).unwrap();
        assert_eq!(results.failed(), 1);
        let [text, others @ ..] = reports(&results);
        assert!(
            text.starts_with(&format!("NOTICE {expected}")),
            "no {expected:?} in:\n{text}"
        );
        assert_eq!(text.matches("NOTICE").count(), 2, "{text}");
        for report in others {
            assert!(report.contains(expected), "no {expected:?} in:\n{report}");
        }
    }
    let sound = run(&target(&stub), &selection, |_, _, _| {}).unwrap();
    assert_eq!(sound.notice, None);
}

#[test]
fn a_proxy_that_stops_answering_ends_the_run() {
    let stub = stub();
    let mut target = target(&stub);
    target.patience = Duration::from_secs(1);
    let selection = Selection {
        only: vec!["authorization".to_owned()],
        strict: false,
    };
    let results = run(&target, &selection, |done, _, _| {
        if done == 2 {
            stub.always(Answer::Late(Duration::from_secs(3)));
        }
    })
    .unwrap();
    let at = results
        .cases
        .iter()
        .position(|tried| tried.verdict.text().contains("stopped answering"));
    let at = at.unwrap_or_else(|| panic!("{:#?}", not_passed(&results)));
    assert!(matches!(results.cases[at].verdict, Verdict::Failed(_)));
    let after = &results.cases[at + 1..];
    assert!(!after.is_empty() && at < 8, "{at}");
    for tried in after {
        assert!(
            matches!(tried.verdict, Verdict::Skipped(_)),
            "{}",
            tried.case.name
        );
    }
}

#[test]
fn nothing_that_can_be_sent_again_gets_into_a_report() {
    let stub = stub();
    stub.always(Answer::Error(500, "InternalException"));
    let target = target(&stub);
    let selection = Selection {
        only: vec!["genuine".to_owned()],
        strict: false,
    };
    let results = run(&target, &selection, |_, _, _| {}).unwrap();
    assert!(results.failed() > 0);
    let reports = reports(&results);
    for report in &reports {
        assert!(!report.contains(SECRET_ACCESS_KEY));
        assert!(report.contains("Signature=[64 characters]"), "{report}");
        assert!(report.contains("genuine-encrypt-request"), "{report}");
    }
    let last = reports[0].lines().last();
    assert_eq!(last, Some(&*results.summary()));
}

#[test]
fn a_proxy_that_is_not_trusted_fails_one_case_and_the_others_are_skipped() {
    let stub = stub();
    let target = Target {
        trust: Vec::new(),
        ..target(&stub)
    };
    let results = run(&target, &strictly(), |_, _, _| {}).unwrap();
    assert_eq!(results.failed(), 1, "{:#?}", not_passed(&results));
    assert_eq!(results.passed(), 0);
    let reason = results.cases.last().map(|tried| tried.verdict.text());
    assert!(reason.unwrap().contains("--trust-ca"), "{reason:?}");
}

#[test]
fn no_tls_and_no_case_for_it_is_no_result() {
    let stub = stub();
    let target = Target {
        trust: Vec::new(),
        ..target(&stub)
    };
    let selection = Selection {
        only: vec!["cdiv".to_owned()],
        strict: false,
    };
    match run(&target, &selection, |_, _, _| {}) {
        Err(error @ Unreachable::NoTls { .. }) => {
            assert!(error.to_string().contains("--trust-ca"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(results) => panic!("{}", results.summary()),
    }
}

#[test]
fn a_peer_that_is_silent_at_the_handshake_is_said_so() {
    let stub = stub();
    stub.handshake(Handshake::Silence);
    let mut target = target(&stub);
    target.patience = Duration::from_secs(1);
    match run(&target, &strictly(), |_, _, _| {}) {
        Err(error @ Unreachable::SilentHandshake { .. }) => {
            let text = error.to_string();
            assert!(text.contains("timed out"), "{text}");
            assert!(!text.contains("os error"), "{text}");
            assert!(!text.contains("--trust-ca"), "{text}");
        }
        Err(other) => panic!("{other}"),
        Ok(results) => panic!("{}", results.summary()),
    }
}

#[test]
fn the_list_says_what_is_expected_where_that_is_one_answer() {
    let all: Vec<_> = cases().collect();
    let lines = report::list::lines(&all);
    assert!(!lines.contains("see what is required"));
    assert!(lines.contains("; expects: 401 AuthenticationFailedException\n"));
}

#[test]
fn a_proxy_that_is_not_there_is_no_result() {
    let stub = stub();
    stub.kill();
    match run(&target(&stub), &strictly(), |_, _, _| {}) {
        Err(Unreachable::Tcp { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("results of a proxy that is not there"),
    }
}

#[test]
fn a_proxy_that_wants_a_certificate_is_told_from_one_that_fails() {
    let stub = stub();
    stub.handshake(Handshake::ClientCertificate);
    let target = Target {
        client: None,
        ..target(&stub)
    };
    match run(&target, &strictly(), |_, _, _| {}) {
        Err(error @ Unreachable::NoAnswer { .. }) => {
            assert!(error.to_string().contains("--client-cert"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(results) => panic!("{}", results.summary()),
    }
}

/// The list in the documentation is made from the tables; `UPDATE_CONFORMANCE_LIST=1` writes it.
#[test]
fn the_page_lists_every_case() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conformance.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (start, end) = ("<!-- cases -->\n", "<!-- end of cases -->");
    let (before, rest) = text.split_once(start).expect("the start of the list");
    let (found, after) = rest.split_once(end).expect("the end of the list");
    let expected = report::list::markdown();
    if std::env::var_os("UPDATE_CONFORMANCE_LIST").is_some() {
        std::fs::write(page, format!("{before}{start}{expected}{end}{after}")).unwrap();
        return;
    }
    assert!(
        found == expected,
        "the list of cases is not that of the tables: run the test with UPDATE_CONFORMANCE_LIST=1"
    );
}
