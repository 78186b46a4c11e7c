//! Signatures: what another implementation signs is accepted, and nothing that differs from it.
//!
//! `aws-sigv4` signs what it can. What it cannot, such as a header that is no text, is signed by a few lines of this file.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use ring::{digest, hmac};
use time::OffsetDateTime;
use xks_api::ids::{AccessKeyId, SecretAccessKey};
use xks_api::sigv4::{Reason, Regions, Verifier};

use super::text_request::TextRequest;
use super::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, now};

/// The verifier, and a request that it takes.
pub struct SignatureDoor {
    verifier: Verifier,
    genuine: TextRequest,
}

impl Default for SignatureDoor {
    fn default() -> Self {
        Self::new()
    }
}

impl SignatureDoor {
    /// # Panics
    /// What the other implementation signs is refused.
    pub fn new() -> Self {
        let id = AccessKeyId::try_from(ACCESS_KEY_ID).expect("an id");
        let secret = SecretAccessKey::try_from(SECRET_ACCESS_KEY).expect("a secret");
        let mut genuine = TextRequest {
            method: "POST".to_owned(),
            path: "/kms/xks/v1/health".to_owned(),
            query: None,
            authority: None,
            headers: vec![("host".to_owned(), HOST.into())],
            body: b"{}".to_vec(),
        };
        assert!(sign_elsewhere(&mut genuine), "aws-sigv4 signs it");
        let door = Self {
            verifier: Verifier::new([(id, secret)], Regions::Any).expect("one credential"),
            genuine,
        };
        assert_eq!(door.verify(&door.genuine), Ok(()));
        door
    }

    fn verify(&self, request: &TextRequest) -> Result<(), Reason> {
        let verified = self
            .verifier
            .verify(&request.signed(), OffsetDateTime::from(now()));
        verified.map(|_| ()).map_err(|failed| failed.reason())
    }

    /// An `Authorization` header of an otherwise genuine request.
    ///
    /// # Panics
    /// Another one than the genuine is taken.
    pub fn authorization(&self, value: &[u8]) {
        let mut request = self.genuine.clone();
        request.set("authorization", value);
        if self.verify(&request).is_ok() {
            assert_eq!(spelling(&request), spelling(&self.genuine), "forged");
        }
    }

    /// A request, signed as AWS describes it whatever is odd about it.
    ///
    /// # Panics
    /// It is refused and nothing is odd about it, or the other way round.
    pub fn canonical(&self, input: &[u8]) {
        let Some(mut request) = TextRequest::parse(input) else {
            return;
        };
        // `aws-sigv4` escapes what is in a query, and the verifier refuses all of them.
        request.query = None;
        sign_here(&mut request);
        let reason = self.verify(&request).err();
        assert_eq!(reason.is_some(), is_odd(&request), "{reason:?} {request:?}");
        if let Some(reason) = reason {
            assert!(explains(reason, &request), "{reason:?} {request:?}");
        }
    }

    /// A place of two bytes, what is changed there, and a request, signed by `aws-sigv4`, before the change is made.
    ///
    /// # Panics
    /// It is refused and nothing is odd about it, or taken after a change of what is signed.
    pub fn oracle(&self, input: &[u8]) {
        let Some(([high, low, change], text)) = input.split_first_chunk() else {
            return;
        };
        let Some(mut request) = TextRequest::parse(text) else {
            return;
        };
        if !sign_elsewhere(&mut request) {
            return;
        }
        if let Err(reason) = self.verify(&request) {
            assert!(explains(reason, &request), "{reason:?} {request:?}");
        }
        let mut text = request.text();
        let place = usize::from(u16::from_be_bytes([*high, *low])) % text.len();
        if let Some(byte) = text.get_mut(place) {
            *byte ^= change;
        }
        let Some(changed) = TextRequest::parse(&text) else {
            return;
        };
        if self.verify(&changed).is_ok() {
            let names = signed_headers(&request);
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            assert_eq!(changed.canonical(&names), request.canonical(&names));
            assert_eq!(spelling(&changed), spelling(&request));
        }
    }
}

/// The `Authorization` header without the one freedom that its grammar leaves.
fn spelling(request: &TextRequest) -> String {
    let value = request.header("authorization").unwrap_or_default();
    String::from_utf8_lossy(value).replace(", ", ",")
}

fn signed_headers(request: &TextRequest) -> Vec<String> {
    let spelled = spelling(request);
    let (_, names) = spelled.split_once("SignedHeaders=").unwrap_or_default();
    let (names, _) = names.split_once(',').unwrap_or_default();
    names.split(';').map(str::to_owned).collect()
}

/// Whether the verifier may refuse the request although it is signed.
fn is_odd(request: &TextRequest) -> bool {
    [
        Reason::UnusualMethod,
        Reason::UnusualPath,
        Reason::QueryString,
        Reason::DuplicateHeader,
        Reason::MalformedHeader,
        Reason::HostMismatch,
        Reason::MalformedSignedHeaders,
    ]
    .into_iter()
    .any(|reason| explains(reason, request))
}

