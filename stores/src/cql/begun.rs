//! First seqs of rooms, as far as this process has written them.

use std::collections::HashMap;
use std::sync::Mutex;

use roomlog_schemas::RoomId;

/// Some 2 MiB. Past it all are forgotten, and written once more.
const MAX: usize = 65_536;

/// Saves a write for each room of each batch: the smallest first seq stays, so a greater one says nothing.
#[derive(Default)]
pub(super) struct Begun(Mutex<HashMap<RoomId, i64>>);

impl Begun {
    /// Whether this first seq, or a smaller one, is written.
    pub fn covers(&self, room: RoomId, first_seq: i64) -> bool {
        self.0.lock().expect("no holder panics").get(&room).is_some_and(|&known| known <= first_seq)
    }

    /// After it was acknowledged.
    pub fn add(&self, rooms: impl IntoIterator<Item = (RoomId, i64)>) {
        let mut known = self.0.lock().expect("no holder panics");
        for (room, first_seq) in rooms {
            if known.len() >= MAX {
                known.clear();
            }
            known.entry(room).and_modify(|known| *known = first_seq.min(*known)).or_insert(first_seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_first_seq_covers_what_comes_later() {
        let (begun, room) = (Begun::default(), RoomId::from_u128(1));
        assert!(!begun.covers(room, 7));
        begun.add([(room, 7)]);
        assert!(begun.covers(room, 7) && begun.covers(room, 8) && !begun.covers(room, 6));
        begun.add([(room, 3), (room, 9)]);
        assert!(begun.covers(room, 3) && !begun.covers(room, 2));
        assert!(!begun.covers(RoomId::from_u128(2), 9));
    }
}
