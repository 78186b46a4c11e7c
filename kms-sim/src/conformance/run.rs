//! A run of the suite: which cases, one after the other, and what became of each.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use xks_api::route::OperationName;

use super::case::{Case, Finding, Level};
use super::cases::cases;
use super::connection::{Trouble, dial};
use super::kit::{Exchange, Kit, now};
use super::target::Target;
use super::tls_client::Offer;
use super::wire::without_signatures;

/// What became of every case.
pub struct Results {
    /// When the run began.
    pub started: OffsetDateTime,
    /// How long it took.
    pub elapsed: Duration,
    /// Host and `XksProxyUriPath`.
    pub proxy: String,
    /// What the proxy says that it is, if it does.
    pub model: Option<String>,
    /// Whether a SHOULD that is not met counts as failed.
    pub strict: bool,
    /// What lies behind many of the findings, if something does.
    pub notice: Option<String>,
    /// In the order in which they ran.
    pub cases: Vec<Tried>,
}

/// What became of a case.
pub struct Tried {
    /// The case.
    pub case: &'static Case,
    /// What became of it.
    pub verdict: Verdict,
    /// What was said, unless it passed.
    pub exchanges: Vec<Exchange>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What became of a case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The proxy does what is required.
    Passed,
    /// The proxy does not do what a SHOULD asks for; counts as passed.
    Warned(String),
    /// The proxy does something else.
    Failed(String),
    /// Not tried; the text says why, and what would make it run.
    Skipped(String),
}

impl Verdict {
    /// As reports write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned(_) => "warning",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What there is to say.
    pub fn text(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Warned(text) | Self::Failed(text) | Self::Skipped(text) => text,
        }
    }
}

/// Which cases run, and how strictly.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Parts of names, with `*` for any characters; all cases without any.
    pub only: Vec<String>,
    /// A SHOULD that is not met is a failure.
    pub strict: bool,
}

/// The proxy cannot be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No TCP connection.
    #[error(
        "{host} cannot be reached: {cause}. Is the proxy running, and is the address right? --resolve {host}=IP:PORT says \
         where it is, if DNS does not."
    )]
    Tcp {
        /// The host.
        host: String,
        /// What the system says.
        cause: String,
    },
    /// TLS, and then no answer to a request that is right.
    #[error(
        "{host} does not answer a request: {cause}. A proxy with mTLS ends connections where it sees no certificate that it \
         trusts; --client-cert and --client-key name one."
    )]
    NoAnswer {
        /// The host.
        host: String,
        /// What came in place of an answer.
        cause: String,
    },
    /// No TLS, and nothing is selected that says more of it.
    #[error("{host} cannot be used: {cause}; {advice}", advice = TLS_ADVICE)]
    NoTls {
        /// The host.
        host: String,
        /// What came in place of a handshake.
        cause: String,
    },
    /// TCP, and silence at the handshake.
    #[error("{host} cannot be used: {cause}. Is this the port on which the proxy speaks TLS?")]
    SilentHandshake {
        /// The host.
        host: String,
        /// How long nothing came.
        cause: String,
    },
    /// A certificate or an authority that cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// No case has such a name.
    #[error("no case is named like {0}; --list lists them all")]
    NoSuchCase(String),
}

impl Selection {
    /// The cases, in order.
    ///
    /// # Errors
    /// A pattern that fits none.
    pub fn cases(&self) -> Result<Vec<&'static Case>, Unreachable> {
        for pattern in &self.only {
            if !cases().any(|case| matches(pattern, case.name)) {
                return Err(Unreachable::NoSuchCase(pattern.clone()));
            }
        }
        let chosen = |case: &&Case| {
            self.only.is_empty() || self.only.iter().any(|only| matches(only, case.name))
        };
        Ok(cases().filter(chosen).collect())
    }
}

/// Tries every case that is selected; `before` hears of each before it runs.
///
/// # Errors
/// A proxy that cannot be reached, or a selection that fits nothing.
pub fn run(
    target: &Target,
    selection: &Selection,
    mut before: impl FnMut(usize, usize, &Case),
) -> Result<Results, Unreachable> {
    let chosen = selection.cases()?;
    let tls = Offer::of_kms(target)
        .config(target)
        .map_err(|error| Unreachable::Tls(error.to_string()))?;
    dial(target).map_err(|trouble| Unreachable::Tcp {
        host: target.host.clone(),
        cause: match trouble {
            Trouble::Connect(cause) => cause.to_string(),
            other => other.to_string(),
        },
    })?;
    let (started, start) = (now(), Instant::now());
    let kit = Kit::new(target, tls);
    let mut tried: Vec<Tried> = Vec::new();
    // Without TLS there is nothing else to try.
    let no_tls = kit.connect().err();
    let (host, says_more) = (target.host.clone(), |case: &&Case| case.name == CERTIFICATE);
    let notice = match &no_tls {
        None => refused_from_the_start(&kit).map_err(|trouble| Unreachable::NoAnswer {
            host,
            cause: trouble.to_string(),
        })?,
        Some(trouble @ Trouble::SilentHandshake(_)) => {
            let cause = trouble.to_string();
            return Err(Unreachable::SilentHandshake { host, cause });
        }
        Some(trouble) if !chosen.iter().any(says_more) => {
            let cause = trouble.to_string();
            return Err(Unreachable::NoTls { host, cause });
        }
        Some(_) => None,
    };
    let mut stopped = false;
    for (at, case) in chosen.iter().enumerate() {
        before(at, chosen.len(), case);
        let start = Instant::now();
        let (outcome, exchanges) = match &no_tls {
            Some(trouble) if case.name != CERTIFICATE => {
                let why = format!("{trouble}; {TLS_ADVICE}");
                (Err(Finding::Skipped(why)), Vec::new())
            }
            _ if stopped => (Err(Finding::Skipped(STOPPED.to_owned())), Vec::new()),
            _ => kit.run(case),
        };
        let outcome = outcome.map_err(Finding::without_signatures);
        // Some cases end in silence, one after the other, at a proxy that still serves what is right.
        let silent = !stopped
            && kit.silences() >= SILENCES
            && matches!(
                kit.ask(kit.health()),
                Err(Trouble::Silence(_) | Trouble::SilentHandshake(_))
            );
        let verdict = match outcome {
            _ if silent => {
                stopped = true;
                Verdict::Failed(format!(
                    "the proxy stopped answering: nothing came within {} s, {} times in a row, the last time to a \
                     GetHealthStatus that is right; the other cases are not tried",
                    target.patience.as_secs(),
                    kit.silences()
                ))
            }
            Ok(()) => Verdict::Passed,
            Err(Finding::Skipped(why)) => Verdict::Skipped(why),
            Err(Finding::Failed(what)) if case.level == Level::Should && !selection.strict => {
                Verdict::Warned(what)
            }
            Err(Finding::Failed(what)) => Verdict::Failed(what),
        };
        tried.push(Tried {
            case,
            exchanges: match verdict {
                Verdict::Passed | Verdict::Skipped(_) => Vec::new(),
                Verdict::Warned(_) | Verdict::Failed(_) => exchanges,
            },
            verdict,
            elapsed: start.elapsed(),
        });
    }
    Ok(Results {
        started,
        elapsed: start.elapsed(),
        proxy: format!("{}{}", target.authority(), target.uri_path),
        model: match stopped {
            true => None,
            false => model(&kit),
        },
        strict: selection.strict,
        notice: notice.map(|text| without_signatures(&text)),
        cases: tried,
    })
}

