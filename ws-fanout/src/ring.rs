//! The newest events of one room, for those who resume.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, Event, RoomId};

use crate::frame::Frame;

/// What an entry costs besides its content.
const ENTRY_BYTES: usize = 600;

/// An event of a room's timeline as the tail has read it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub room: RoomId,
    pub seq: Seq,
    /// Of its record.
    pub offset: u64,
    pub record_time_ms: i64,
    pub event: Event,
    /// The frame for clients, once anybody has asked for it.
    pub frame: OnceLock<Frame>,
}

impl Entry {
    /// `None` for an event that is in no timeline.
    pub fn new(event: &Event, offset: u64, record_time_ms: i64) -> Option<Self> {
        let (room, seq) = event.timeline()?;
        Some(Self { room, seq, offset, record_time_ms, event: event.clone(), frame: OnceLock::new() })
    }

    /// Whose membership ends with it.
    pub fn leaver(&self) -> Option<AccountId> {
        leaver(&self.event)
    }

    /// Bytes of memory, roughly: the sealed content, the same as text in a frame, and that compressed.
    pub fn cost(&self) -> usize {
        let content = match &self.event {
            Event::MessageSent(e) => e.text.len(),
            Event::RoomCreated(e) => e.name.len(),
            _ => 0,
        };
        ENTRY_BYTES + 3 * content
    }
}

pub(crate) fn leaver(event: &Event) -> Option<AccountId> {
    match event {
        Event::MemberLeft(left) => Some(left.account_id),
        _ => None,
    }
}

/// Neighbouring seqs, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Ring {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn first(&self) -> Option<&Entry> {
        self.entries.front().map(Arc::as_ref)
    }

    pub fn push(&mut self, entry: Arc<Entry>, max_events: usize, max_bytes: usize) {
        if self.entries.back().is_some_and(|last| last.seq + 1 != entry.seq) {
            self.clear();
        }
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        while self.entries.len() > max_events || (self.bytes > max_bytes && self.entries.len() > 1) {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.cost();
            }
        }
    }

    /// The entries from this seq on, at most so many, if the first of them is here.
    pub fn from(&self, seq: Seq, most: usize) -> Option<Vec<Arc<Entry>>> {
        let index = usize::try_from(seq.checked_sub(self.first()?.seq)?).ok()?;
        (index < self.entries.len()).then(|| self.entries.range(index..).take(most).cloned().collect())
    }

    /// The first seq whose record is at this offset or later, if the one before it is here as well.
    pub fn first_at_or_after(&self, offset: u64) -> Option<Seq> {
        let index = self.entries.partition_point(|entry| entry.offset < offset);
        let entry = self.entries.get(index)?;
        (index > 0 || entry.seq == 1).then_some(entry.seq)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use roomlog_schemas::MemberLeft;

    use super::*;

    fn entry(seq: Seq) -> Arc<Entry> {
        let (room_id, account_id) = (RoomId::from_u128(1), AccountId::from_u128(2));
        let event = MemberLeft { room_id, seq, account_id, imported: None }.into();
        Arc::new(Entry::new(&event, 10 * seq, 0).unwrap())
    }

    fn ring(seqs: impl IntoIterator<Item = Seq>) -> Ring {
        let mut ring = Ring::default();
        for seq in seqs {
            ring.push(entry(seq), 4, usize::MAX);
        }
        ring
    }

    fn seqs(ring: &Ring, from: Seq) -> Option<Vec<Seq>> {
        ring.from(from, 3).map(|entries| entries.iter().map(|entry| entry.seq).collect())
    }

    #[test]
    fn the_newest_are_kept_within_the_bounds() {
        let ring = ring(1..=9);
        assert_eq!(seqs(&ring, 5), None);
        assert_eq!(seqs(&ring, 6), Some(vec![6, 7, 8]));
        assert_eq!(seqs(&ring, 9), Some(vec![9]));
        assert_eq!(seqs(&ring, 10), None);
        let mut small = Ring::default();
        for seq in 1..=9 {
            small.push(entry(seq), 100, 2 * ENTRY_BYTES);
        }
        assert_eq!((small.bytes(), seqs(&small, 8)), (2 * ENTRY_BYTES, Some(vec![8, 9])));
    }

    #[test]
    fn after_a_leap_the_older_ones_are_gone() {
        assert_eq!(seqs(&ring([1, 2, 5]), 2), None);
        assert_eq!(seqs(&ring([1, 2, 5]), 5), Some(vec![5]));
    }

    #[test]
    fn an_offset_has_its_first_seq() {
        let ring = ring(3..=6);
        assert_eq!(ring.first_at_or_after(31), Some(4));
        assert_eq!(ring.first_at_or_after(40), Some(4));
        assert_eq!(ring.first_at_or_after(30), None, "whether 2 is before it is not known");
        assert_eq!(ring.first_at_or_after(61), None);
    }
}
