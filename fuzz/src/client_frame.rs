//! What a client says on the socket.

use roomlog_domain::{Permissions, Role};
use roomlog_schemas::{AccountId, MessageId, RoleId, RoomId};
use roomlog_web::commands::{ClientCommand, CreateRoom};
use roomlog_ws_fanout::protocol::{ClientFrame, CommandFrame, MAX_COMMAND_ID, parse};
use serde_json::{Value, json};

use crate::bytes_of::{KEY, key};

const MAX_SINCE: usize = 3;
const ROOM: RoomId = RoomId::from_u128(1);

pub fn run(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let Ok(frame) = parse(text, MAX_SINCE) else { return false };
    match &frame {
        ClientFrame::Start(start) => {
            assert!(start.since.len() <= MAX_SINCE && start.since.values().all(|seq| *seq < i64::MAX as u64));
        }
        ClientFrame::Command(command) => assert!((1..=MAX_COMMAND_ID).contains(&command.id.len())),
        ClientFrame::Refresh { .. } => {}
    }
    assert_eq!(parse(&written(&frame).to_string(), MAX_SINCE), Ok(frame), "said again it means the same");
    true
}

/// As a client would write it.
fn written(frame: &ClientFrame) -> Value {
    match frame {
        ClientFrame::Start(start) => json!({"type": "start", "log_id": start.log_id, "since": start.since}),
        ClientFrame::Refresh { access_token } => json!({"type": "refresh", "access_token": access_token}),
        ClientFrame::Command(frame) => {
            let mut fields = serde_json::to_value(&frame.command).expect("commands are plain");
            fields["type"] = "command".into();
            fields["id"] = frame.id.as_str().into();
            // Whatever is no key is refused alike.
            fields["key"] = frame.key.map_or("none".into(), |key| json!(key));
            fields
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let command = |command| {
        ClientFrame::Command(Box::new(CommandFrame { id: "1".into(), key: Ok(Some(key())), command }))
    };
    let create = CreateRoom {
        name: "Lounge".into(),
        parent_id: Some(ROOM),
        kind: Default::default(),
        access: Default::default(),
        history: Default::default(),
    };
    let reply_to = Some(MessageId::from_u128(2));
    let (account_id, role_id) = (AccountId::from_u128(3), RoleId::from_u128(4));
    let commands = [
        ClientCommand::CreateRoom(create),
        ClientCommand::JoinRoom { room_id: ROOM },
        ClientCommand::LeaveRoom { room_id: ROOM },
        ClientCommand::SendMessage { room_id: ROOM, text: "hello".into(), reply_to },
        ClientCommand::SetRole { room_id: ROOM, account_id, role: Role::Admin },
        ClientCommand::TransferOwnership { room_id: ROOM, account_id },
        ClientCommand::CreateRole {
            room_id: ROOM,
            name: "Helper".into(),
            rank: 30,
            permissions: Permissions::ALL,
        },
        ClientCommand::ChangeRole {
            room_id: ROOM,
            role_id,
            name: "Helper".into(),
            rank: 1,
            permissions: Permissions::NONE,
        },
        ClientCommand::RemoveRole { room_id: ROOM, role_id },
        ClientCommand::SetOverride {
            room_id: ROOM,
            role: Role::Custom(role_id),
            allow: Permissions::NONE,
            deny: Permissions::ALL,
        },
    ]
    .map(|of| written(&command(of)).to_string());
    let others = [
        json!({"type": "start"}).to_string(),
        json!({"type": "start", "log_id": KEY, "since": {ROOM.to_string(): 7}}).to_string(),
        json!({"type": "refresh", "access_token": "a.b.c"}).to_string(),
    ];
    commands.into_iter().chain(others).map(String::into_bytes).collect()
}
