//! Where checkpoints and the public audit keys are kept, outside the log: objects that are made once.
//!
//! ```text
//!   audit/keys/000001.json
//!   audit/checkpoints/<log id>/rooms-3/00000000000000001042.json      by the offset that it names
//! ```

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use roomlog_eventlog::TopicPartition;
use roomlog_stores::StoreError;
use roomlog_stores::objects::Objects;
use uuid::Uuid;

use crate::checkpoint::Checkpoint;
use crate::keys::{AuditKey, KeyChain};

const KEYS: &str = "audit/keys";
/// Objects that are fetched at the same time.
const CONCURRENT: usize = 16;
/// Keys or names asked for at a time.
const PAGE: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the object {name} is damaged")]
    Damaged {
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the object {0} was there a moment ago")]
    Gone(String),
    #[error("the published audit key {0} is another one: the keys here are not those of this archive")]
    OtherKey(u32),
    #[error("there is a published audit key {0}, which the keys here do not have: are they from a back-up?")]
    NewerKey(u32),
}

/// What there was in a checkpoint's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    Stored,
    /// One that says the same, perhaps at another time.
    Known,
    /// One that names another head: what was read there once is not what is read there now.
    Conflict(Box<Checkpoint>),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive(Objects);

impl Archive {
    pub fn new(objects: Objects) -> Self {
        Self(objects)
    }

    /// Keeps a checkpoint, unless there is one of its offset.
    pub async fn keep(&self, checkpoint: &Checkpoint) -> Result<Kept, ArchiveError> {
        let name = checkpoint_name(checkpoint.log_id, checkpoint.topic_partition(), checkpoint.next_offset);
        if self.0.create(&name, bytes(checkpoint)).await? {
            return Ok(Kept::Stored);
        }
        let there: Checkpoint = self.get(&name).await?;
        let is_same = there.stand() == checkpoint.stand();
        Ok(if is_same { Kept::Known } else { Kept::Conflict(Box::new(there)) })
    }

    /// The checkpoints of a partition that name an offset above this one, at most `limit`, in their order.
    pub async fn page(
        &self,
        log_id: Uuid,
        partition: TopicPartition,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, ArchiveError> {
        let after = checkpoint_name(log_id, partition, after);
        let names = self.0.list(&folder(log_id, partition), &after, limit).await?;
        self.get_all(names).await
    }

    /// All checkpoints of a partition, in the order of their offsets, a page in memory at a time.
    pub fn all(
        &self,
        log_id: Uuid,
        partition: TopicPartition,
    ) -> stream::BoxStream<'_, Result<Checkpoint, ArchiveError>> {
        let pages = stream::try_unfold(0, move |after| async move {
            let page = self.page(log_id, partition, after, PAGE).await?;
            let next = page.last().map(|checkpoint| checkpoint.next_offset);
            Ok::<_, ArchiveError>(next.map(|next| (stream::iter(page).map(Ok), next)))
        });
        pages.try_flatten().boxed()
    }

    /// Publishes the chain. Fails if another key has the place of one of them, or if there is a newer one.
    pub async fn publish(&self, chain: &KeyChain) -> Result<(), ArchiveError> {
        for key in chain.keys() {
            let name = key_name(key.number);
            if !self.0.create(&name, bytes(key)).await? && self.get::<AuditKey>(&name).await? != *key {
                return Err(ArchiveError::OtherKey(key.number));
            }
        }
        let next = chain.last().number + 1;
        match self.0.get(&key_name(next)).await? {
            Some(_) => Err(ArchiveError::NewerKey(next)),
            None => Ok(()),
        }
    }

    /// All keys, in their order. Whether they are a chain is for whoever uses them to see.
    pub async fn keys(&self) -> Result<Vec<AuditKey>, ArchiveError> {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let names = self.0.list(KEYS, &after, PAGE).await?;
            let Some(last) = names.last().cloned() else { return Ok(keys) };
            keys.extend(self.get_all(names).await?);
            after = last;
        }
    }

    async fn get_all<T: serde::de::DeserializeOwned>(
        &self,
        names: Vec<String>,
    ) -> Result<Vec<T>, ArchiveError> {
        let getting = names.into_iter().map(|name| async move { self.get(&name).await });
        stream::iter(getting).buffered(CONCURRENT).try_collect().await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, ArchiveError> {
        let object = self.0.get(name).await?.ok_or_else(|| ArchiveError::Gone(name.to_owned()))?;
        serde_json::from_slice(&object)
            .map_err(|source| ArchiveError::Damaged { name: name.to_owned(), source })
    }
}

fn key_name(number: u32) -> String {
    format!("{KEYS}/{number:06}.json")
}

