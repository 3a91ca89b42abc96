//! How fast the stores take rows: those on SQLite, and those on PostgreSQL where
//! `ROOMLOG_TEST_POSTGRES` names a server, by the clock and by the processor's time, which other work
//! on the machine does not change. Not a judgement, a measurement:
//! `cargo bench -p roomlog-stores --bench rates`

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

#[path = "../tests/backends/mod.rs"]
mod backends;

use std::sync::Arc;
use std::time::Instant;

use backends::Sqlite;
use backends::postgres::Postgres;
use bytes::Bytes;
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_schemas::{Access, AccountId, History, MessageId, RoomId, RoomKind};
use roomlog_stores::conformance::Backend;
use roomlog_stores::directory::{AccountRow, DirectoryBatch, DirectoryChange, RoomRow};
use roomlog_stores::rooms::{MembershipChange, Page, RoomBatch, StoredEvent, StoredMessage};
use roomlog_stores::sealing::aad;
use roomlog_stores::{DirectoryStore, MasterKey, RoomStore, Sealer, SecretsStore};

fn cursor(next_offset: u64) -> Cursor {
    let identity = LogIdentity {
        log_id: uuid::Uuid::from_u128(1),
        partitions: PartitionCounts { accounts: 1, rooms: 1 },
    };
    let mut cursor = Cursor::start(identity, TopicPartition::rooms(0));
    cursor.next_offset = next_offset;
    // As many and as long as there are schemas.
    cursor.announced = vec!["x".repeat(800); 7];
    cursor
}

fn id(kind: &str, n: u64) -> u128 {
    let hash = blake3::hash(format!("{kind} {n}").as_bytes());
    u128::from_be_bytes(hash.as_bytes()[..16].try_into().unwrap())
}

fn room(n: u64) -> RoomId {
    RoomId::from_u128(id("room", n))
}

fn account(n: u64) -> AccountId {
    AccountId::from_u128(id("account", n))
}

struct Stopwatch {
    start: Instant,
    cpu_start: f64,
}

impl Stopwatch {
    fn start() -> Self {
        Self { start: Instant::now(), cpu_start: cpu_seconds() }
    }

    fn per_second(&self, rows: u64) -> String {
        let per_second = rows as f64 / self.start.elapsed().as_secs_f64();
        let per_cpu_second = rows as f64 / (cpu_seconds() - self.cpu_start);
        format!("{per_second:.0}/s, {per_cpu_second:.0} per second of processor time")
    }
}

/// Of this process, in user and in kernel mode.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The process's name may hold anything, but ends with the last parenthesis.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS_PER_SECOND
}

async fn room_store() {
    for (rooms, per_batch) in
        [(100, 1), (100, 10), (100, 100), (16, 1_000), (16, 5_000), (2_000, 1_000), (2_000, 5_000)]
    {
        let messages = per_batch * if per_batch < 100 { 10_000 } else { 100_000 / per_batch };
        let backend = Sqlite::new();
        let store: Arc<dyn RoomStore> = backend.open().await;
        let start = Stopwatch::start();
        let mut seqs = vec![0; rooms as usize];
        for from in (0..messages).step_by(per_batch as usize) {
            let mut batch = RoomBatch {
                expected_offset: from,
                cursor: cursor(from + per_batch),
                events: Vec::new(),
                messages: Vec::new(),
                memberships: Vec::new(),
                histories: Vec::new(),
            };
            for n in from..from + per_batch {
                let room_n = id("order", n) as u64 % rooms;
                let room_id = room(room_n);
                let seq = &mut seqs[room_n as usize];
                *seq += 1;
                let event = Bytes::from(vec![7; 350]);
                batch.events.push(StoredEvent { room_id, seq: *seq, offset: n, record_time_ms: 1, event });
                batch.messages.push(StoredMessage {
                    room_id,
                    seq: *seq,
                    message_id: MessageId::from_u128(id("message", n)),
                    author_id: account(n % 100),
                    text: Bytes::from(vec![9; 256]),
                    reply_to: None,
                    sent_at_ms: 1,
                    source_id: None,
                });
            }
            store.apply(batch).await.unwrap();
        }
        let rows = start.per_second(2 * messages);
        let start = Stopwatch::start();
        for n in 0..2_000 {
            store.messages(room(n % rooms), Page::Latest, 50).await.unwrap();
        }
        let pages = start.per_second(2_000);
        println!("{rooms:>5} rooms, {per_batch:>5} messages a batch: {rows} (rows); {pages} (pages of 50)");
    }

    let backend = Sqlite::new();
    let store: Arc<dyn RoomStore> = backend.open().await;
    let start = Stopwatch::start();
    for n in 0..100 {
        let joined = |account_id| MembershipChange::Joined { room_id: room(n), account_id, seq: 1 };
        let memberships = (0..2_000).map(|m| joined(account(m))).collect();
        let (expected_offset, cursor) = (n, cursor(n + 1));
        let (events, messages, histories) = Default::default();
        let batch = RoomBatch { expected_offset, cursor, events, messages, memberships, histories };
        store.apply(batch).await.unwrap();
    }
    println!("memberships, 2,000 a batch: {}", start.per_second(200_000));
}

