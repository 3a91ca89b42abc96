//! The chain of audit keys: each new one is signed by the one before, so whoever knows the first knows all.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::form::{Hex, PublicKey, Signature, Time, lines, sign};

/// Clocks of processes differ, and a process may sign with the key before for as long as it has not read
/// the keys anew.
pub const GRACE_MS: i64 = 60 * 60 * 1_000;

/// As of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    #[serde(rename = "roomlog audit key v1")]
    V1,
}

/// One key, as published. What is signed is the values of all fields but the last, in this order, each
/// followed by a line feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditKey {
    pub form: Form,
    /// From 1 on.
    pub number: u32,
    pub key: PublicKey,
    /// The key before it; of the first, itself.
    pub signer: PublicKey,
    /// Since when there is this key; never earlier than of the one before.
    pub time: Time,
    /// By `signer`.
    pub signature: Signature,
}

impl AuditKey {
    pub fn first(key: &SigningKey, time: Time) -> Self {
        Self::signed(1, PublicKey::of(key), key, time)
    }

    /// `signer` is the secret half of `self`.
    pub fn successor(&self, key: &SigningKey, signer: &SigningKey, time: Time) -> Self {
        Self::signed(self.number + 1, PublicKey::of(key), signer, time.max(self.time))
    }

    fn signed(number: u32, key: PublicKey, signer: &SigningKey, time: Time) -> Self {
        let signer_key = PublicKey::of(signer);
        let mut new = Self { form: Form::V1, number, key, signer: signer_key, time, signature: Hex([0; 64]) };
        new.signature = sign(signer, &new.text());
        new
    }

    /// What is signed.
    pub fn text(&self) -> String {
        let Form::V1 = self.form;
        lines(&[&"roomlog audit key v1", &self.number, &self.key, &self.signer, &self.time])
    }
}

/// Keys that have been found to be a chain, in their order; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChain(Vec<AuditKey>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyChainError {
    #[error("there are no audit keys")]
    Empty,
    #[error("the first audit key is {found}, not {pinned}")]
    NotPinned { found: PublicKey, pinned: PublicKey },
    #[error("the audit key in place {expected} has number {found}")]
    Number { expected: u32, found: u32 },
    #[error("audit key {number} is not signed by the one before it")]
    Signature { number: u32 },
    #[error("audit key {number} is older than the one before it")]
    Time { number: u32 },
}

/// Why a checkpoint proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("its key {0} is none of the audit keys")]
    UnknownKey(PublicKey),
    #[error("its signature is not of its key")]
    Signature,
    #[error("it is dated {dated}, before its key {number} was made")]
    BeforeItsKey { dated: Time, number: u32 },
    #[error("it is dated {dated}, after its key {number} was replaced")]
    AfterItsKey { dated: Time, number: u32 },
}

impl KeyChain {
    /// Checks that each is signed by the one before, and that the first is the pinned one.
    pub fn verified(keys: Vec<AuditKey>, pinned: Option<PublicKey>) -> Result<Self, KeyChainError> {
        let first = keys.first().ok_or(KeyChainError::Empty)?;
        if let Some(pinned) = pinned.filter(|pinned| *pinned != first.key) {
            return Err(KeyChainError::NotPinned { found: first.key, pinned });
        }
        let mut before = first;
        for (expected, key) in (1..).zip(&keys) {
            let number = key.number;
            if number != expected {
                return Err(KeyChainError::Number { expected, found: number });
            }
            if key.signer != before.key || !key.signer.has_signed(&key.text(), &key.signature) {
                return Err(KeyChainError::Signature { number });
            }
            if key.time < before.time {
                return Err(KeyChainError::Time { number });
            }
            before = key;
        }
        Ok(Self(keys))
    }

    pub fn keys(&self) -> &[AuditKey] {
        &self.0
    }

    pub fn first(&self) -> &AuditKey {
        self.0.first().expect("a chain has a first key")
    }

    pub fn last(&self) -> &AuditKey {
        self.0.last().expect("a chain has a last key")
    }

