//! Every place that has credentials, with servers of this test in the roles of STS, ECS and EC2.

use super::*;
use crate::kms::environment::Environment;
use crate::kms::settings::Choice;
use crate::kms::test_server::server;

fn find_with(
    variables: &[(&str, &str)],
    profile: Option<&str>,
) -> Result<Credentials, CredentialsError> {
    let region = [("AWS_REGION", "us-east-1")];
    let environment = Environment::of(region.iter().chain(variables).copied());
    let choice = Choice {
        profile: profile.map(str::to_owned),
        ..Choice::default()
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let settings = Settings::resolve(environment, choice).await;
            find(&settings.map_err(|e| e.to_string()).unwrap()).await
        })
}

fn parts(credentials: &Credentials) -> (&str, &str, Option<&str>) {
    (
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token(),
    )
}

const NO_INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");
const DOCUMENT: &str = r#"{"AccessKeyId":"ASIADOC","SecretAccessKey":"s3cr3t","Token":"t0k3n",
    "Expiration":"2030-01-02T03:04:05Z","Code":"Success"}"#;

#[test]
fn the_environment_goes_first_unless_a_profile_is_chosen() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("credentials");
    std::fs::write(
        &file,
        "[default]\naws_access_key_id=D\naws_secret_access_key=d\n[x]\naws_access_key_id=X\n\
         aws_secret_access_key=x\naws_session_token=xt\n",
    )
    .unwrap();
    let file = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
    let own = [
        file,
        ("AWS_ACCESS_KEY_ID", "E"),
        ("AWS_SECRET_ACCESS_KEY", "e"),
        ("AWS_SESSION_TOKEN", "et"),
    ];
    let found = find_with(&own, None).unwrap();
    assert_eq!(parts(&found), ("E", "e", Some("et")));
    let found = find_with(&own, Some("x")).unwrap();
    assert_eq!(parts(&found), ("X", "x", Some("xt")));
    let found = find_with(&[file], None).unwrap();
    assert_eq!(parts(&found), ("D", "d", None));
    let found = find_with(&[file, ("AWS_PROFILE", "x")], None).unwrap();
    assert_eq!(parts(&found), ("X", "x", Some("xt")));
    let error = find_with(&own[..2], None).unwrap_err().to_string();
    assert!(error.contains("AWS_SECRET_ACCESS_KEY is not"), "{error}");
}

#[test]
fn where_there_are_none_every_place_is_named() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let error = find_with(&[("HOME", home), NO_INSTANCE], None).unwrap_err();
    let error = error.to_string();
    for place in [
        "AWS_ACCESS_KEY_ID",
        "/.aws/credentials is not there",
        "/.aws/config is not there",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_DISABLED",
    ] {
        assert!(error.contains(place), "no {place} in {error}");
    }
}

#[test]
fn a_process_prints_them_and_its_mistakes_do_not_show_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str| {
        let file = folder.path().join("config");
        std::fs::write(
            &file,
            format!("[default]\ncredential_process = {command}\n"),
        )
        .unwrap();
        find_with(
            &[("AWS_CONFIG_FILE", file.to_str().unwrap()), NO_INSTANCE],
            None,
        )
    };
    let json = r#"{"Version":1,"AccessKeyId":"P","SecretAccessKey":"p","SessionToken":"pt"}"#;
    let found = run(&format!("printf %s '{json}'")).unwrap();
    assert_eq!(parts(&found), ("P", "p", Some("pt")));
    for (command, expected) in [
        ("echo hush; echo why >&2; exit 3", "exit status: 3: why"),
        (
            r#"echo '{"Version":2,"SecretAccessKey":"hush"}'"#,
            "version 2",
        ),
        (
            r#"echo '{"Version":1,"SecretAccessKey":"hush"}'"#,
            "not the JSON",
        ),
        ("echo hush", "not JSON with a Version"),
    ] {
        let error = run(command).unwrap_err().to_string();
        assert!(
            error.contains(expected) && !error.contains("hush"),
            "{error}"
        );
    }
}

