//! Connections to the database: password and certificates read anew for each, TLS by rustls, every wait with an end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleError, RecycleResult, Timeouts};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, NoTlsStream};
use tokio_postgres::{Client, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::super::root_key;
use super::config::PostgresConfig;
use super::error::PostgresError;
use crate::tls::refused_server;

/// A database, through connections that are made again when they are lost.
pub(super) struct Database {
    maker: Maker,
    pool: Pool<Maker>,
}

/// The side of a connection that reads what the server sends, notifications among it.
pub(super) enum Incoming {
    Plain(Box<Connection<Socket, NoTlsStream>>),
    Tls(Box<Connection<Socket, TlsStream>>),
}

type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl Database {
    /// Connects to nothing yet.
    pub(super) fn new(config: &PostgresConfig) -> Self {
        let maker = Maker(Arc::new(config.clone()));
        let pool = Pool::builder(maker.clone())
            .max_size(MAX_CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(CONNECT_DEADLINE),
                create: Some(CONNECT_DEADLINE),
                recycle: Some(RECYCLE_DEADLINE),
            })
            .build()
            .expect("a runtime is named");
        Self { maker, pool }
    }

    pub(super) fn config(&self) -> &PostgresConfig {
        &self.maker.0
    }

    /// Database and schema, for messages.
    pub(super) fn place(&self) -> String {
        self.maker.place()
    }

    /// Does something with a connection, within [`DEADLINE`]; a connection that failed is not used again.
    pub(super) async fn with<T>(
        &self,
        operation: impl AsyncFnOnce(&mut Client) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let mut client = match self.pool.get().await {
            Ok(client) => client,
            Err(PoolError::Backend(error)) => return Err(error),
            Err(error) => return Err(self.unreachable(&error)),
        };
        let result = match timeout(DEADLINE, operation(&mut client)).await {
            Ok(result) => result,
            Err(_) => Err(self.silent()),
        };
        if matches!(&result, Err(PostgresError::Unreachable { .. })) {
            drop(managed::Object::take(client));
        }
        result
    }

    /// A connection of its own, for notifications.
    pub(super) async fn connect(&self) -> Result<(Client, Incoming), PostgresError> {
        match timeout(CONNECT_DEADLINE, self.maker.connect()).await {
            Ok(result) => result,
            Err(_) => Err(self.silent()),
        }
    }

    pub(super) fn unreachable(&self, error: &dyn std::error::Error) -> PostgresError {
        self.maker.unreachable(error)
    }

    pub(super) fn silent(&self) -> PostgresError {
        PostgresError::Unreachable {
            place: self.place(),
            cause: "it does not answer".into(),
        }
    }

    /// Ends all connections.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// Makes connections.
#[derive(Clone)]
struct Maker(Arc<PostgresConfig>);

impl managed::Manager for Maker {
    type Type = Client;
    type Error = PostgresError;

    async fn create(&self) -> Result<Client, PostgresError> {
        let (client, incoming) = self.connect().await?;
        tokio::spawn(async move {
            // Ends with the client, and whoever uses the client learns why.
            let _ = match incoming {
                Incoming::Plain(connection) => connection.await,
                Incoming::Tls(connection) => connection.await,
            };
        });
        Ok(client)
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<PostgresError> {
        if client.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        match client.simple_query("").await {
            Ok(_) => Ok(()),
            Err(error) => Err(RecycleError::Backend(self.unreachable(&error))),
        }
    }
}

impl Maker {
    async fn connect(&self) -> Result<(Client, Incoming), PostgresError> {
        let config = &*self.0;
        let mut settings = config.url.parsed();
        settings
            .application_name("xks-proxy")
            .connect_timeout(HOST_DEADLINE)
            .tcp_user_timeout(DEADLINE)
            .keepalives_idle(DEADLINE)
            .options(SESSION_SETTINGS)
            // Of several hosts, the one that takes changes.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        if let Some(path) = &config.password_file {
            let password = root_key::read_passphrase(path).map_err(|error| file(path, &error))?;
            settings.password(password.as_slice());
        }
        let Some(ca_file) = &config.ca_file else {
            settings.ssl_mode(SslMode::Disable);
            let connected = settings.connect(NoTls).await;
            let (client, incoming) = connected.map_err(|e| self.unreachable(&e))?;
            return Ok((client, Incoming::Plain(Box::new(incoming))));
        };
        settings.ssl_mode(SslMode::Require);
        let tls = client_config(config, ca_file)?;
        let connected = settings.connect(MakeRustlsConnect::new(tls)).await;
        let (client, incoming) = connected.map_err(|e| self.unreachable(&e))?;
        Ok((client, Incoming::Tls(Box::new(incoming))))
    }

    fn place(&self) -> String {
        format!("the database {}, schema {}", self.0.url, self.0.schema)
    }

    /// What failed, with what lies behind it.
    fn unreachable(&self, error: &dyn std::error::Error) -> PostgresError {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(deeper) = source {
            let deeper_text = deeper.to_string();
            if !cause.contains(&deeper_text) {
                cause = format!("{cause}: {deeper_text}");
            }
            source = deeper.source();
        }
        if let Some(advice) = error.source().and_then(refused_server::advice) {
            cause = format!("{cause} ({advice})");
        }
        PostgresError::Unreachable {
            place: self.place(),
            cause,
        }
    }
}

fn client_config(config: &PostgresConfig, ca_file: &Path) -> Result<ClientConfig, PostgresError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_file)? {
        roots.add(certificate).map_err(|e| file(ca_file, &e))?;
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let Some((chain, key)) = &config.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|e| file(key, &e))?;
    builder
        .with_client_auth_cert(certificates(chain)?, private_key)
        .map_err(|e| file(chain, &e))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PostgresError> {
    let list = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    list.map_err(|e| file(path, &e))
}

fn file(path: &Path, error: &dyn std::error::Error) -> PostgresError {
    PostgresError::File {
        path: PathBuf::from(path),
        cause: error.to_string(),
    }
}

/// For one host among several.
const HOST_DEADLINE: Duration = Duration::from_secs(2);
/// For a connection, to whichever host.
const CONNECT_DEADLINE: Duration = Duration::from_secs(6);
/// For a connection that was used before to show that it still works.
const RECYCLE_DEADLINE: Duration = Duration::from_secs(2);
/// For what is done with a connection.
const DEADLINE: Duration = Duration::from_secs(5);
const MAX_CONNECTIONS: usize = 2;
/// The server's own ends of waiting: a proxy that stops in the middle of a change does not hold up the others.
const SESSION_SETTINGS: &str =
    "-c statement_timeout=5s -c lock_timeout=4s -c idle_in_transaction_session_timeout=6s";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_database_and_schema_and_all_that_lies_behind_a_failure() {
        let url = "postgres://xks@db-1:5433/keys".parse().unwrap();
        let database = Database::new(&PostgresConfig::new(url));
        let place = "the database postgres://xks@db-1:5433/keys, schema xks_proxy";
        assert_eq!(database.place(), place);

        #[derive(Debug, thiserror::Error)]
        #[error("no connection")]
        struct Outer(#[source] std::io::Error);
        let refused = std::io::Error::other("connection refused");
        for (error, expected) in [
            (
                database.unreachable(&Outer(refused)),
                "no connection: connection refused",
            ),
            (database.silent(), "it does not answer"),
        ] {
            let PostgresError::Unreachable { place: told, cause } = error else {
                panic!("{error}");
            };
            assert_eq!((&*told, &*cause), (place, expected));
        }
    }
}
