//! Roles, assumed through STS: with the credentials of another profile, or with the token of a web identity.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use zeroize::Zeroizing;

use super::{CredentialsError, container, instance, timestamp, without_role};
use crate::kms::client::sign;
use crate::kms::exchange::Answer;
use crate::kms::profile::Profile;
use crate::kms::settings::Settings;

/// The role of a profile.
pub(super) async fn of_profile(
    settings: &Settings,
    profile: &Profile,
) -> Result<Credentials, CredentialsError> {
    assume(settings, &settings.profile, profile, 0).await
}

/// `AWS_WEB_IDENTITY_TOKEN_FILE` with `AWS_ROLE_ARN`, as EKS sets them for a service account.
pub(super) async fn of_environment(
    settings: &Settings,
) -> Result<Option<Credentials>, CredentialsError> {
    let get = |name| settings.environment.get(name);
    let Some(file) = get("AWS_WEB_IDENTITY_TOKEN_FILE") else {
        return Ok(None);
    };
    let place = "AWS_WEB_IDENTITY_TOKEN_FILE";
    let role = get("AWS_ROLE_ARN")
        .ok_or_else(|| CredentialsError::unusable(place, "AWS_ROLE_ARN is not set"))?;
    let name = get("AWS_ROLE_SESSION_NAME");
    with_web_identity(settings, place, role, file, name)
        .await
        .map(Some)
}

async fn assume(
    settings: &Settings,
    name: &str,
    profile: &Profile,
    depth: usize,
) -> Result<Credentials, CredentialsError> {
    let place = format!("the role of the profile {name}");
    let unusable = |problem: String| CredentialsError::unusable(place.clone(), problem);
    let role = profile.get("role_arn").unwrap_or_default();
    let session_name = profile.get("role_session_name");
    if let Some(file) = profile.get("web_identity_token_file") {
        return with_web_identity(settings, &place, role, file, session_name).await;
    }
    if profile.get("mfa_serial").is_some() {
        return Err(unusable(format!(
            "it needs a code of {}: let the AWS CLI ask for it, `eval \"$(aws configure export-credentials \
             --profile {name} --format env)\"`",
            profile.get("mfa_serial").unwrap_or_default()
        )));
    }
    let source = match (
        profile.get("source_profile"),
        profile.get("credential_source"),
    ) {
        (Some(source), _) => {
            let other = settings.profiles.get(source);
            let other =
                other.ok_or_else(|| unusable(format!("there is no source_profile {source}")))?;
            let own = without_role(source, other).await?;
            match own {
                Some(credentials) => credentials,
                None if source != name && other.get("role_arn").is_some() && depth < MAX_DEPTH => {
                    Box::pin(assume(settings, source, other, depth + 1)).await?
                }
                None => {
                    return Err(unusable(format!(
                        "the source_profile {source} has no credentials"
                    )));
                }
            }
        }
        (None, Some("Environment")) => super::of_environment(settings)?
            .ok_or_else(|| unusable("AWS_ACCESS_KEY_ID is not set".to_owned()))?,
        (None, Some("EcsContainer")) => container::credentials(settings)
            .await?
            .ok_or_else(|| unusable("this is no container of ECS or EKS".to_owned()))?,
        (None, Some("Ec2InstanceMetadata")) => {
            let found = instance::credentials(&settings.environment, &settings.http).await;
            found.map_err(unusable)?
        }
        (None, other) => {
            return Err(unusable(match other {
                Some(other) => format!("credential_source {other} is unknown"),
                None => "it has neither source_profile nor credential_source".to_owned(),
            }));
        }
    };
    let mut form = Form::new("AssumeRole", role, session_name);
    for (setting, parameter) in [
        ("external_id", "ExternalId"),
        ("duration_seconds", "DurationSeconds"),
    ] {
        if let Some(value) = profile.get(setting) {
            form.push(parameter, value);
        }
    }
    ask(settings, form, Some(&source)).await.map_err(unusable)
}

async fn with_web_identity(
    settings: &Settings,
    place: &str,
    role: &str,
    file: &str,
    session_name: Option<&str>,
) -> Result<Credentials, CredentialsError> {
    let unusable = |problem: String| CredentialsError::unusable(place, problem);
    let path = settings.environment.expanded(file);
    let token = std::fs::read_to_string(&path).map(Zeroizing::new);
    let token = token.map_err(|e| unusable(format!("{}: {e}", path.display())))?;
    let mut form = Form::new("AssumeRoleWithWebIdentity", role, session_name);
    form.push("WebIdentityToken", token.trim());
    ask(settings, form, None).await.map_err(unusable)
}

/// Parameters of a request in the query protocol.
struct Form(Zeroizing<String>);

impl Form {
    fn new(action: &str, role: &str, session_name: Option<&str>) -> Self {
        let mut form = Self(Zeroizing::new(String::with_capacity(8 * 1024)));
        form.push("Action", action);
        form.push("Version", "2011-06-15");
        form.push("RoleArn", role);
        form.push("RoleSessionName", session_name.unwrap_or("xks-proxy"));
        form
    }

    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    self.0.push(char::from(byte));
                }
                _ => self.0.push_str(&format!("%{byte:02X}")),
            }
        }
    }
}

async fn ask(
    settings: &Settings,
    form: Form,
    signer: Option<&Credentials>,
) -> Result<Credentials, String> {
    let url = settings.sts().map_err(|e| e.to_string())?;
    let body = Bytes::from_owner(Zeroizing::new(form.0.as_bytes().to_vec()));
    let mut request = Request::post(format!("{}/", url.path))
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        )
        .body(Full::new(body.clone()))
        .map_err(|e| e.to_string())?;
    if let Some(signer) = signer {
        let now = SystemTime::now();
        sign(
            &mut request,
            &body,
            &url,
            signer,
            &settings.region,
            "sts",
            now,
        )?;
    }
    let answer = settings.http.exchange(&url, request, LIMIT).await;
    let answer = answer.map_err(|e| format!("STS at {url}: {e}"))?;
    read(&answer)
}

fn read(answer: &Answer) -> Result<Credentials, String> {
    let text =
        str::from_utf8(&answer.body).map_err(|_| "STS answers with something else than XML")?;
    if !answer.status.is_success() {
        let said = |name| element(text, name).unwrap_or_default();
        return Err(format!(
            "STS refuses with {}: {}",
            said("Code"),
            unescaped(said("Message"))
        ));
    }
    let part = |name| element(text, name).ok_or("STS answers with other XML than AWS documents");
    let expiry = timestamp(part("Expiration")?)?;
    Ok(super::credentials(
        part("AccessKeyId")?,
        part("SecretAccessKey")?,
        Some(part("SessionToken")?),
        Some(expiry),
        "role",
    ))
}

/// The text of the first element of a name, which has no elements inside.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}

/// Roles that lead to roles.
const MAX_DEPTH: usize = 5;
const LIMIT: Duration = Duration::from_secs(15);
