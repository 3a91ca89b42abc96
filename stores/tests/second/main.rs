#![allow(clippy::unwrap_used)]
mod members;
mod rebuild;
mod reservations;
mod sessions;
mod visibility;
use async_trait::async_trait;
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_schemas::{AccountId, RoomId};
use roomlog_stores::sqlite::*;
use roomlog_stores::*;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;
#[async_trait]
pub trait Backend<S: ?Sized>: Send + Sync + 'static {
    async fn open(&self) -> Arc<S>;
}
const RACERS: usize = 16;
const ROOMS_0: TopicPartition = TopicPartition::rooms(0);
const fn room(n: u128) -> RoomId {
    RoomId::from_u128(n)
}
const fn account(n: u128) -> AccountId {
    AccountId::from_u128(n)
}
fn cursor(p: TopicPartition, next_offset: u64) -> Cursor {
    let partitions = PartitionCounts { accounts: 1, rooms: 2 };
    Cursor { next_offset, ..Cursor::start(LogIdentity { log_id: Uuid::from_u128(7), partitions }, p) }
}
async fn race<T: Send + 'static>(
    racers: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut tasks: JoinSet<T> = racers.into_iter().collect();
    let mut answers = Vec::new();
    let all = async {
        while let Some(a) = tasks.join_next().await {
            answers.push(a.unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    answers
}
fn count<T: PartialEq>(answers: &[T], wanted: &T) -> usize {
    answers.iter().filter(|a| *a == wanted).count()
}
trait Stored<T> {
    fn stored(self) -> T;
}
impl<T, E: Debug> Stored<T> for Result<T, E> {
    #[track_caller]
    fn stored(self) -> T {
        self.expect("the store answers")
    }
}
mod secrets {
    pub type Secrets<'a> = &'a dyn crate::Backend<dyn roomlog_stores::SecretsStore>;
}
mod rooms {
    use super::*;
    use bytes::Bytes;
    use roomlog_stores::rooms::*;
    pub fn batch(p: TopicPartition, from: u64, to: u64) -> RoomBatch {
        RoomBatch {
            expected_offset: from,
            cursor: cursor(p, to),
            events: vec![],
            messages: vec![],
            memberships: vec![],
            histories: vec![],
        }
    }
    pub fn event(room_id: RoomId, seq: u64) -> StoredEvent {
        StoredEvent { room_id, seq, offset: seq, record_time_ms: 1, event: Bytes::from_static(b"e") }
    }
}
mod directory {
    use super::*;
    use roomlog_schemas::{Access, History, RoomKind};
    use roomlog_stores::directory::*;
    pub type Directory<'a> = &'a dyn Backend<dyn DirectoryStore>;
    pub fn batch(from: u64, to: u64) -> DirectoryBatch {
        DirectoryBatch { expected_offset: from, cursor: cursor(ROOMS_0, to), changes: vec![] }
    }
    pub async fn apply(store: &dyn DirectoryStore, changes: Vec<DirectoryChange>) {
        let from = store.cursor(ROOMS_0).await.stored().map_or(0, |c| c.next_offset);
        store.apply(DirectoryBatch { changes, ..batch(from, from + 1) }).await.stored();
    }
    pub fn account_row(n: u128) -> AccountRow {
        AccountRow {
            account_id: account(n),
            username: Some(format!("user-{n}")),
            display_name: Some(format!("№ {n}")),
            source: None,
            registered_at_ms: 1,
        }
    }
    pub fn room_row(n: u128) -> RoomRow {
        RoomRow {
            room_id: room(n),
            root_id: room(n),
            parent_id: None,
            kind: RoomKind::Group,
            access: Access::Public,
            history: History::FromBeginning,
            name: format!("Room {n}"),
            creator_id: account(1),
            created_at_ms: 2,
            last_seq: 0,
            member_count: 0,
        }
    }
    pub fn joined(room_id: RoomId, account_id: AccountId, seq: u64) -> DirectoryChange {
        DirectoryChange::Joined { room_id, account_id, role: "member".into(), seq, at_ms: 5 }
    }
    pub fn left(room_id: RoomId, account_id: AccountId) -> DirectoryChange {
        DirectoryChange::Left { room_id, account_id }
    }
}
struct S(tempfile::TempDir);
#[async_trait]
impl Backend<dyn RoomStore> for S {
    async fn open(&self) -> Arc<dyn RoomStore> {
        Arc::new(SqliteRoomStore::open(self.0.path()).await.unwrap())
    }
}
#[async_trait]
impl Backend<dyn DirectoryStore> for S {
    async fn open(&self) -> Arc<dyn DirectoryStore> {
        Arc::new(SqliteDirectoryStore::open(self.0.path()).await.unwrap())
    }
}
#[async_trait]
impl Backend<dyn SecretsStore> for S {
    async fn open(&self) -> Arc<dyn SecretsStore> {
        Arc::new(SqliteSecretsStore::open(self.0.path()).await.unwrap())
    }
}
macro_rules! cases { ($m:ident $g:ident $t:ty: $($c:ident)+) => { mod $m { use super::*; $(
  #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $c() { let s = S(tempfile::tempdir().unwrap()); let b: &dyn Backend<$t> = &s; crate::$g::$c(b).await; } )+ } } }
cases!(t_vis visibility dyn RoomStore: who_never_was_a_member_has_none intervals_over_leaving_and_joining_again a_membership_may_begin_and_end_within_one_batch history_rules_rise_in_seq rooms_of_an_account_are_those_of_now members_of_a_room_are_those_of_now joining_and_leaving_without_effect);
macro_rules! rebuilds { ($m:ident $t:ty) => { cases!($m rebuild $t: a_build_is_seen_once_it_is_promoted a_promoted_build_survives_a_restart a_build_that_was_not_promoted_leaves_nothing each_build_begins_empty a_failed_build_does_not_stop_the_next_one twice_in_a_row nothing_to_promote readers_go_on_while_builds_are_promoted); } }
rebuilds!(t_rebuild_rooms dyn RoomStore);
rebuilds!(t_rebuild_dir dyn DirectoryStore);
cases!(t_members members dyn DirectoryStore: members_are_counted_exactly the_order_within_a_batch_counts who_joins_again_is_a_new_member thousands_join_in_one_batch members_in_pages members_have_the_names_of_their_accounts rooms_of_an_account_in_pages);
cases!(t_res reservations dyn SecretsStore: one_account_gets_a_name of_two_registrations_of_one_name_one_is_new of_two_registrations_of_one_email_one_is_new one_registration_sent_twice_is_new_once a_repeat_finds_the_row_as_it_was_made completing_is_final voiding_frees_the_names pending_ones_come_oldest_first a_credential_is_found_by_name_and_by_email reservations_are_there_after_a_restart);
cases!(t_sess sessions dyn SecretsStore: a_token_is_exchanged_once of_many_that_exchange_one_token_one_succeeds a_token_that_comes_again_ends_the_session reuse_ends_only_its_own_session an_unknown_token a_session_expires an_exchange_prolongs_the_session a_revoked_session_is_over expired_sessions_make_room_without_harm sessions_are_there_after_a_restart);
