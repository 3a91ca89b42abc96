//! Writing the rows of a batch.
//!
//! Every row is written with a timestamp that follows from the log, so writing it again, at any time
//! and in batches of any size, gives the same rows:
//!
//! * an event: its offset. It never changes.
//! * a message, a history rule: the offset after the batch. The value is the latest as of that
//!   offset, whatever the batch began with, and so the same for every batch that ends there.
//! * a change of membership, a message's id, a bucket: the same; they never change.
//! * a room's last seq: the seq itself, so that the greatest stays; its first seq: a number that
//!   falls as the seq rises, so that the smallest stays.
//! * the cursor: its offset, so that it never goes back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{MessageId, RoomId};
use scylla::cluster::ClusterState;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::connection::Connection;
use super::cursor::put_schemas;
use super::generations::Generation;
use super::memberships::{JOINED, LEFT};
use super::read::rule_name;
use super::requests::{Requests, Rows};
use super::{shard_of, timestamp, to_i64};
use crate::StoreError;
use crate::rooms::{MembershipChange, RoomBatch};

/// What goes to one CQL partition in one statement: enough to save round trips, and little enough
/// not to keep a node from other work.
const BATCH_BYTES: usize = 128 * 1024;
const BATCH_ROWS: usize = 256;

/// Timestamps of first seqs count down from here. Some servers refuse timestamps in the future: as
/// microseconds this one is in 1987.
const FIRST_SEQ_BASE: i64 = 1 << 49;

/// All rows but the ends of timelines and the cursor. `announced` schemas are stored already.
pub(super) async fn rows(
    connection: &Connection,
    generation: &Generation,
    batch: &RoomBatch,
    announced: usize,
) -> Result<(), StoreError> {
    let schemas = &batch.cursor.announced;
    put_schemas(connection, generation, batch.cursor.partition, announced, schemas).await?;
    let mut writes = Writes {
        generation,
        end: timestamp(batch.cursor.next_offset),
        cluster: connection.cluster(),
        requests: Requests::default(),
    };
    writes.events(batch);
    let indexed = writes.messages(batch);
    writes.memberships(batch);
    writes.history_rules(batch);
    writes.requests.send(connection).await?;
    generation.indexed.add(indexed);
    Ok(())
}

struct Writes<'a> {
    generation: &'a Generation,
    /// The timestamp of the batch's end.
    end: i64,
    cluster: Arc<ClusterState>,
    requests: Requests,
}

impl Writes<'_> {
    /// Rows of one CQL partition, each with the bytes of what is large in it.
    fn add<V>(&mut self, statement: &PreparedStatement, rows: Vec<(usize, V)>)
    where
        V: SerializeRow + Send + Sync + 'static,
    {
        for rows in in_batches(rows) {
            let mut together = Rows::default();
            for (bytes, row) in rows {
                together.push(statement, row, bytes, &self.cluster);
            }
            self.requests.add(together);
        }
    }

    fn events(&mut self, batch: &RoomBatch) {
        let statements = &self.generation.statements;
        let mut partitions: HashMap<(Uuid, i64), Vec<(usize, _)>> = HashMap::new();
        for event in &batch.events {
            let (room, seq) = (event.room_id.0, to_i64(event.seq));
            let bucket = self.generation.bucket_of(seq);
            let (offset, time) = (to_i64(event.offset), event.record_time_ms);
            let row = (room, bucket, seq, offset, time, event.event.clone(), timestamp(event.offset));
            partitions.entry((room, bucket)).or_default().push((event.event.len(), row));
        }
        for rows in partitions.into_values() {
            self.add(&statements.put_event, rows);
        }
    }

    /// Gives the buckets that are known to be listed once all this is done.
    fn messages(&mut self, batch: &RoomBatch) -> Vec<(RoomId, i64)> {
        let statements = &self.generation.statements;
        // Of several versions the latest: with one timestamp the server would choose.
        let latest: BTreeMap<(RoomId, Seq), _> =
            batch.messages.iter().map(|message| ((message.room_id, message.seq), message)).collect();
        let mut partitions: BTreeMap<(RoomId, i64), Vec<(usize, _)>> = BTreeMap::new();
        for message in latest.into_values() {
            let seq = to_i64(message.seq);
            let bucket = self.generation.bucket_of(seq);
            // Columns that are not there are left out: a null would be a tombstone.
            let row: (Uuid, i64, i64, Uuid, Uuid, _, i64, _, Bytes, i64) = (
                message.room_id.0,
                bucket,
                seq,
                message.message_id.0,
                message.author_id.0,
                MaybeUnset::from_option(message.reply_to.map(|MessageId(id)| id)),
                message.sent_at_ms,
                MaybeUnset::from_option(message.source_id.clone()),
                message.text.clone(),
                self.end,
            );
            partitions.entry((message.room_id, bucket)).or_default().push((message.text.len(), row));
            let by_id = (message.room_id.0, message.message_id.0, seq, self.end);
            self.add(&statements.put_message_seq, vec![(0, by_id)]);
        }
        let mut unlisted: BTreeMap<RoomId, Vec<i64>> = BTreeMap::new();
        for ((room, bucket), rows) in partitions {
            if !self.generation.indexed.contains(room, bucket) {
                unlisted.entry(room).or_default().push(bucket);
            }
            self.add(&statements.put_message, rows);
        }
        for (room, buckets) in &unlisted {
            let rows = buckets.iter().map(|&bucket| (0, (room.0, bucket, self.end))).collect();
            self.add(&statements.put_message_bucket, rows);
        }
        unlisted.into_iter().flat_map(|(room, buckets)| buckets.into_iter().map(move |b| (room, b))).collect()
    }

    fn memberships(&mut self, batch: &RoomBatch) {
        let statements = &self.generation.statements;
        let mut accounts: HashMap<Uuid, Vec<(usize, _)>> = HashMap::new();
        let mut rooms: HashMap<(Uuid, i8), Vec<(usize, _)>> = HashMap::new();
        for membership in &batch.memberships {
            let (room, account, seq, change) = match *membership {
                MembershipChange::Joined { room_id, account_id, seq } => (room_id, account_id, seq, JOINED),
                MembershipChange::Left { room_id, account_id, seq } => (room_id, account_id, seq, LEFT),
            };
            let (room, shard, account, seq) = (room.0, shard_of(account), account.0, to_i64(seq));
            accounts.entry(account).or_default().push((0, (account, room, seq, change, self.end)));
            rooms.entry((room, shard)).or_default().push((0, (room, shard, account, seq, change, self.end)));
        }
        for rows in accounts.into_values() {
            self.add(&statements.put_room_by_account, rows);
        }
        for rows in rooms.into_values() {
            self.add(&statements.put_account_by_room, rows);
        }
    }

    fn history_rules(&mut self, batch: &RoomBatch) {
        let latest: BTreeMap<(RoomId, Seq), _> =
            batch.histories.iter().map(|&(room, rule)| ((room, rule.from), rule.rule)).collect();
        for ((room, from), rule) in latest {
            let row = (room.0, to_i64(from), rule_name(rule), self.end);
            self.add(&self.generation.statements.put_history_rule, vec![(0, row)]);
        }
    }
}

