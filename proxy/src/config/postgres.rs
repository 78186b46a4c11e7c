//! The fields of a key manager of type "postgres", in addition to those of an embedded one.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::document::{duration, integer, text};
use super::read::{Fields, Reader};
use crate::key_manager::embedded::{DatabaseUrl, InvalidDatabaseUrl, PostgresConfig, SchemaName};

impl Reader<'_> {
    /// `None` only with a problem.
    pub(super) fn postgres(&self, fields: &Fields<'_, '_>) -> Option<PostgresConfig> {
        let url = database_url(fields);
        let file = |name| {
            let path = fields.optional(name, text, "the name of a file")?;
            Some(self.folder.join(path))
        };
        let password_file = file("password_file");
        if let Some(path) = password_file.as_ref().filter(|path| !path.is_file()) {
            let found = format!("{} is not there", path.display());
            let expected =
                "a file with the password in one line, mode 0600 or given by the platform";
            fields.problem(fields.place("password_file"), found, expected);
        }
        let ca_file = self.pem(fields, "ca_file", file("ca_file"), Pem::Certificates);
        let chain = file("client_certificate_file");
        let chain = self.pem(fields, "client_certificate_file", chain, Pem::Certificates);
        let key = file("client_private_key_file");
        let key = self.pem(fields, "client_private_key_file", key, Pem::PrivateKey);
        let client_certificate = match (chain, key) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let expected =
                    "both client_certificate_file and client_private_key_file, or neither";
                fields.problem(fields.place(""), "one without the other", expected);
                None
            }
        };
        let schema = fields.optional(
            "schema",
            |v| SchemaName::try_from(v.as_str()?).ok(),
            "a name of 1 to 40 of a-z 0-9 _, without a digit or pg_ at its beginning",
        );
        let poll_interval = time(fields, "poll_interval", 100, "\"100ms\" to \"60s\"", 60);
        let snapshot_max_age = time(
            fields,
            "snapshot_max_age",
            1_000,
            "\"1s\" to \"1440m\"",
            86_400,
        );
        let heartbeat_interval = time(
            fields,
            "heartbeat_interval",
            100,
            "\"100ms\" to \"60s\"",
            60,
        );
        let missed_heartbeats = fields
            .optional(
                "missed_heartbeats",
                integer(1..=1_000),
                "a number from 1 to 1000",
            )
            .and_then(|number| u32::try_from(number).ok());
        let url = url?;
        if ca_file.is_none() && !url.is_local() {
            let expected = "a PEM file with the CA of the database's certificate: what is not on this machine is \
                            reached through TLS alone";
            fields.problem(fields.place("ca_file"), "it is missing", expected);
            return None;
        }
        let default = PostgresConfig::new(url);
        let config = PostgresConfig {
            password_file,
            ca_file,
            client_certificate,
            schema: schema.unwrap_or_else(|| default.schema.clone()),
            poll_interval: poll_interval.unwrap_or(default.poll_interval),
            snapshot_max_age: snapshot_max_age.unwrap_or(default.snapshot_max_age),
            heartbeat_interval: heartbeat_interval.unwrap_or(default.heartbeat_interval),
            missed_heartbeats: missed_heartbeats.unwrap_or(default.missed_heartbeats),
            ..default
        };
        if config.snapshot_max_age < config.poll_interval * 2 {
            let found = format!("{:?}", config.snapshot_max_age);
            let expected =
                "at least twice the poll_interval: a poll that is late is no lost database";
            fields.problem(fields.place("snapshot_max_age"), found, expected);
        }
        Some(config)
    }

    /// A file that is read for every connection, tried now.
    fn pem(
        &self,
        fields: &Fields<'_, '_>,
        name: &str,
        path: Option<PathBuf>,
        holds: Pem,
    ) -> Option<PathBuf> {
        let path = path?;
        let tried = match holds {
            Pem::Certificates => self.files.certificates(&path).map(drop),
            Pem::PrivateKey => self.files.private_key(&path).map(drop),
        };
        match tried {
            Ok(()) => Some(path),
            Err(e) => {
                fields.problem(fields.place(name), e.found, e.expected);
                None
            }
        }
    }
}

enum Pem {
    Certificates,
    PrivateKey,
}

fn database_url(fields: &Fields<'_, '_>) -> Option<DatabaseUrl> {
    let expected = "\"postgres://USER@HOST:PORT/DATABASE\", with several HOST:PORT separated by commas if need be";
    let url = fields.required("url", text, expected)?;
    let error = match url.parse() {
        Ok(url) => return Some(url),
        Err(error) => error,
    };
    // The text is not repeated: it may hold a password.
    let expected = match error {
        InvalidDatabaseUrl::Form => expected,
        InvalidDatabaseUrl::Password => {
            "a URL without a password, and the password in password_file"
        }
        InvalidDatabaseUrl::SslMode => {
            "a URL without it: with ca_file, TLS is required and the server's name verified"
        }
    };
    fields.problem(fields.place("url"), error.to_string(), expected);
    None
}

