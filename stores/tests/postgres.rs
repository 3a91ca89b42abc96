//! The stores on PostgreSQL: their conformance suites, and what is PostgreSQL's own about them. Needs a
//! server, see `backends/postgres.rs`.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backends::postgres::Postgres;
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_schemas::{Access, AccountId, History, IdempotencyKey, RoomId, RoomKind, SessionId};
use roomlog_stores::directory::{DirectoryBatch, DirectoryChange, RoomRow};
use roomlog_stores::postgres::{PostgresConfig, PostgresDirectoryStore, PostgresSecretsStore};
use roomlog_stores::secrets::{KeyOwner, Reservation, Reserved, Rotation, Session};
use roomlog_stores::{
    DirectoryStore, SecretsStore, StoreError, directory_store_conformance, quarantine_store_conformance,
    secrets_store_conformance,
};
use sqlx::{AssertSqlSafe, Row};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

directory_store_conformance!(directory, Postgres::new());
quarantine_store_conformance!(quarantine, Postgres::new());
secrets_store_conformance!(secrets, Postgres::new());

const P0: TopicPartition = TopicPartition::rooms(0);
const ROOM: RoomId = RoomId::from_u128(0xa << 96);
/// No step takes nearly as long.
const DEADLINE: Duration = Duration::from_secs(30);

fn cursor(next_offset: u64) -> Cursor {
    let partitions = PartitionCounts { accounts: 1, rooms: 1 };
    let identity = LogIdentity { log_id: Uuid::from_u128(1), partitions };
    Cursor { next_offset, ..Cursor::start(identity, P0) }
}

fn batch(expected_offset: u64, changes: Vec<DirectoryChange>) -> DirectoryBatch {
    DirectoryBatch { expected_offset, cursor: cursor(expected_offset + 1), changes }
}

fn room() -> DirectoryChange {
    DirectoryChange::Room(RoomRow {
        room_id: ROOM,
        root_id: ROOM,
        parent_id: None,
        kind: RoomKind::Group,
        access: Access::Public,
        history: History::FromBeginning,
        name: "a room".into(),
        creator_id: AccountId::from_u128(1),
        created_at_ms: 0,
        last_seq: 0,
        member_count: 0,
    })
}

fn joined(n: u64) -> DirectoryChange {
    let account_id = AccountId::from_u128(u128::from(n));
    DirectoryChange::Joined { room_id: ROOM, account_id, role: "member".into(), seq: n, at_ms: 0 }
}

fn last_seq(seq: u64) -> DirectoryChange {
    DirectoryChange::LastSeq { room_id: ROOM, seq }
}

fn session(n: u128) -> Session {
    Session {
        session_id: SessionId::from_u128(n),
        account_id: AccountId::from_u128(1),
        refresh_hash: [n as u8; 32],
        created_at_ms: 0,
        expires_at_ms: 1_000,
    }
}

/// The error with all that caused it.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_that_apply_a_batch_exactly_one_does() {
    const BATCHES: u64 = 100;
    let Some(backend) = Postgres::new() else { return };
    let racers: Vec<_> = [backend.directory().await, backend.directory().await]
        .into_iter()
        .map(|store| {
            tokio::spawn(async move {
                let mut won = 0;
                for offset in 0..BATCHES {
                    let changes = vec![room(), joined(1 + offset), last_seq(1 + offset)];
                    match store.apply(batch(offset, changes)).await {
                        Ok(()) => won += 1,
                        Err(StoreError::CursorMoved { expected, found, .. }) => {
                            assert!(expected == offset && found > offset, "at {found}, not at {offset}");
                        }
                        Err(error) => panic!("{}", chain(&error)),
                    }
                }
                won
            })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        won += racer.await.unwrap();
    }
    assert_eq!(won, BATCHES);
    let store = backend.directory().await;
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(BATCHES)));
    let row = store.room(ROOM).await.unwrap().unwrap();
    assert_eq!((row.member_count, row.last_seq), (BATCHES, BATCHES));
}

