//! Who administers.

use std::fmt;

/// Who asks for a command to be carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Who {
    /// A user of this machine.
    User(u32),
    /// The holder of a token.
    Admin(String),
}

impl Who {
    /// The user of this process.
    pub fn this_process() -> Self {
        Self::User(rustix::process::getuid().as_raw())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Admin(name) => f.write_str(name),
        }
    }
}
