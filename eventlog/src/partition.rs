//! Topics of the log and their partitions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Ids carry a slot of 14 bits; a partition is a range of slots.
pub const SLOTS: u32 = 16_384;

/// A topic of the log. Its records are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    Accounts,
    Rooms,
}

impl Topic {
    pub const ALL: [Topic; 2] = [Topic::Accounts, Topic::Rooms];

    pub const fn name(self) -> &'static str {
        match self {
            Topic::Accounts => "accounts",
            Topic::Rooms => "rooms",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One partition of one topic, written `rooms/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    pub topic: Topic,
    pub partition: u32,
}

impl TopicPartition {
    pub const fn new(topic: Topic, partition: u32) -> Self {
        Self { topic, partition }
    }

    pub const fn accounts(partition: u32) -> Self {
        Self::new(Topic::Accounts, partition)
    }

    pub const fn rooms(partition: u32) -> Self {
        Self::new(Topic::Rooms, partition)
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// How many partitions each topic has. Fixed for the life of a log: another count is another log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartitionCounts {
    pub accounts: u32,
    pub rooms: u32,
}

impl PartitionCounts {
    pub const fn of(self, topic: Topic) -> u32 {
        match topic {
            Topic::Accounts => self.accounts,
            Topic::Rooms => self.rooms,
        }
    }

    /// The partition that a slot (0..16384) of a topic belongs to.
    pub const fn partition_of(self, topic: Topic, slot: u16) -> TopicPartition {
        let count = self.of(topic) as u64;
        TopicPartition::new(topic, (slot as u64 * count / SLOTS as u64) as u32)
    }

    /// Every partition of every topic, accounts first.
    pub fn all(self) -> impl Iterator<Item = TopicPartition> {
        Topic::ALL
            .into_iter()
            .flat_map(move |topic| (0..self.of(topic)).map(move |p| TopicPartition::new(topic, p)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_spread_over_all_partitions_in_order() {
        let counts = PartitionCounts { accounts: 1, rooms: 3 };
        assert_eq!(counts.partition_of(Topic::Accounts, 16_383).partition, 0);
        let partitions: Vec<u32> =
            (0..SLOTS as u16).map(|slot| counts.partition_of(Topic::Rooms, slot).partition).collect();
        assert!(partitions.is_sorted());
        assert_eq!(partitions.first(), Some(&0));
        assert_eq!(partitions.last(), Some(&2));
    }
}
