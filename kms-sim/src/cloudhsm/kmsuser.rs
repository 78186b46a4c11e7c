//! The crypto user `kmsuser`, as which KMS logs into a cluster.

use super::password::KeyStorePassword;
use crate::connection::ConnectionErrorCode;

/// The user on every HSM of a cluster.
#[derive(Clone)]
pub(super) struct Kmsuser {
    password: KeyStorePassword,
    failed_logins: u8,
    /// A person is logged in as `kmsuser`.
    pub(super) logged_in_elsewhere: bool,
}

impl Kmsuser {
    /// A user who is logged in nowhere.
    pub(super) const fn new(password: KeyStorePassword) -> Self {
        Self {
            password,
            failed_logins: 0,
            logged_in_elsewhere: false,
        }
    }

    /// A user as it was.
    pub(super) const fn restored(
        password: KeyStorePassword,
        failed_logins: u8,
        logged_in_elsewhere: bool,
    ) -> Self {
        Self {
            password,
            failed_logins,
            logged_in_elsewhere,
        }
    }

    /// The password, for whoever saves it.
    pub(super) const fn password(&self) -> &KeyStorePassword {
        &self.password
    }

    /// Checks a login of KMS, which needs the user for itself. The fifth wrong password in a row locks the user out.
    pub(super) fn log_in(
        &mut self,
        password: &KeyStorePassword,
    ) -> Result<(), ConnectionErrorCode> {
        if self.is_locked_out() {
            return Err(ConnectionErrorCode::UserLockedOut);
        }
        if self.logged_in_elsewhere {
            return Err(ConnectionErrorCode::UserLoggedIn);
        }
        if self.password != *password {
            self.failed_logins += 1;
            return Err(ConnectionErrorCode::InvalidCredentials);
        }
        self.failed_logins = 0;
        Ok(())
    }

    /// Sets another password, which also ends a lock.
    pub(super) fn change_password(&mut self, password: KeyStorePassword) {
        self.password = password;
        self.failed_logins = 0;
    }

    /// Locks the user out as five wrong passwords do.
    pub(super) const fn lock_out(&mut self) {
        self.failed_logins = MAX_FAILED_LOGINS;
    }

    /// Lets the user log in again.
    pub(super) const fn unlock(&mut self) {
        self.failed_logins = 0;
    }

    /// Wrong passwords in a row.
    pub(super) const fn failed_logins(&self) -> u8 {
        self.failed_logins
    }

    /// Whether no password lets the user in.
    pub(super) const fn is_locked_out(&self) -> bool {
        self.failed_logins >= MAX_FAILED_LOGINS
    }
}

/// AWS KMS Developer Guide, "How to fix invalid kmsuser credentials".
const MAX_FAILED_LOGINS: u8 = 5;
