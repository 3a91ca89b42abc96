use bytes::Bytes;
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_schemas::*;
use roomlog_stores::{directory::*, rooms::*, sqlite::*, *};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;
fn cursor(n: u64, pad: usize) -> Cursor {
    Cursor {
        next_offset: n,
        announced: vec!["x".repeat(pad)],
        ..Cursor::start(
            LogIdentity { log_id: Uuid::from_u128(7), partitions: PartitionCounts { accounts: 1, rooms: 2 } },
            TopicPartition::rooms(0),
        )
    }
}
fn room(n: u128) -> RoomId {
    RoomId::from_u128(n.wrapping_mul(0x9e3779b97f4a7c15f39cc0605cedc835))
}
fn account(n: u128) -> AccountId {
    AccountId::from_u128(n.wrapping_mul(0xd1342543de82ef95a0761d6478bd642f))
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore]
async fn rates() {
    let t = tempfile::tempdir().unwrap();
    let pad = 8_000;
    let s: Arc<dyn RoomStore> = Arc::new(SqliteRoomStore::open(t.path()).await.unwrap());
    for (size, rounds) in [(1000u64, 200u64), (100, 1000), (1, 3000)] {
        let base = s.cursor(TopicPartition::rooms(0)).await.unwrap().map_or(0, |c| c.next_offset);
        let start = Instant::now();
        for r in 0..rounds {
            let from = base + r * size;
            let seqs = from..from + size;
            let events = seqs
                .clone()
                .map(|n| StoredEvent {
                    room_id: room((n % 1000) as u128 + 1),
                    seq: n + 1,
                    offset: n,
                    record_time_ms: 1,
                    event: Bytes::from(vec![1u8; 256]),
                })
                .collect();
            let messages = seqs
                .map(|n| StoredMessage {
                    room_id: room((n % 1000) as u128 + 1),
                    seq: n + 1,
                    message_id: MessageId::from_u128(
                        (n as u128 + 1).wrapping_mul(0x9e3779b97f4a7c15f39cc0605cedc835),
                    ),
                    author_id: account((n % 5000) as u128),
                    text: Bytes::from(vec![2u8; 150]),
                    reply_to: None,
                    sent_at_ms: 1,
                    source_id: None,
                })
                .collect();
            s.apply(RoomBatch {
                expected_offset: from,
                cursor: cursor(from + size, pad),
                events,
                messages,
                memberships: vec![],
                histories: vec![],
            })
            .await
            .unwrap();
        }
        let e = start.elapsed();
        println!(
            "rooms: batches of {size} records: {:.0} records/s, {:.0} rows/s, {:.2} ms a batch",
            (size * rounds) as f64 / e.as_secs_f64(),
            (2 * size * rounds) as f64 / e.as_secs_f64(),
            e.as_secs_f64() * 1e3 / rounds as f64
        );
    }
    let mut lat = vec![];
    for n in 0..5000u128 {
        let st = Instant::now();
        s.messages(room(n % 1000 + 1), Page::Latest, 50).await.unwrap();
        lat.push(st.elapsed());
    }
    lat.sort();
    println!("page of 50: p50 {:?} p99 {:?}", lat[2500], lat[4950]);
    let mut lat = vec![];
    for _ in 0..5000 {
        let st = Instant::now();
        s.seq_range(room(1)).await.unwrap();
        lat.push(st.elapsed());
    }
    lat.sort();
    println!("seq_range (cost of spawn_blocking): p50 {:?} p99 {:?}", lat[2500], lat[4950]);
    let d: Arc<dyn DirectoryStore> = Arc::new(SqliteDirectoryStore::open(t.path()).await.unwrap());
    let start = Instant::now();
    d.apply(DirectoryBatch {
        expected_offset: 0,
        cursor: cursor(1, pad),
        changes: (0..20_000u128)
            .map(|n| {
                DirectoryChange::Account(AccountRow {
                    account_id: account(n),
                    username: Some(format!("user{n}")),
                    display_name: Some(format!("User Number {n}")),
                    source: Some("import".into()),
                    registered_at_ms: 1,
                })
            })
            .collect(),
    })
    .await
    .unwrap();
    println!("directory: 20k accounts in one batch {:?}", start.elapsed());
    d.apply(DirectoryBatch {
        expected_offset: 1,
        cursor: cursor(2, pad),
        changes: (0..100u128)
            .map(|n| {
                DirectoryChange::Room(RoomRow {
                    room_id: room(n),
                    root_id: room(n),
                    parent_id: None,
                    kind: RoomKind::Group,
                    access: Access::Public,
                    history: History::FromBeginning,
                    name: "r".into(),
                    creator_id: account(0),
                    created_at_ms: 1,
                    last_seq: 1,
                    member_count: 0,
                })
            })
            .collect(),
    })
    .await
    .unwrap();
    let start = Instant::now();
    d.apply(DirectoryBatch {
        expected_offset: 2,
        cursor: cursor(3, pad),
        changes: (0..20_000u128)
            .map(|n| DirectoryChange::Joined {
                room_id: room(n % 100),
                account_id: account(n),
                role: "member".into(),
                seq: n as u64,
                at_ms: 1,
            })
            .collect(),
    })
    .await
    .unwrap();
    println!("directory: 20k joins in one batch {:?}", start.elapsed());
    let start = Instant::now();
    for n in 0..2000u64 {
        d.apply(DirectoryBatch {
            expected_offset: 3 + n,
            cursor: cursor(4 + n, pad),
            changes: vec![DirectoryChange::LastSeq { room_id: room((n % 100) as u128), seq: 50_000 + n }],
        })
        .await
        .unwrap();
    }
    println!("directory: one LastSeq a batch: {:?} a batch", start.elapsed() / 2000);
    let mut lat = vec![];
    for n in 0..5000u128 {
        let st = Instant::now();
        d.members(room(n % 100), None, 50).await.unwrap();
        lat.push(st.elapsed());
    }
    lat.sort();
    println!("members page of 50: p50 {:?} p99 {:?}", lat[2500], lat[4950]);
    // reads while a bulk write runs
    let s2 = s.clone();
    let w = tokio::spawn(async move {
        let base = s2.cursor(TopicPartition::rooms(0)).await.unwrap().unwrap().next_offset;
        let st = Instant::now();
        for r in 0..100u64 {
            let from = base + r * 1000;
            let events = (from..from + 1000)
                .map(|n| StoredEvent {
                    room_id: room((n % 1000) as u128 + 1),
                    seq: n + 1,
                    offset: n,
                    record_time_ms: 1,
                    event: Bytes::from(vec![1u8; 256]),
                })
                .collect();
            s2.apply(RoomBatch {
                expected_offset: from,
                cursor: cursor(from + 1000, 8000),
                events,
                messages: vec![],
                memberships: vec![],
                histories: vec![],
            })
            .await
            .unwrap();
        }
        st.elapsed()
    });
    let mut lat = vec![];
    while !w.is_finished() {
        let st = Instant::now();
        s.messages(room(5), Page::Latest, 50).await.unwrap();
        lat.push(st.elapsed());
    }
    lat.sort();
    println!(
        "page of 50 during bulk write: n {} p50 {:?} p99 {:?}; write took {:?}",
        lat.len(),
        lat[lat.len() / 2],
        lat[lat.len() * 99 / 100],
        w.await.unwrap()
    );
}
