//! Rows of many CQL partitions in few requests: those that the same replica (of ScyllaDB, the same shard of it) comes first
//! for go together, so that whoever coordinates them keeps most of them itself: a request costs a node work of its own,
//! beside that for its rows.

use std::collections::HashMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::cluster::ClusterState;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::BatchStatement;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::connection::Connection;
use crate::StoreError;

/// Of one request. Servers warn of more.
const PARTITIONS: usize = 10;
/// What a request for several partitions may have; Cassandra refuses 50 KiB unless told otherwise.
const BYTES: usize = 32 * 1024;
/// Keys, numbers, timestamps and what is around them.
const ROW_OVERHEAD: usize = 200;

type Values = Box<dyn SerializeRow + Send + Sync>;
/// The host and the shard that a partition is sent to; `None` where the driver does not know.
type Replica = Option<(Uuid, u32)>;

/// Rows of one CQL partition, which arrive as one mutation: as a whole or not at all.
#[derive(Default)]
pub(super) struct Rows {
    statements: Vec<BatchStatement>,
    values: Vec<Values>,
    bytes: usize,
    replica: Replica,
}

impl Rows {
    /// `bytes`: those of what is large in it.
    pub fn push<V: SerializeRow + Send + Sync + 'static>(
        &mut self,
        statement: &PreparedStatement,
        values: V,
        bytes: usize,
        cluster: &ClusterState,
    ) {
        if self.values.is_empty() {
            self.replica = replica(cluster, statement, &values);
        }
        self.statements.push(BatchStatement::PreparedStatement(statement.clone()));
        self.values.push(Box::new(values));
        self.bytes += ROW_OVERHEAD + bytes;
    }
}

#[derive(Default)]
struct Request {
    rows: Rows,
    partitions: usize,
}

#[derive(Default)]
pub(super) struct Requests {
    /// They have room left.
    open: HashMap<Replica, Request>,
    full: Vec<Request>,
}

impl Requests {
    pub fn add(&mut self, rows: Rows) {
        if rows.values.is_empty() {
            return;
        }
        let open = self.open.entry(rows.replica).or_default();
        if open.partitions > 0 && (open.partitions == PARTITIONS || open.rows.bytes + rows.bytes > BYTES) {
            self.full.push(std::mem::take(open));
        }
        open.rows.statements.extend(rows.statements);
        open.rows.values.extend(rows.values);
        open.rows.bytes += rows.bytes;
        open.partitions += 1;
    }

    /// Returns once all rows are acknowledged. After an error any of them may be there.
    pub async fn send(self, connection: &Connection) -> Result<(), StoreError> {
        let sent = self.all().map(|Request { rows, .. }| connection.write_all(rows.statements, rows.values));
        stream::iter(sent).buffer_unordered(connection.config.max_in_flight).try_collect().await
    }

    fn all(self) -> impl Iterator<Item = Request> {
        self.full.into_iter().chain(self.open.into_values())
    }
}

fn replica(cluster: &ClusterState, statement: &PreparedStatement, values: &impl SerializeRow) -> Replica {
    let table = statement.get_table_spec()?;
    let token = statement.calculate_token(values).ok()??;
    let (node, shard) =
        cluster.get_token_endpoints(table.ks_name(), table.table_name(), token).into_iter().next()?;
    Some((node.host_id, shard))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, bytes: usize, replica: Replica) -> Rows {
        let values = (0..count).map(|_| Box::new(()) as Values).collect();
        Rows { statements: Vec::new(), values, bytes, replica }
    }

    /// Partitions and rows of each request, the largest first.
    fn requests(all: impl IntoIterator<Item = Rows>) -> Vec<(usize, usize)> {
        let mut requests = Requests::default();
        for rows in all {
            requests.add(rows);
        }
        let mut sizes: Vec<_> =
            requests.all().map(|request| (request.partitions, request.rows.values.len())).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }

    #[test]
    fn a_request_is_bounded_in_partitions_and_bytes() {
        assert_eq!(requests((0..25).map(|_| rows(2, 100, None))), [(10, 20), (10, 20), (5, 10)]);
        assert_eq!(requests((0..5).map(|_| rows(1, BYTES / 2, None))), [(2, 2), (2, 2), (1, 1)]);
        assert_eq!(requests((0..2).map(|_| rows(9, 4 * BYTES, None))), [(1, 9), (1, 9)], "as large as it is");
        assert_eq!(requests([rows(0, 0, None)]), []);
    }

    #[test]
    fn replicas_have_requests_of_their_own() {
        let on = |shard| Some((Uuid::from_u128(1), shard));
        assert_eq!(requests((0..12).map(|n| rows(1, 1, on(n % 2)))), [(6, 6), (6, 6)]);
        assert_eq!(requests([rows(1, 1, on(0)), rows(1, 1, None)]), [(1, 1), (1, 1)]);
    }
}
