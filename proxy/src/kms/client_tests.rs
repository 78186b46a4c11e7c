//! Calls against a server that answers what KMS answers: retries, pages, errors.

use serde_json::{Value, json};

use super::client::CallError;
use super::test_server::server;
use super::*;

fn with_client<T, F: Future<Output = T>>(url: &str, run: impl FnOnce(KmsClient) -> F) -> T {
    let environment = Environment::of([
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_KMS", url),
    ]);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let settings = Settings::resolve(environment, Choice::default()).await;
            run(KmsClient::new(settings.unwrap()).await.unwrap()).await
        })
}

fn error(kind: &str) -> String {
    json!({ "__type": format!("com.amazonaws.kms#{kind}"), "message": "Slowly." }).to_string()
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn a_throttled_call_is_made_again_and_all_pages_are_read() {
    let page = |ids: &[&str], next: Option<&str>| {
        let keys: Vec<_> = ids
            .iter()
            .map(|id| json!({ "KeyId": id, "KeyArn": "x" }))
            .collect();
        let page = json!({ "Keys": keys, "NextMarker": next, "Truncated": next.is_some() });
        (200, page.to_string())
    };
    let (url, asked) = server(vec![
        (400, error("ThrottlingException")),
        (500, "<html>".to_owned()),
        page(&["a", "b"], Some("m")),
        page(&["c"], None),
    ]);
    let ids = with_client(&url, |kms| async move { kms.key_ids().await });
    assert_eq!(ids.unwrap(), ["a", "b", "c"]);
    let asked = asked.join().unwrap();
    for request in &asked {
        assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains("x-amz-target: TrentService.ListKeys\r\n"),
            "{request}"
        );
        assert!(request.contains("Credential=AKIDEXAMPLE/"), "{request}");
        assert!(request.contains("/eu-west-1/kms/aws4_request"), "{request}");
        assert!(!request.contains("hush"), "{request}");
    }
    assert_eq!(body(&asked[2]), json!({ "Limit": 1000 }));
    assert_eq!(body(&asked[3]), json!({ "Limit": 1000, "Marker": "m" }));
}

#[test]
fn a_refusal_is_not_repeated_and_keeps_kmss_words() {
    let (url, asked) = server(vec![(400, error("NotFoundException"))]);
    let result = with_client(&url, |kms| async move { kms.describe_key("k").await });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Some("NotFoundException"));
    assert!(!error.is_uncertain());
    assert_eq!(
        error.to_string(),
        "DescribeKey is refused with NotFoundException: Slowly. (request the-id)"
    );
    assert_eq!(asked.join().unwrap().len(), 1);
}

#[test]
fn throttling_without_end_and_servers_of_another_kind_are_told() {
    let answers = (0..6).map(|_| (400, error("ThrottlingException")));
    let (url, asked) = server(answers.collect());
    let result = with_client(&url, |kms| async move { kms.key_ids().await });
    assert_eq!(result.unwrap_err().kind(), Some("ThrottlingException"));
    assert_eq!(asked.join().unwrap().len(), 6);

    let (url, _asked) = server(vec![(404, "not here".to_owned())]);
    let result = with_client(&url, |kms| async move { kms.key_ids().await });
    let error = result.unwrap_err();
    assert!(matches!(error, CallError::NotUnderstood { .. }), "{error}");
    assert!(
        error.to_string().contains("is the endpoint KMS's?"),
        "{error}"
    );

    // Nobody listens.
    let result = with_client(
        "http://127.0.0.1:1",
        |kms| async move { kms.key_ids().await },
    );
    let error = result.unwrap_err();
    assert!(!error.is_uncertain());
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}
