//! The tables of one generation, and the statements on them.
//!
//! Every read knows the partition key of what it reads: no scan, no filtering, no secondary index.
//!
//! | table | for |
//! |---|---|
//! | `rooms` | first and last seq of a room's timeline; by slot, so that a root room and all below it lie in one CQL partition |
//! | `room_events` | the timeline, `bucket` seqs of a room in one CQL partition |
//! | `messages` | the latest version of each, in the same buckets |
//! | `message_buckets` | buckets of a room that hold messages: a page does not look into empty ones |
//! | `message_seqs` | a message's seq by its id |
//! | `rooms_by_account` | joining and leaving, as the log has it, by account |
//! | `accounts_by_room` | the same by room, in shards |
//! | `history_rules` | by room |
//! | `cursors`, `announced_schemas` | by the log's partition |

use scylla::statement::prepared::PreparedStatement;

use super::connection::Connection;
use crate::StoreError;
use crate::rooms::VERSION;

pub(super) const TABLES: &[(&str, &str)] = &[
    ("rooms", "slot int, room_id uuid, first_seq bigint, last_seq bigint, PRIMARY KEY (slot, room_id)"),
    (
        "room_events",
        "room_id uuid, bucket bigint, seq bigint, log_offset bigint, record_time_ms bigint, event blob,
         PRIMARY KEY ((room_id, bucket), seq)",
    ),
    (
        "messages",
        "room_id uuid, bucket bigint, seq bigint, message_id uuid, author_id uuid, reply_to uuid,
         sent_at_ms bigint, source_id text, text blob, PRIMARY KEY ((room_id, bucket), seq)",
    ),
    ("message_buckets", "room_id uuid, bucket bigint, PRIMARY KEY (room_id, bucket)"),
    ("message_seqs", "room_id uuid, message_id uuid, seq bigint, PRIMARY KEY ((room_id, message_id))"),
    (
        "rooms_by_account",
        "account_id uuid, room_id uuid, seq bigint, change tinyint,
         PRIMARY KEY (account_id, room_id, seq, change)",
    ),
    (
        "accounts_by_room",
        "room_id uuid, shard tinyint, account_id uuid, seq bigint, change tinyint,
         PRIMARY KEY ((room_id, shard), account_id, seq, change)",
    ),
    ("history_rules", "room_id uuid, from_seq bigint, rule text, PRIMARY KEY (room_id, from_seq)"),
    ("cursors", "topic text, log_partition int, cursor text, PRIMARY KEY ((topic, log_partition))"),
    (
        "announced_schemas",
        "topic text, log_partition int, position int, definition text,
         PRIMARY KEY ((topic, log_partition), position)",
    ),
];

/// The full name of a generation's table.
pub(super) fn name(connection: &Connection, table: &str, generation: i64) -> String {
    format!("{}.{table}_v{VERSION}_g{generation}", connection.config.keyspace)
}

/// The statements of one generation, prepared once. Those that write take their timestamp last.
pub(super) struct Statements {
    pub put_first_seq: PreparedStatement,
    pub put_last_seq: PreparedStatement,
    pub seq_range: PreparedStatement,

    pub put_event: PreparedStatement,
    pub events: PreparedStatement,

    pub put_message: PreparedStatement,
    pub messages_up: PreparedStatement,
    pub messages_down: PreparedStatement,
    pub message: PreparedStatement,

    pub put_message_bucket: PreparedStatement,
    pub message_buckets_up: PreparedStatement,
    pub message_buckets_down: PreparedStatement,

    pub put_message_seq: PreparedStatement,
    pub message_seq: PreparedStatement,

    pub put_room_by_account: PreparedStatement,
    pub changes_of_account: PreparedStatement,
    pub changes_in_room: PreparedStatement,
    pub put_account_by_room: PreparedStatement,
    pub accounts_by_room: PreparedStatement,

    pub put_history_rule: PreparedStatement,
    pub history_rules: PreparedStatement,

    pub put_cursor: PreparedStatement,
    pub cursor: PreparedStatement,
    pub put_announced: PreparedStatement,
    pub announced: PreparedStatement,
}

const MESSAGE: &str = "seq, message_id, author_id, reply_to, sent_at_ms, source_id, text";