    /// Whether one of these keys signed the checkpoint, while it was to sign. Says nothing of the log.
    pub fn judge(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let place = self.0.iter().position(|key| key.key == checkpoint.key);
        let place = place.ok_or(CheckpointError::UnknownKey(checkpoint.key))?;
        if !checkpoint.is_signed() {
            return Err(CheckpointError::Signature);
        }
        let (key, dated) = (&self.0[place], checkpoint.time);
        if dated < key.time {
            return Err(CheckpointError::BeforeItsKey { dated, number: key.number });
        }
        match self.0.get(place + 1) {
            Some(next) if dated.ms() > next.time.ms() + GRACE_MS => {
                Err(CheckpointError::AfterItsKey { dated, number: key.number })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use roomlog_eventlog::{Head, TopicPartition};
    use uuid::Uuid;

    use super::*;
    use crate::checkpoint::Stand;

    const MADE: i64 = 1_796_083_200_000;

    fn secret(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn keys() -> Vec<AuditKey> {
        let first = AuditKey::first(&secret(1), Time::from_ms(MADE));
        let second = first.successor(&secret(2), &secret(1), Time::from_ms(MADE + 10));
        // A clock that went back.
        let third = second.successor(&secret(3), &secret(2), Time::from_ms(MADE - 10));
        vec![first, second, third]
    }

    fn checkpoint(key: u8, ms: i64) -> Checkpoint {
        let stand = Stand {
            log_id: Uuid::from_u128(1),
            partition: TopicPartition::rooms(0),
            next_offset: 1,
            epoch: 1,
            claim_id: Uuid::from_u128(2),
            head: Head([3; 32]),
        };
        Checkpoint::sign(stand, Time::from_ms(ms), &secret(key))
    }

    #[test]
    fn the_form_is_the_documented_one() {
        let document = include_str!("../../docs/adr/0024-checkpoints.md");
        let key = AuditKey::first(&SigningKey::from_bytes(&[7; 32]), Time::from_ms(MADE));
        let json = serde_json::to_string_pretty(&key).unwrap();
        assert!(document.contains(&json), "{json}");
        assert!(document.contains(&key.text()), "{}", key.text());
    }

    #[test]
    fn a_chain_begins_with_the_pinned_key() {
        let keys = keys();
        let first = keys[0].key;
        assert!(KeyChain::verified(keys.clone(), None).is_ok());
        assert!(KeyChain::verified(keys.clone(), Some(first)).is_ok());
        let pinned = keys[1].key;
        let error = KeyChain::verified(keys, Some(pinned)).unwrap_err();
        assert_eq!(error, KeyChainError::NotPinned { found: first, pinned });
        assert_eq!(KeyChain::verified(Vec::new(), None), Err(KeyChainError::Empty));
    }

    #[test]
    fn a_chain_that_is_broken_is_none() {
        type Change = fn(&mut Vec<AuditKey>);
        let changes: [(Change, KeyChainError); 7] = [
            (|keys| keys.retain(|key| key.number != 2), KeyChainError::Number { expected: 2, found: 3 }),
            (|keys| keys.swap(1, 2), KeyChainError::Number { expected: 2, found: 3 }),
            (|keys| keys[1].key = PublicKey::of(&secret(9)), KeyChainError::Signature { number: 2 }),
            (|keys| keys[2].signature.0[0] ^= 1, KeyChainError::Signature { number: 3 }),
            (|keys| keys[0].time = Time::from_ms(0), KeyChainError::Signature { number: 1 }),
            // Signed well, but by a key that is not the one before it.
            (
                |keys| {
                    keys[1] =
                        AuditKey::signed(2, PublicKey::of(&secret(2)), &secret(9), Time::from_ms(MADE + 10))
                },
                KeyChainError::Signature { number: 2 },
            ),
            (
                |keys| {
                    keys[1] =
                        AuditKey::signed(2, PublicKey::of(&secret(2)), &secret(1), Time::from_ms(MADE - 1))
                },
                KeyChainError::Time { number: 2 },
            ),
        ];
        for (n, (change, expected)) in changes.into_iter().enumerate() {
            let mut keys = keys();
            change(&mut keys);
            assert_eq!(KeyChain::verified(keys, None), Err(expected), "{n}");
        }
    }

    #[test]
    fn a_key_signs_from_when_it_is_made_until_it_is_replaced() {
        let chain = KeyChain::verified(keys(), None).unwrap();
        let judged = |key, ms| chain.judge(&checkpoint(key, ms));
        assert_eq!(judged(1, MADE), Ok(()));
        assert_eq!(judged(1, MADE + 10 + GRACE_MS), Ok(()));
        assert!(matches!(judged(1, MADE - 1), Err(CheckpointError::BeforeItsKey { number: 1, .. })));
        assert!(matches!(
            judged(1, MADE + 11 + GRACE_MS),
            Err(CheckpointError::AfterItsKey { number: 1, .. })
        ));
        assert_eq!(judged(3, MADE + 10), Ok(()));
        assert_eq!(judged(3, i64::MAX), Ok(()));
        assert_eq!(judged(4, MADE), Err(CheckpointError::UnknownKey(PublicKey::of(&secret(4)))));
        let mut changed = checkpoint(3, MADE + 10);
        changed.next_offset += 1;
        assert_eq!(chain.judge(&changed), Err(CheckpointError::Signature));
    }
}
