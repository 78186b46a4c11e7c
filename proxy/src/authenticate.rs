//! The only maker of `Authenticated`: a request that reaches an operation has a verified signature.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};
use time::OffsetDateTime;
use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::sigv4::{DuplicateAccessKeyId, Regions, SignedRequest, Verifier};

use crate::error::XksError;
use crate::pipeline::RawRequest;
use crate::request_log::Record;

/// Where credentials come from that change while the proxy runs.
pub trait CredentialSource: Send + Sync {
    /// Another number after every change.
    fn generation(&self) -> u64;

    /// The credentials of one prefix.
    fn credentials(&self, prefix: &UriPathPrefix) -> Vec<(AccessKeyId, SecretAccessKey)>;
}

/// The credentials of one key store: those of files, which stay, and those of a source, which come and go.
///
/// Reading them takes no lock. The first request after a change takes it up.
//= xks §Credentials rotation R35
pub struct Credentials {
    prefix: UriPathPrefix,
    regions: Regions,
    fixed: Vec<(AccessKeyId, SecretAccessKey)>,
    source: Option<Arc<dyn CredentialSource>>,
    current: ArcSwap<Current>,
    renewal: Mutex<()>,
}

struct Current {
    generation: u64,
    verifier: Verifier,
}

impl Credentials {
    /// The credentials of a key store, which may be called from these Regions.
    ///
    /// # Errors
    /// [`DuplicateAccessKeyId`] if an id is there twice.
    pub fn new(
        prefix: UriPathPrefix,
        regions: Regions,
        fixed: Vec<(AccessKeyId, SecretAccessKey)>,
        source: Option<Arc<dyn CredentialSource>>,
    ) -> Result<Self, DuplicateAccessKeyId> {
        let generation = source.as_ref().map_or(0, |s| s.generation());
        let of_source = source.as_ref().map(|s| s.credentials(&prefix));
        let all = fixed.iter().cloned().chain(of_source.into_iter().flatten());
        let verifier = Verifier::new(all, regions.clone())?;
        Ok(Self {
            prefix,
            regions,
            fixed,
            source,
            current: ArcSwap::from_pointee(Current {
                generation,
                verifier,
            }),
            renewal: Mutex::new(()),
        })
    }

    /// When each credential last signed a request, to the second; `None` if not since the proxy was started.
    pub fn last_uses(&self) -> Vec<(AccessKeyId, Option<OffsetDateTime>)> {
        let current = self.current();
        let uses = current.verifier.last_uses();
        uses.map(|(id, time)| (id.clone(), time)).collect()
    }

    /// Takes over the last uses of what this replaces.
    pub(crate) fn take_over_last_uses(&self, old: &Self) {
        let (new, old) = (self.current.load(), old.current.load());
        new.verifier.take_over_last_uses(&old.verifier);
    }

    fn current(&self) -> Guard<Arc<Current>> {
        let current = self.current.load();
        match &self.source {
            Some(source) if source.generation() != current.generation => self.renew(&**source),
            _ => current,
        }
    }

    #[cold]
    fn renew(&self, source: &dyn CredentialSource) -> Guard<Arc<Current>> {
        let _one_at_a_time = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the credentials, so that a change in between is noticed by the next request.
        let generation = source.generation();
        let current = self.current.load();
        if current.generation == generation {
            return current;
        }
        let mut all = self.fixed.clone();
        for (id, secret) in source.credentials(&self.prefix) {
            // An id names one secret. What a file says does not change under a running proxy.
            if self.fixed.iter().any(|(other, _)| *other == id) {
                tracing::warn!(%id, prefix = %self.prefix, "the access key id is in a file, too: the file counts");
            } else {
                all.push((id, secret));
            }
        }
        match Verifier::new(all, self.regions.clone()) {
            Ok(verifier) => {
                verifier.take_over_last_uses(&current.verifier);
                self.current.store(Arc::new(Current {
                    generation,
                    verifier,
                }));
            }
            Err(error) => tracing::error!(%error, "the credentials stay as they were"),
        }
        self.current.load()
    }
}

/// A request whose SigV4 signature this process verified. Made only in this file.
pub(crate) struct Authenticated<T>(T);

impl Authenticated<RawRequest<'_>> {
    pub(crate) fn body(&self) -> &[u8] {
        &self.0.body
    }
}

/// # Errors
/// One constant AuthenticationFailedException; its reason is for the log.
//= xks §Authentication R32, R44
pub(crate) fn authenticate<'a>(
    request: RawRequest<'a>,
    credentials: &Credentials,
    now: SystemTime,
    record: &mut Record,
) -> Result<Authenticated<RawRequest<'a>>, XksError> {
    let signed = SignedRequest {
        method: request.head.method,
        path: request.head.path,
        query: request.head.query,
        authority: request.head.authority,
        headers: request.head.headers,
        body: &request.body,
    };
    match credentials.current().verifier.verify(&signed, now.into()) {
        Ok(id) => record.access_key_id(id),
        Err(e) => {
            if let Some(id) = e.claimed_access_key_id() {
                record.claimed_access_key_id(id);
            }
            return Err(XksError::AUTHENTICATION_FAILED.because(e.reason().to_string()));
        }
    }
    Ok(Authenticated(request))
}
