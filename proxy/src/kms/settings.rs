//! Region, profile and endpoints: the command line first, then the environment, then the profile.

use std::path::PathBuf;
use std::sync::Arc;

use super::credentials::instance;
use super::environment::Environment;
use super::exchange::{Http, InvalidUrl, Plain, Url};
use super::http_proxy::{HttpProxy, InvalidHttpProxy};
use super::profile::{Found, Profile, Profiles};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Instead of AWS's own endpoint.
    pub endpoint_url: Option<String>,
    /// Instead of the one of the environment or the profile.
    pub region: Option<String>,
    /// Instead of the one of the environment.
    pub profile: Option<String>,
}

/// Everything but credentials. It has no `Debug`: profiles hold secrets.
pub struct Settings {
    pub(super) environment: Environment,
    pub(super) profiles: Profiles,
    /// The name of the profile, which need not be there.
    pub(super) profile: String,
    /// Whether the command line names the profile: then credentials of the environment do not count.
    pub(super) profile_is_chosen: bool,
    pub(super) region: String,
    pub(super) kms: Url,
    pub(super) http: Arc<Http>,
}

impl Settings {
    /// Finds out Region and endpoint; asks the machine that this is in EC2 for the Region if nothing else says it.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub async fn resolve(environment: Environment, choice: Choice) -> Result<Self, SettingsError> {
        let profiles = Profiles::load(&environment);
        for (path, found) in &profiles.files {
            if let Found::Unreadable(error) = found {
                let (path, error) = (path.clone(), error.to_string());
                return Err(SettingsError::File { path, error });
            }
        }
        let named = choice
            .profile
            .as_deref()
            .or_else(|| environment.get("AWS_PROFILE"));
        let name = named.unwrap_or("default").to_owned();
        if named.is_some() && profiles.get(&name).is_none() {
            let known = profiles.names().join(", ");
            return Err(SettingsError::NoProfile { name, known });
        }
        let profile = profiles.get(&name);
        let bundle = environment
            .get("AWS_CA_BUNDLE")
            .or_else(|| profile?.get("ca_bundle"))
            .or_else(|| environment.get("SSL_CERT_FILE"));
        let bundle = bundle.map(|path| environment.expanded(path));
        let http = Arc::new(Http::new(bundle, HttpProxy::of(&environment)?));
        let region = choice
            .region
            .as_deref()
            .or_else(|| environment.get("AWS_REGION"))
            .or_else(|| environment.get("AWS_DEFAULT_REGION"))
            .or_else(|| profile?.get("region"))
            .map(str::to_owned);
        let region = match region {
            Some(region) => region,
            None => instance::region(&environment, &http).await.ok_or_else(|| {
                SettingsError::NoRegion {
                    profile: name.clone(),
                }
            })?,
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if region.is_empty() || !region.bytes().all(plain) {
            return Err(SettingsError::Region(region));
        }
        let given = choice.endpoint_url.map(|url| (url, "--endpoint-url"));
        let kms =
            match given.or_else(|| configured_endpoint(&environment, &profiles, profile, "kms")) {
                Some((url, place)) => Url::parse(&url, Plain::Loopback)
                    .map_err(|error| SettingsError::endpoint(place, &url, error))?,
                None => aws_endpoint(&environment, &region, "kms"),
            };
        Ok(Self {
            profile_is_chosen: choice.profile.is_some(),
            profile: name,
            region,
            kms,
            http,
            environment,
            profiles,
        })
    }

    /// The endpoint of STS, which roles are assumed at.
    ///
    /// # Errors
    /// One that is configured and cannot be used.
    pub(super) fn sts(&self) -> Result<Url, SettingsError> {
        let profile = self.profiles.get(&self.profile);
        match configured_endpoint(&self.environment, &self.profiles, profile, "sts") {
            Some((url, place)) => Url::parse(&url, Plain::Loopback)
                .map_err(|error| SettingsError::endpoint(place, &url, error)),
            None => Ok(aws_endpoint(&self.environment, &self.region, "sts")),
        }
    }

    /// Where KMS is.
    pub fn endpoint(&self) -> String {
        self.kms.to_string()
    }

    /// The Region that is called.
    pub fn region(&self) -> &str {
        &self.region
    }
}

/// The endpoint that somebody configured for a service, and where.
fn configured_endpoint(
    environment: &Environment,
    profiles: &Profiles,
    profile: Option<&Profile>,
    service: &str,
) -> Option<(String, &'static str)> {
    if environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return None;
    }
    let of_service = match service {
        "kms" => "AWS_ENDPOINT_URL_KMS",
        _ => "AWS_ENDPOINT_URL_STS",
    };
    for variable in [of_service, "AWS_ENDPOINT_URL"] {
        if let Some(url) = environment.get(variable) {
            return Some((url.to_owned(), variable));
        }
    }
    let services = profile?.get("services");
    let services = services.and_then(|name| profiles.services(name));
    if let Some(url) = services.and_then(|s| s.get(&format!("{service}.endpoint_url"))) {
        return Some((url.to_owned(), "endpoint_url of the profile's services"));
    }
    let url = profile?.get("endpoint_url")?;
    Some((url.to_owned(), "endpoint_url of the profile"))
}

