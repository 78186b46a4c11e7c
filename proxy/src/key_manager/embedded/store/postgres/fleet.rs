//! Who serves the keyring: each proxy says from time to time that it is there, and one that does not is gone.
//!
//! All times are the database's, so the clocks of the machines do not matter. Whoever may write to the database may lie
//! here; nothing but the answer of GetHealthStatus, and what `block` says of the others, depends on it.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;
use tokio_postgres::{Client, Row};
use xks_api::message::HealthStatus;

use super::super::super::live::Proxy;
use super::config::PostgresConfig;
use super::connection::Database;
use super::error::PostgresError;
use crate::control::FleetMember;
use crate::key_manager::InstanceHealth;

/// This proxy's place in the fleet.
pub(super) struct Membership {
    id: String,
}

impl Membership {
    /// Another one for each start of a proxy: the name of the machine, and something random.
    pub(super) fn new() -> Self {
        let mut random = [0; 4];
        // Without random bytes nothing else of a store works, either; two proxies of one machine would count as one.
        let _ = SystemRandom::new().fill(&mut random);
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let host: String = host
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(64)
            .collect();
        let random = u32::from_be_bytes(random);
        Self {
            id: format!("{host}-{random:08x}"),
        }
    }

    /// Says that this proxy is there, and how it is, and learns who else is: those who are there first.
    pub(super) async fn beat(
        &self,
        database: &Database,
        health: HealthStatus,
        generation: u64,
    ) -> Result<Vec<Proxy>, PostgresError> {
        database
            .with(async |client| {
                self.beat_with(client, database.config(), health, generation)
                    .await
                    .map_err(|error| database.unreachable(&error))
            })
            .await
    }

    /// All proxies that may still serve, and what each has taken up.
    pub(super) async fn fleet(
        &self,
        database: &Database,
    ) -> Result<Vec<FleetMember>, PostgresError> {
        let config = database.config();
        let gone_after = config.gone_after();
        let statement = format!(
            "SELECT id, generation, max_age, \
             extract(epoch FROM last_seen)::double precision, \
             extract(epoch FROM clock_timestamp())::double precision \
             FROM {}.proxies ORDER BY id COLLATE \"C\" LIMIT {MAX_PROXIES}",
            config.schema
        );
        let member = |row: &Row| -> Result<FleetMember, tokio_postgres::Error> {
            let generation: i64 = row.try_get(1)?;
            let max_age: Option<f64> = row.try_get(2)?;
            let max_age = max_age.and_then(|s| Duration::try_from_secs_f64(s).ok());
            let (last_seen, now) = (moment(row.try_get(3)?), moment(row.try_get(4)?));
            Ok(FleetMember {
                id: tame(row.try_get(0)?),
                generation: u64::try_from(generation).unwrap_or(0),
                is_there: now - last_seen <= gone_after,
                last_seen,
                now,
                gone_after,
                // One that does not say is configured as this one, as far as anybody knows.
                max_age: max_age.unwrap_or(config.snapshot_max_age),
            })
        };
        database
            .with(async |client| {
                let rows = client.query(&statement, &[]).await;
                let rows = rows.map_err(|error| database.unreachable(&error))?;
                let members: Result<_, _> = rows.iter().map(member).collect();
                members.map_err(|error| database.unreachable(&error))
            })
            .await
    }