/// Moves the ends of the timelines over the batch's events, which makes them visible: for the rooms of
/// one slot, a root room and all below it, in one mutation.
pub(super) async fn ends(
    connection: &Connection,
    generation: &Generation,
    batch: &RoomBatch,
) -> Result<(), StoreError> {
    let mut slots: BTreeMap<u16, BTreeMap<RoomId, (i64, i64)>> = BTreeMap::new();
    for event in &batch.events {
        let seq = to_i64(event.seq);
        let ends = slots.entry(event.room_id.slot()).or_default().entry(event.room_id).or_insert((seq, seq));
        *ends = (ends.0.min(seq), ends.1.max(seq));
    }
    let (first, last) = (&generation.statements.put_first_seq, &generation.statements.put_last_seq);
    let (cluster, mut requests, mut begun) = (connection.cluster(), Requests::default(), Vec::new());
    for (slot, rooms) in slots {
        let mut together = Rows::default();
        for (room, (first_seq, last_seq)) in rooms {
            let (slot, id) = (i32::from(slot), room.0);
            if !generation.begun.covers(room, first_seq) {
                let falling = FIRST_SEQ_BASE.saturating_sub(first_seq).max(1);
                together.push(first, (slot, id, first_seq, falling), 0, &cluster);
                begun.push((room, first_seq));
            }
            together.push(last, (slot, id, last_seq, last_seq.saturating_add(1)), 0, &cluster);
        }
        requests.add(together);
    }
    requests.send(connection).await?;
    generation.begun.add(begun);
    Ok(())
}

/// Rows with the bytes of what is large in them, in parts that one statement can take.
fn in_batches<V>(rows: Vec<(usize, V)>) -> Vec<Vec<(usize, V)>> {
    let (mut batches, mut bytes) = (vec![Vec::new()], 0);
    for (size, row) in rows {
        let last = batches.last_mut().expect("there is one from the start");
        if !last.is_empty() && (bytes + size > BATCH_BYTES || last.len() >= BATCH_ROWS) {
            batches.push(vec![(size, row)]);
            bytes = size;
        } else {
            last.push((size, row));
            bytes += size;
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_rows_and_bytes() {
        let sizes = |rows: Vec<(usize, ())>| in_batches(rows).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![(10, ()); 600]), [256, 256, 88]);
        assert_eq!(sizes(vec![(BATCH_BYTES / 2, ()); 5]), [2, 2, 1]);
        assert_eq!(sizes(vec![(BATCH_BYTES * 3, ()); 2]), [1, 1]);
    }
}
