//! The tables, and how they come to be: one migration after another, under a lock, whoever starts first.

use tokio_postgres::Client;

use super::connection::Database;
use super::error::PostgresError;

/// Makes the tables of this version where they are missing; several proxies may do so at once.
pub(super) async fn migrate(database: &Database) -> Result<(), PostgresError> {
    let schema = database.config().schema.as_str();
    let place = database.place();
    let known = i32::try_from(MIGRATIONS.len()).expect("a few");
    database
        .with(async |client| {
            let failed = |error: tokio_postgres::Error| database.unreachable(&error);
            // Without a lock first: a proxy whose user may create nothing starts where all is there.
            if version(client, schema).await.map_err(failed)? == Some(known) {
                return Ok(());
            }
            let transaction = client.transaction().await.map_err(failed)?;
            transaction
                .execute(LOCK, &[&schema])
                .await
                .map_err(failed)?;
            let found = version(transaction.client(), schema)
                .await
                .map_err(failed)?;
            let found = found.unwrap_or(0);
            if found > known {
                return Err(PostgresError::NewerSchema {
                    place,
                    found,
                    known,
                });
            }
            let done = usize::try_from(found).unwrap_or(0);
            for migration in MIGRATIONS.iter().skip(done) {
                let statements = migration.replace("@schema@", schema);
                transaction
                    .batch_execute(&statements)
                    .await
                    .map_err(failed)?;
            }
            let statement = format!("UPDATE {schema}.schema_version SET version = $1");
            transaction
                .execute(&statement, &[&known])
                .await
                .map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
        .await
}

async fn version(client: &Client, schema: &str) -> Result<Option<i32>, tokio_postgres::Error> {
    // Not `to_regclass`: what it remembers may be from before the lock.
    let row = client.query_one(THERE, &[&schema]).await?;
    if !row.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let statement = format!("SELECT version FROM {schema}.schema_version");
    match client.query_opt(&statement, &[]).await? {
        Some(row) => row.try_get(0).map(Some),
        None => Ok(None),
    }
}

const THERE: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND \
                     tablename = 'schema_version')";

/// Held until the transaction ends; the first number is ours among the users of a database.
const LOCK: &str = "SELECT pg_advisory_xact_lock(2020309875, hashtext($1))";

/// Each brings the tables from the version of its place in the list to the next.
///
/// A fleet is updated one proxy after another, so each has to leave a program of the version before working.
const MIGRATIONS: [&str; 4] = [
    // Names and wrapped bytes, as in the redb store; `value` of `store` are header, manifest and generation key.
    r#"CREATE SCHEMA IF NOT EXISTS @schema@;
     CREATE TABLE @schema@.schema_version (version integer NOT NULL);
     INSERT INTO @schema@.schema_version VALUES (0);
     CREATE TABLE @schema@.store (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
     CREATE TABLE @schema@.keys (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
     CREATE TABLE @schema@.credentials (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);"#,
    // Who serves the keyring.
    "CREATE TABLE @schema@.proxies (
         id text PRIMARY KEY,
         version text NOT NULL,
         last_seen timestamptz NOT NULL
     );",
    // How each of them is; a program that does not say is well as far as anybody knows.
    "ALTER TABLE @schema@.proxies ADD COLUMN health text NOT NULL DEFAULT 'ACTIVE';",
    // What governs the keyring; what each proxy has taken up of it, and for how long it serves without word. A program
    // that does not know of the table serves on as long as it is empty, and takes nothing up once it is not.
    r#"CREATE TABLE @schema@.control (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
     ALTER TABLE @schema@.proxies ADD COLUMN generation bigint NOT NULL DEFAULT 0;
     ALTER TABLE @schema@.proxies ADD COLUMN max_age double precision;"#,
];
