//! Tells systemd, or whoever started the server and asks for it, how the server is: sd_notify(3).

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// Where states are told, if anybody wants to know.
pub(super) struct Supervisor(Option<(UnixDatagram, SocketAddr)>);

/// What is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Requests are answered.
    Ready,
    /// A configuration is read; [`State::Ready`] comes after.
    Reloading,
    /// No more requests are taken.
    Stopping,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("READY=1\nSTATUS=serving\n"),
            Self::Reloading => {
                // So that systemd tells this reload from one before.
                let now = clock_gettime(ClockId::Monotonic);
                let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
                writeln!(f, "RELOADING=1\nMONOTONIC_USEC={micros}")
            }
            Self::Stopping => f.write_str("STOPPING=1\nSTATUS=answering the last requests\n"),
        }
    }
}

impl Supervisor {
    /// The one that the environment names. A supervisor that cannot be told is no reason not to serve.
    pub(super) fn of_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self(None);
        };
        match connect(&name) {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET cannot be used: the supervisor hears nothing of this server");
                Self(None)
            }
        }
    }

    /// Tells a state. Waits for nothing: a supervisor that does not read is told nothing.
    pub(super) fn tell(&self, state: State) {
        if let Some((socket, address)) = &self.0
            && let Err(error) = socket.send_to_addr(state.to_string().as_bytes(), address)
        {
            tracing::warn!(%error, ?state, "the supervisor could not be told");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}
