use roomlog_schemas::RoomKind;
use roomlog_web::commands::CreateRoom;

use super::*;

const ROOM: &str = "00000000-0000-0000-0000-000000000001";

fn is_malformed(text: &str) -> bool {
    parse(text, 2).is_err()
}

#[test]
fn a_start_has_rooms_and_perhaps_a_log_id() {
    let text = format!(r#"{{"type":"start","log_id":"x","since":{{"{ROOM}":7}}}}"#);
    let Ok(ClientFrame::Start(start)) = parse(&text, 2) else { panic!() };
    assert_eq!(start.log_id.as_deref(), Some("x"));
    assert_eq!(start.since, HashMap::from([(RoomId::from_u128(1), 7)]));
    let empty = Start { log_id: None, since: HashMap::new() };
    assert_eq!(parse(r#"{"type":"start"}"#, 2), Ok(ClientFrame::Start(empty)));
}

#[test]
fn commands_are_those_of_rest() {
    let text = format!(
        r#"{{"type":"command","id":"a","command":"send_message","room_id":"{ROOM}","text":"hi","key":"0190163d-8694-739b-aea5-966c26f8ad91"}}"#
    );
    let Ok(ClientFrame::Command(frame)) = parse(&text, 2) else { panic!() };
    assert_eq!((frame.id.as_str(), frame.key.is_ok_and(|key| key.is_some())), ("a", true));
    let room_id = RoomId::from_u128(1);
    assert_eq!(frame.command, ClientCommand::SendMessage { room_id, text: "hi".into(), reply_to: None });

    let text = r#"{"type":"command","id":"a","key":"nonsense","command":"create_room","name":"Lounge"}"#;
    let Ok(ClientFrame::Command(frame)) = parse(text, 2) else { panic!() };
    assert_eq!(frame.key, Err(()));
    assert!(
        matches!(frame.command, ClientCommand::CreateRoom(CreateRoom { kind: RoomKind::Group, name, .. }) if name == "Lounge")
    );
}

#[test]
fn what_is_not_described_is_malformed() {
    for text in [
        "",
        "{",
        "[]",
        "null",
        r#""start""#,
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"dance"}"#,
        r#"{"type":"started"}"#,
        r#"{"type":"start","more":1}"#,
        r#"{"type":"start","since":[]}"#,
        r#"{"type":"start","since":{"x":1}}"#,
        r#"{"type":"start","log_id":7}"#,
        r#"{"type":"refresh"}"#,
        r#"{"type":"refresh","access_token":"a","more":1}"#,
        r#"{"type":"command","id":"a"}"#,
        r#"{"type":"command","id":"a","command":"dance"}"#,
        r#"{"type":"command","command":"create_room","name":"Lounge"}"#,
        r#"{"type":"command","id":"","command":"create_room","name":"Lounge"}"#,
        r#"{"type":"command","id":"a","command":"create_room","name":"Lounge","more":1}"#,
        r#"{"type":"command","id":"a","command":"join_room","room_id":"x"}"#,
    ] {
        assert!(is_malformed(text), "{text}");
    }
    let long = "x".repeat(MAX_COMMAND_ID + 1);
    assert!(is_malformed(&format!(
        r#"{{"type":"command","id":"{long}","command":"create_room","name":"L"}}"#
    )));
    for seq in ["-1", "1.5", "9223372036854775807", "18446744073709551616"] {
        assert!(is_malformed(&format!(r#"{{"type":"start","since":{{"{ROOM}":{seq}}}}}"#)), "{seq}");
    }
    let rooms: Vec<String> =
        (1..=3).map(|room| format!(r#""00000000-0000-0000-0000-00000000000{room}":1"#)).collect();
    assert!(is_malformed(&format!(r#"{{"type":"start","since":{{{}}}}}"#, rooms.join(","))));
}

#[test]
fn frames_look_as_described() {
    let room_id = RoomId::from_u128(1);
    let started =
        ServerFrame::Started { log_id: "log", rooms: BTreeMap::from([(room_id, 3)]), not_member: vec![] };
    assert_eq!(
        started.encode().text(),
        format!(r#"{{"type":"started","log_id":"log","rooms":{{"{ROOM}":3}},"not_member":[]}}"#)
    );
    assert_eq!(
        ServerFrame::Hidden { room_id, from: 2, to: 4 }.encode().text(),
        format!(r#"{{"type":"hidden","room_id":"{ROOM}","from":2,"to":4}}"#)
    );
    assert_eq!(
        ServerFrame::Gap { room_id, from: 2, to: Some(4), reason: GapReason::Lost }.encode().text(),
        format!(r#"{{"type":"gap","room_id":"{ROOM}","from":2,"to":4,"reason":"lost"}}"#)
    );
    assert_eq!(
        ServerFrame::quarantined(room_id, 2).encode().text(),
        format!(r#"{{"type":"gap","room_id":"{ROOM}","from":2,"reason":"quarantined"}}"#)
    );
}
