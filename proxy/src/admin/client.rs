//! The command line's side of the admin socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::IgnoredAny;
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
            // A whole answer that is no answer of this version, against one that was cut off or never came.
            Err(_) => match serde_json::from_slice::<IgnoredAny>(&answer) {
                Ok(_) => Err(ClientError::OtherVersion),
                Err(_) => Err(ClientError::NoAnswer),
            },
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
    /// What it said has another shape.
    #[error(
        "the server answered something that this version does not understand: is it of another version? See its log, \
         and whether the command was carried out"
    )]
    OtherVersion,
    /// The connection broke.
    #[error("the connection to the server broke ({0}): see whether the command was carried out")]
    Io(#[from] io::Error),
}

const NO_SOCKET: io::ErrorKind = io::ErrorKind::NotFound;
const NO_LISTENER: io::ErrorKind = io::ErrorKind::ConnectionRefused;
/// A rotation of the root key with a passphrase takes seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
const MAX_ANSWER_LEN: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;
    use crate::status::Wanted;

    /// What comes of a server that answers this and closes.
    fn answered(answer: &'static str) -> Result<Reply, ClientError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let mut theirs = BufReader::new(theirs);
            theirs.read_line(&mut String::new()).unwrap();
            theirs.get_mut().write_all(answer.as_bytes()).unwrap();
        });
        let wanted = Wanted::default();
        let result = Client::over(Box::new(ours)).execute(&Command::Status { wanted });
        server.join().unwrap();
        result
    }

    #[test]
    fn an_answer_of_another_version_is_told_apart_from_none() {
        for other in [
            r#"{"ok":{"reply":"status","value":{"version":"9.0.0"}}}"#,
            r#"{"ok":{"reply":"what-is-to-come"}}"#,
            "[]\n",
        ] {
            let result = answered(other);
            assert!(matches!(result, Err(ClientError::OtherVersion)), "{other}");
        }
        for none in ["", "\n", r#"{"ok":{"reply":"status","value":{"vers"#] {
            let result = answered(none);
            assert!(matches!(result, Err(ClientError::NoAnswer)), "{none}");
        }
        let done = answered(r#"{"ok":{"reply":"done"}}"#);
        assert!(matches!(done, Ok(Reply::Done)), "{done:?}");
    }
}
