//! Who serves the keyring: each proxy says from time to time that it is there, and one that does not is gone.
//!
//! All times are the database's, so the clocks of the machines do not matter. Whoever may write to the database may lie
//! here; nothing but the answer of GetHealthStatus depends on it.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio_postgres::Client;

use xks_api::message::HealthStatus;

use super::super::super::live::Proxy;
use super::connection::Database;
use super::error::PostgresError;
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
    ) -> Result<Vec<Proxy>, PostgresError> {
        let config = database.config();
        let gone_after = config.heartbeat_interval * config.missed_heartbeats;
        database
            .with(async |client| {
                self.beat_with(client, &config.schema.to_string(), gone_after, health)
                    .await
                    .map_err(|error| database.unreachable(&error))
            })
            .await
    }

    async fn beat_with(
        &self,
        client: &mut Client,
        schema: &str,
        gone_after: Duration,
        health: HealthStatus,
    ) -> Result<Vec<Proxy>, tokio_postgres::Error> {
        let table = format!("{schema}.proxies");
        let statement = format!(
            "INSERT INTO {table} (id, version, last_seen, health) VALUES ($1, $2, clock_timestamp(), $3) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, last_seen = excluded.last_seen, \
             health = excluded.health"
        );
        let version = env!("CARGO_PKG_VERSION");
        let said = word(health);
        client
            .execute(&statement, &[&self.id, &version, &said])
            .await?;
        let seconds = gone_after.as_secs_f64();
        // Long gone; the proxies themselves keep the table short.
        let statement = format!(
            "DELETE FROM {table} WHERE last_seen < clock_timestamp() - $1 * interval '10 seconds'"
        );
        client.execute(&statement, &[&seconds]).await?;
        let statement = format!(
            "SELECT id, version, health, last_seen >= clock_timestamp() - $1 * interval '1 second' AS is_there \
             FROM {table} ORDER BY is_there DESC, id COLLATE \"C\" LIMIT {MAX_PROXIES}"
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
