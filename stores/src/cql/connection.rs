//! A session with what every statement on it goes through: a bound on how many are at work, paging,
//! and the driver's errors as the store's.

use scylla::client::session::Session;
use scylla::cluster::ClusterState;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::response::PagingState;
use scylla::response::query_result::QueryResult;
use scylla::serialize::batch::BatchValues;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::unprepared::Statement;
use scylla::value::{CqlValue, Row};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::config::CqlConfig;
use super::error::{bad_row, damaged, failed, prepare_failed};
use crate::StoreError;

/// Rows fetched at a time; with rows as large as they may be, some 64 MiB.
const PAGE_ROWS: i32 = 1_000;
/// Tables take longer to make than rows to read, above all on a busy server; well below the lease that
/// makes them one process's business.
const DEFINE_TIMEOUT: Duration = Duration::from_secs(20);
/// Before a change is tried for the second time; doubles each time.
const DEFINE_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Connection {
    session: Session,
    pub config: CqlConfig,
    /// Apart, so that a rebuild does not keep readers waiting.
    reads: Semaphore,
    writes: Semaphore,
}

impl Connection {
    pub async fn open(config: CqlConfig) -> Result<Self, StoreError> {
        let session = config.connect().await?;
        let (reads, writes) = (Semaphore::new(config.max_in_flight), Semaphore::new(config.max_in_flight));
        Ok(Self { session, config, reads, writes })
    }

    /// Learns of keyspaces, for the way to the nodes that hold a row.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.session.refresh_metadata().await.map_err(super::error::unavailable)
    }

    /// What the driver knows of the nodes.
    pub fn cluster(&self) -> Arc<ClusterState> {
        self.session.get_cluster_state()
    }

    /// A statement that may be sent twice.
    pub async fn prepare(&self, cql: &str) -> Result<PreparedStatement, StoreError> {
        let mut statement = self.session.prepare(cql).await.map_err(prepare_failed)?;
        statement.set_is_idempotent(true);
        statement.set_page_size(PAGE_ROWS);
        Ok(statement)
    }

    /// A lightweight transaction: the driver must not repeat it, for the second would meet the first.
    pub async fn prepare_conditional(&self, cql: &str) -> Result<PreparedStatement, StoreError> {
        self.session.prepare(cql).await.map_err(prepare_failed)
    }

    /// Changes the schema by a statement that may be repeated (`IF NOT EXISTS`, `IF EXISTS`); returns when
    /// all nodes that can be reached agree on it. A server that refuses changes that come at the same time
    /// is asked again.
    pub async fn define(&self, cql: &str) -> Result<(), StoreError> {
        let deadline = Instant::now() + DEFINE_TIMEOUT;
        let mut pause = DEFINE_PAUSE;
        loop {
            let mut statement = Statement::new(cql);
            statement.set_request_timeout(Some(DEFINE_TIMEOUT));
            let error = match self.session.query_unpaged(statement, ()).await {
                Ok(_) => return Ok(()),
                Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                    DbError::AlreadyExists { .. },
                    _,
                ))) => return Ok(()),
                Err(error) => failed(error),
            };
            if !matches!(error, StoreError::Unavailable { .. }) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a change of the schema is asked for again"
            );
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// All rows, whatever the number of pages; `BadRow` if one of them cannot be decoded.
    pub async fn rows<T>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let _permit = permit(&self.reads).await;
        let mut rows = Vec::new();
        let mut page = PagingState::start();
        loop {
            let (result, next) =
                self.session.execute_single_page(statement, &values, page).await.map_err(failed)?;
            let result = result.into_rows_result().map_err(|error| damaged(error.to_string()))?;
            for row in result.rows::<T>().map_err(|error| damaged(error.to_string()))? {
                rows.push(row.map_err(|error| bad_row(error.to_string()))?);
            }
            match next.into_paging_control_flow() {
                ControlFlow::Break(()) => return Ok(rows),
                ControlFlow::Continue(state) => page = state,
            }
        }
    }

    /// The only row, or the first.
    pub async fn row<T>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<T>, StoreError>
    where
        T: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// Writes rows of one CQL partition: as one mutation, which is there as a whole or not at all.
    pub async fn write<V: SerializeRow + Sync>(
        &self,
        statement: &PreparedStatement,
        rows: &[V],
    ) -> Result<(), StoreError> {
        if let [row] = rows {
            let _permit = permit(&self.writes).await;
            return self.session.execute_unpaged(statement, row).await.map(drop).map_err(failed);
        }
        let statements = vec![BatchStatement::PreparedStatement(statement.clone()); rows.len()];
        self.write_all(statements, rows).await
    }

    /// The same with a statement for each row; of several partitions, each is a mutation of its own.
    pub async fn write_all(
        &self,
        statements: Vec<BatchStatement>,
        rows: impl BatchValues,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        let _permit = permit(&self.writes).await;
        self.session.batch(&batch, rows).await.map(drop).map_err(failed)
    }

    /// Whether the condition held. After an error it may have been applied all the same.
    pub async fn is_applied(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<bool, StoreError> {
        applied(self.session.execute_unpaged(statement, values).await.map_err(failed)?)
    }

    /// The same of several conditions, all in one partition: all hold, or nothing is done.
    pub async fn are_applied(
        &self,
        statements: &[&PreparedStatement],
        values: impl BatchValues,
    ) -> Result<bool, StoreError> {
        let statements = statements.iter().map(|&s| BatchStatement::PreparedStatement(s.clone())).collect();
        let batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        applied(self.session.batch(&batch, values).await.map_err(failed)?)
    }
}

async fn permit(semaphore: &Semaphore) -> SemaphorePermit<'_> {
    semaphore.acquire().await.expect("nobody closes it")
}

fn applied(result: QueryResult) -> Result<bool, StoreError> {
    let rows = result.into_rows_result().map_err(|error| damaged(error.to_string()))?;
    let row = rows.first_row::<Row>().map_err(|error| damaged(error.to_string()))?;
    match row.columns.first() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        other => Err(damaged(format!("a transaction answers {other:?}"))),
    }
}
