//! STS's GetCallerIdentity, and callers without a signature.
//!
//! Expected of STS: what AWS STS answered to the same parameters, as public conformance tests against AWS record it.

use harness::https::{Connection, Response};
use kms_sim::Config;

use crate::server::{SIGNED, Server, post};

#[test]
fn the_caller_learns_who_it_is_by_form_and_by_query_string() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    let signed = SIGNED.replace("/kms/", "/sts/");
    let form = form(
        &mut connection,
        &signed,
        "Action=GetCallerIdentity&Version=2011-06-15",
    );
    let query = get(
        &mut connection,
        &signed,
        "Action=GetCallerIdentity&Version=2011-06-15",
    );
    for response in [form, query] {
        assert_eq!(
            (response.status, response.header("content-type")),
            (200, Some("text/xml"))
        );
        let body = text(&response);
        assert!(
            body.starts_with(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
            ),
            "{body}"
        );
        assert_eq!(
            element(&body, "Arn"),
            "arn:aws:iam::123456789012:user/AKIDEXAMPLE"
        );
        assert_eq!(element(&body, "Account"), "123456789012");
        assert!(element(&body, "UserId").starts_with("AIDA"), "{body}");
        assert_eq!(
            Some(element(&body, "RequestId")),
            response.header("x-amzn-requestid")
        );
    }
}

#[test]
fn a_presigned_request_needs_no_header() {
    let server = Server::start(Config::default());
    let presigned = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                     &X-Amz-Credential=210987654321%2F20261124%2Fus-east-1%2Fsts%2Faws4_request\
                     &X-Amz-Date=20261124T104500Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=ab";
    let response = get(&mut server.connect(), "", presigned);
    let body = text(&response);
    assert_eq!(element(&body, "Arn"), "arn:aws:iam::210987654321:root");
    assert_eq!(element(&body, "UserId"), "210987654321");
}

#[test]
fn what_sts_does_not_have_is_refused_in_its_own_words() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    for (parameters, message) in [
        (
            "Action=NoSuchAction&Version=2011-06-15",
            "Could not find operation NoSuchAction for version 2011-06-15",
        ),
        (
            "Action=GetCallerIdentity&Version=2000-01-01",
            "Could not find operation GetCallerIdentity for version 2000-01-01",
        ),
        (
            "Action=GetCallerIdentity",
            "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED",
        ),
        (
            "Action=NoSuchAction&Action=GetCallerIdentity&Version=2011-06-15",
            "Could not find operation NoSuchAction for version 2011-06-15",
        ),
    ] {
        let response = form(&mut connection, SIGNED, parameters);
        let body = text(&response);
        assert_eq!(response.status, 400, "{body}");
        assert!(
            body.starts_with("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"),
            "{body}"
        );
        assert_eq!(element(&body, "Type"), "Sender");
        assert_eq!(element(&body, "Code"), "InvalidAction", "{parameters}");
        assert_eq!(element(&body, "Message"), message);
        assert_eq!(
            Some(element(&body, "RequestId")),
            response.header("x-amzn-requestid")
        );
    }
    // AWS redirects to a web page, which helps no program.
    let response = form(&mut connection, SIGNED, "Version=2011-06-15");
    assert_eq!(element(&text(&response), "Code"), "MissingAction");
    let response = form(
        &mut connection,
        "",
        "Action=GetCallerIdentity&Version=2011-06-15",
    );
    assert_eq!(
        (response.status, element(&text(&response), "Code")),
        (403, "MissingAuthenticationToken")
    );
    let long = format!("Action={}", "x".repeat(1024 * 1024));
    assert_eq!(form(&mut server.connect(), SIGNED, &long).status, 413);
}

#[test]
fn a_request_without_a_signature_is_served_where_that_is_allowed() {
    let server = Server::start(Config {
        allow_anonymous: true,
        region: "eu-north-1".to_owned(),
        ..Config::default()
    });
    let mut connection = server.connect();
    let target = "x-amz-target: TrentService.CreateKey\r\n";
    let created = post(&mut connection, target, "{}");
    let arn = created.json()["KeyMetadata"]["Arn"].to_string();
    assert!(
        arn.starts_with("\"arn:aws:kms:eu-north-1:123456789012:key/"),
        "{arn}"
    );
    // A signature still says who calls, and where.
    let created = post(&mut connection, &format!("{target}{SIGNED}"), "{}");
    let arn = created.json()["KeyMetadata"]["Arn"].to_string();
    assert!(
        arn.starts_with("\"arn:aws:kms:eu-west-1:123456789012:key/"),
        "{arn}"
    );
    let identity = form(
        &mut connection,
        "",
        "Action=GetCallerIdentity&Version=2011-06-15",
    );
    assert_eq!(
        element(&text(&identity), "Arn"),
        "arn:aws:iam::123456789012:root"
    );

    let strict = Server::start(Config::default());
    let refused = post(&mut strict.connect(), target, "{}");
    assert_eq!(
        (refused.status, &refused.json()["__type"]),
        (400, &"MissingAuthenticationTokenException".into())
    );
}

fn form(connection: &mut Connection, headers: &str, parameters: &str) -> Response {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: sts\r\ncontent-type: application/x-www-form-urlencoded; charset=utf-8\r\n\
         content-length: {}\r\n{headers}\r\n{parameters}",
        parameters.len()
    );
    connection.exchange(request.as_bytes()).expect("an answer")
}

fn get(connection: &mut Connection, headers: &str, parameters: &str) -> Response {
    let request = format!("GET /?{parameters} HTTP/1.1\r\nhost: sts\r\n{headers}\r\n");
    connection.exchange(request.as_bytes()).expect("an answer")
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("UTF-8")
}

/// The text of the first element of this name.
fn element<'t>(xml: &'t str, name: &str) -> &'t str {
    let after = xml.split_once(&format!("<{name}>")).map(|(_, after)| after);
    let found = after.and_then(|after| after.split_once(&format!("</{name}>")));
    found.unwrap_or_else(|| panic!("no <{name}> in {xml}")).0
}
