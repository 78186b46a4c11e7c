//! What a case works with: requests in KMS's form, a connection that is kept, and the record of what was said.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::ClientConfig;
use serde_json::{Value, json};
use time::OffsetDateTime;
use xks_api::error::ErrorName;
use xks_api::route::OperationName;

use super::answer::{Answer, Sealed};
use super::case::{Case, Check, Finding, Outcome, Refusal, Sending, any_of};
use super::connection::{Connection, Trouble};
use super::target::Target;
use super::wire::{Draft, Wire, without_signatures};

/// What a case works with.
pub(super) struct Kit<'t> {
    pub(super) target: &'t Target,
    pub(super) tls: Arc<ClientConfig>,
    connection: RefCell<Option<Connection>>,
    /// A ciphertext that many cases change.
    reference: RefCell<Option<Sealed>>,
    exchanges: RefCell<Vec<Exchange>>,
    requests: Cell<u64>,
    /// How often in a row nothing came.
    silences: Cell<usize>,
}

/// A request and its answer, for the report.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Without what could be sent again.
    pub request: String,
    /// Or why there is none.
    pub answer: String,
}

impl<'t> Kit<'t> {
    pub(super) fn new(target: &'t Target, tls: Arc<ClientConfig>) -> Self {
        Self {
            target,
            tls,
            connection: RefCell::new(None),
            reference: RefCell::new(None),
            exchanges: RefCell::new(Vec::new()),
            requests: Cell::new(0),
            silences: Cell::new(0),
        }
    }

    /// With a reference ciphertext from elsewhere.
    #[cfg(test)]
    pub(super) fn knowing(self, sealed: Sealed) -> Self {
        self.reference.replace(Some(sealed));
        self
    }

    /// Tries a case; the exchanges are those that lead to a finding.
    pub(super) fn run(&self, case: &Case) -> (Outcome, Vec<Exchange>) {
        let outcome = match case.check {
            Check::Story(tell) => tell(self),
            Check::Served(request) => self.serve(request(self)),
            Check::Refused(request, refusals) => self.refuse(request(self), refusals),
        };
        (outcome, self.exchanges.take())
    }

    /// Sends a request that must be answered as its operation is.
    pub(super) fn serve(&self, sending: Sending) -> Outcome {
        let wire = sending?;
        self.send(&wire)?.served(wire.operation)
    }

    /// Sends a request that must be refused.
    pub(super) fn refuse(&self, sending: Sending, refusals: &[Refusal]) -> Outcome {
        match self.exchange(&sending?) {
            Ok(answer) => answer.refused(refusals),
            Err(Trouble::Ended(_)) if refusals.contains(&Refusal::Hangup) => Ok(()),
            Err(trouble) => Err(Finding::failed(format!(
                "expected {}; {trouble}",
                any_of(refusals)
            ))),
        }
    }

    /// Sends a request that must be answered somehow.
    pub(super) fn send(&self, wire: &Wire) -> Result<Answer, Finding> {
        self.exchange(wire).map_err(no_answer)
    }

    /// Sends a request on the connection that is kept; one that the proxy has closed meanwhile is replaced, and a proxy that
    /// throttles is given time.
    pub(super) fn exchange(&self, wire: &Wire) -> Result<Answer, Trouble> {
        let mut pauses = THROTTLED.into_iter();
        loop {
            let result = self.exchange_once(wire);
            self.note(wire, &result);
            match &result {
                Ok(answer) if answer.status == ErrorName::Throttling.status() => {
                    match pauses.next() {
                        Some(pause) => thread::sleep(pause),
                        None => return result,
                    }
                }
                _ => return result,
            }
        }
    }

    /// What a request gets for an answer; nothing of it gets into the record.
    pub(super) fn ask(&self, draft: Draft) -> Result<Answer, Trouble> {
        let result = self.exchange(&draft.sign());
        self.exchanges.take();
        result
    }

    /// How often in a row nothing came for longer than the suite waits.
    pub(super) fn silences(&self) -> usize {
        self.silences.get()
    }

    fn hear(&self, trouble: Option<&Trouble>) {
        match trouble {
            None => self.silences.set(0),
            Some(Trouble::Silence(_) | Trouble::SilentHandshake(_)) => {
                self.silences.set(self.silences.get() + 1);
            }
            // Says nothing of the proxy's health: many cases ask for no better.
            Some(
                Trouble::Connect(_)
                | Trouble::Handshake(_)
                | Trouble::Ended(_)
                | Trouble::NotHttp(_),
            ) => {}
        }
    }

