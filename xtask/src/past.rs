//! A partition's past: records as its owners would have left them, made up without them.
//!
//! One claim, the schemas that it lacks, a room, its members, and then what they say.

use bytes::Bytes;
use roomlog_eventlog::frame::{encode_claim, encode_record};
use roomlog_eventlog::partition::SLOTS;
use roomlog_eventlog::{Claim, ClaimId, Follower, Head, Kind, LogIdentity, NewRecord, TopicPartition};
use roomlog_schemas::registry::Registry;
use roomlog_schemas::{
    AccountId, CodecError, CommandRecord, Event, IdempotencyKey, MemberJoined, MessageId, MessageSent,
    RoomCreated, RoomId, encode_event,
};
use uuid::Uuid;

/// Who talks, in turns.
const MEMBERS: u64 = 1_000;
/// A text of 256 bytes, sealed.
const TEXT_BYTES: usize = 296;
/// Of a command's body, as the platform makes them.
const FINGERPRINT_BYTES: usize = 16;
const WRITTEN: [&str; 4] = [CommandRecord::NAME, "room_created", "member_joined", "message_sent"];

/// How much happened, and over what time (milliseconds since 1970) it is spread evenly.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Claim, schemas and joinings included.
    pub records: u64,
    pub from_ms: i64,
    pub to_ms: i64,
}

/// Gives the records one after the other. Each is made on the head that the one before it leaves.
pub struct Past {
    identity: LogIdentity,
    extent: Extent,
    epoch: u64,
    claim_id: ClaimId,
    head: Head,
    /// What the partition has to know before the first command.
    announcements: Vec<&'static str>,
    room: RoomId,
    members: Vec<AccountId>,
    made: u64,
    seq: u64,
}

impl Past {
    /// What comes behind everything that `follower` has read. Of its partition's log the identity has to be known.
    pub fn behind(follower: &Follower, identity: LogIdentity, extent: Extent) -> Self {
        let chain = follower.chain();
        let known = Registry::known();
        let lacks = |name: &&str| {
            known.latest(name).is_some_and(|version| !follower.announced().contains(version.fingerprint))
        };
        let announcements = WRITTEN.iter().filter(|name| lacks(name)).copied().collect();
        let slot = first_slot(chain.partition(), identity);
        Self {
            identity,
            extent,
            epoch: chain.epoch() + 1,
            claim_id: Uuid::new_v4(),
            head: chain.head(),
            announcements,
            room: RoomId(id(slot)),
            members: (0..MEMBERS).map(|number| AccountId(id((number % u64::from(SLOTS)) as u16))).collect(),
            made: 0,
            seq: 0,
        }
    }

    fn make(&mut self) -> Result<NewRecord, CodecError> {
        let announced = self.announcements.len() as u64;
        match self.made {
            0 => Ok(self.claim()),
            n if n <= announced => Ok(self.announcement(self.announcements[n as usize - 1])),
            _ => self.command(self.made - announced - 1),
        }
    }

    fn claim(&mut self) -> NewRecord {
        let Self { epoch, claim_id, identity, .. } = *self;
        let value = encode_claim(&Claim { epoch, claim_id, identity, address: "127.0.0.1:1" });
        self.head = self.head.extend(&value);
        NewRecord { value, headers: vec![("type", "claim".to_owned())], ..NewRecord::default() }
    }

    fn announcement(&mut self, name: &str) -> NewRecord {
        let json = Registry::known().latest(name).map_or("", |version| version.json.as_str());
        let value = self.extend(Kind::Schema, json.as_bytes());
        NewRecord { value, headers: vec![("type", "schema".to_owned())], ..NewRecord::default() }
    }

    fn command(&mut self, number: u64) -> Result<NewRecord, CodecError> {
        let room_id = self.room;
        let mut next_seq = || {
            self.seq += 1;
            self.seq
        };
        let (name, actor, events) = match number {
            0 => {
                let creator_id = self.members[0];
                let created = RoomCreated {
                    room_id,
                    seq: next_seq(),
                    parent_id: None,
                    kind: Default::default(),
                    access: Default::default(),
                    history: Default::default(),
                    name: Bytes::from_static(&[0x5a; 48]),
                    creator_id,
                    source: None,
                };
                let owner = joined(room_id, next_seq(), creator_id, "owner");
                ("create_room", creator_id, vec![created.into(), owner])
            }
            n if n < MEMBERS => {
                let member = self.members[n as usize];
                ("join_room", member, vec![joined(room_id, next_seq(), member, "member")])
            }
            n => {
                let author_id = self.members[(n % MEMBERS) as usize];
                let sent = MessageSent {
                    room_id,
                    seq: next_seq(),
                    message_id: MessageId(id(room_id.slot())),
                    author_id,
                    text: Bytes::from_static(&[0x5a; TEXT_BYTES]),
                    reply_to: None,
                    imported: None,
                };
                ("send_message", author_id, vec![sent.into()])
            }
        };
        let time_ms = self.time_ms();
        let key = key(time_ms, self.made);
        let record = CommandRecord {
            record_time_ms: time_ms,
            command: name.to_owned(),
            actor: Some(actor),
            key: Some(key),
            fingerprint: Some(Bytes::from_static(&[0x5a; FINGERPRINT_BYTES])),
            events: events.iter().map(encode_event).collect::<Result<_, _>>()?,
        };
        let value = self.extend(Kind::Command, &record.encode()?);
        let headers = vec![("type", name.to_owned()), ("key", key.to_string())];
        Ok(NewRecord { value, key: Bytes::from(room_id.to_string()), headers })
    }