#[test]
fn containers_and_instances_hand_them_out() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer x\n").unwrap();
    let (url, asked) = server(vec![(200, DOCUMENT.to_owned())]);
    let full = format!("{url}/v1/credentials?a=b");
    let found = find_with(
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &full),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                token.to_str().unwrap(),
            ),
        ],
        None,
    );
    assert_eq!(parts(&found.unwrap()), ("ASIADOC", "s3cr3t", Some("t0k3n")));
    let asked = asked.join().unwrap();
    assert!(
        asked[0].starts_with("GET /v1/credentials?a=b HTTP/1.1\r\n"),
        "{asked:?}"
    );
    assert!(
        asked[0].contains("authorization: Bearer x\r\n"),
        "{asked:?}"
    );

    let far = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/")];
    let error = find_with(&far, None).unwrap_err().to_string();
    assert!(error.contains("plain HTTP to another machine"), "{error}");

    let answers = [(200, "imds-token"), (200, "the-role\n"), (200, DOCUMENT)];
    let (url, asked) = server(answers.map(|(s, b)| (s, b.to_owned())).to_vec());
    let found = find_with(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)], None);
    let found = found.unwrap();
    assert_eq!(parts(&found), ("ASIADOC", "s3cr3t", Some("t0k3n")));
    assert!(found.expiry().is_some());
    let asked = asked.join().unwrap();
    assert!(asked[0].starts_with("PUT /latest/api/token "), "{asked:?}");
    for request in &asked[1..] {
        assert!(
            request.contains("x-aws-ec2-metadata-token: imds-token\r\n"),
            "{request}"
        );
    }
    assert!(
        asked[2].contains("/iam/security-credentials/the-role "),
        "{asked:?}"
    );
}

/// As in STS's API reference.
const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
  <AssumeRoleResult>
    <AssumedRoleUser><AssumedRoleId>ARO123EXAMPLE123:xks-proxy</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <SessionToken>AQoDYXdzEPT//////////w==</SessionToken>
      <Expiration>2030-11-09T13:34:41Z</Expiration>
    </Credentials>
  </AssumeRoleResult>
</AssumeRoleResponse>";

#[test]
fn roles_are_assumed_with_another_profile_and_with_a_web_identity() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(
        &file,
        "[profile base]\naws_access_key_id=AKIABASE\naws_secret_access_key=b\n\
         [profile kms]\nrole_arn = arn:aws:iam::111122223333:role/kms admin\nsource_profile = base\n\
         external_id = a+b\n[profile loop]\nrole_arn = x\nsource_profile = loop\n\
         [profile web]\nrole_arn = r\nweb_identity_token_file = ~/token\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("token"), "the.jwt\n").unwrap();
    let config = ("AWS_CONFIG_FILE", file.to_str().unwrap());
    let home = ("HOME", folder.path().to_str().unwrap());

    let (url, asked) = server(vec![(200, ASSUMED.to_owned())]);
    let sts = ("AWS_ENDPOINT_URL_STS", &*url);
    let found = find_with(&[config, sts], Some("kms")).unwrap();
    assert_eq!(found.access_key_id(), "ASIAIOSFODNN7EXAMPLE");
    assert_eq!(found.session_token(), Some("AQoDYXdzEPT//////////w=="));
    let asked = asked.join().unwrap().remove(0);
    assert!(asked.contains("Credential=AKIABASE/"), "{asked}");
    assert!(asked.contains("/us-east-1/sts/aws4_request"), "{asked}");
    assert!(
        asked.ends_with(
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fkms%20admin\
             &RoleSessionName=xks-proxy&ExternalId=a%2Bb"
        ),
        "{asked}"
    );

    let (url, asked) = server(vec![(200, ASSUMED.to_owned())]);
    let sts = ("AWS_ENDPOINT_URL_STS", &*url);
    find_with(&[config, sts, home], Some("web")).unwrap();
    let asked = asked.join().unwrap().remove(0);
    assert!(asked.contains("&WebIdentityToken=the.jwt"), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");

    let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
        <Message>User: a &amp; b is not authorized</Message></Error></ErrorResponse>";
    let (url, _asked) = server(vec![(403, refused.to_owned())]);
    let sts = ("AWS_ENDPOINT_URL_STS", &*url);
    let error = find_with(&[config, sts], Some("kms"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("AccessDenied: User: a & b is not authorized"),
        "{error}"
    );
    let error = find_with(&[config], Some("loop")).unwrap_err().to_string();
    assert!(
        error.contains("source_profile loop has no credentials"),
        "{error}"
    );
}
