//! The rows of the store: read in one snapshot, written in one transaction that finds what it was made for.

use std::collections::BTreeMap;

use tokio_postgres::{Client, GenericClient, IsolationLevel};

use super::connection::Database;
use super::error::PostgresError;

/// Names and wrapped bytes of a table.
pub(super) type Rows = BTreeMap<String, Vec<u8>>;

/// Everything that the database holds, not verified yet.
pub(super) struct Raw {
    /// Header, manifest, generation key.
    pub(super) store: Rows,
    pub(super) keys: Rows,
    pub(super) credentials: Rows,
    pub(super) control: Rows,
}

/// What one transaction does to a table.
#[derive(Default)]
pub(super) struct TableChange {
    pub(super) put: Rows,
    pub(super) remove: Vec<String>,
}

/// What one transaction does.
#[derive(Default)]
pub(super) struct Write {
    pub(super) store: TableChange,
    pub(super) keys: TableChange,
    pub(super) credentials: TableChange,
    pub(super) control: TableChange,
}

/// How a transaction ended that came to its end.
pub(super) enum Written {
    /// It is durable.
    Committed,
    /// The manifest was another one than expected: nothing was written.
    Conflict,
}

/// Why a transaction did not come to its end.
pub(super) enum WriteError {
    /// Before the commit was asked for: nothing was written.
    Before(PostgresError),
    /// After: whether it was written has to be found out.
    Commit(PostgresError),
}

impl Database {
    fn table(&self, table: &str) -> String {
        format!("{}.{table}", self.config().schema)
    }

    /// The manifest alone: it changes with every commit.
    pub(super) async fn manifest(&self) -> Result<Option<Vec<u8>>, PostgresError> {
        let statement = format!("SELECT value FROM {} WHERE name = $1", self.table("store"));
        self.with(async |client| {
            let row = client.query_opt(&statement, &[&MANIFEST]).await;
            let row = row.map_err(|e| self.unreachable(&e))?;
            row.map(|row| row.try_get(0))
                .transpose()
                .map_err(|e| self.unreachable(&e))
        })
        .await
    }

    /// The manifest, after whoever is about to write it has done so or given up.
    pub(super) async fn settled_manifest(&self) -> Result<Option<Vec<u8>>, PostgresError> {
        let table = self.table("store");
        let statement = format!("SELECT value FROM {table} WHERE name = $1 FOR UPDATE");
        self.with(async |client| {
            let row = client.query_opt(&statement, &[&MANIFEST]).await;
            let row = row.map_err(|e| self.unreachable(&e))?;
            row.map(|row| row.try_get(0))
                .transpose()
                .map_err(|e| self.unreachable(&e))
        })
        .await
    }

    /// Everything, as it was at one moment.
    pub(super) async fn read(&self) -> Result<Raw, PostgresError> {
        self.with(async |client| {
            self.read_with(client)
                .await
                .map_err(|e| self.unreachable(&e))
        })
        .await
    }

    async fn read_with(&self, client: &mut Client) -> Result<Raw, tokio_postgres::Error> {
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let raw = Raw {
            store: rows(&transaction, &self.table("store")).await?,
            keys: rows(&transaction, &self.table("keys")).await?,
            credentials: rows(&transaction, &self.table("credentials")).await?,
            control: rows(&transaction, &self.table("control")).await?,
        };
        transaction.commit().await?;
        Ok(raw)
    }

    /// Writes, if the manifest is still `expected`; `None` is for a store that is not there yet.
    pub(super) async fn write(
        &self,
        expected: Option<&[u8]>,
        write: &Write,
    ) -> Result<Written, WriteError> {
        // The deadline for all of it is set here: only here it is known how far it came.
        let mut committing = false;
        let result = self
            .with(async |client| {
                self.write_with(client, expected, write, &mut committing)
                    .await
            })
            .await;
        match (result, committing) {
            (Ok(written), _) => Ok(written),
            (Err(error), true) => Err(WriteError::Commit(error)),
            (Err(error), false) => Err(WriteError::Before(error)),
        }
    }

    async fn write_with(
        &self,
        client: &mut Client,
        expected: Option<&[u8]>,
        write: &Write,
        committing: &mut bool,
    ) -> Result<Written, PostgresError> {
        let failed = |error: tokio_postgres::Error| self.unreachable(&error);
        let transaction = client.transaction().await.map_err(failed)?;
        transaction.execute(DURABLE, &[]).await.map_err(failed)?;
        let store = self.table("store");
        // The lock on this row is what writers wait for; one that is there for the first time waits for the table.
        if expected.is_none() {
            let lock = format!("LOCK TABLE {store} IN SHARE ROW EXCLUSIVE MODE");
            transaction.batch_execute(&lock).await.map_err(failed)?;
        }
        let statement = format!("SELECT value FROM {store} WHERE name = $1 FOR UPDATE");
        let row = transaction.query_opt(&statement, &[&MANIFEST]).await;
        let found: Option<Vec<u8>> = match row.map_err(failed)? {
            Some(row) => Some(row.try_get(0).map_err(failed)?),
            None => None,
        };
        if found.as_deref() != expected {
            return Ok(Written::Conflict);
        }
        for (table, change) in [
            ("store", &write.store),
            ("keys", &write.keys),
            ("credentials", &write.credentials),
            ("control", &write.control),
        ] {
            self.change(&transaction, table, change)
                .await
                .map_err(failed)?;
        }
        let channel = self.config().schema.as_str();
        transaction
            .execute("SELECT pg_notify($1, '')", &[&channel])
            .await
            .map_err(failed)?;
        *committing = true;
        transaction.commit().await.map_err(failed)?;
        Ok(Written::Committed)
    }

    async fn change(
        &self,
        client: &impl GenericClient,
        table: &str,
        change: &TableChange,
    ) -> Result<(), tokio_postgres::Error> {
        let table = self.table(table);
        if !change.put.is_empty() {
            let names: Vec<&str> = change.put.keys().map(|name| &**name).collect();
            let values: Vec<&[u8]> = change.put.values().map(|value| &**value).collect();
            let statement = format!(
                "INSERT INTO {table} (name, value) SELECT * FROM unnest($1::text[], $2::bytea[]) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            );
            client.execute(&statement, &[&names, &values]).await?;
        }
        if !change.remove.is_empty() {
            let statement = format!("DELETE FROM {table} WHERE name = ANY($1)");
            client.execute(&statement, &[&change.remove]).await?;
        }
        Ok(())
    }
}

async fn rows(client: &impl GenericClient, table: &str) -> Result<Rows, tokio_postgres::Error> {
    let statement = format!("SELECT name, value FROM {table}");
    let rows = client.query(&statement, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// A commit that was answered stays, also where the server is set up to forget the last ones in a crash.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true) \
                       WHERE current_setting('synchronous_commit') = 'off'";

pub(super) const HEADER: &str = "header";
pub(super) const MANIFEST: &str = "manifest";
pub(super) const GENERATION_KEY: &str = "generation key";
