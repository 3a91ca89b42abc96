//! A checkpoint, and the text of it that is signed.

use ed25519_dalek::SigningKey;
use roomlog_eventlog::{Chain, Head, Topic, TopicPartition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::form::{PublicKey, Signature, Time, lines, sign};

/// What the text begins with: no signature of anything else can be taken for one of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    #[serde(rename = "roomlog checkpoint v1")]
    V1,
}

/// Where one partition stood: after all accepted records below `next_offset`, the head was `head`. True for
/// ever, whoever says it, for a record that has been read stays as it is.
///
/// As JSON, an object of these fields. What is signed is the values of all fields but the last, in this
/// order, each followed by a line feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub form: Form,
    pub log_id: Uuid,
    pub topic: Topic,
    pub partition: u32,
    /// Of the first record that it does not cover.
    pub next_offset: u64,
    /// Of the claim in force; 0 before the first.
    pub epoch: u64,
    pub claim_id: Uuid,
    pub head: Head,
    /// By the clock of the process that made it.
    pub time: Time,
    /// That signed it.
    pub key: PublicKey,
    pub signature: Signature,
}

/// What is said in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    pub log_id: Uuid,
    pub partition: TopicPartition,
    pub next_offset: u64,
    pub epoch: u64,
    pub claim_id: Uuid,
    pub head: Head,
}

impl Stand {
    /// Of a reader that has read everything below `next_offset`; `None` while it does not know its log.
    pub fn of(chain: &Chain, next_offset: u64) -> Option<Self> {
        Some(Self {
            log_id: chain.identity()?.log_id,
            partition: chain.partition(),
            next_offset,
            epoch: chain.epoch(),
            claim_id: chain.claim_id(),
            head: chain.head(),
        })
    }
}

impl Checkpoint {
    pub fn sign(stand: Stand, time: Time, key: &SigningKey) -> Self {
        let mut checkpoint = Self {
            form: Form::V1,
            log_id: stand.log_id,
            topic: stand.partition.topic,
            partition: stand.partition.partition,
            next_offset: stand.next_offset,
            epoch: stand.epoch,
            claim_id: stand.claim_id,
            head: stand.head,
            time,
            key: PublicKey::of(key),
            signature: crate::form::Hex([0; 64]),
        };
        checkpoint.signature = sign(key, &checkpoint.text());
        checkpoint
    }

    pub fn stand(&self) -> Stand {
        Stand {
            log_id: self.log_id,
            partition: self.topic_partition(),
            next_offset: self.next_offset,
            epoch: self.epoch,
            claim_id: self.claim_id,
            head: self.head,
        }
    }

    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic, self.partition)
    }

    /// What is signed.
    pub fn text(&self) -> String {
        let Form::V1 = self.form;
        lines(&[
            &"roomlog checkpoint v1",
            &self.log_id,
            &self.topic,
            &self.partition,
            &self.next_offset,
            &self.epoch,
            &self.claim_id,
            &self.head,
            &self.time,
            &self.key,
        ])
    }

    /// Whether the key that it names signed it. Whether that key may, the chain of keys says.
    pub fn is_signed(&self) -> bool {
        self.key.has_signed(&self.text(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checkpoint() -> Checkpoint {
        let stand = Stand {
            log_id: Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001),
            partition: TopicPartition::rooms(3),
            next_offset: 1_042,
            epoch: 7,
            claim_id: Uuid::from_u128(0x0199_0000_0000_4000_8000_0000_0000_0002),
            head: Head([0xab; 32]),
        };
        Checkpoint::sign(stand, Time::from_ms(1_796_083_200_007), &SigningKey::from_bytes(&[7; 32]))
    }

    /// The vector of docs/adr/0024-checkpoints.md, which other implementations verify.
    #[test]
    fn the_form_is_the_documented_one() {
        let document = include_str!("../../docs/adr/0024-checkpoints.md");
        let checkpoint = checkpoint();
        let json = serde_json::to_string_pretty(&checkpoint).unwrap();
        assert!(document.contains(&json), "{json}");
        assert!(document.contains(&checkpoint.text()), "{}", checkpoint.text());
        assert!(checkpoint.is_signed());
    }

    #[test]
    fn what_is_more_or_of_another_form_is_no_checkpoint() {
        let json = serde_json::to_value(checkpoint()).unwrap();
        let with = |field: &str, value: serde_json::Value| {
            let mut json = json.clone();
            json[field] = value;
            serde_json::from_value::<Checkpoint>(json)
        };
        assert!(with("form", "roomlog checkpoint v1".into()).is_ok());
        assert!(with("form", "roomlog checkpoint v2".into()).is_err());
        assert!(with("more", 1.into()).is_err());
        assert!(with("partition", (-1).into()).is_err());
        assert!(with("topic", "members".into()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_every_change_of_it_is_noticed(
            ids: [u128; 2], head: [u8; 32], numbers: [u64; 2], partition: u32, accounts: bool, ms: i64, seed: [u8; 32],
        ) {
            let topic = if accounts { Topic::Accounts } else { Topic::Rooms };
            let stand = Stand {
                log_id: Uuid::from_u128(ids[0]),
                partition: TopicPartition::new(topic, partition),
                next_offset: numbers[0],
                epoch: numbers[1],
                claim_id: Uuid::from_u128(ids[1]),
                head: Head(head),
            };
            let checkpoint = Checkpoint::sign(stand, Time::from_ms(ms), &SigningKey::from_bytes(&seed));
            let json = serde_json::to_vec(&checkpoint).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<Checkpoint>(&json).unwrap(), &checkpoint);
            prop_assert_eq!(checkpoint.stand(), stand);
            prop_assert!(checkpoint.is_signed());
            let other_topic = if accounts { Topic::Rooms } else { Topic::Accounts };
            let changes: [fn(&mut Checkpoint, Topic); 9] = [
                |c, _| c.log_id = Uuid::from_u128(c.log_id.as_u128() ^ 1),
                |c, topic| c.topic = topic,
                |c, _| c.partition ^= 1,
                |c, _| c.next_offset ^= 1,
                |c, _| c.epoch ^= 1,
                |c, _| c.claim_id = Uuid::from_u128(c.claim_id.as_u128() ^ 1),
                |c, _| c.head.0[31] ^= 1,
                |c, _| c.time = Time::from_ms(c.time.ms() ^ 1),
                |c, _| c.signature.0[0] ^= 1,
            ];
            for change in changes {
                let mut changed = checkpoint.clone();
                change(&mut changed, other_topic);
                prop_assert!(!changed.is_signed() || changed == checkpoint, "{:?}", changed);
            }
        }
    }
}
