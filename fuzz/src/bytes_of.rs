//! Valid bytes, for seeds.

use bytes::Bytes;
use roomlog_eventlog::frame::encode_claim;
use roomlog_eventlog::{Claim, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_schemas::{
    Access, AccountClaimed, AccountId, AccountRegistered, CommandRecord, Event, History, IdempotencyKey,
    ImportNoted, Imported, MemberJoined, MemberLeft, MessageId, MessageSent, Noted, OverrideSet, RoleDefined,
    RoleId, RoleRemoved, RoleSet, RoomCreated, RoomId, RoomKind, SessionEnded, SessionId, encode_event,
};
use uuid::Uuid;

pub const PARTITION: TopicPartition = TopicPartition::rooms(0);
pub const KEY: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

pub fn identity() -> LogIdentity {
    LogIdentity { log_id: Uuid::from_u128(1), partitions: PartitionCounts { accounts: 1, rooms: 1 } }
}

/// The claim of an epoch, always by the same owner.
pub fn claim(epoch: u64) -> Bytes {
    let claim_id = Uuid::from_u128(9);
    encode_claim(&Claim { epoch, claim_id, identity: identity(), address: "http://here" })
}

/// One of every type.
pub fn events() -> Vec<Event> {
    let (account_id, room_id, seq) = (AccountId::from_u128(1), RoomId::from_u128(2), 7);
    let role_id = RoleId::from_u128(6);
    let sealed = Bytes::from_static(b"sealed");
    let imported =
        Imported { source: "irc".into(), position: 41, source_id: "a:41".into(), time_ms: 1_359_212_640_000 };
    vec![
        AccountRegistered {
            account_id,
            username: Some(sealed.clone()),
            email: Some(sealed.clone()),
            display_name: None,
            source: Some("irc".into()),
        }
        .into(),
        AccountClaimed { account_id, username: sealed.clone(), email: sealed.clone() }.into(),
        SessionEnded { account_id, session_id: SessionId::from_u128(3) }.into(),
        RoomCreated {
            room_id,
            seq: 1,
            parent_id: Some(room_id),
            kind: RoomKind::Group,
            access: Access::Public,
            history: History::FromJoin,
            name: sealed.clone(),
            creator_id: account_id,
            source: None,
        }
        .into(),
        MemberJoined { room_id, seq, account_id, role: "member".into(), imported: None }.into(),
        MemberLeft { room_id, seq, account_id, imported: Some(imported.clone()) }.into(),
        MessageSent {
            room_id,
            seq,
            message_id: MessageId::from_u128(4),
            author_id: account_id,
            text: sealed.clone(),
            reply_to: Some(MessageId::from_u128(5)),
            imported: None,
        }
        .into(),
        ImportNoted {
            room_id,
            seq,
            account_id,
            noted: Noted::Rename,
            renamed_to: Some(account_id),
            imported,
        }
        .into(),
        RoleSet { room_id, seq, account_id, role: "admin".into(), by: account_id }.into(),
        RoleDefined {
            room_id,
            seq,
            role_id,
            name: sealed,
            rank: 30,
            permissions: vec!["message.send".into()],
            by: account_id,
        }
        .into(),
        RoleRemoved { room_id, seq, role_id, by: account_id }.into(),
        OverrideSet {
            room_id,
            seq,
            role: role_id.to_string(),
            allow: vec!["message.send".into()],
            deny: vec![],
            by: account_id,
        }
        .into(),
    ]
}

pub fn command() -> CommandRecord {
    CommandRecord {
        record_time_ms: 1_700_000_000_000,
        command: "send_message".into(),
        actor: Some(AccountId::from_u128(1)),
        key: Some(key()),
        fingerprint: Some(Bytes::from_static(&[8; 32])),
        events: events().iter().map(|event| encode_event(event).expect("events encode")).collect(),
    }
}

pub fn key() -> IdempotencyKey {
    KEY.parse().expect("a UUIDv7")
}
