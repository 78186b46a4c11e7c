//! One token: its slot found, its user logged in, sessions opened on it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use xks_api::message::HealthStatus;

use super::connection::Connection;
use super::failure::Failure;
use super::key_map::Locator;
use super::library::{Entered, Library, User};
use super::messages::Messages;
use super::rv::Meaning;
use super::settings::{SessionKind, Settings, TokenSelector};
use crate::key_manager::{Description, Instance, InstanceHealth};

/// The token of one key manager.
pub(super) struct Token {
    library: User,
    pub(super) settings: Settings,
    /// One login at a time: a wrong PIN is tried once, whatever the number of threads.
    login: Mutex<Login>,
    has_aes_gcm: AtomicBool,
    /// The last initialization of the library in which it showed the test key.
    test_key_seen_in: AtomicU64,
    last_failure: Mutex<Option<(Instant, Arc<Failure>)>>,
    description: Mutex<Description>,
    pub(super) messages: Messages,
}

#[derive(Default)]
struct Login {
    refused: Option<String>,
}

impl Token {
    pub(super) fn new(library: User, settings: Settings) -> Self {
        let description = Description {
            vendor: "PKCS#11".to_owned(),
            instances: vec![Instance {
                id: settings.token.to_string(),
                model: "not reached yet".to_owned(),
                health: InstanceHealth::Probed,
            }],
        };
        Self {
            library,
            messages: Messages::new(settings.messages_per_version),
            settings,
            login: Mutex::default(),
            has_aes_gcm: AtomicBool::new(false),
            test_key_seen_in: AtomicU64::new(0),
            last_failure: Mutex::default(),
            description: Mutex::new(description),
        }
    }

    /// As the token describes itself; as the configuration does before it was reached. UNAVAILABLE since a session
    /// could not be opened, until one can.
    pub(super) fn description(&self) -> Description {
        let mut description = lock(&self.description).clone();
        if lock(&self.last_failure).is_some() {
            for instance in &mut description.instances {
                instance.health = InstanceHealth::AtBest(HealthStatus::Unavailable);
            }
        }
        description
    }

    pub(super) fn library(&self) -> &Library {
        &self.library
    }

    /// Opens a session, logged in. After a failure, the next attempts fail alike for a moment.
    pub(super) fn connect(&self, entered: &Entered<'_>) -> Result<Connection, Failure> {
        if let Some((at, failure)) = &*lock(&self.last_failure)
            && at.elapsed() < PAUSE
        {
            return Err(Failure::JustNow(Arc::clone(failure)));
        }
        let result = self.open(entered);
        *lock(&self.last_failure) = match &result {
            // Not a failure of the token: others may have sessions.
            Err(failure) if failure.verdict().meaning != Meaning::NoSession => {
                Some((Instant::now(), Arc::new(failure.clone())))
            }
            _ => None,
        };
        result
    }

    fn open(&self, entered: &Entered<'_>) -> Result<Connection, Failure> {
        let slot = self.slot(entered)?;
        if !self.has_aes_gcm.load(Ordering::Relaxed) {
            let mechanisms = entered.context.get_mechanism_list(slot)?;
            if !mechanisms.contains(&MechanismType::AES_GCM) {
                return Err(Failure::NoAesGcm);
            }
            self.has_aes_gcm.store(true, Ordering::Relaxed);
        }
        // Closed by hand: after another C_Initialize, its handle may be that of another session.
        let session = match self.settings.device.sessions {
            SessionKind::ReadOnly => entered.context.open_ro_session_no_drop(slot)?,
            SessionKind::ReadWrite => entered.context.open_rw_session_no_drop(slot)?,
        };
        if let Err(failure) = self.log_in(&session) {
            // The failure of the login is what counts.
            let _ = session.close();
            return Err(failure);
        }
        let connection =
            Connection::new(session, entered.generation, self.settings.lookup_interval);
        self.shows_test_key(&connection, entered);
        Ok(connection)
    }

    /// Whether a key that is not found is not there: else the keys are not there any more, or the token.
    pub(super) fn lacks(
        &self,
        locator: Locator,
        connection: &Connection,
        entered: &Entered<'_>,
    ) -> Failure {
        let seen_in = self.test_key_seen_in.load(Ordering::Relaxed);
        if !self.shows_test_key(connection, entered) && seen_in == entered.generation {
            return Failure::LostKeys(locator);
        }
        Failure::NoKey(locator)
    }

    fn shows_test_key(&self, connection: &Connection, entered: &Entered<'_>) -> bool {
        let shown = connection.has_key(&self.test_key());
        if shown {
            self.test_key_seen_in
                .store(entered.generation, Ordering::Relaxed);
        }
        shown
    }

    /// Where the test key is.
    pub(super) fn test_key(&self) -> Locator {
        Locator::Label(self.settings.test_key_label.clone())
    }

    fn slot(&self, entered: &Entered<'_>) -> Result<Slot, Failure> {
        let wanted = &self.settings.token;
        let mut found = None;
        let mut shown = Vec::new();
        for slot in entered.context.get_slots_with_token()? {
            // A slot whose token cannot be read is not the one; the library may have others.
            let Ok(info) = entered.context.get_token_info(slot) else {
                continue;
            };
            let is_wanted = match wanted {
                TokenSelector::Label(label) => info.label() == label,
                TokenSelector::Serial(serial) => info.serial_number() == serial,
                TokenSelector::Slot(id) => slot.id() == *id,
            };
            if info.token_initialized() {
                shown.push(format!(
                    "label {:?}, serial number {:?}, slot {}",
                    info.label(),
                    info.serial_number(),
                    slot.id()
                ));
            }
            if is_wanted && found.replace((slot, info)).is_some() {
                return Err(Failure::SeveralTokens(wanted.clone()));
            }
        }
        let Some((slot, info)) = found else {
            let shown = match shown.is_empty() {
                true => "no token".to_owned(),
                false => shown.join("; "),
            };
            return Err(Failure::NoToken(wanted.clone(), shown));
        };
        *lock(&self.description) = describe(&info);
        Ok(slot)
    }

    /// Somebody says that the PIN is right by now: it is tried once more.
    pub(super) fn forget_refusal(&self) {
        if lock(&self.login).refused.take().is_some() {
            *lock(&self.last_failure) = None;
            tracing::info!("the PIN of the token, which was refused, is tried once more");
        }
    }

    fn log_in(&self, session: &Session) -> Result<(), Failure> {
        let Some(pin) = &self.settings.pin else {
            return Ok(());
        };
        let mut login = lock(&self.login);
        if let Some(refused) = &login.refused {
            return Err(Failure::Pin(refused.clone()));
        }
        match session.login(UserType::User, Some(pin.as_auth_pin())) {
            // The login counts for all sessions of the process.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, Function::Login)) => Ok(()),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.verdict().meaning != Meaning::PinRefused {
                    return Err(failure);
                }
                let refused = failure.to_string();
                login.refused = Some(refused.clone());
                Err(Failure::Pin(refused))
            }
        }
    }
}

fn describe(info: &TokenInfo) -> Description {
    let or = |text: &str, other: &str| match text.trim() {
        "" => other.to_owned(),
        text => text.to_owned(),
    };
    let firmware = info.firmware_version();
    Description {
        vendor: or(info.manufacturer_id(), "PKCS#11"),
        instances: vec![Instance {
            id: or(info.serial_number(), info.label()),
            model: format!("{} {firmware}", or(info.model(), "token")),
            health: InstanceHealth::Probed,
        }],
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a failure to connect stands for the next attempts.
const PAUSE: Duration = Duration::from_millis(250);