    async fn beat_with(
        &self,
        client: &mut Client,
        config: &PostgresConfig,
        health: HealthStatus,
        generation: u64,
    ) -> Result<Vec<Proxy>, tokio_postgres::Error> {
        let table = format!("{}.proxies", config.schema);
        let statement = format!(
            "INSERT INTO {table} (id, version, last_seen, health, generation, max_age) \
             VALUES ($1, $2, clock_timestamp(), $3, $4, $5) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, last_seen = excluded.last_seen, \
             health = excluded.health, generation = excluded.generation, max_age = excluded.max_age"
        );
        let version = env!("CARGO_PKG_VERSION");
        let said = word(health);
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        let max_age = config.snapshot_max_age.as_secs_f64();
        client
            .execute(
                &statement,
                &[&self.id, &version, &said, &generation, &max_age],
            )
            .await?;
        let seconds = config.gone_after().as_secs_f64();
        // Long gone, and serving no more; the proxies themselves keep the table short.
        let statement = format!(
            "DELETE FROM {table} WHERE last_seen < clock_timestamp() - \
             greatest($1::double precision * 10, $1 + coalesce(max_age, $2)) * interval '1 second'"
        );
        client.execute(&statement, &[&seconds, &max_age]).await?;
        let statement = format!(
            "SELECT id, version, health, last_seen >= clock_timestamp() - $1 * interval '1 second' AS is_there \
             FROM {table} WHERE last_seen >= clock_timestamp() - $1 * interval '10 seconds' ORDER BY is_there DESC, id COLLATE \"C\" LIMIT {MAX_PROXIES}"
        );
        let rows = client.query(&statement, &[&seconds]).await?;
        rows.iter()
            .map(|row| {
                let id = tame(row.try_get(0)?);
                let is_there = row.try_get(3)?;
                let health = match is_there {
                    true if id == self.id => InstanceHealth::Probed,
                    true => InstanceHealth::Told(told(row.try_get(2)?)),
                    false => InstanceHealth::Told(HealthStatus::Unavailable),
                };
                Ok(Proxy {
                    id,
                    version: tame(row.try_get(1)?),
                    is_there,
                    health,
                })
            })
            .collect()
    }

    /// Says that this proxy is gone.
    pub(super) async fn leave(&self, database: &Database) -> Result<(), PostgresError> {
        let schema = &database.config().schema;
        let statement = format!("DELETE FROM {schema}.proxies WHERE id = $1");
        database
            .with(async |client| {
                let left = client.execute(&statement, &[&self.id]).await;
                left.map(drop).map_err(|error| database.unreachable(&error))
            })
            .await
    }
}

/// Seconds since 1970, as the database counts them.
fn moment(seconds: f64) -> OffsetDateTime {
    let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    OffsetDateTime::UNIX_EPOCH + since
}

/// As it is in the table.
fn word(health: HealthStatus) -> &'static str {
    match health {
        HealthStatus::Active => "ACTIVE",
        HealthStatus::Degraded => "DEGRADED",
        HealthStatus::Unavailable => "UNAVAILABLE",
    }
}

/// Of a word that nobody knows here, something is better than nothing.
fn told(word: &str) -> HealthStatus {
    match word {
        "ACTIVE" => HealthStatus::Active,
        "UNAVAILABLE" => HealthStatus::Unavailable,
        _ => HealthStatus::Degraded,
    }
}

/// Short, and of characters that need no care in an answer.
fn tame(text: &str) -> String {
    let graphic = text.chars().filter(|c| c.is_ascii_graphic());
    graphic.take(128).collect()
}

/// More than any fleet has.
const MAX_PROXIES: u32 = 10_000;

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn health_is_told_in_the_protocols_words_and_an_unknown_word_is_degraded() {
        for health in [
            HealthStatus::Active,
            HealthStatus::Degraded,
            HealthStatus::Unavailable,
        ] {
            assert_eq!(serde_json::to_value(health).unwrap(), word(health));
            assert_eq!(told(word(health)), health);
        }
        assert_eq!(told("LATER"), HealthStatus::Degraded);
    }

    #[test]
    fn the_databases_seconds_are_those_since_1970() {
        let expected = datetime!(2026-11-24 12:36:00.5 UTC);
        assert_eq!(moment(1_795_523_760.5), expected);
        assert_eq!(moment(f64::NAN), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(moment(-1.0), OffsetDateTime::UNIX_EPOCH);
    }

    #[test]
    fn what_another_proxy_says_of_itself_is_short_and_printable() {
        assert_eq!(tame("host-1 \n\u{1b}[31m\u{e4}"), "host-1[31m");
        assert_eq!(tame(&"a".repeat(200)), "a".repeat(128));
    }

    #[test]
    fn each_start_of_a_proxy_is_another_member() {
        let [a, b] = [(); 2].map(|()| Membership::new().id);
        assert_ne!(a, b);
        let (host, random) = a.rsplit_once('-').unwrap();
        assert!(!host.is_empty() && random.len() == 8, "{a}");
    }
}
