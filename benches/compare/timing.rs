//! Whether times tell what is secret, in the manner of dudect (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant
//! time?", 2017): two classes of inputs, drawn at random, and Welch's t-test over their times, also without the slowest of
//! them, which are other programs' doing.
//!
//! Each input is copied to the same place before its time is taken, so that the classes differ in nothing but their bytes. A
//! compare that is leaky on purpose is measured the same way: what does not find its leak proves nothing. |t| is reported; it
//! grows with the square root of the number of samples where there is a leak, and stays small where there is none.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use harness::signer::{SignedRequest as WireRequest, Signer};
use ring::hmac;
use tempfile::TempDir;
use time::OffsetDateTime;
use xks_api::fields::{Aad, AuthenticationTag, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::sealed::{FramedAad, Sealed};
use xks_api::sigv4::{Regions, SignedRequest, Verifier};
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource, Usages};
use xks_proxy::key_manager::{Answer, ExternalKey, KeyManager as _, KeyManagerError};

use crate::Run;
use crate::request::encrypt_body;
use crate::results::Results;
use crate::welch::{T, welch};

pub(crate) fn timing(run: &Run, results: &mut Results) {
    let samples = run.of(1_000_000, 2_000);
    let verification = Verification::new();
    let signature = |at: usize| {
        let mut text = verification.authorization.clone();
        let digit = text.len() - 64 + at;
        text[digit] = if text[digit] == b'0' { b'1' } else { b'0' };
        text
    };
    let (first, last) = (signature(0), signature(63));
    let unknown = {
        let mut text = first.clone();
        let at = "AWS4-HMAC-SHA256 Credential=".len();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        text
    };
    let mut place = first.clone();
    let t = welch(samples, [&first, &last], &mut place, |text| {
        verification.verify(text)
    });
    let compare = "signature: first or last digit wrong";
    report(results, "SigV4 verifier", compare, t);
    results.at_most(compare, t.most, NO_LEAK, "|t|");

    let t = welch(samples, [&first, &unknown], &mut place, |text| {
        verification.verify(text)
    });
    report(results, "SigV4 verifier", "access key id: known or not", t);

    let leaky = Leaky::new();
    let mut place = [0; 32];
    let t = welch(
        samples,
        [&leaky.wrong(0), &leaky.wrong(31)],
        &mut place,
        |mac| leaky.verify(mac),
    );
    let planted = "a planted leak: MAC compared byte by byte";
    report(results, "leaky on purpose", planted, t);
    results.at_least(planted, t.most, LEAK, "|t|");

    let t = welch(
        samples,
        [&leaky.wrong(0), &leaky.wrong(31)],
        &mut place,
        |mac| hmac::verify(&leaky.key, &leaky.message, mac).is_ok(),
    );
    report(results, "ring", "the same MAC through hmac::verify", t);

    let decryption = Decryption::new();
    let mut place = [0; 16];
    let t = welch(
        samples,
        [&decryption.wrong(0), &decryption.wrong(15)],
        &mut place,
        |tag| decryption.opens(*tag),
    );
    let decrypt = "tag: first or last byte wrong";
    report(results, "embedded Decrypt", decrypt, t);
    results.at_most(decrypt, t.most, NO_LEAK, "|t|");
}

fn report(results: &mut Results, series: &str, figure: &str, t: T) {
    results.row(series, figure, "|t|", None, vec![t.most]);
    let difference = format!("{figure}, difference of means");
    results.row(series, &difference, "ns", None, vec![t.difference]);
}

/// The verifier, and a request that it takes.
struct Verification {
    verifier: Verifier,
    date: String,
    authorization: Vec<u8>,
    body: Vec<u8>,
    now: OffsetDateTime,
}

impl Verification {
    fn new() -> Self {
        let mut wire = WireRequest::unsigned("POST", HOST, PATH, encrypt_body(32));
        let at = UNIX_EPOCH + Duration::from_secs(SIGNED_AT.unsigned_abs());
        Signer::new(ID, SECRET).sign(&mut wire, at);
        let credential = (
            ID.try_into().expect("an id"),
            SECRET.try_into().expect("a secret"),
        );
        let header = |name: &str| wire.header(name).expect("a signed request").to_owned();
        let made = Self {
            verifier: Verifier::new([credential], Regions::Any).expect("a verifier"),
            date: header("x-amz-date"),
            authorization: header("authorization").into_bytes(),
            body: wire.body.clone(),
            now: OffsetDateTime::from_unix_timestamp(SIGNED_AT).expect("a time"),
        };
        let genuine = made.verify(&made.authorization);
        assert!(genuine, "it is taken, and fills the cache");
        made
    }