fn folder(log_id: Uuid, partition: TopicPartition) -> String {
    let TopicPartition { topic, partition: number } = partition;
    format!("audit/checkpoints/{log_id}/{}-{number}", topic.name())
}

/// Digits enough for every offset, so that names sort as offsets do.
fn checkpoint_name(log_id: Uuid, partition: TopicPartition, next_offset: u64) -> String {
    format!("{}/{next_offset:020}.json", folder(log_id, partition))
}

/// One line.
fn bytes(value: &impl serde::Serialize) -> Bytes {
    let mut json = serde_json::to_vec(value).expect("keys and checkpoints have only plain fields");
    json.push(b'\n');
    json.into()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use roomlog_eventlog::Head;

    use super::*;
    use crate::checkpoint::Stand;
    use crate::form::Time;

    const LOG: Uuid = Uuid::from_u128(1);
    const PARTITION: TopicPartition = TopicPartition::rooms(3);

    fn checkpoint(next_offset: u64, head: u8, ms: i64) -> Checkpoint {
        let stand = Stand {
            log_id: LOG,
            partition: PARTITION,
            next_offset,
            epoch: 1,
            claim_id: Uuid::from_u128(2),
            head: Head([head; 32]),
        };
        Checkpoint::sign(stand, Time::from_ms(ms), &SigningKey::from_bytes(&[1; 32]))
    }

    #[tokio::test]
    async fn the_first_of_an_offset_stays_and_another_head_is_a_conflict() {
        let archive = Archive::new(Objects::in_memory());
        let first = checkpoint(5, 1, 10);
        assert_eq!(archive.keep(&first).await.unwrap(), Kept::Stored);
        assert_eq!(archive.keep(&checkpoint(5, 1, 20)).await.unwrap(), Kept::Known);
        let conflict = Kept::Conflict(Box::new(first.clone()));
        assert_eq!(archive.keep(&checkpoint(5, 2, 30)).await.unwrap(), conflict);
        assert_eq!(archive.page(LOG, PARTITION, 0, 10).await.unwrap(), [first]);
    }

    #[tokio::test]
    async fn pages_are_in_the_order_of_the_offsets_and_of_one_partition() {
        let folder = tempfile::tempdir().unwrap();
        for objects in [Objects::in_memory(), Objects::folder(folder.path()).unwrap()] {
            let archive = Archive::new(objects);
            for offset in [100, 9, 20, u64::MAX, 3] {
                archive.keep(&checkpoint(offset, 1, 10)).await.unwrap();
            }
            let offsets = async |after, limit| {
                let page = archive.page(LOG, PARTITION, after, limit).await.unwrap();
                page.iter().map(|checkpoint| checkpoint.next_offset).collect::<Vec<_>>()
            };
            assert_eq!(offsets(0, 2).await, [3, 9]);
            assert_eq!(offsets(9, 2).await, [20, 100]);
            assert_eq!(offsets(100, 2).await, [u64::MAX]);
            let all: Vec<Checkpoint> = archive.all(LOG, PARTITION).try_collect().await.unwrap();
            assert_eq!(all.len(), 5);
            // A partition whose name begins like this one's.
            assert_eq!(archive.page(LOG, TopicPartition::rooms(31), 0, 10).await.unwrap(), []);
            assert_eq!(archive.page(LOG, TopicPartition::accounts(3), 0, 10).await.unwrap(), []);
            assert_eq!(archive.page(Uuid::from_u128(2), PARTITION, 0, 10).await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn keys_are_published_once_and_others_refused() {
        let archive = Archive::new(Objects::in_memory());
        let secret = |n| SigningKey::from_bytes(&[n; 32]);
        let chain = |keys: &[&AuditKey]| {
            KeyChain::verified(keys.iter().map(|key| (*key).clone()).collect(), None).unwrap()
        };
        let first = AuditKey::first(&secret(1), Time::from_ms(1));
        let second = first.successor(&secret(2), &secret(1), Time::from_ms(2));
        archive.publish(&chain(&[&first])).await.unwrap();
        archive.publish(&chain(&[&first, &second])).await.unwrap();
        let keys = [first.clone(), second];
        assert_eq!(archive.keys().await.unwrap(), keys);
        let other = first.successor(&secret(3), &secret(1), Time::from_ms(3));
        let refused = archive.publish(&chain(&[&first, &other])).await;
        assert!(matches!(refused, Err(ArchiveError::OtherKey(2))));
        // A back-up of the time before the second key.
        assert!(matches!(archive.publish(&chain(&[&first])).await, Err(ArchiveError::NewerKey(2))));
        assert_eq!(archive.keys().await.unwrap(), keys);
    }
}
