//! One value for each partition of a log.

use crate::partition::{PartitionCounts, Topic, TopicPartition};
use crate::port::LogError;

/// Fixed for the life of a log, so that a look-up is an index.
#[derive(Debug, Clone)]
pub(crate) struct PerPartition<T> {
    counts: PartitionCounts,
    values: Vec<T>,
}

impl<T> PerPartition<T> {
    pub fn new(counts: PartitionCounts, value: impl FnMut(TopicPartition) -> T) -> Self {
        Self { counts, values: counts.all().map(value).collect() }
    }

    pub fn counts(&self) -> PartitionCounts {
        self.counts
    }

    /// `Fatal` if the log has no such partition.
    pub fn get(&self, partition: TopicPartition) -> Result<&T, LogError> {
        self.index(partition).map(|index| &self.values[index]).ok_or_else(|| no_such(partition))
    }

    pub fn get_mut(&mut self, partition: TopicPartition) -> Result<&mut T, LogError> {
        let index = self.index(partition).ok_or_else(|| no_such(partition))?;
        Ok(&mut self.values[index])
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    /// In the order of [`PartitionCounts::all`].
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.values.into_iter()
    }

    fn index(&self, partition: TopicPartition) -> Option<usize> {
        if partition.partition >= self.counts.of(partition.topic) {
            return None;
        }
        let before = match partition.topic {
            Topic::Accounts => 0,
            Topic::Rooms => self.counts.accounts,
        };
        Some((before + partition.partition) as usize)
    }
}

fn no_such(partition: TopicPartition) -> LogError {
    LogError::Fatal(format!("the log has no partition {partition}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_value() {
        let counts = PartitionCounts { accounts: 2, rooms: 3 };
        let values = PerPartition::new(counts, |partition| partition);
        for partition in counts.all() {
            assert_eq!(values.get(partition).unwrap(), &partition);
        }
        assert!(matches!(values.get(TopicPartition::accounts(2)), Err(LogError::Fatal(_))));
        assert!(matches!(values.get(TopicPartition::rooms(3)), Err(LogError::Fatal(_))));
    }
}