fn aws_endpoint(environment: &Environment, region: &str, service: &str) -> Url {
    let fips = match environment.is_true("AWS_USE_FIPS_ENDPOINT") {
        true => "-fips",
        false => "",
    };
    let suffix = PARTITIONS
        .iter()
        .find(|(begin, _)| region.starts_with(begin));
    let suffix = suffix.map_or("amazonaws.com", |(_, suffix)| suffix);
    let url = format!("https://{service}{fips}.{region}.{suffix}");
    Url::parse(&url, Plain::Loopback).expect("a Region of letters, digits and hyphens")
}

/// How the Regions of other partitions than `aws` and `aws-us-gov` begin, and their domains.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
];

/// Why KMS cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file of profiles that is there.
    #[error("{path} cannot be read: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// A profile that somebody names.
    #[error(
        "there is no AWS profile {name}; the files have {}",
        if .known.is_empty() { "none" } else { .known }
    )]
    NoProfile {
        /// As named.
        name: String,
        /// All that are there.
        known: String,
    },
    /// Nothing says it.
    #[error(
        "which Region? Give --region, AWS_REGION or AWS_DEFAULT_REGION, or `region` in the profile {profile} of ~/.aws/config"
    )]
    NoRegion {
        /// The profile that was looked at.
        profile: String,
    },
    /// An HTTP proxy that cannot be used.
    #[error("{0}")]
    HttpProxy(#[from] InvalidHttpProxy),
    /// Something else.
    #[error("{0:?} is no Region; expected one such as us-east-1")]
    Region(String),
    /// An address that cannot be used.
    #[error("{place}: {url} {problem}")]
    Endpoint {
        /// Where it is configured.
        place: &'static str,
        /// What it is.
        url: String,
        /// Why not.
        problem: String,
    },
}

impl SettingsError {
    fn endpoint(place: &'static str, url: &str, error: InvalidUrl) -> Self {
        Self::Endpoint {
            place,
            // It may hold a password.
            url: match error {
                InvalidUrl::User => "the URL".to_owned(),
                _ => url.to_owned(),
            },
            problem: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], choice: Choice) -> Result<Settings, SettingsError> {
        let always = [("AWS_EC2_METADATA_DISABLED", "true")];
        let environment = Environment::of(variables.iter().chain(&always).copied());
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(Settings::resolve(environment, choice))
    }

    fn problem(variables: &[(&str, &str)], choice: Choice) -> String {
        match resolve(variables, choice) {
            Ok(settings) => panic!("resolved to {}", settings.endpoint()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn endpoints_are_those_of_the_partition_unless_one_is_configured() {
        for (region, expected) in [
            ("us-east-1", "https://kms.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "https://kms.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://kms.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "https://kms.eusc-de-east-1.amazonaws.eu"),
        ] {
            let settings = resolve(&[("AWS_REGION", region)], Choice::default()).unwrap();
            assert_eq!(settings.endpoint(), expected);
        }
        let fips = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
        ];
        let settings = resolve(&fips, Choice::default()).unwrap();
        assert_eq!(
            settings.endpoint(),
            "https://kms-fips.us-east-1.amazonaws.com"
        );

        let mut variables = vec![
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ];
        let settings = resolve(&variables, Choice::default()).unwrap();
        assert_eq!(settings.endpoint(), "http://127.0.0.1:1");
        assert_eq!(settings.sts().unwrap().to_string(), "http://127.0.0.1:1");
        variables.push(("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:2"));
        let settings = resolve(&variables, Choice::default()).unwrap();
        assert_eq!(settings.endpoint(), "http://127.0.0.1:2");
        let choice = Choice {
            endpoint_url: Some("https://kms.example".into()),
            ..Choice::default()
        };
        let settings = resolve(&variables, choice).unwrap();
        assert_eq!(settings.endpoint(), "https://kms.example");
        variables.push(("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"));
        let settings = resolve(&variables, Choice::default()).unwrap();
        assert_eq!(settings.endpoint(), "https://kms.us-east-1.amazonaws.com");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_with_its_place() {
        let text = problem(&[], Choice::default());
        assert!(text.contains("--region, AWS_REGION"), "{text}");
        let text = problem(&[("AWS_REGION", "US East")], Choice::default());
        assert!(text.contains("\"US East\" is no Region"), "{text}");
        let text = problem(&[("AWS_PROFILE", "nobody")], Choice::default());
        assert!(text.contains("no AWS profile nobody"), "{text}");
        let far = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL_KMS", "http://kms.example"),
        ];
        let text = problem(&far, Choice::default());
        assert!(
            text.starts_with("AWS_ENDPOINT_URL_KMS: http://kms.example is plain HTTP"),
            "{text}"
        );
    }
}
