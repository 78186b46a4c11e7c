//! A PKCS#11 library in this process: loaded once, initialized, and initialized again when its device was lost.
//!
//! C_Initialize counts for the whole process, so that libraries are what key managers share, also across a reload. A
//! library is never unloaded: some leave threads behind.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};

/// A library that is loaded.
pub(super) struct Library {
    path: PathBuf,
    context: Pkcs11,
    /// Read by every call, written by an initialization.
    state: RwLock<State>,
    initializing: Mutex<()>,
    users: AtomicUsize,
}

/// A token's claim to a library: with the last one, the library is finalized.
pub(super) struct User(Arc<Library>);

#[derive(Default)]
struct State {
    /// Counts C_Initialize; session handles of an earlier one may by now name other sessions.
    generation: u64,
    initialized: Option<Instant>,
}

/// While this is held, nobody initializes the library again.
pub(super) struct Entered<'l> {
    pub(super) context: &'l Pkcs11,
    pub(super) generation: u64,
    _state: RwLockReadGuard<'l, State>,
}

/// Every library of this process, since C_Initialize knows no smaller unit.
static LIBRARIES: Mutex<BTreeMap<PathBuf, Arc<Library>>> = Mutex::new(BTreeMap::new());

impl Library {
    /// Loads a library, unless it is loaded.
    pub(super) fn load(path: &Path) -> Result<User, Error> {
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = libraries.get(path) {
            return Ok(User::of(library));
        }
        let library = Arc::new(Self {
            path: path.to_owned(),
            context: Pkcs11::new(path)?,
            state: RwLock::default(),
            initializing: Mutex::default(),
            users: AtomicUsize::new(0),
        });
        let user = User::of(&library);
        libraries.insert(path.to_owned(), library);
        Ok(user)
    }

    /// Lets a call in; initializes the library before the first one.
    pub(super) fn enter(&self) -> Result<Entered<'_>, Error> {
        loop {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.initialized.is_some() {
                return Ok(Entered {
                    context: &self.context,
                    generation: state.generation,
                    _state: state,
                });
            }
            drop(state);
            self.initialize(None)?;
        }
    }

    /// Finalizes and initializes again, unless somebody has since `generation`, or has not long ago.
    ///
    /// Waits a moment for calls in progress: one that does not return keeps the library as it is.
    pub(super) fn initialize_again(&self, generation: u64) -> Result<(), Error> {
        self.initialize(Some(generation))
    }

    fn initialize(&self, after: Option<u64>) -> Result<(), Error> {
        let _one_at_a_time = self
            .initializing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut attempts = 0..LOCK_ATTEMPTS;
        // Not a blocking write: it would keep every other call out while one of them does not return.
        let mut state = loop {
            match self.state.try_write() {
                Ok(state) => break state,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if attempts.next().is_some() => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Ok(()),
            }
        };
        match after {
            None if state.initialized.is_some() => return Ok(()),
            Some(generation) if generation != state.generation => return Ok(()),
            Some(_) if state.initialized.is_some_and(|at| at.elapsed() < PAUSE) => return Ok(()),
            None | Some(_) => {}
        }
        if after.is_some() {
            tracing::warn!(library = %self.path.display(), "initializing the PKCS#11 library again");
            // It may be beyond that; what counts is whether it can be initialized.
            let _ = self.context.clone().finalize();
        }
        state.generation += 1;
        state.initialized = None;
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match self.context.initialize(arguments) {
            Ok(())
            | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, Function::Initialize)) => {
                state.initialized = Some(Instant::now());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl User {
    fn of(library: &Arc<Library>) -> Self {
        library.users.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(library))
    }
}

impl Deref for User {
    type Target = Library;

    fn deref(&self) -> &Library {
        &self.0
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _one_at_a_time = lock(&self.initializing);
        if self.users.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        // Nobody is left to call. Libraries that are not finalized may crash when the process ends.
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.initialized.take().is_some() {
            // There is nobody to tell, and nothing to be done about it.
            let _ = self.context.clone().finalize();
        }
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From one C_Initialize to the next at the least: other tokens of the library lose their sessions by it.
const PAUSE: Duration = Duration::from_secs(2);
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
