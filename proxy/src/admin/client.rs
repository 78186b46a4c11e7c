//! The command line's side of the admin socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::protocol::{Answer, Command, Credentials, Envelope, Refusal, Reply, SecretText};
use super::{MAX_COMMAND_LEN, SOCKET_NAME};

/// A connection to the server that has a data folder's store open.
pub struct Client {
    stream: Box<dyn Stream>,
    credentials: Option<Credentials>,
}

/// What a command is sent over.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Client {
    /// Connects to the server of a data folder; `None` if none is running there.
    ///
    /// # Errors
    /// A socket that is there and cannot be used, such as another user's.
    pub fn connect(data_dir: &Path) -> io::Result<Option<Self>> {
        match UnixStream::connect(data_dir.join(SOCKET_NAME)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(DEADLINE))?;
                stream.set_write_timeout(Some(DEADLINE))?;
                Ok(Some(Self {
                    stream: Box::new(stream),
                    credentials: None,
                }))
            }
            Err(e) if matches!(e.kind(), NO_SOCKET | NO_LISTENER) => Ok(None),
            // Where the path is too long for a socket, no server listens either.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Over a connection that was made otherwise.
    pub(super) fn over(stream: Box<impl Read + Write + 'static>) -> Self {
        Self {
            stream,
            credentials: None,
        }
    }

    /// Says who asks, and for which key manager.
    pub fn with_credentials(self, token: Option<&str>, key_manager: Option<&str>) -> Self {
        let credentials = Credentials {
            token: token.map(SecretText::new),
            key_manager: key_manager.map(str::to_owned),
        };
        Self {
            credentials: Some(credentials),
            ..self
        }
    }

    /// Has the server carry out a command.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn execute(mut self, command: &Command) -> Result<Reply, ClientError> {
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_COMMAND_LEN));
        let encoded = match self.credentials {
            None => serde_json::to_writer(&mut *line, command),
            Some(credentials) => {
                let envelope = Envelope {
                    credentials,
                    command,
                };
                serde_json::to_writer(&mut *line, &envelope)
            }
        };
        encoded.expect("strings and numbers encode");
        line.push(b'\n');
        self.stream.write_all(&line)?;
        self.stream.flush()?;
        let mut answer = Zeroizing::new(Vec::with_capacity(MAX_COMMAND_LEN));
        self.stream.take(MAX_ANSWER_LEN).read_to_end(&mut answer)?;
        match serde_json::from_slice(&answer) {
            Ok(Answer::Ok(reply)) => Ok(reply),
            Ok(Answer::Error(refusal)) => Err(ClientError::Refused(refusal)),
            Err(_) => Err(ClientError::NoAnswer),
        }
    }
}

/// Why the server did not carry out a command.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It said why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It did not say.
    #[error(
        "the server ended the connection without an answer: see its log, and whether the command was \
         carried out"
    )]
    NoAnswer,
    /// The connection broke.
    #[error("the connection to the server broke ({0}): see whether the command was carried out")]
    Io(#[from] io::Error),
}

const NO_SOCKET: io::ErrorKind = io::ErrorKind::NotFound;
const NO_LISTENER: io::ErrorKind = io::ErrorKind::ConnectionRefused;
/// A rotation of the root key with a passphrase takes seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
const MAX_ANSWER_LEN: u64 = 1 << 30;
