//! Where a reader must stop rather than go on.

use super::owner::{IDENTITY, Owner, accepted, name};
use super::*;
use crate::chain::LogIdentity;
use crate::cursor::Cursor;
use crate::follow::FollowError;
use crate::frame::FrameError;
use crate::reader::{AcceptedReader, ReadError};

/// Appends `bad` between two good commands. A reader must give the first, then stop for good, and
/// one that opens at its cursor must stop at the same place.
async fn stops(backend: &impl Backend, bad: impl FnOnce(&mut Owner) -> Bytes) -> FollowError {
    let log = backend.open().await;
    let mut owner = Owner::new(ROOMS_0);
    append(&log, ROOMS_0, owner.claim()).await;
    append(&log, ROOMS_0, owner.command("good")).await;
    let at = append(&log, ROOMS_0, bad(&mut owner)).await;
    append(&log, ROOMS_0, owner.command("after")).await;
    drop(log);
    let log = backend.open().await;
    let mut reader =
        AcceptedReader::open(&log, &Cursor::start(IDENTITY, ROOMS_0), "test").await.expect("a reader");
    let mut names = Vec::new();
    let stopped = loop {
        match within("reading", reader.next()).await {
            Ok(accepted) => names.extend(accepted.iter().filter_map(name)),
            Err(error) => break error,
        }
    };
    assert_eq!(names, ["good"], "what was accepted before is given");
    assert_eq!(reader.next_offset(), at.offset, "the reader stays before the record");
    let again = within("reading", reader.next()).await.expect_err("it stays stopped");
    assert_eq!(again.to_string(), stopped.to_string());
    let mut another = AcceptedReader::open(&log, &reader.cursor(), "test").await.expect("a reader");
    within("reading", another.next()).await.expect_err("every reader stops");
    match stopped {
        ReadError::Stopped { partition: ROOMS_0, source } => source,
        other => panic!("{other}"),
    }
}

pub async fn an_accepted_record_that_cannot_be_decoded_stops_the_reader(backend: &impl Backend) {
    let reason = stops(backend, |owner| owner.body(b"not Avro")).await;
    assert!(matches!(reason, FollowError::Undecodable { .. }), "{reason}");
    assert!(reason.to_string().contains("cannot be decoded"), "{reason}");
}

pub async fn an_unknown_frame_version_stops_the_reader(backend: &impl Backend) {
    let newer = |owner: &mut Owner| {
        let mut value = owner.clone().command("newer").to_vec();
        value[4] = 99;
        Bytes::from(value)
    };
    let reason = stops(backend, newer).await;
    assert!(matches!(reason, FollowError::Frame { source: FrameError::UnknownVersion(99), .. }), "{reason}");
}

pub async fn a_cursor_of_another_log_is_refused(backend: &impl Backend) {
    let log = backend.open().await;
    let mut owner = Owner::new(ROOMS_0);
    append(&log, ROOMS_0, owner.claim()).await;
    let last = append(&log, ROOMS_0, owner.command("ours")).await;
    let (_, good) = accepted(&log, &Cursor::start(IDENTITY, ROOMS_0), last).await;

    let mut other_head = good.clone();
    other_head.head.0[0] ^= 1;
    let mut other_offset = good.clone();
    other_offset.last_accepted.as_mut().expect("a command was accepted").offset -= 1;
    let other_log = LogIdentity { log_id: uuid::Uuid::from_u128(99), ..IDENTITY };
    let mut foreign = accepted(&log, &Cursor::start(IDENTITY, ROOMS_0), last).await.1;
    foreign.identity = other_log;
    foreign.last_accepted.as_mut().expect("a command was accepted").previous_head =
        crate::chain::Head::first(other_log.log_id, ROOMS_0);
    for cursor in [other_head, other_offset, foreign] {
        let opened = within("opening", AcceptedReader::open(&log, &cursor, "test")).await;
        assert!(matches!(opened, Err(ReadError::CursorNotOfThisLog { partition: ROOMS_0, .. })));
    }
    assert!(AcceptedReader::open(&log, &good, "test").await.is_ok());
}

pub async fn a_cursor_beyond_the_end_is_refused(backend: &impl Backend) {
    let log = backend.open().await;
    let mut owner = Owner::new(ROOMS_0);
    append(&log, ROOMS_0, owner.claim()).await;
    let last = append(&log, ROOMS_0, owner.command("one")).await;
    let (_, mut cursor) = accepted(&log, &Cursor::start(IDENTITY, ROOMS_0), last).await;
    cursor.next_offset += 1;
    let opened = within("opening", AcceptedReader::open(&log, &cursor, "test")).await;
    assert!(
        matches!(opened, Err(ReadError::Log(LogError::OutOfRange { .. }))),
        "read further than the log goes"
    );
    cursor.last_accepted.as_mut().expect("a command was accepted").offset += 1;
    let opened = within("opening", AcceptedReader::open(&log, &cursor, "test")).await;
    assert!(matches!(opened, Err(ReadError::CursorNotOfThisLog { .. })), "its last record is not in the log");
}
