//! Who asks, and the admin listener of a server on another machine.

use clap::Args;
use zeroize::Zeroizing;

use super::{Failure, File};
use crate::admin::{Client, Remote};

/// Who asks, and where the server is, if it is not on this machine.
#[derive(Args, Clone, Debug)]
pub(super) struct IdentityArguments {
    /// The token of the admin who asks, in a file; without it, the user of this machine asks
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_TOKEN_FILE")]
    token_file: Option<File>,
    /// The CA certificates of --server, in PEM
    #[arg(long, value_name = "FILE", requires = "server")]
    server_ca: Option<File>,
}

impl IdentityArguments {
    /// A connection to the admin listener of this name.
    pub(super) fn connect(&self, server: &str) -> Result<Client, Failure> {
        let ca_file = self.server_ca.clone().ok_or_else(|| {
            Failure::Failed("give --server-ca FILE, the CA certificates of the server".into())
        })?;
        let remote = Remote {
            server: server.to_owned(),
            ca_file,
        };
        remote.connect().map_err(|e| Failure::Failed(e.to_string()))
    }

    /// Says who asks, if it is an admin with a token.
    pub(super) fn introduce(
        &self,
        client: Client,
        key_manager: Option<&str>,
    ) -> Result<Client, Failure> {
        let token = self.token()?;
        Ok(match (token, key_manager) {
            (None, None) => client,
            (token, key_manager) => {
                client.with_credentials(token.as_ref().map(|t| t.trim()), key_manager)
            }
        })
    }

    fn token(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path).map_err(|e| Failure::of(path.display(), &e))?;
        Ok(Some(Zeroizing::new(text)))
    }
}