async fn directory(store: Arc<dyn DirectoryStore>) {
    let rooms = (0..1_000).map(|n| {
        DirectoryChange::Room(RoomRow {
            room_id: room(n),
            root_id: room(n),
            parent_id: None,
            kind: RoomKind::Group,
            access: Access::Public,
            history: History::FromBeginning,
            name: "a room".into(),
            creator_id: account(0),
            created_at_ms: 0,
            last_seq: 0,
            member_count: 0,
        })
    });
    let accounts = (0..50_000).map(|n| {
        DirectoryChange::Account(AccountRow {
            account_id: account(n),
            username: None,
            display_name: Some("somebody".into()),
            source: Some("irc".into()),
            registered_at_ms: 0,
        })
    });
    let joins = (0..200_000).map(|n| DirectoryChange::Joined {
        room_id: room(n / 200),
        account_id: account(n * 7 % 50_000),
        role: "member".into(),
        seq: 1 + n,
        at_ms: 0,
    });
    let seqs =
        (0..1_000_000).map(|n| DirectoryChange::LastSeq { room_id: room(n % 1_000), seq: 300_000 + n });
    let left = (0..50_000)
        .map(|n| DirectoryChange::Left { room_id: room(n / 200), account_id: account(n * 7 % 50_000) });
    let kinds: [(&str, Vec<DirectoryChange>); 5] = [
        ("rooms", rooms.collect()),
        ("accounts", accounts.collect()),
        ("memberships", joins.collect()),
        ("members that leave", left.collect()),
        ("seqs", seqs.collect()),
    ];
    let mut offset = 0;
    for (kind, changes) in kinds {
        let start = Stopwatch::start();
        for chunk in changes.chunks(5_000) {
            let (expected_offset, cursor) = (offset, cursor(offset + 1));
            store.apply(DirectoryBatch { expected_offset, cursor, changes: chunk.to_vec() }).await.unwrap();
            offset += 1;
        }
        println!("directory, 5,000 {kind} a batch: {}", start.per_second(changes.len() as u64));
    }
    let start = Stopwatch::start();
    for n in 0..1_000 {
        let changes = vec![DirectoryChange::LastSeq { room_id: room(n % 1_000), seq: 9_000_000 + n }];
        let (expected_offset, cursor) = (offset, cursor(offset + 1));
        store.apply(DirectoryBatch { expected_offset, cursor, changes }).await.unwrap();
        offset += 1;
    }
    println!("directory, one change a batch: {}", start.per_second(1_000));
    let start = Stopwatch::start();
    for n in 0..1_000 {
        store.members(room(n), None, 50).await.unwrap();
    }
    println!("directory: pages of 50 members: {}", start.per_second(1_000));
}

async fn secrets_and_sealing(store: Arc<dyn SecretsStore>) {
    let sealer = Sealer::new(store.clone(), MasterKey::from_hex(&"07".repeat(32)).unwrap(), 64 << 20);
    let accounts: Vec<AccountId> = (0..50_000).map(account).collect();
    let start = Stopwatch::start();
    for chunk in accounts.chunks(1_000) {
        sealer.create_account_keys(chunk).await.unwrap();
    }
    println!("keys made, 1,000 a call: {}", start.per_second(50_000));
    let start = Stopwatch::start();
    for n in 0..500 {
        sealer.create_account_keys(&[account(1_000_000 + n)]).await.unwrap();
    }
    println!("keys made, one a call: {}", start.per_second(500));
    sealer.create_room_keys(&[room(0)]).await.unwrap();
    let cold = Sealer::new(store, MasterKey::from_hex(&"07".repeat(32)).unwrap(), 64 << 20);
    let watch = Stopwatch::start();
    for page in accounts.chunks(50) {
        let pairs: Vec<_> = page.iter().map(|&account| (account, room(0))).collect();
        assert!(cold.message_keys(&pairs).await.unwrap().iter().all(Option::is_some));
    }
    println!("pages of 50 keys loaded: {}", watch.per_second(1_000));

    let text = [b'x'; 256];
    let place = aad::message_text(room(0), MessageId::from_u128(1));
    let start = Stopwatch::start();
    let mut sealed = Vec::new();
    for account in &accounts {
        sealed.push(sealer.cached_message_key(*account, room(0)).unwrap().seal(&place, &text));
    }
    println!("256 B sealed with keys in memory: {}", start.per_second(50_000));
    let start = Stopwatch::start();
    for (account, sealed) in accounts.iter().zip(&sealed) {
        sealer.cached_message_key(*account, room(0)).unwrap().open(&place, sealed).unwrap();
    }
    println!("256 B opened with keys in memory: {}", start.per_second(50_000));
}

#[tokio::main]
async fn main() {
    room_store().await;
    let sqlite = Sqlite::new();
    directory(sqlite.open().await).await;
    secrets_and_sealing(sqlite.open().await).await;
    if let Some(postgres) = Postgres::new() {
        println!("PostgreSQL; the processor's time is that of this process alone");
        directory(postgres.open().await).await;
        secrets_and_sealing(postgres.open().await).await;
    }
}
