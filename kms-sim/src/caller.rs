//! Who calls, from where, and with what: all that a request is, beside the operation's own input.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::access::Facts;
use crate::api::KmsError;
use crate::events::Subjects;
use crate::journal::Serial;
use crate::policy::{Document, Identity};

/// The body of a request, wiped on drop.
pub(crate) type RequestBody = Arc<Zeroizing<Vec<u8>>>;

/// Who calls, and where.
#[derive(Debug)]
pub(crate) struct Caller {
    /// 12 digits.
    pub(crate) account: String,
    /// For example `us-east-1`.
    pub(crate) region: String,
    /// `awsPrincipalArn` of the requests to the proxy.
    pub(crate) principal_arn: String,
    /// `x-amzn-RequestId` of the answer and `kmsRequestId` of the requests to the proxy.
    pub(crate) request_id: String,
    /// Who the ARN names.
    pub(crate) identity: Arc<Identity>,
    /// What the principal may by itself.
    pub(crate) authority: Authority,
    /// With which the request was signed; empty if it was not.
    pub(crate) access_key_id: String,
    /// `aws:userid`
    pub(crate) user_id: String,
    /// Where the request comes from.
    pub(crate) origin: RequestOrigin,
    /// When the request came, by the simulator's clock.
    pub(crate) time: SystemTime,
    /// What the request was about, for the log: a key ARN or the id of a custom key store.
    subject: OnceLock<String>,
    /// `eventID` of its event.
    event_id: String,
    /// What the request was about, for its event.
    subjects: Subjects,
    /// The last change of what the request has looked at.
    depends_on: Mutex<Serial>,
    asked: Mutex<Asked>,
}

/// What a principal may by itself.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// Everything in its account, whatever policies say that allow; nobody told the simulator who may what.
    Everything,
    /// What its identity-based policies say. The root user has none, and needs none.
    Policies(Arc<[Document]>),
}

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestOrigin {
    /// `aws:SourceIp`
    pub(crate) address: Option<String>,
    /// `aws:SecureTransport`
    pub(crate) is_secure: bool,
    /// `aws:SourceVpc`
    pub(crate) vpc: Option<String>,
    /// `aws:SourceVpce`
    pub(crate) vpc_endpoint: Option<String>,
    /// The service of AWS that calls in the principal's name: `s3`.
    pub(crate) via_service: Option<String>,
    /// `aws:PrincipalTag/…`
    pub(crate) principal_tags: Vec<(String, String)>,
}

/// What the request at hand asks for.
#[derive(Default)]
struct Asked {
    body: Option<RequestBody>,
    facts: Option<Arc<Facts>>,
    /// What ReEncrypt decrypts with.
    source_key: Option<Arc<str>>,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Caller {
    /// A caller who may do everything, and of whom nothing is logged yet.
    pub(crate) fn new(
        account: String,
        region: String,
        principal_arn: String,
        request_id: String,
    ) -> Self {
        let identity = Identity::of_arn(&principal_arn).unwrap_or_else(|| Identity::root(&account));
        Self {
            user_id: identity.derived_user_id(),
            identity: Arc::new(identity),
            access_key_id: String::new(),
            authority: Authority::Everything,
            origin: RequestOrigin::default(),
            time: SystemTime::now(),
            account,
            region,
            principal_arn,
            request_id,
            subject: OnceLock::new(),
            event_id: Uuid::new_v4().to_string(),
            subjects: Subjects::default(),
            depends_on: Mutex::new(Serial::BEFORE_ALL),
            asked: Mutex::default(),
        }
    }

    /// The same caller of another Region; for what a request does there.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        let asked = self.asked();
        Self {
            account: self.account.clone(),
            region: region.to_owned(),
            principal_arn: self.principal_arn.clone(),
            request_id: self.request_id.clone(),
            identity: Arc::clone(&self.identity),
            authority: self.authority.clone(),
            access_key_id: self.access_key_id.clone(),
            user_id: self.user_id.clone(),
            origin: self.origin.clone(),
            time: self.time,
            subject: OnceLock::new(),
            event_id: Uuid::new_v4().to_string(),
            subjects: Subjects::default(),
            depends_on: Mutex::new(Serial::BEFORE_ALL),
            asked: Mutex::new(Asked {
                body: asked.body.clone(),
                facts: asked.facts.clone(),
                source_key: None,
            }),
        }
    }

    /// The body of the request, for what policies ask of it.
    pub(crate) fn brings(&self, body: RequestBody) {
        *self.asked() = Asked {
            body: Some(body),
            ..Asked::default()
        };
    }

    /// What policies ask of the request.
    ///
    /// # Errors
    /// SerializationException for a body that says something twice.
    pub(crate) fn facts(&self) -> Result<Arc<Facts>, KmsError> {
        let mut asked = self.asked();
        if let Some(facts) = &asked.facts {
            return Ok(Arc::clone(facts));
        }
        let body = asked.body.as_ref().map_or(&[][..], |body| body);
        let facts = Arc::new(Facts::read(body)?);
        asked.facts = Some(Arc::clone(&facts));
        Ok(facts)
    }

    /// ReEncrypt decrypts with this key.
    pub(crate) fn decrypts_with(&self, key_arn: &Arc<str>) {
        self.asked().source_key = Some(Arc::clone(key_arn));
    }

    /// What ReEncrypt decrypts with, as soon as that is known.
    pub(crate) fn source_key(&self) -> Option<Arc<str>> {
        self.asked().source_key.clone()
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer tells of a change, or would not be what it is without it.
    pub(crate) fn depends_on(&self, change: Serial) {
        let mut last = self
            .depends_on
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = change.max(*last);
    }

    /// The last change that must be durable before the answer is sent.
    pub(crate) fn last_dependency(&self) -> Serial {
        *self
            .depends_on
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the key (by its ARN) or the custom key store that the request is about, for the log; the first
    /// one counts.
    pub(crate) fn is_about(&self, subject: &str) {
        self.subject.get_or_init(|| subject.to_owned());
    }

    /// `eventID` of its event.
    pub(crate) fn event_id(&self) -> &str {
        &self.event_id
    }

    /// What the request was about, for its event.
    pub(crate) const fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// What the request was about, as far as it is known.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.get().map(String::as_str)
    }
}