impl Statements {
    pub async fn prepare(connection: &Connection, generation: i64) -> Result<Self, StoreError> {
        let prepare = async |table: &str, cql: &str| {
            let cql =
                cql.replace("{table}", &name(connection, table, generation)).replace("{message}", MESSAGE);
            connection.prepare(&cql).await
        };
        // Each of the two is set apart, so that each has a timestamp of its own; in the same order of
        // values, so that one batch takes both.
        let first = "INSERT INTO {table} (slot, room_id, first_seq) VALUES (?, ?, ?) USING TIMESTAMP ?";
        let last = "INSERT INTO {table} (slot, room_id, last_seq) VALUES (?, ?, ?) USING TIMESTAMP ?";
        // All at once: one after the other they would take as many round trips.
        let (
            put_first_seq,
            put_last_seq,
            seq_range,
            put_event,
            events,
            put_message,
            messages_up,
            messages_down,
            message,
            put_message_bucket,
            message_buckets_up,
            message_buckets_down,
            put_message_seq,
            message_seq,
            put_room_by_account,
            changes_of_account,
            changes_in_room,
            put_account_by_room,
            accounts_by_room,
            put_history_rule,
            history_rules,
            put_cursor,
            cursor,
            put_announced,
            announced,
        ) = tokio::try_join!(
            prepare("rooms", first),
            prepare("rooms", last),
            prepare("rooms", "SELECT first_seq, last_seq FROM {table} WHERE slot = ? AND room_id = ?",),
            prepare(
                "room_events",
                "INSERT INTO {table} (room_id, bucket, seq, log_offset, record_time_ms, event)
                 VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            ),
            prepare(
                "room_events",
                "SELECT seq, log_offset, record_time_ms, event FROM {table}
                 WHERE room_id = ? AND bucket = ? AND seq >= ? AND seq <= ? LIMIT ?",
            ),
            prepare(
                "messages",
                "INSERT INTO {table} (room_id, bucket, {message})
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            ),
            prepare(
                "messages",
                "SELECT {message} FROM {table} WHERE room_id = ? AND bucket = ? AND seq >= ? LIMIT ?",
            ),
            prepare(
                "messages",
                "SELECT {message} FROM {table} WHERE room_id = ? AND bucket = ? AND seq <= ?
                 ORDER BY seq DESC LIMIT ?",
            ),
            prepare("messages", "SELECT {message} FROM {table} WHERE room_id = ? AND bucket = ? AND seq = ?",),
            prepare(
                "message_buckets",
                "INSERT INTO {table} (room_id, bucket) VALUES (?, ?) USING TIMESTAMP ?",
            ),
            prepare("message_buckets", "SELECT bucket FROM {table} WHERE room_id = ? AND bucket > ? LIMIT ?",),
            prepare(
                "message_buckets",
                "SELECT bucket FROM {table} WHERE room_id = ? AND bucket < ? ORDER BY bucket DESC LIMIT ?",
            ),
            prepare(
                "message_seqs",
                "INSERT INTO {table} (room_id, message_id, seq) VALUES (?, ?, ?) USING TIMESTAMP ?",
            ),
            prepare("message_seqs", "SELECT seq FROM {table} WHERE room_id = ? AND message_id = ?",),
            prepare(
                "rooms_by_account",
                "INSERT INTO {table} (account_id, room_id, seq, change) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
            ),
            prepare("rooms_by_account", "SELECT room_id, seq, change FROM {table} WHERE account_id = ?",),
            prepare(
                "rooms_by_account",
                "SELECT seq, change FROM {table} WHERE account_id = ? AND room_id = ?",
            ),
            prepare(
                "accounts_by_room",
                "INSERT INTO {table} (room_id, shard, account_id, seq, change) VALUES (?, ?, ?, ?, ?)
                 USING TIMESTAMP ?",
            ),
            prepare(
                "accounts_by_room",
                "SELECT account_id, seq, change FROM {table} WHERE room_id = ? AND shard = ?",
            ),
            prepare(
                "history_rules",
                "INSERT INTO {table} (room_id, from_seq, rule) VALUES (?, ?, ?) USING TIMESTAMP ?",
            ),
            prepare("history_rules", "SELECT from_seq, rule FROM {table} WHERE room_id = ?",),
            prepare(
                "cursors",
                "INSERT INTO {table} (topic, log_partition, cursor) VALUES (?, ?, ?) USING TIMESTAMP ?",
            ),
            prepare("cursors", "SELECT cursor FROM {table} WHERE topic = ? AND log_partition = ?"),
            prepare(
                "announced_schemas",
                "INSERT INTO {table} (topic, log_partition, position, definition) VALUES (?, ?, ?, ?)
                 USING TIMESTAMP ?",
            ),
            prepare(
                "announced_schemas",
                "SELECT definition FROM {table}
                 WHERE topic = ? AND log_partition = ? AND position >= ? AND position < ?",
            ),
        )?;
        Ok(Self {
            put_first_seq,
            put_last_seq,
            seq_range,
            put_event,
            events,
            put_message,
            messages_up,
            messages_down,
            message,
            put_message_bucket,
            message_buckets_up,
            message_buckets_down,
            put_message_seq,
            message_seq,
            put_room_by_account,
            changes_of_account,
            changes_in_room,
            put_account_by_room,
            accounts_by_room,
            put_history_rule,
            history_rules,
            put_cursor,
            cursor,
            put_announced,
            announced,
        })
    }
}