/// Whether the reason is one, by what the specification of the verifier says, for a request whose signature is right.
fn explains(reason: Reason, request: &TextRequest) -> bool {
    let headers = || {
        let all = request.headers.iter();
        all.filter(|(name, _)| name != "authorization")
    };
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-!#$%&'*+.^_`|~".contains(&b);
    let control = |b: &u8| b.is_ascii_control() && *b != b'\t';
    let authority = request.authority.as_deref().map(str::as_bytes);
    match reason {
        Reason::UnusualMethod => {
            request.method.is_empty() || !request.method.bytes().all(|b| b.is_ascii_uppercase())
        }
        Reason::UnusualPath => {
            let below = request.path.strip_prefix('/');
            let segments = || below.unwrap_or_default().split('/');
            let inner = segments().count().saturating_sub(1);
            below.is_none()
                || !request.path.bytes().all(unreserved)
                || segments().any(|segment| matches!(segment, "." | ".."))
                || segments().take(inner).any(str::is_empty)
        }
        Reason::QueryString => request.query.is_some(),
        Reason::DuplicateHeader => headers().any(|(name, _)| {
            let same = headers().filter(|(other, _)| other == name);
            same.count() > 1
        }),
        Reason::MalformedHeader => {
            headers().any(|(_, value)| value.iter().any(control))
                || authority.is_some_and(|value| value.iter().any(control))
        }
        Reason::HostMismatch => {
            let host = request.header("host");
            host.is_some() && authority.is_some() && host != authority
        }
        // Where a name is none, the header is not what it seems.
        Reason::MalformedAuthorization
        | Reason::MissingHeader
        | Reason::MalformedSignature
        | Reason::MalformedSignedHeaders
        | Reason::HostNotSigned
        | Reason::DateNotSigned => {
            headers().any(|(name, _)| name.is_empty() || !name.bytes().all(token))
        }
        _ => false,
    }
}

/// Signs `host` and every other header; `false` for what is no request to `aws-sigv4`.
pub(super) fn sign_elsewhere(request: &mut TextRequest) -> bool {
    request.headers.retain(|(name, _)| name != "x-amz-date");
    request.headers.retain(|(name, _)| name != "authorization");
    if request.header("host").is_none() && request.authority.is_none() {
        request.set("host", HOST);
    }
    let sound = |(name, value): &(String, Vec<u8>)| {
        let lower = http::HeaderName::from_bytes(name.as_bytes());
        let text = str::from_utf8(value).ok().map(http::HeaderValue::from_str);
        // A name in upper case is another one to the verifier, which gets them as hyper makes them.
        lower.is_ok_and(|lower| lower.as_str() == name) && matches!(text, Some(Ok(_)))
    };
    // A default port, or a user, is not part of what `aws-sigv4` signs; no client of a proxy sends one.
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let is_plain = |host: &String| !host.is_empty() && host.bytes().all(plain);
    if !request.headers.iter().all(sound) || !request.authority.iter().all(is_plain) {
        return false;
    }
    let identity: Identity =
        Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "fuzzing").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("kms-xks-proxy")
        .time(now())
        .settings(SigningSettings::default())
        .build()
        .expect("all signing parameters are set")
        .into();
    let host = request.authority.as_deref().unwrap_or(HOST);
    let query = request.query.as_ref().map(|query| format!("?{query}"));
    let uri = format!(
        "https://{host}{}{}",
        request.path,
        query.unwrap_or_default()
    );
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), str::from_utf8(value).unwrap_or_default()));
    let body = SignableBody::Bytes(&request.body);
    let Ok(signable) = SignableRequest::new(&request.method, &uri, headers, body) else {
        return false;
    };
    let Ok(signed) = sign(signable, &params) else {
        return false;
    };
    let (instructions, _) = signed.into_parts();
    for (name, value) in instructions.headers() {
        request.set(name, value);
    }
    true
}

/// Signs whatever there is, as the description of SigV4 has it.
fn sign_here(request: &mut TextRequest) {
    let time = OffsetDateTime::from(now());
    let date = format!(
        "{}{:02}{:02}",
        time.year(),
        u8::from(time.month()),
        time.day()
    );
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()];
    let amz_date = format!("{date}T{hour:02}{minute:02}{second:02}Z");
    request.headers.retain(|(name, _)| name != "authorization");
    request.set("x-amz-date", amz_date.clone());
    if request.header("host").is_none() && request.authority.is_none() {
        request.set("host", HOST);
    }
    let mut names: Vec<_> = request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    if request.header("host").is_none() {
        names.push(":authority");
    }
    names.sort_unstable();
    names.dedup();
    let mut canonical = request.canonical(&names);
    canonical.truncate(canonical.len() - request.body.len());
    let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
    canonical.extend_from_slice(hash(&request.body).as_bytes());
    let scope = format!("{date}/{REGION}/kms-xks-proxy/aws4_request");
    let string_to_sign = format!(
        "AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}",
        hash(&canonical)
    );
    let mac = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes())
    };
    let key = format!("AWS4{SECRET_ACCESS_KEY}");
    let key = scope.split('/').fold(key.into_bytes(), |key, part| {
        mac(&key, part).as_ref().to_vec()
    });
    let signature = hex(mac(&key, &string_to_sign).as_ref());
    let names = names.join(";");
    request.set(
        "authorization",
        format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const REGION: &str = "us-east-1";