/// Asks what KMS asks first, and says what it means if the proxy refuses that: much of what follows, follows from it.
fn refused_from_the_start(kit: &Kit<'_>) -> Result<Option<String>, Trouble> {
    let target = kit.target;
    let key = format!("the external key {} of --key-id", target.key_id);
    for (name, draft) in [
        ("GetHealthStatus", kit.health()),
        ("GetKeyMetadata", kit.metadata()),
        ("Encrypt", kit.encrypt()),
    ] {
        let is_health = name == "GetHealthStatus";
        let answer = match kit.ask(draft) {
            Ok(answer) => answer,
            Err(trouble) if is_health => return Err(trouble),
            Err(trouble) => {
                return Ok(Some(format!(
                    "the proxy does not answer a {name} as KMS sends it: {trouble}. Findings may follow from that alone."
                )));
            }
        };
        let (what, advice) = match answer.status {
            200 => continue,
            401 => ("this credential".to_owned(), CREDENTIAL_ADVICE),
            404 if is_health => (format!("the path {} of --uri-path", target.uri_path), ""),
            400..=499 if !is_health => (key.clone(), ""),
            _ => (format!("a {name} that is right"), ""),
        };
        return Ok(Some(format!(
            "the proxy does not take {what} ({} to a {name} as KMS sends it). Findings may follow from that alone.{advice}",
            answer.summary()
        )));
    }
    Ok(None)
}

/// What GetHealthStatus says that the proxy is.
fn model(kit: &Kit<'_>) -> Option<String> {
    let wire = kit.request(OperationName::GetHealthStatus).ok()?.sign();
    let health = kit.send(&wire).ok()?.health().ok()?;
    let named = format!("{}, {}", health.proxy_model, health.proxy_vendor);
    Some(without_signatures(&named))
}

impl Results {
    /// How many have become of one kind.
    pub fn count(&self, is_so: impl Fn(&Verdict) -> bool) -> usize {
        let verdicts = self.cases.iter().map(|tried| &tried.verdict);
        verdicts.filter(|verdict| is_so(verdict)).count()
    }

    /// Passed, those with a warning among them.
    pub fn passed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Passed | Verdict::Warned(_)))
    }

    /// Passed with a warning.
    pub fn warned(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Warned(_)))
    }

    /// Failed.
    pub fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed(_)))
    }

    /// Not tried.
    pub fn skipped(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Skipped(_)))
    }

    /// `N passed, N failed, N skipped`
    pub fn summary(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed(),
            self.failed(),
            self.skipped()
        )
    }
}

/// Whether a name has the pattern in it; `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    for part in pattern.split('*') {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

/// The case that says what is wrong with TLS.
const CERTIFICATE: &str = "certificate-of-the-host";
const TLS_ADVICE: &str = "--trust-ca names the authority of the proxy's certificate, --client-cert what a proxy with mTLS \
                          wants to see";
const CREDENTIAL_ADVICE: &str = " Are --access-key-id and its secret those of the store at --uri-path, and do the clocks \
                                 agree?";
/// After so many silences in a row the proxy is asked whether it is still there.
const SILENCES: usize = 5;
const STOPPED: &str = "the proxy stopped answering before";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_parts_of_names() {
        assert!(matches("tag", "tag-of-zeros"));
        assert!(matches("of-*", "tag-of-zeros"));
        assert!(matches("tag*zeros", "tag-of-zeros"));
        assert!(!matches("zeros*tag", "tag-of-zeros"));
        assert!(!matches("iv", "tag-of-zeros"));
    }

    #[test]
    fn a_pattern_without_a_case_is_refused() {
        let selection = |pattern: &str| Selection {
            only: vec![pattern.to_owned()],
            strict: false,
        };
        assert!(selection("no-such-case").cases().is_err());
        assert!(selection("cdiv").cases().unwrap().len() > 5);
    }
}