    fn extend(&mut self, kind: Kind, body: &[u8]) -> Bytes {
        let value = encode_record(kind, self.claim_id, self.head, body);
        self.head = self.head.extend(&value);
        value
    }

    fn time_ms(&self) -> i64 {
        let Extent { records, from_ms, to_ms } = self.extent;
        let passed = (to_ms - from_ms).max(0) as u128 * u128::from(self.made) / u128::from(records.max(1));
        from_ms + passed as i64
    }
}

impl Iterator for Past {
    type Item = Result<NewRecord, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.made == self.extent.records {
            return None;
        }
        let record = self.make();
        self.made += 1;
        Some(record)
    }
}

fn joined(room_id: RoomId, seq: u64, account_id: AccountId, role: &str) -> Event {
    MemberJoined { room_id, seq, account_id, role: role.to_owned(), imported: None }.into()
}

/// The first that belongs to a partition.
fn first_slot(partition: TopicPartition, identity: LogIdentity) -> u16 {
    let count = u64::from(identity.partitions.of(partition.topic).max(1));
    (u64::from(partition.partition) * u64::from(SLOTS)).div_ceil(count) as u16
}

/// As the platform's own: a slot, and no order besides.
fn id(slot: u16) -> Uuid {
    let random = Uuid::new_v4().as_u128() & !(0xf << 76) & (u128::MAX >> 14);
    Uuid::from_u128(random | u128::from(slot) << 114 | 0x8 << 76)
}

/// A client's, made when it gave the command.
fn key(time_ms: i64, number: u64) -> IdempotencyKey {
    let bits = (time_ms as u128) << 80 | 0x7 << 76 | 0b10 << 62 | u128::from(number);
    IdempotencyKey::new(Uuid::from_u128(bits)).expect("made as one of version 7")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use roomlog_eventlog::{Chain, Content, LogRecord, Outcome, PartitionCounts};

    use super::*;

    fn follow(follower: &mut Follower, past: Past) -> Vec<Content> {
        let mut contents = Vec::new();
        for record in past {
            let offset = follower.next_offset();
            let record = LogRecord { offset, value: record.unwrap().value, append_time_ms: 0, trace: None };
            match follower.follow(&record).unwrap() {
                Outcome::Accepted(accepted) => contents.push(accepted.content),
                Outcome::Skipped(reason) => panic!("{reason:?}"),
            }
        }
        contents
    }

    #[test]
    fn every_record_counts_and_says_what_an_owner_could_have_said() {
        let partition = TopicPartition::rooms(2);
        let partitions = PartitionCounts { accounts: 1, rooms: 3 };
        let identity = LogIdentity { log_id: Uuid::from_u128(7), partitions };
        let mut follower = Follower::from_start(Chain::new(partition, Some(identity)));
        let extent = Extent { records: 1_500, from_ms: 1_000, to_ms: 2_000 };
        let past = Past::behind(&follower, identity, extent);
        let contents = follow(&mut follower, past);

        assert_eq!(contents.len(), 1_500);
        let commands: Vec<_> = contents
            .iter()
            .filter_map(|content| match content {
                Content::Command(command) => Some(command),
                _ => None,
            })
            .collect();
        let places: Vec<_> =
            commands.iter().flat_map(|command| &command.events).filter_map(Event::timeline).collect();
        let room = places[0].0;
        assert_eq!(partitions.partition_of(partition.topic, room.slot()), partition);
        assert!(places.iter().zip(1..).all(|(place, seq)| *place == (room, seq)));
        assert!(commands.is_sorted_by_key(|command| command.record_time_ms));
        let keys: HashSet<_> = commands.iter().filter_map(|command| command.key).collect();
        assert_eq!(keys.len(), commands.len());

        // What is known is not announced again.
        let past = Past::behind(&follower, identity, extent);
        let more = follow(&mut follower, past);
        assert!(!more.iter().any(|content| matches!(content, Content::Schema(_))));
    }
}
