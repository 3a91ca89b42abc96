//! A pool of connections whose names mean the tables of one schema.

use std::io;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::config::PostgresConfig;
use super::error::{failed, is_connection_lost};
use crate::StoreError;

/// A connection that was idle for so long is asked whether it still lives before it is used. Under
/// load none is, and no call pays for the question.
const IDLE_UNTIL_ASKED: Duration = Duration::from_secs(1);
/// How long the answer may take.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// So that connections find their way to a new address, and the server's memory for each stays small.
const MAX_LIFETIME: Duration = Duration::from_secs(1_800);
/// What a call takes beyond the server's own limit for a statement before its connection counts as
/// dead: a server that vanished says nothing.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

/// A handle, cheap to clone.
#[derive(Clone)]
pub(super) struct Database {
    store: &'static str,
    schema: String,
    pool: PgPool,
    call_timeout: Duration,
}

/// Runs `work` on a connection: `run!(database, |connection| read::room(connection, id))`. A function
/// cannot say that the future of an asynchronous closure can be sent to another thread.
macro_rules! run {
    ($database:expr, |$connection:ident| $work:expr) => {{
        let database = &*$database;
        let mut leased = database.acquire().await?;
        let done = {
            let $connection: &mut sqlx::PgConnection = &mut leased;
            tokio::time::timeout(database.call_timeout(), $work).await
        };
        database.finish(leased, done)
    }};
}
pub(super) use run;

impl Database {
    /// Connects when it is used.
    pub fn new(store: &'static str, config: &PostgresConfig, schema: String) -> Result<Self, StoreError> {
        let limit = format!("{}ms", config.statement_timeout.as_millis());
        let options = config.connect_options(store)?.options([
            ("search_path", schema.as_str()),
            ("statement_timeout", &limit),
            ("idle_in_transaction_session_timeout", &limit),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= IDLE_UNTIL_ASKED {
                        let pong = timeout(PING_TIMEOUT, connection.ping()).await;
                        pong.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        let call_timeout = config.statement_timeout + ANSWER_MARGIN;
        Ok(Self { store, schema, pool, call_timeout })
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.pool.acquire().await.map_err(|error| failed(self.store, error))
    }

    /// Gives the connection back, or drops it if it is of no use any more.
    pub fn finish<T>(
        &self,
        connection: PoolConnection<Postgres>,
        done: Result<sqlx::Result<T>, Elapsed>,
    ) -> Result<T, StoreError> {
        match done {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if is_connection_lost(&error) {
                    drop(connection.detach());
                }
                Err(failed(self.store, error))
            }
            Err(elapsed) => {
                drop(connection.detach());
                Err(StoreError::Unavailable { store: self.store, source: elapsed.into() })
            }
        }
    }
}
