//! Hints between processes on the topic `signals`: they say where to look, never what is so.

use bytes::Bytes;
use roomlog_eventlog::Broadcast;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, RoomId};
use serde::{Deserialize, Serialize};

/// Joinings in one message: far below the size that a broker takes.
const JOININGS: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Signal {
    /// These memberships are in the room store now, in the order of the log.
    Joined { joinings: Vec<Joining> },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// An account became a member of a room by the event `seq`, in the record at `offset` of the room's
/// partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    pub account_id: AccountId,
    pub room_id: RoomId,
    pub seq: Seq,
    pub offset: u64,
}

impl Signal {
    pub fn encode(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("a signal has only plain fields"))
    }

    /// What cannot be read is no hint.
    pub fn decode(message: &[u8]) -> Option<Self> {
        serde_json::from_slice(message).ok()
    }
}

/// Tells every process of these joinings, in as many messages as it takes.
pub fn publish_joinings(signals: &dyn Broadcast, joinings: &[Joining]) {
    for joinings in joinings.chunks(JOININGS) {
        signals.publish(Signal::Joined { joinings: joinings.to_vec() }.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_of_a_later_version_and_nonsense_are_no_harm() {
        let joining =
            Joining { account_id: AccountId::from_u128(1), room_id: RoomId::from_u128(2), seq: 3, offset: 4 };
        let signal = Signal::Joined { joinings: vec![joining] };
        assert_eq!(Signal::decode(&signal.encode()), Some(signal));
        assert_eq!(Signal::decode(br#"{"type":"typing","room_id":"r"}"#), Some(Signal::Unknown));
        assert_eq!(Signal::decode(b"nonsense"), None);
    }
}