    fn exchange_once(&self, wire: &Wire) -> Result<Answer, Trouble> {
        let bytes = wire.bytes();
        if let Some(mut kept) = self.connection.take() {
            match kept.exchange(&bytes, &wire.method) {
                Ok(answer) => {
                    self.keep(kept, &answer);
                    return Ok(answer);
                }
                Err(Trouble::Ended(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let mut fresh = self.connect()?;
        let answer = fresh.exchange(&bytes, &wire.method)?;
        self.keep(fresh, &answer);
        Ok(answer)
    }

    fn keep(&self, connection: Connection, answer: &Answer) {
        let close = answer.header("connection");
        let closes = close.is_some_and(|value| value.eq_ignore_ascii_case("close"));
        // After a refusal a proxy may close without saying so.
        if !closes && answer.status == 200 {
            self.connection.replace(Some(connection));
        }
    }

    /// A connection of its own.
    pub(super) fn connect(&self) -> Result<Connection, Trouble> {
        Connection::open(self.target, &self.tls)
    }

    /// The same for a case that must have it.
    pub(super) fn connection(&self) -> Result<Connection, Finding> {
        let result = self.connect();
        if let Err(trouble) = &result {
            self.hear(Some(trouble));
        }
        result.map_err(no_answer)
    }

    /// Sends a request on a connection that the case holds.
    pub(super) fn send_on(
        &self,
        connection: &mut Connection,
        wire: &Wire,
    ) -> Result<Answer, Finding> {
        let result = connection.exchange(&wire.bytes(), &wire.method);
        self.note(wire, &result);
        result.map_err(no_answer)
    }

    /// Takes note of an exchange for the report.
    pub(super) fn note(&self, wire: &Wire, result: &Result<Answer, Trouble>) {
        self.hear(result.as_ref().err());
        let answer = match result {
            Ok(answer) => answer.shown(),
            Err(trouble) => trouble.to_string(),
        };
        self.note_text(wire.redacted(), answer);
    }

    /// The same of what is no such request.
    pub(super) fn note_text(&self, request: impl Into<String>, answer: impl Into<String>) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() == REMEMBERED {
            exchanges.remove(0);
        }
        exchanges.push(Exchange {
            request: request.into(),
            // A proxy may repeat what it was sent.
            answer: without_signatures(&answer.into()),
        });
    }

    // Requests in KMS's form.

    /// Encrypt with the key under test, an AAD and a CDIV.
    pub(super) fn encrypt(&self) -> Draft {
        self.encrypt_of(PLAINTEXT, Some(AAD))
    }

    /// Encrypt of other bytes.
    pub(super) fn encrypt_of(&self, plaintext: &[u8], aad: Option<&[u8]>) -> Draft {
        self.encrypt_with(&self.target.key_id, plaintext, aad)
    }

    /// Encrypt with another key.
    pub(super) fn encrypt_with(&self, key: &str, plaintext: &[u8], aad: Option<&[u8]>) -> Draft {
        let body = json!({
            "requestMetadata": self.request_metadata("Encrypt"),
            "plaintext": STANDARD.encode(plaintext),
            "encryptionAlgorithm": "AES_GCM",
            "ciphertextDataIntegrityValueAlgorithm": "SHA_256",
        });
        let draft = self.of_key(OperationName::Encrypt, key, "encrypt", body);
        match aad {
            Some(aad) => draft.set("additionalAuthenticatedData", STANDARD.encode(aad)),
            None => draft,
        }
    }

    /// Decrypt with the key under test.
    pub(super) fn decrypt(&self, sealed: &Sealed) -> Draft {
        self.decrypt_with(&self.target.key_id, sealed)
    }

    /// Decrypt with another key.
    pub(super) fn decrypt_with(&self, key: &str, sealed: &Sealed) -> Draft {
        let body = json!({
            "requestMetadata": self.request_metadata("Decrypt"),
            "ciphertext": STANDARD.encode(&sealed.ciphertext),
            "initializationVector": STANDARD.encode(&sealed.iv),
            "authenticationTag": STANDARD.encode(&sealed.tag),
            "encryptionAlgorithm": "AES_GCM",
        });
        let mut draft = self.of_key(OperationName::Decrypt, key, "decrypt", body);
        if let Some(aad) = &sealed.aad {
            draft = draft.set("additionalAuthenticatedData", STANDARD.encode(aad));
        }
        if let Some(metadata) = &sealed.metadata {
            draft = draft.set("ciphertextMetadata", STANDARD.encode(metadata));
        }
        draft
    }

    /// GetKeyMetadata of the key under test, as for DescribeKey.
    pub(super) fn metadata(&self) -> Draft {
        self.metadata_of(&self.target.key_id)
    }

    /// GetKeyMetadata of another key.
    pub(super) fn metadata_of(&self, key: &str) -> Draft {
        let body = json!({"requestMetadata": self.request_metadata("DescribeKey")});
        self.of_key(OperationName::GetKeyMetadata, key, "metadata", body)
    }

    /// GetHealthStatus, as for the periodic check.
    pub(super) fn health(&self) -> Draft {
        let body = json!({"requestMetadata": {
            "kmsOperation": "KmsHealthCheck", "kmsRequestId": self.request_id(),
        }});
        let path = format!("{}/health", self.target.uri_path);
        Draft::new(
            self.target,
            OperationName::GetHealthStatus,
            path,
            body,
            now(),
        )
    }

    /// One request of an operation.
    pub(super) fn request(&self, operation: OperationName) -> Result<Draft, Finding> {
        Ok(match operation {
            OperationName::GetHealthStatus => self.health(),
            OperationName::GetKeyMetadata => self.metadata(),
            OperationName::Encrypt => self.encrypt(),
            OperationName::Decrypt => self.decrypt(&self.sealed()?),
        })
    }

    /// Encrypts, and gives what came back.
    pub(super) fn seal(&self, plaintext: &[u8], aad: Option<&[u8]>) -> Result<Sealed, Finding> {
        let wire = self.encrypt_of(plaintext, aad).sign();
        self.send(&wire)?.sealed(aad)
    }

    /// Decrypts, and gives the plaintext.
    pub(super) fn open(&self, sealed: &Sealed) -> Result<Vec<u8>, Finding> {
        self.send(&self.decrypt(sealed).sign())?.plaintext()
    }

    /// A ciphertext of [`PLAINTEXT`] with [`AAD`], made once.
    pub(super) fn sealed(&self) -> Result<Sealed, Finding> {
        if let Some(sealed) = &*self.reference.borrow() {
            return Ok(sealed.clone());
        }
        let sealed = self.seal(PLAINTEXT, Some(AAD))?;
        self.reference.replace(Some(sealed.clone()));
        Ok(sealed)
    }

    /// Decrypt of the reference ciphertext after a change.
    pub(super) fn tampered(&self, change: impl FnOnce(&mut Sealed)) -> Sending {
        let mut sealed = self.sealed()?;
        change(&mut sealed);
        Ok(self.decrypt(&sealed).sign())
    }

    /// The metadata of the reference ciphertext; a proxy need not give any.
    pub(super) fn ciphertext_metadata(&self) -> Result<Vec<u8>, Finding> {
        let metadata = self.sealed()?.metadata.filter(|bytes| !bytes.is_empty());
        metadata.ok_or_else(|| {
            Finding::Skipped("the proxy gives no ciphertextMetadata, which it need not".to_owned())
        })
    }

    fn of_key(&self, name: OperationName, key: &str, verb: &str, body: Value) -> Draft {
        let path = format!("{}/keys/{key}/{verb}", self.target.uri_path);
        Draft::new(self.target, name, path, body, now())
    }

    fn request_metadata(&self, kms_operation: &str) -> Value {
        json!({
            "awsPrincipalArn": self.target.principal_arn,
            "kmsKeyArn": self.target.kms_key_arn,
            "kmsOperation": kms_operation,
            "kmsRequestId": self.request_id(),
        })
    }

    fn request_id(&self) -> String {
        self.requests.set(self.requests.get() + 1);
        format!("c0f0c0f0-0000-4000-8000-{:012}", self.requests.get())
    }
}

/// The time of this machine.
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn no_answer(trouble: Trouble) -> Finding {
    Finding::failed(format!("expected an answer; {trouble}"))
}

/// What the reference ciphertext holds: as long as a data key.
pub(super) const PLAINTEXT: &[u8] = b"conformance suite's own 32 bytes";
/// Its AAD.
pub(super) const AAD: &[u8] = b"project=nile,department=marketing";
/// Exchanges of one case that are kept for the report.
const REMEMBERED: usize = 4;
/// How long a proxy that throttles is given, time after time.
const THROTTLED: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