    fn verify(&self, authorization: &[u8]) -> bool {
        let headers = [
            ("host", HOST.as_bytes()),
            ("x-amz-date", self.date.as_bytes()),
            ("authorization", authorization),
        ];
        let request = SignedRequest {
            method: "POST",
            path: PATH,
            query: None,
            authority: None,
            headers: headers.iter().copied(),
            body: &self.body,
        };
        self.verifier.verify(&request, self.now).is_ok()
    }
}

/// A key of the embedded key manager, and a message of it.
struct Decryption {
    key: Arc<dyn ExternalKey>,
    sealed: Sealed,
    aad: FramedAad,
    _folder: TempDir,
}

impl Decryption {
    fn new() -> Self {
        let folder = harness::temp_dir();
        let root_key = RootKeySource::File(folder.path().join("root.key"));
        Embedded::init(folder.path(), &root_key).expect("an empty folder");
        let embedded = Embedded::open(folder.path(), root_key).expect("a store");
        let id: ExternalKeyId = "demo".try_into().expect("a key id");
        let administration = embedded.administration();
        let created = administration.create_key(&id, Usages::EncryptDecrypt);
        created.expect("a key");
        let key = ready(embedded.resolve(&id)).expect("the key");
        let message = key.metadata().expect("metadata");
        let aad = FramedAad::new(&Aad::default(), &message.metadata);
        let plaintext = Plaintext::from(&[7; 32][..]);
        let sealed = ready(key.seal(&plaintext, message, &aad)).expect("a message");
        let made = Self {
            key,
            sealed,
            aad,
            _folder: folder,
        };
        assert!(made.opens(made.sealed.tag.0), "it opens as it is");
        made
    }

    /// The tag with one byte changed.
    fn wrong(&self, at: usize) -> [u8; 16] {
        let mut tag = self.sealed.tag.0;
        tag[at] ^= 0x40;
        tag
    }

    fn opens(&self, tag: [u8; 16]) -> bool {
        let changed = Sealed {
            tag: AuthenticationTag(tag),
            ..self.sealed.clone()
        };
        ready(self.key.open(&changed, &self.aad)).is_ok()
    }
}

/// The embedded key manager never makes anyone wait.
fn ready<T>(answer: Answer<'_, T>) -> Result<T, KeyManagerError> {
    match answer {
        Answer::Ready(Some(result)) => result,
        Answer::Ready(None) | Answer::Later(_) => panic!("the answer is not there"),
    }
}

/// What nobody should write: a MAC that is compared until two bytes differ.
struct Leaky {
    key: hmac::Key,
    message: Vec<u8>,
    mac: [u8; 32],
}

impl Leaky {
    fn new() -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let message = vec![b'm'; 150];
        let mac = hmac::sign(&key, &message);
        Self {
            mac: mac.as_ref().try_into().expect("32 bytes"),
            key,
            message,
        }
    }

    /// The MAC with one byte changed.
    fn wrong(&self, at: usize) -> [u8; 32] {
        let mut mac = self.mac;
        mac[at] ^= 0x40;
        mac
    }

    fn verify(&self, mac: &[u8; 32]) -> bool {
        let expected = hmac::sign(&self.key, &self.message);
        for (expected, byte) in expected.as_ref().iter().zip(mac) {
            // So that no compiler looks at many bytes at a time.
            if black_box(*expected) != black_box(*byte) {
                return false;
            }
        }
        true
    }
}

/// dudect takes more than ten for a leak; there are as many tests as crops, so a few will be over the usual 4.5 by chance.
const NO_LEAK: f64 = 10.0;
const LEAK: f64 = 50.0;

const HOST: &str = "xks.test";
const ID: &str = "BETWEENAAAAANDBBBBBB";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY+AB=";
const PATH: &str = "/dev/tenant-a/kms/xks/v1/keys/demo/encrypt";
const SIGNED_AT: i64 = 1_796_000_000;
