//! The metadata of an EC2 instance (IMDSv2): the credentials of its role, and its Region.

use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use zeroize::Zeroizing;

use super::Document;
use crate::kms::environment::Environment;
use crate::kms::exchange::{Http, Plain, Url};

/// The credentials of the instance's role.
///
/// # Errors
/// Why there are none, in words.
pub(super) async fn credentials(
    environment: &Environment,
    http: &Http,
) -> Result<Credentials, String> {
    let session = Session::begin(environment, http).await?;
    let role = session.get(CREDENTIALS).await?;
    let role = role.lines().next().unwrap_or_default().trim().to_owned();
    let document = session.get(&format!("{CREDENTIALS}{role}")).await?;
    Document::read(document.as_bytes(), "instance").map_err(str::to_owned)
}

/// The Region of the instance, if this is one.
pub(in crate::kms) async fn region(environment: &Environment, http: &Http) -> Option<String> {
    let session = Session::begin(environment, http).await.ok()?;
    let region = session
        .get("/latest/meta-data/placement/region")
        .await
        .ok()?;
    Some(region.trim().to_owned())
}

struct Session<'h> {
    http: &'h Http,
    url: Url,
    token: Zeroizing<String>,
}

impl<'h> Session<'h> {
    async fn begin(environment: &Environment, http: &'h Http) -> Result<Self, String> {
        if environment.is_true("AWS_EC2_METADATA_DISABLED") {
            return Err("AWS_EC2_METADATA_DISABLED is true".to_owned());
        }
        let endpoint = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let url = Url::parse(endpoint.unwrap_or(ENDPOINT), Plain::Metadata);
        let url = url.map_err(|e| format!("AWS_EC2_METADATA_SERVICE_ENDPOINT {e}"))?;
        let mut session = Self {
            http,
            url,
            token: Zeroizing::default(),
        };
        session.token = session.ask(Method::PUT, "/latest/api/token").await?;
        Ok(session)
    }

    async fn get(&self, path: &str) -> Result<Zeroizing<String>, String> {
        self.ask(Method::GET, path).await
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Zeroizing<String>, String> {
        let path = format!("{}{path}", self.url.path);
        let request = match method {
            Method::PUT => Request::put(path).header("x-aws-ec2-metadata-token-ttl-seconds", "300"),
            _ => Request::get(path).header("x-aws-ec2-metadata-token", self.token.as_str()),
        };
        let request = request.body(Full::new(Bytes::new()));
        let request = request.map_err(|e| e.to_string())?;
        let answer = self.http.exchange(&self.url, request, LIMIT).await;
        let answer = answer.map_err(|e| format!("{} does not answer: {e}", self.url))?;
        match answer.status {
            StatusCode::OK => String::from_utf8(answer.body.to_vec())
                .map(Zeroizing::new)
                .map_err(|_| "it answers with something else than text".to_owned()),
            StatusCode::NOT_FOUND => Err("the instance has no role".to_owned()),
            status => Err(format!("{} answers {status}", self.url)),
        }
    }
}

const ENDPOINT: &str = "http://169.254.169.254";
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
/// Where this is no instance, nobody answers.
const LIMIT: Duration = Duration::from_secs(1);
