//! Where a proxy is, and the signature that it gets: SigV4 through the official `aws-sigv4`.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderMap, HeaderName, HeaderValue};
use xks_api::ids::{AccessKeyId, SecretAccessKey};

use crate::observation::StoreObservation;
use crate::vpc_endpoint_service::VpcEndpointServices;

/// Where a proxy is and how KMS authenticates there.
pub(crate) struct Target {
    pub(crate) host: Box<str>,
    pub(crate) uri_path: Box<str>,
    region: Box<str>,
    pub(crate) access_key_id: AccessKeyId,
    identity: Identity,
    /// Of the store that it is the proxy of; `None` for one that is being created.
    pub(crate) observation: Option<StoreObservation>,
    /// How requests get there, if not through the public endpoint.
    route: Option<Route>,
}

/// A VPC endpoint service on the way to a proxy.
struct Route {
    services: VpcEndpointServices,
    name: Box<str>,
}

impl Target {
    /// `host` is that of the `XksProxyUriEndpoint`, `region` the one in which KMS runs.
    pub(crate) fn new(
        host: &str,
        uri_path: &str,
        region: &str,
        access_key_id: AccessKeyId,
        secret: &SecretAccessKey,
    ) -> Self {
        let credentials = Credentials::new(
            access_key_id.as_str(),
            secret.expose(),
            None,
            None,
            "kms-sim",
        );
        Self {
            host: host.into(),
            uri_path: uri_path.into(),
            region: region.into(),
            access_key_id,
            identity: credentials.into(),
            observation: None,
            route: None,
        }
    }

    /// The same, through a VPC endpoint service.
    pub(crate) fn through(mut self, services: &VpcEndpointServices, name: &str) -> Self {
        self.route = Some(Route {
            services: services.clone(),
            name: name.into(),
        });
        self
    }

    /// The same, of the store that is observed so.
    pub(crate) fn of_store(mut self, observation: Option<&StoreObservation>) -> Self {
        self.observation = observation.cloned();
        self
    }

    /// The store that it is the proxy of.
    pub(crate) fn custom_key_store_id(&self) -> Option<&str> {
        self.observation
            .as_ref()
            .map(StoreObservation::custom_key_store_id)
    }

    /// Whether packets find their way.
    pub(crate) fn is_reachable(&self) -> bool {
        let route = self.route.as_ref();
        route.is_none_or(|route| route.services.carries(&route.name))
    }

    /// Adds `Authorization` and `X-Amz-Date` for `host;x-amz-date` and the body.
    //= xks §Authentication R32
    pub(crate) fn sign(
        &self,
        path: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Result<HeaderMap, BadRequest> {
        let mut settings = SigningSettings::default();
        // The path is signed as it is sent, also one with two slashes in a row.
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.excluded_headers = None;
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(settings)
            .build()
            .map_err(|_| BadRequest)?
            .into();
        let headers = std::iter::once(("host", &*self.host));
        let request = SignableRequest::new("POST", path, headers, SignableBody::Bytes(body))
            .map_err(|_| BadRequest)?;
        let (instructions, _) = sign(request, &params).map_err(|_| BadRequest)?.into_parts();
        let mut signed = HeaderMap::new();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadRequest)?;
            let value = HeaderValue::from_str(value).map_err(|_| BadRequest)?;
            signed.insert(name, value);
        }
        Ok(signed)
    }
}

/// A request that cannot be signed; what is validated at the API's edge can.
pub(crate) struct BadRequest;

/// The service name in the credential scope.
const SERVICE: &str = "kms-xks-proxy";
