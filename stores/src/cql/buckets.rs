//! Which buckets of a room hold messages, as far as this process has written that.

use std::collections::HashSet;
use std::sync::Mutex;

use roomlog_schemas::RoomId;

/// Some 2 MiB. Past it all are forgotten, and written once more.
const MAX: usize = 65_536;

/// Saves a write for each batch.
#[derive(Default)]
pub(super) struct Indexed(Mutex<HashSet<(RoomId, i64)>>);

impl Indexed {
    pub fn contains(&self, room: RoomId, bucket: i64) -> bool {
        self.0.lock().expect("no holder panics").contains(&(room, bucket))
    }

    /// After it was acknowledged.
    pub fn add(&self, buckets: impl IntoIterator<Item = (RoomId, i64)>) {
        let mut known = self.0.lock().expect("no holder panics");
        for bucket in buckets {
            if known.len() >= MAX {
                known.clear();
            }
            known.insert(bucket);
        }
    }
}
