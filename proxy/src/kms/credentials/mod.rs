//! Who calls: the places that AWS's tools look at, in their order. The first that has credentials counts.

mod container;
pub(super) mod instance;
mod process;
mod role;

use std::time::SystemTime;

use aws_credential_types::Credentials;
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::profile::{Found, Profile};
use super::settings::Settings;

/// Finds credentials.
///
/// # Errors
/// [`CredentialsError`].
pub(super) async fn find(settings: &Settings) -> Result<Credentials, CredentialsError> {
    let mut looked = Vec::new();
    match settings.profile_is_chosen {
        false => match of_environment(settings)? {
            Some(credentials) => return Ok(credentials),
            None => looked.push("AWS_ACCESS_KEY_ID is not set".to_owned()),
        },
        true => looked.push("the environment does not count, as --profile is given".to_owned()),
    }
    if let Some(profile) = settings.profiles.get(&settings.profile) {
        if let Some(credentials) = of_profile(settings, profile).await? {
            return Ok(credentials);
        }
        looked.push(format!("the profile {} has none", settings.profile));
    } else {
        for (path, found) in &settings.profiles.files {
            let name = &settings.profile;
            looked.push(match found {
                Found::Missing => format!("{} is not there", path.display()),
                Found::Read | Found::Unreadable(_) => {
                    format!("{} has no profile {name}", path.display())
                }
            });
        }
    }
    match role::of_environment(settings).await? {
        Some(credentials) => return Ok(credentials),
        None => looked.push("AWS_WEB_IDENTITY_TOKEN_FILE is not set".to_owned()),
    }
    match container::credentials(settings).await? {
        Some(credentials) => return Ok(credentials),
        None => looked
            .push("AWS_CONTAINER_CREDENTIALS_FULL_URI and …_RELATIVE_URI are not set".to_owned()),
    }
    match instance::credentials(&settings.environment, &settings.http).await {
        Ok(credentials) => Ok(credentials),
        Err(problem) => {
            looked.push(format!("the metadata of an EC2 instance: {problem}"));
            Err(CredentialsError::Nowhere(looked))
        }
    }
}

fn of_environment(settings: &Settings) -> Result<Option<Credentials>, CredentialsError> {
    let get = |name| settings.environment.get(name);
    match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        (None, _) => Ok(None),
        (Some(id), Some(secret)) => Ok(Some(credentials(
            id,
            secret,
            get("AWS_SESSION_TOKEN"),
            None,
            "environment",
        ))),
        (Some(_), None) => Err(CredentialsError::unusable(
            "the environment",
            "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not",
        )),
    }
}

async fn of_profile(
    settings: &Settings,
    profile: &Profile,
) -> Result<Option<Credentials>, CredentialsError> {
    if profile.get("role_arn").is_some() {
        return role::of_profile(settings, profile).await.map(Some);
    }
    without_role(&settings.profile, profile).await
}

/// Credentials that a profile has itself.
async fn without_role(
    name: &str,
    profile: &Profile,
) -> Result<Option<Credentials>, CredentialsError> {
    let place = || format!("the profile {name}");
    if let Some(id) = profile.get("aws_access_key_id") {
        let secret = profile.get("aws_secret_access_key").ok_or_else(|| {
            CredentialsError::unusable(
                place(),
                "aws_access_key_id is there without aws_secret_access_key",
            )
        })?;
        let token = profile.get("aws_session_token");
        return Ok(Some(credentials(id, secret, token, None, "profile")));
    }
    if let Some(command) = profile.get("credential_process") {
        let made = process::run(command).await;
        return made.map(Some).map_err(|problem| {
            CredentialsError::unusable(format!("credential_process of {}", place()), problem)
        });
    }
    let sign_on = ["sso_session", "sso_start_url", "login_session"];
    if sign_on.iter().any(|name| profile.get(name).is_some()) {
        let problem = format!(
            "it signs on through a browser, which the AWS CLI does: run `aws sso login --profile {name}`, then \
             `eval \"$(aws configure export-credentials --profile {name} --format env)\"`"
        );
        return Err(CredentialsError::unusable(place(), problem));
    }
    Ok(None)
}

fn credentials(
    id: &str,
    secret: &str,
    token: Option<&str>,
    expiry: Option<SystemTime>,
    provider: &'static str,
) -> Credentials {
    Credentials::new(id, secret, token.map(str::to_owned), expiry, provider)
}

/// Credentials as processes, containers and instances write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: Secret,
    #[serde(alias = "Token", default)]
    session_token: Option<Secret>,
    #[serde(default)]
    expiration: Option<String>,
}

/// Text that is wiped on drop.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Document {
    /// The parser's own words are left out: they might show a part of a secret.
    fn read(json: &[u8], provider: &'static str) -> Result<Credentials, &'static str> {
        let document: Self = serde_json::from_slice(json).map_err(
            |_| "its answer is not the JSON that AWS documents (AccessKeyId, SecretAccessKey, …)",
        )?;
        let token = document
            .session_token
            .as_ref()
            .map(|token| token.0.as_str());
        let expiry = document.expiration.as_deref().map(timestamp).transpose()?;
        let (id, secret) = (&document.access_key_id, &document.secret_access_key.0);
        Ok(credentials(id, secret, token, expiry, provider))
    }
}

fn timestamp(text: &str) -> Result<SystemTime, &'static str> {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    time.map(SystemTime::from)
        .map_err(|_| "its Expiration is no time as in ISO 8601")
}

/// Why nobody calls.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Every place that was looked at, and what was there.
    #[error(
        "there are no AWS credentials:\n  {}\nSet AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with --profile",
        .0.join("\n  ")
    )]
    Nowhere(Vec<String>),
    /// A place that is configured.
    #[error("no AWS credentials from {place}: {problem}")]
    Unusable {
        /// Which.
        place: String,
        /// Why not.
        problem: String,
    },
}

impl CredentialsError {
    fn unusable(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Unusable {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests;