fn time(
    fields: &Fields<'_, '_>,
    name: &'static str,
    least_millis: u64,
    bounds_text: &str,
    most_secs: u64,
) -> Option<Duration> {
    let bounds: RangeInclusive<Duration> =
        Duration::from_millis(least_millis)..=Duration::from_secs(most_secs);
    fields.optional(
        name,
        duration(bounds),
        &format!("a time from {bounds_text}"),
    )
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::{Config, ConfigError, KeyConfig, KeyManagerConfig};

    const EXAMPLE: &str = include_str!("../../deploy/xks-proxy.example.toml");
    const CA: &str = include_str!("../../../certs/root-ca.crt.pem");
    const KEY: &str = include_str!("../../../certs/client.test-key.pem");

    /// The example's table, uncommented.
    fn example() -> String {
        let (_, rest) = EXAMPLE.split_once("# [key_managers.fleet]").unwrap();
        let (table, _) = rest.split_once("\n\n").unwrap();
        let fields = table.lines().filter_map(|line| {
            let line = line.strip_prefix("# ")?;
            let (name, _) = line.split_once(" = ")?;
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
                .then_some(line)
        });
        let fields: Vec<_> = fields.collect();
        format!("[key_managers.fleet]\n{}\n", fields.join("\n"))
    }

    fn load(table: &str) -> Result<KeyConfig, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        std::fs::create_dir(folder.path().join("tls")).unwrap();
        write("tls/database-ca.pem", CA);
        write("tls/database-client.pem", CA);
        write("tls/database-client-key.pem", KEY);
        write("database-password", "secret\n");
        let stores = "[[key_stores]]\nuri_path_prefix = \"/a\"\nkey_manager = \"fleet\"\n";
        write("x.toml", &format!("{table}{stores}"));
        Config::load_keys(&folder.path().join("x.toml"))
    }

    fn database(config: &KeyConfig) -> &PostgresConfig {
        let Some((_, KeyManagerConfig::Embedded(place))) = config.key_managers.first() else {
            panic!("no key manager");
        };
        assert!(place.root_key.path().ends_with("fleet/root.key"));
        place.database.as_ref().unwrap()
    }

    #[test]
    fn the_example_shows_every_field_and_the_defaults() {
        let config = load(&example()).unwrap();
        let config = database(&config);
        let default = PostgresConfig::new(config.url.clone());
        assert_eq!(config.schema, default.schema);
        assert_eq!(config.poll_interval, default.poll_interval);
        assert_eq!(config.snapshot_max_age, default.snapshot_max_age);
        assert_eq!(config.heartbeat_interval, default.heartbeat_interval);
        assert_eq!(config.missed_heartbeats, default.missed_heartbeats);
        let file = |path: &Option<std::path::PathBuf>, name: &str| {
            assert!(
                path.as_deref().is_some_and(|path| path.ends_with(name)),
                "{name}"
            );
        };
        file(&config.password_file, "database-password");
        file(&config.ca_file, "tls/database-ca.pem");
        assert!(config.client_certificate.is_some());

        let error = load(&(example() + "zzzzzzzz = 1\n")).unwrap_err();
        let problem = error.0.first().unwrap();
        let names = problem.expected.trim_start_matches("one of ").split(", ");
        let table = example();
        for name in names.filter(|name| !name.starts_with("root_key_")) {
            assert!(table.contains(&format!("\n{name} = ")), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_and_a_password_is_not_repeated() {
        let with = |from: &str, to: &str| {
            let table = example();
            assert!(table.contains(from), "{from}");
            load(&table.replace(from, to)).unwrap_err().to_string()
        };
        let error = with("postgres://xks@", "postgres://xks:hunter2@");
        assert!(
            error.contains("password_file") && !error.contains("hunter2"),
            "{error}"
        );
        let error = with("/xks\"", "/xks?sslmode=disable\"");
        assert!(error.contains("ca_file"), "{error}");
        let error = with("ca_file = \"tls/database-ca.pem\"\n", "");
        assert!(error.contains("TLS alone"), "{error}");
        let error = with(
            "client_private_key_file = \"tls/database-client-key.pem\"\n",
            "",
        );
        assert!(error.contains("or neither"), "{error}");
        let error = with("tls/database-ca.pem", "tls/database-client-key.pem");
        assert!(error.contains("holds no certificate"), "{error}");
        let error = with("\"15m\"", "\"6s\"");
        assert!(error.contains("twice"), "{error}");
        let error = with("\"xks_proxy\"", "\"xks-proxy\"");
        assert!(error.contains("schema"), "{error}");
        let error = with("database-password", "none");
        assert!(error.contains("is not there"), "{error}");
    }

    #[test]
    fn a_database_on_this_machine_needs_no_more_than_its_url() {
        let table = "[key_managers.fleet]\ntype = \"postgres\"\ndata_dir = \"fleet\"\n\
                     url = \"postgres://xks@%2Frun%2Fpostgresql/xks\"\n";
        let config = load(table).unwrap();
        let config = database(&config);
        assert_eq!(*config, PostgresConfig::new(config.url.clone()));
    }
}
