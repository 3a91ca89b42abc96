//! What happens between two reads of one page, and what the room store itself lacks.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{Fixture, items};
use roomlog_domain::visibility::{Interval, Visibility};
use roomlog_eventlog::{Cursor, EventLog, TopicPartition};
use roomlog_projectors::Stores;
use roomlog_projectors::testing::project;
use roomlog_query_api::Limits;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, History, MessageId, RoomId};
use roomlog_stores::rooms::{Page, RoomBatch, StoredEvent, StoredMessage};
use roomlog_stores::{RoomStore, StoreError};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    SeqRange,
    Visibility,
    Content,
}

type Meddle = (Read, Arc<dyn EventLog>, Stores);

/// A room store into which a projector writes right after one kind of read.
struct Meddling {
    inner: Arc<dyn RoomStore>,
    after: Mutex<Option<Meddle>>,
    missing: BTreeSet<Seq>,
    /// Reads wait while somebody has it.
    held: tokio::sync::Mutex<()>,
}

impl Meddling {
    fn new(inner: Arc<dyn RoomStore>, missing: impl IntoIterator<Item = Seq>) -> Arc<Self> {
        let missing = missing.into_iter().collect();
        Arc::new(Self { inner, after: Mutex::new(None), missing, held: Default::default() })
    }

    async fn meddle(&self, read: Read) {
        let due = self.after.lock().unwrap().take_if(|(after, ..)| *after == read);
        if let Some((_, log, stores)) = due {
            project(&log, &stores).await;
        }
    }
}

#[async_trait]
impl RoomStore for Meddling {
    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        drop(self.held.lock().await);
        let range = self.inner.seq_range(room).await;
        self.meddle(Read::SeqRange).await;
        range
    }

    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> {
        let visibility = self.inner.visibility(room, account).await;
        self.meddle(Read::Visibility).await;
        visibility
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events = self.inner.events(room, from, limit + self.missing.len()).await?;
        events.retain(|event| !self.missing.contains(&event.seq));
        events.truncate(limit);
        self.meddle(Read::Content).await;
        Ok(events)
    }

    async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let messages = self.inner.messages(room, page, limit).await;
        self.meddle(Read::Content).await;
        messages
    }

    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.inner.message(room, message).await
    }

    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(partition).await
    }

    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> {
        self.inner.apply(batch).await
    }

    async fn known_messages(
        &self,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, StoreError> {
        self.inner.known_messages(room, messages).await
    }

    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        self.inner.rooms_of(account).await
    }

    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        self.inner.member_ids(room).await
    }

    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        self.inner.beside().await
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.inner.promote().await
    }
}

/// Bob is removed and a message follows, while a page of his is being read.
#[tokio::test]
async fn what_follows_a_removal_is_never_shown() {
    for read in [Read::SeqRange, Read::Visibility, Read::Content] {
        for query in
            ["messages", "messages?after_seq=0", "messages?before_seq=100", "events", "messages/{secret}"]
        {
            let mut meddling = None;
            let mut fixture = Fixture::with_rooms(Limits::default(), |stores| {
                meddling.insert(Meddling::new(stores.rooms.clone(), [])).clone()
            })
            .await;
            let world = &mut fixture.world;
            let alice = world.register(Some("alice")).await;
            let bob = world.register(Some("bob")).await;
            let room = world.create_room(alice, None, History::FromBeginning, "Room").await;
            world.join(room, bob).await;
            world.send(room, alice, "for bob").await;
            fixture.project().await;
            fixture.world.leave(room, bob).await;
            let secret = fixture.world.send(room, alice, "not for bob").await;
            *meddling.unwrap().after.lock().unwrap() =
                Some((read, fixture.world.log.log(), fixture.stores.clone()));

            let path = format!("/v1/rooms/{room}/{}", query.replace("{secret}", &secret.to_string()));
            let reply = fixture.get(bob, &path).await;
            assert!(!reply.body.to_string().contains("not for bob"), "{read:?}, {query}: {}", reply.body);
        }
    }
}

#[tokio::test]
async fn what_the_store_lacks_is_said() {
    let mut fixture =
        Fixture::with_rooms(Limits::default(), |stores| Meddling::new(stores.rooms.clone(), [4, 5, 8, 9]))
            .await;
    let world = &mut fixture.world;
    let alice = world.register(Some("alice")).await;
    let bob = world.register(Some("bob")).await;
    let room = world.create_room(alice, None, History::FromJoin, "Room").await;
    world.join(room, bob).await;
    for _ in 4..=8 {
        world.send(room, alice, "text").await;
    }
    world.leave(room, bob).await;
    world.send(room, alice, "hidden from bob").await;
    world.join(room, bob).await;
    fixture.project().await;
    for limit in [1, 2, 3, 4, 5, 50] {
        let (mut all, mut from) = (Vec::new(), 1);
        loop {
            let path = format!("/v1/rooms/{room}/events?from_seq={from}&limit={limit}");
            let page = fixture.get(bob, &path).await.ok();
            all.extend(items(&page).iter().map(|item| match (item.get("gap"), item.get("hidden")) {
                (Some(gap), _) => json!({"gap": [gap["from"], gap["to"]]}),
                (_, Some(hidden)) => json!([hidden["from"], hidden["to"]]),
                _ => item["seq"].clone(),
            }));
            from = page["next_from_seq"].as_u64().unwrap();
            if page["has_more"] == Value::Bool(false) {
                break;
            }
        }
        let expected = [
            json!([1, 2]),
            json!(3),
            json!({"gap": [4, 5]}),
            json!(6),
            json!(7),
            json!({"gap": [8, 9]}),
            json!([10, 10]),
            json!(11),
        ];
        assert_eq!(all, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn queries_beyond_the_places_at_a_store_are_told_so() {
    let limits =
        Limits { concurrent_reads: 1, longest_queue: Duration::from_millis(20), ..Limits::default() };
    let mut meddling = None;
    let mut fixture = Fixture::with_rooms(limits, |stores| {
        meddling.insert(Meddling::new(stores.rooms.clone(), [])).clone()
    })
    .await;
    let alice = fixture.world.register(Some("alice")).await;
    let room = fixture.world.create_room(alice, None, History::FromBeginning, "Room").await;
    fixture.project().await;
    let store = meddling.unwrap();
    let held = Mutex::new(Some(store.held.lock().await));
    let path = format!("/v1/rooms/{room}/messages");
    let ask = async || {
        let reply = fixture.get(alice, &path).await;
        if reply.status.as_u16() == 503 {
            // The other store has places of its own.
            fixture.get(alice, "/v1/rooms").await.ok();
            held.lock().unwrap().take();
        }
        reply
    };
    let (one, other) = tokio::join!(ask(), ask());
    let (busy, answered) = if one.status.as_u16() == 503 { (one, other) } else { (other, one) };
    assert_eq!(busy.headers["retry-after"], "1");
    busy.problem(503, "busy");
    answered.ok();

    // Whoever waits for a position has no place yet.
    let later = fixture.world.send(room, alice, "later").await;
    let waiting = format!("{path}/{later}?min_position={}&wait_ms=30000", fixture.position());
    let (waited, ()) = tokio::join!(fixture.get(alice, &waiting), async {
        for _ in 0..3 {
            fixture.get(alice, &path).await.ok();
        }
        fixture.project().await;
    });
    waited.ok();
}
