//! What the configuration says of a shared store: where the database is, and how long to do without it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

/// A keyring in a PostgreSQL database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PostgresConfig {
    /// Where the database is.
    pub url: DatabaseUrl,
    /// The password, read again for every connection.
    pub password_file: Option<PathBuf>,
    /// The certificates that the server's has to come from.
    pub ca_file: Option<PathBuf>,
    /// Certificate and private key that this proxy shows the server.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The schema that has the tables; one database may hold several keyrings.
    pub schema: SchemaName,
    /// How often the database is asked for changes that no notification told of.
    pub poll_interval: Duration,
    /// How long keys are used without word from the database.
    pub snapshot_max_age: Duration,
    /// How often this proxy says that it is there.
    pub heartbeat_interval: Duration,
    /// How many heartbeats a proxy may miss before it counts as gone.
    pub missed_heartbeats: u32,
}

impl PostgresConfig {
    /// How long after its last heartbeat a proxy counts as gone.
    pub(super) fn gone_after(&self) -> Duration {
        self.heartbeat_interval * self.missed_heartbeats
    }

    /// With the defaults of everything that has one.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            password_file: None,
            ca_file: None,
            client_certificate: None,
            schema: SchemaName("xks_proxy".into()),
            poll_interval: Duration::from_secs(5),
            snapshot_max_age: Duration::from_secs(15 * 60),
            heartbeat_interval: Duration::from_secs(5),
            missed_heartbeats: 3,
        }
    }
}

/// `postgres://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE`, without a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatabaseUrl {
    text: String,
    local: bool,
}

impl DatabaseUrl {
    /// Whether every host is this machine, so that nobody listens on the way.
    pub fn is_local(&self) -> bool {
        self.local
    }

    pub(super) fn parsed(&self) -> tokio_postgres::Config {
        self.text.parse().expect("it was parsed before")
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        let config: tokio_postgres::Config = text.parse().map_err(|_| InvalidDatabaseUrl::Form)?;
        if config.get_password().is_some() {
            return Err(InvalidDatabaseUrl::Password);
        }
        if config.get_ssl_mode() != SslMode::Prefer {
            return Err(InvalidDatabaseUrl::SslMode);
        }
        if config.get_user().is_none() || config.get_dbname().is_none() {
            return Err(InvalidDatabaseUrl::Form);
        }
        if config.get_hosts().is_empty() {
            return Err(InvalidDatabaseUrl::Form);
        }
        let is_local = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        };
        let local = config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        Ok(Self {
            text: text.into(),
            local,
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no [`DatabaseUrl`]; it is not repeated, as it may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// It is something else.
    #[error("it does not name user, host and database")]
    Form,
    /// It has a password.
    #[error("it has a password in it")]
    Password,
    /// It says how TLS is done.
    #[error("it has an sslmode")]
    SslMode,
}

/// The name of a schema: 1 to 40 of `a–z 0–9 _`, no digit first; so it needs no quoting and names a channel, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SchemaName(String);

impl SchemaName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for SchemaName {
    type Error = InvalidSchemaName;

    fn try_from(text: &str) -> Result<Self, InvalidSchemaName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let digit_first = text.starts_with(|first: char| first.is_ascii_digit());
        let reserved = text.starts_with("pg_");
        if !(1..=40).contains(&text.len()) || !text.bytes().all(allowed) || digit_first || reserved
        {
            return Err(InvalidSchemaName);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a name that a schema of ours can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no name of 1 to 40 of a-z 0-9 _, without a digit or pg_ at its beginning")]
pub struct InvalidSchemaName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_user_host_and_database_and_keeps_no_password() {
        let url = |text: &str| DatabaseUrl::from_str(text);
        assert!(url("postgres://xks@127.0.0.1:5432/xks").unwrap().is_local());
        assert!(
            url("postgres://xks@%2Frun%2Fpostgresql/xks")
                .unwrap()
                .is_local()
        );
        assert!(url("postgres://xks@localhost/xks").unwrap().is_local());
        assert!(!url("postgres://xks@db-1/xks").unwrap().is_local());
        assert!(!url("postgres://xks@db-1,localhost/xks").unwrap().is_local());
        assert_eq!(
            url("postgres://xks@db-1/xks").unwrap().to_string(),
            "postgres://xks@db-1/xks"
        );
        assert!(
            !url("postgres://xks@localhost/xks?hostaddr=192.0.2.1")
                .unwrap()
                .is_local()
        );
        let parsed = url("postgres://xks@db-1:5433/keys").unwrap().parsed();
        assert_eq!(
            (parsed.get_user(), parsed.get_ports()),
            (Some("xks"), &[5433][..])
        );
        assert_eq!(parsed.get_dbname(), Some("keys"));
        for (text, error) in [
            ("postgres://xks:secret@db/xks", InvalidDatabaseUrl::Password),
            (
                "postgres://xks@db/xks?sslmode=disable",
                InvalidDatabaseUrl::SslMode,
            ),
            ("postgres://db/xks", InvalidDatabaseUrl::Form),
            ("postgres://xks@db", InvalidDatabaseUrl::Form),
            ("postgres:///xks?user=xks", InvalidDatabaseUrl::Form),
            ("db", InvalidDatabaseUrl::Form),
        ] {
            assert_eq!(url(text), Err(error), "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_proxy_counts_as_gone_after_the_heartbeats_that_it_may_miss() {
        let url = DatabaseUrl::from_str("postgres://xks@db-1/xks").unwrap();
        let mut config = PostgresConfig::new(url);
        config.heartbeat_interval = Duration::from_secs(7);
        config.missed_heartbeats = 4;
        assert_eq!(config.gone_after(), Duration::from_secs(28));
    }

    #[test]
    fn a_schema_name_needs_no_quoting() {
        for good in ["xks_proxy", "a", "_1", &"a".repeat(40)] {
            let name = SchemaName::try_from(good).unwrap();
            assert_eq!((name.as_str(), &*name.to_string()), (good, good));
        }
        let long = "a".repeat(41);
        for bad in ["", "1a", "Xks", "a b", "a\"b", "pg_a", &*long] {
            assert!(SchemaName::try_from(bad).is_err(), "{bad}");
        }
    }
}
