//! One or more events of every type, with every optional field both set and null.

use bytes::Bytes;
use roomlog_schemas::*;

fn account(n: u128) -> AccountId {
    AccountId::from_u128(n)
}

fn imported() -> Imported {
    Imported { source: "irc".into(), position: 41, source_id: "rust.0:41".into(), time_ms: 1_359_212_640_000 }
}

fn sealed(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub fn events() -> Vec<Event> {
    let room_id = RoomId::from_u128(0x8001);
    vec![
        AccountRegistered {
            account_id: account(1),
            username: Some(sealed("u")),
            email: Some(sealed("e")),
            display_name: None,
            source: None,
        }
        .into(),
        AccountRegistered {
            account_id: account(2),
            username: None,
            email: None,
            display_name: Some(sealed("d")),
            source: Some("irc".into()),
        }
        .into(),
        AccountClaimed { account_id: account(2), username: sealed("u"), email: sealed("e") }.into(),
        RoomCreated {
            room_id,
            seq: 1,
            parent_id: None,
            kind: RoomKind::Group,
            access: Access::Public,
            history: History::FromBeginning,
            name: sealed("n"),
            creator_id: account(1),
            source: None,
        }
        .into(),
        RoomCreated {
            room_id: RoomId::from_u128(0x8002),
            seq: 1,
            parent_id: Some(room_id),
            kind: RoomKind::Broadcast,
            access: Access::Vip,
            history: History::FromJoin,
            name: sealed(""),
            creator_id: account(1),
            source: Some("irc".into()),
        }
        .into(),
        MemberJoined { room_id, seq: 2, account_id: account(1), role: "owner".into(), imported: None }.into(),
        MemberJoined {
            room_id,
            seq: 3,
            account_id: account(2),
            role: "member".into(),
            imported: Some(imported()),
        }
        .into(),
        MemberLeft { room_id, seq: 4, account_id: account(2), imported: None }.into(),
        MemberLeft { room_id, seq: 5, account_id: account(2), imported: Some(imported()) }.into(),
        MessageSent {
            room_id,
            seq: 6,
            message_id: MessageId::from_u128(6),
            author_id: account(1),
            text: sealed("hello"),
            reply_to: None,
            imported: None,
        }
        .into(),
        MessageSent {
            room_id,
            seq: u64::MAX >> 1,
            message_id: MessageId::from_u128(7),
            author_id: account(1),
            text: sealed("hello again"),
            reply_to: Some(MessageId::from_u128(6)),
            imported: Some(imported()),
        }
        .into(),
        ImportNoted {
            room_id,
            seq: 8,
            account_id: account(1),
            noted: Noted::Rename,
            renamed_to: Some(account(3)),
            imported: imported(),
        }
        .into(),
        ImportNoted {
            room_id,
            seq: 9,
            account_id: account(1),
            noted: Noted::Leave,
            renamed_to: None,
            imported: imported(),
        }
        .into(),
        SessionEnded { account_id: account(1), session_id: SessionId::from_u128(0x8003) }.into(),
        RoleSet { room_id, seq: 10, account_id: account(2), role: "admin".into(), by: account(1) }.into(),
        RoleDefined {
            room_id,
            seq: 11,
            role_id: RoleId::from_u128(0x8004),
            name: sealed("n"),
            rank: 30,
            permissions: vec!["message.send".into(), "room.create_sub".into()],
            by: account(1),
        }
        .into(),
        RoleRemoved { room_id, seq: 12, role_id: RoleId::from_u128(0x8004), by: account(1) }.into(),
        OverrideSet {
            room_id,
            seq: 13,
            role: RoleId::from_u128(0x8004).to_string(),
            allow: vec![],
            deny: vec!["message.send".into()],
            by: account(1),
        }
        .into(),
    ]
}

pub fn record() -> CommandRecord {
    CommandRecord {
        record_time_ms: 1_700_000_000_000,
        command: "send_message".into(),
        actor: Some(account(1)),
        key: Some("0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap()),
        fingerprint: Some(sealed("fingerprint")),
        events: vec![sealed("one"), sealed("two")],
    }
}

pub fn platform_record() -> CommandRecord {
    CommandRecord { actor: None, key: None, fingerprint: None, events: vec![], ..record() }
}