#[tokio::test]
async fn another_process_sees_a_promotion_and_goes_on_from_there() {
    let Some(backend) = Postgres::new() else { return };
    let (here, there) = (backend.directory().await, backend.directory().await);
    here.apply(batch(0, vec![room(), joined(1)])).await.unwrap();
    here.apply(batch(1, vec![joined(2)])).await.unwrap();
    // Statements that are prepared on the old tables.
    for _ in 0..10 {
        assert_eq!(there.members(ROOM, None, 9).await.unwrap().len(), 2);
    }
    let built = here.beside().await.unwrap();
    built.apply(batch(0, vec![room(), joined(7)])).await.unwrap();
    assert_eq!(there.room(ROOM).await.unwrap().unwrap().member_count, 2, "not yet");

    here.promote().await.unwrap();
    assert_eq!(there.cursor(P0).await.unwrap(), Some(cursor(1)));
    assert_eq!(there.room(ROOM).await.unwrap().unwrap().member_count, 1);
    let members = there.members(ROOM, None, 9).await.unwrap();
    assert_eq!(members[0].account_id, AccountId::from_u128(7));
    // A projector that was at work on the old rows.
    let late = there.apply(batch(2, vec![joined(3)])).await;
    assert!(matches!(late, Err(StoreError::CursorMoved { expected: 2, found: 1, .. })), "{late:?}");
    there.apply(batch(1, vec![joined(8)])).await.unwrap();
    assert_eq!(built.room(ROOM).await.unwrap().unwrap().member_count, 2, "the builder's handle as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_a_writer_in_other_processes_go_on_while_rebuilds_are_promoted() {
    const REBUILDS: u64 = 5;
    let Some(backend) = Postgres::new() else { return };
    let rebuilder = backend.directory().await;
    rebuilder.apply(batch(0, vec![room()])).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (store, stop) = (backend.directory().await, stop.clone());
        tasks.push(tokio::spawn(async move {
            let mut reads = 0;
            while !stop.load(Ordering::Relaxed) {
                let row = store.room(ROOM).await.unwrap().expect("never an empty directory");
                assert_eq!(row.member_count, row.last_seq, "never half of a batch");
                store.members(ROOM, None, 10).await.unwrap();
                store.rooms_of(AccountId::from_u128(1), None, 10).await.unwrap();
                reads += 1;
            }
            reads
        }));
    }
    // A projector that starts again where the cursor is.
    let (store, stopped) = (backend.directory().await, stop.clone());
    tasks.push(tokio::spawn(async move {
        let mut applied = 0;
        while !stopped.load(Ordering::Relaxed) {
            let at = store.cursor(P0).await.unwrap().expect("never without a cursor").next_offset;
            match store.apply(batch(at, vec![joined(at), last_seq(at)])).await {
                Ok(()) => applied += 1,
                Err(StoreError::CursorMoved { .. }) => {}
                Err(error) => panic!("{}", chain(&error)),
            }
        }
        applied
    }));
    for n in 1..=REBUILDS {
        let built = rebuilder.beside().await.unwrap();
        built.apply(batch(0, vec![room()])).await.unwrap();
        for offset in 1..=n {
            built.apply(batch(offset, vec![joined(offset), last_seq(offset)])).await.unwrap();
        }
        timeout(DEADLINE, rebuilder.promote()).await.unwrap().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_build_that_another_rebuild_dropped_is_not_promoted() {
    let Some(backend) = Postgres::new() else { return };
    let (here, there) = (backend.directory().await, backend.directory().await);
    here.apply(batch(0, vec![room()])).await.unwrap();
    here.beside().await.unwrap();
    let theirs = there.beside().await.unwrap();
    theirs.apply(batch(0, vec![room(), joined(1)])).await.unwrap();
    let error = here.promote().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert_eq!(here.room(ROOM).await.unwrap().unwrap().member_count, 0, "the old one goes on");
    there.promote().await.unwrap();
    assert_eq!(here.room(ROOM).await.unwrap().unwrap().member_count, 1);
    assert!(theirs.beside().await.is_ok(), "it is the one that counts now");
}

#[tokio::test]
async fn a_promotion_waits_for_a_batch_that_is_being_written() {
    let Some(backend) = Postgres::new() else { return };
    let store = backend.directory().await;
    store.apply(batch(0, vec![room()])).await.unwrap();
    store.beside().await.unwrap().apply(batch(0, vec![room(), joined(1)])).await.unwrap();
    let schema = backend.directory_schema();
    let mut writer = backend.connect().await;
    let hold = format!("BEGIN; UPDATE {schema}.cursors SET next_offset = next_offset");
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut writer).await.unwrap();
    let promotion = tokio::spawn({
        let store = store.clone();
        async move { store.promote().await }
    });
    let mut watcher = backend.connect().await;
    let waits = "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
                 WHERE relname = 'cursors' AND relnamespace = $1::regnamespace AND NOT granted";
    let deadline = Instant::now() + DEADLINE;
    loop {
        let waiting = sqlx::query_scalar(waits).bind(&schema).fetch_one(&mut watcher).await;
        if waiting.is_ok_and(|waiting: i64| waiting > 0) {
            break;
        }
        assert!(!promotion.is_finished() && Instant::now() < deadline, "it did not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    timeout(DEADLINE, promotion).await.unwrap().unwrap().unwrap();
    assert_eq!(store.room(ROOM).await.unwrap().unwrap().member_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_start_at_once_and_again() {
    let Some(backend) = Postgres::new() else { return };
    for _ in 0..2 {
        let starts: Vec<_> = (0..6)
            .map(|_| {
                let config = backend.config.clone();
                tokio::spawn(async move {
                    let directory = PostgresDirectoryStore::open(&config).await.unwrap();
                    let secrets = PostgresSecretsStore::open(&config).await.unwrap();
                    assert_eq!(directory.cursor(P0).await.unwrap(), None);
                    secrets.platform_key("ids", b"the first").await.unwrap()
                })
            })
            .collect();
        for start in starts {
            assert_eq!(timeout(DEADLINE, start).await.unwrap().unwrap(), b"the first");
        }
    }
    let applied = format!("SELECT count(*) FROM {}._sqlx_migrations", backend.config.secrets_schema);
    let row = sqlx::query(AssertSqlSafe(applied)).fetch_one(&mut backend.connect().await).await.unwrap();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/secrets"));
    assert_eq!(row.get::<i64, _>(0), files.unwrap().count() as i64);
}

#[tokio::test]
async fn an_older_build_starts_on_tables_that_only_grew() {
    let Some(backend) = Postgres::new() else { return };
    drop((backend.directory().await, backend.secrets().await));
    let schemas = [backend.directory_schema(), backend.config.secrets_schema.clone()];
    for schema in &schemas {
        let later = format!(
            "INSERT INTO {schema}._sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9000, 'later', TRUE, '', 1)"
        );
        backend.execute(later).await;
    }
    let directory = backend.directory().await;
    backend.secrets().await;
    // What this build would build lacks what the newer one added.
    directory.beside().await.unwrap();
    let refused = directory.promote().await.unwrap_err();
    assert!(matches!(refused, StoreError::NewerVersion { found: 9000, .. }), "{refused:?}");

    for schema in &schemas {
        backend.execute(format!("UPDATE {schema}.compatibility SET oldest_build = 9000")).await;
    }
    let refused = [
        PostgresDirectoryStore::open(&backend.config).await.err(),
        PostgresSecretsStore::open(&backend.config).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::NewerVersion { found: 9000, .. })), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_on_after_its_connections_were_ended() {
    let Some(backend) = Postgres::new() else { return };
    // So that the server's list of connections shows which are this store's.
    let name = backend.config.secrets_schema.clone();
    let separator = if backend.config.url.contains('?') { '&' } else { '?' };
    let named = format!("{}{separator}application_name={name}", backend.config.url);
    let config = PostgresConfig { url: named, ..backend.config.clone() };
    let store = PostgresSecretsStore::open(&config).await.unwrap();
    store.create_session(&session(1)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let mut lost = 0;
                while !stop.load(Ordering::Relaxed) {
                    match store.session_is_live(session(1).session_id, 1).await {
                        Ok(live) => assert!(live),
                        Err(StoreError::Unavailable { .. }) => lost += 1,
                        Err(error) => panic!("{}", chain(&error)),
                    }
                }
                lost
            })
        })
        .collect();
    let mut admin = backend.connect().await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name = $1 AND state = 'active'";
    let mut ended: i64 = 0;
    let deadline = Instant::now() + DEADLINE;
    while ended < 5 {
        assert!(Instant::now() < deadline, "{ended} ended");
        let row = sqlx::query(end).bind(&name).fetch_one(&mut admin).await.unwrap();
        ended += row.get::<i64, _>(0);
    }
    stop.store(true, Ordering::Relaxed);
    let mut lost = 0;
    for reader in readers {
        lost += reader.await.unwrap();
    }
    assert!(lost > 0, "somebody must have noticed");
    // The pool may still hold one that was ended while it was idle; the next call has another.
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = store.create_session(&session(2)).await {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{}", chain(&error));
        assert!(Instant::now() < deadline, "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_call_that_the_server_holds_up_is_given_up_as_unavailable() {
    let Some(backend) = Postgres::new() else { return };
    backend.directory().await.apply(batch(0, vec![room()])).await.unwrap();
    let mut writer = backend.connect().await;
    let hold = format!("BEGIN; UPDATE {}.cursors SET next_offset = next_offset", backend.directory_schema());
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut writer).await.unwrap();
    let config = PostgresConfig { statement_timeout: Duration::from_millis(200), ..backend.config.clone() };
    let store = PostgresDirectoryStore::open(&config).await.unwrap();
    let error = timeout(DEADLINE, store.apply(batch(1, vec![joined(1)]))).await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{}", chain(&error));
    sqlx::raw_sql("ROLLBACK").execute(&mut writer).await.unwrap();
    store.apply(batch(1, vec![joined(1)])).await.unwrap();
    assert_eq!(store.room(ROOM).await.unwrap().unwrap().member_count, 1, "once");
}

#[tokio::test]
async fn tables_that_are_not_there_are_damage() {
    let Some(backend) = Postgres::new() else { return };
    let (directory, secrets) = (backend.directory().await, backend.secrets().await);
    backend.execute(format!("DROP TABLE {}.rooms", backend.directory_schema())).await;
    let schema = &backend.config.secrets_schema;
    backend.execute(format!("ALTER TABLE {schema}.platform_key DROP COLUMN wrapped")).await;
    let errors = [
        directory.room(ROOM).await.err(),
        directory.apply(batch(0, vec![room()])).await.err(),
        secrets.platform_key("ids", b"x").await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(StoreError::Damaged { .. })), "{error:?}");
    }
    assert_eq!(directory.cursor(P0).await.unwrap(), None, "rows and cursor or neither");
}

#[tokio::test]
async fn who_is_not_let_in_hears_why() {
    let Some(backend) = Postgres::new() else { return };
    let config = &backend.config;
    let elsewhere = {
        let (before, _) = config.url.split_once('?').unwrap_or((&config.url, ""));
        let (server, _) = before.rsplit_once('/').unwrap();
        format!("{server}/no_such_database")
    };
    let cases = [
        (
            PostgresConfig { password: Some("wrong".into()), ..config.clone() },
            "password authentication failed",
        ),
        (PostgresConfig { url: elsewhere, ..config.clone() }, "no_such_database"),
        (PostgresConfig { url: "postgres://host:notaport/x".into(), ..config.clone() }, "port"),
        (PostgresConfig { secrets_schema: "no; schema".into(), ..config.clone() }, "no name for a schema"),
    ];
    for (config, says) in cases {
        let error = PostgresSecretsStore::open(&config).await.err().expect(says);
        assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
        let text = chain(&error);
        assert!(text.contains(says) && !text.contains("wrong"), "{text}");
    }
    // Nobody listens there: that may change.
    let away = PostgresConfig::new("postgres://somebody@127.0.0.1:1/x");
    let error = PostgresSecretsStore::open(&away).await.err().unwrap();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_make_the_same_keys_in_any_order_agree() {
    let Some(backend) = Postgres::new() else { return };
    for round in 0..10 {
        let makers: Vec<_> = (0..4u8)
            .map(|maker| {
                let config = backend.config.clone();
                tokio::spawn(async move {
                    let store = PostgresSecretsStore::open(&config).await.unwrap();
                    let owners = (0..200).map(|n| KeyOwner::Room(RoomId::from_u128(round << 64 | n)));
                    let mut keys: Vec<_> = owners.map(|owner| (owner, vec![maker])).collect();
                    if maker % 2 == 0 {
                        keys.reverse();
                    }
                    let mut stored = store.create_keys(&keys).await.unwrap();
                    if maker % 2 == 0 {
                        stored.reverse();
                    }
                    stored
                })
            })
            .collect();
        let mut answers = Vec::new();
        for maker in makers {
            answers.push(maker.await.unwrap());
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_processes_that_exchange_one_token_one_succeeds() {
    let Some(backend) = Postgres::new() else { return };
    let stores = [backend.secrets().await, backend.secrets().await];
    for n in 1..=30 {
        stores[0].create_session(&session(n)).await.unwrap();
        let exchange = |store: &PostgresSecretsStore, mark: u8| {
            let (store, mut new_hash) = (store.clone(), [mark; 32]);
            new_hash[0] = n as u8;
            async move { store.rotate_session(&[n as u8; 32], &new_hash, 500, 2_000).await.unwrap() }
        };
        let (one, other) = tokio::join!(exchange(&stores[0], 200), exchange(&stores[1], 201));
        let both = [&one, &other];
        assert_eq!(
            both.iter().filter(|answer| matches!(answer, Rotation::Rotated(_))).count(),
            1,
            "{both:?}"
        );
        assert_eq!(
            both.iter().filter(|answer| matches!(answer, Rotation::Reused { .. })).count(),
            1,
            "{both:?}"
        );
        assert!(!stores[0].session_is_live(SessionId::from_u128(n), 500).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_freed_and_taken_at_once_is_nobodys_or_somebodys() {
    let Some(backend) = Postgres::new() else { return };
    let workers: Vec<_> = (1..=4u128)
        .map(|n| {
            let config = backend.config.clone();
            tokio::spawn(async move {
                let store = PostgresSecretsStore::open(&config).await.unwrap();
                let key = Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_0000_0000 + n);
                let reservation = Reservation {
                    account_id: AccountId::from_u128(n),
                    username: "ann".into(),
                    email: format!("ann{n}@example.org"),
                    password_hash: String::new(),
                    key: IdempotencyKey::new(key).unwrap(),
                    fingerprint: Vec::new(),
                    command: Vec::new(),
                    created_at_ms: 0,
                };
                for _ in 0..100 {
                    match store.reserve(&reservation).await.unwrap() {
                        Reserved::New => store.void_reservation(reservation.account_id).await.unwrap(),
                        Reserved::UsernameTaken => {}
                        other => panic!("no e-mail is taken, and no row is there twice: {other:?}"),
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn expired_sessions_go_with_their_tokens() {
    let Some(backend) = Postgres::new() else { return };
    let store = backend.secrets().await;
    for n in 0..50 {
        let expires_at_ms = if n < 40 { 10 } else { 1_000 };
        store.create_session(&Session { expires_at_ms, ..session(n) }).await.unwrap();
    }
    let rotation = store.rotate_session(&[45; 32], &[99; 32], 1, 1_000).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)));
    assert_eq!(store.remove_expired_sessions(10, 25).await.unwrap(), 25);
    assert_eq!(store.remove_expired_sessions(10, 25).await.unwrap(), 15);
    assert_eq!(store.remove_expired_sessions(10, 25).await.unwrap(), 0);
    let schema = &backend.config.secrets_schema;
    let rows = format!(
        "SELECT (SELECT count(*) FROM {schema}.session), (SELECT count(*) FROM {schema}.refresh_token)"
    );
    let row = sqlx::query(AssertSqlSafe(rows)).fetch_one(&mut backend.connect().await).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (10, 11));
}

#[tokio::test]
async fn names_with_a_zero_stop_nothing() {
    let Some(backend) = Postgres::new() else { return };
    let DirectoryChange::Room(row) = room() else { unreachable!() };
    let store = backend.directory().await;
    let change = DirectoryChange::Room(RoomRow { name: "a\0b".into(), ..row });
    store.apply(batch(0, vec![change])).await.unwrap();
    assert_eq!(store.room(ROOM).await.unwrap().unwrap().name, "a\u{fffd}b");
    assert_eq!(backend.secrets().await.credential("a\0b").await.unwrap(), None);
}
