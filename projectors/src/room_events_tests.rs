use bytes::Bytes;
use roomlog_eventlog::ClaimId;
use roomlog_schemas::{
    Access, AccountId, AccountRegistered, Announced, History, ImportNoted, Imported, MemberJoined,
    MemberLeft, MessageId, Noted, RoomCreated, RoomKind, decode_event,
};

use super::*;

const ROOM: RoomId = RoomId::from_u128(1);
const ALICE: AccountId = AccountId::from_u128(2);
const MESSAGE: MessageId = MessageId::from_u128(3);

fn command(offset: u64, events: Vec<Event>) -> Accepted {
    let command = Command {
        record_time_ms: 1_000 + offset as i64,
        name: "test".into(),
        actor: None,
        key: None,
        fingerprint: None,
        events,
    };
    accepted(offset, Content::Command(Arc::new(command)))
}

fn accepted(offset: u64, content: Content) -> Accepted {
    Accepted { offset, append_time_ms: 0, value: Bytes::new(), trace: None, content }
}

fn imported() -> Imported {
    Imported { source: "import".into(), position: 1, source_id: "$1".into(), time_ms: 77 }
}

fn sent(seq: u64, imported: Option<Imported>) -> Event {
    let text = Bytes::from_static(b"sealed");
    MessageSent { room_id: ROOM, seq, message_id: MESSAGE, author_id: ALICE, text, reply_to: None, imported }
        .into()
}

#[test]
fn every_timeline_event_is_stored_as_the_log_has_it() {
    let created = RoomCreated {
        room_id: ROOM,
        seq: 1,
        parent_id: None,
        kind: RoomKind::Group,
        access: Access::Public,
        history: History::FromJoin,
        name: Bytes::from_static(b"sealed"),
        creator_id: ALICE,
        source: None,
    };
    let joined =
        MemberJoined { room_id: ROOM, seq: 2, account_id: ALICE, role: "owner".into(), imported: None };
    let left = MemberLeft { room_id: ROOM, seq: 4, account_id: ALICE, imported: None };
    let noted = ImportNoted {
        room_id: ROOM,
        seq: 5,
        account_id: ALICE,
        noted: Noted::Leave,
        renamed_to: None,
        imported: imported(),
    };
    let records = [
        accepted(5, Content::Claim { epoch: 1, claim_id: ClaimId::nil(), address: String::new() }),
        command(6, vec![created.clone().into(), joined.into()]),
        accepted(7, Content::Schema(1)),
        command(8, vec![sent(3, None)]),
        command(9, vec![left.into(), noted.into()]),
    ];
    let rows = rows(&records).unwrap();

    let stored: Vec<_> =
        rows.events.iter().map(|event| (event.seq, event.offset, event.record_time_ms)).collect();
    assert_eq!(stored, [(1, 6, 1_006), (2, 6, 1_006), (3, 8, 1_008), (4, 9, 1_009), (5, 9, 1_009)]);
    assert_eq!(
        decode_event(&rows.events[0].event, &Announced::default()).unwrap(),
        Event::RoomCreated(created)
    );
    assert_eq!(rows.histories, [(ROOM, HistoryRule { from: 1, rule: History::FromJoin })]);
    assert_eq!(
        rows.memberships,
        [
            MembershipChange::Joined { room_id: ROOM, account_id: ALICE, seq: 2 },
            MembershipChange::Left { room_id: ROOM, account_id: ALICE, seq: 4 },
        ]
    );
    assert_eq!(rows.messages.len(), 1);
}

#[test]
fn a_message_was_sent_at_record_time_or_when_its_source_says() {
    let rows = rows(&[command(1, vec![sent(1, None)]), command(2, vec![sent(2, Some(imported()))])]).unwrap();
    let times: Vec<_> = rows.messages.iter().map(|m| (m.sent_at_ms, m.source_id.as_deref())).collect();
    assert_eq!(times, [(1_001, None), (77, Some("$1"))]);
    assert_eq!(&rows.messages[0].text[..], b"sealed");
}

#[test]
fn events_of_accounts_are_in_no_timeline() {
    let registered = AccountRegistered {
        account_id: ALICE,
        username: None,
        email: None,
        display_name: None,
        source: None,
    };
    assert_eq!(rows(&[command(1, vec![registered.into()])]).unwrap(), Rows::default());
}
