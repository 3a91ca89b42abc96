//! What every directory promises.

mod roles;

use std::collections::{BTreeMap, BTreeSet};

use roomlog_eventlog::TopicPartition;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Access, AccountId, History, RoomId, RoomKind};

use super::{Backend, P0, cursor, refused_as_moved};
use crate::directory::{AccountRow, DirectoryBatch, DirectoryChange, DirectoryStore, RoomRow};

pub use roles::*;

type Directories = dyn Backend<dyn DirectoryStore>;

const A: RoomId = RoomId::from_u128(0xa << 96);
const B: RoomId = RoomId::from_u128(0xb << 96);
const ANN: AccountId = AccountId::from_u128(1);
const BOB: AccountId = AccountId::from_u128(2);

fn account(account_id: AccountId) -> AccountRow {
    AccountRow {
        account_id,
        username: Some(format!("user {account_id}")),
        display_name: None,
        source: None,
        registered_at_ms: 17,
    }
}

fn room(room_id: RoomId) -> RoomRow {
    RoomRow {
        room_id,
        root_id: room_id,
        parent_id: None,
        kind: RoomKind::Group,
        access: Access::Public,
        history: History::FromBeginning,
        name: format!("room {room_id}"),
        creator_id: ANN,
        created_at_ms: 23,
        last_seq: 0,
        member_count: 0,
    }
}

fn joined(room_id: RoomId, account_id: AccountId, seq: Seq) -> DirectoryChange {
    DirectoryChange::Joined { room_id, account_id, role: "member".into(), seq, at_ms: 100 + seq as i64 }
}

fn left(room_id: RoomId, account_id: AccountId) -> DirectoryChange {
    DirectoryChange::Left { room_id, account_id }
}

fn batch(from: u64, to: u64, changes: Vec<DirectoryChange>) -> DirectoryBatch {
    DirectoryBatch { expected_offset: from, cursor: cursor(P0, to), changes }
}

async fn apply(store: &dyn DirectoryStore, offset: u64, changes: Vec<DirectoryChange>) {
    store.apply(batch(offset, offset + 1, changes)).await.expect("the batch is applied");
}

async fn member_count(store: &dyn DirectoryStore, id: RoomId) -> u64 {
    store.room(id).await.unwrap().expect("the room is there").member_count
}

async fn member_ids(store: &dyn DirectoryStore, room: RoomId) -> Vec<AccountId> {
    let members = store.members(room, None, 10_000).await.unwrap();
    members.iter().map(|member| member.account_id).collect()
}

pub async fn a_new_directory_is_empty(backend: &Directories) {
    let store = backend.open().await;
    assert_eq!(store.cursor(P0).await.unwrap(), None);
    assert_eq!(store.account(ANN).await.unwrap(), None);
    assert_eq!(store.room(A).await.unwrap(), None);
    assert_eq!(store.rooms_of(ANN, None, 10).await.unwrap(), []);
    assert_eq!(store.members(A, None, 10).await.unwrap(), []);
    assert!(!store.is_member(A, ANN).await.unwrap());
}

fn story() -> Vec<DirectoryChange> {
    vec![
        DirectoryChange::Account(account(ANN)),
        DirectoryChange::Room(room(A)),
        DirectoryChange::LastSeq { room_id: A, seq: 1 },
        joined(A, ANN, 2),
        DirectoryChange::LastSeq { room_id: A, seq: 2 },
    ]
}

async fn assert_story_is_there(store: &dyn DirectoryStore) {
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 5)));
    assert_eq!(store.account(ANN).await.unwrap(), Some(account(ANN)));
    let room = RoomRow { last_seq: 2, member_count: 1, ..room(A) };
    assert_eq!(store.room(A).await.unwrap(), Some(room.clone()));
    assert_eq!(store.rooms_of(ANN, None, 10).await.unwrap(), [room]);
    assert!(store.is_member(A, ANN).await.unwrap());
    let members = store.members(A, None, 10).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].account_id, ANN);
    assert_eq!(members[0].username, account(ANN).username);
    assert_eq!(members[0].display_name, None);
    assert_eq!(
        (members[0].role.as_str(), members[0].joined_seq, members[0].joined_at_ms),
        ("member", 2, 102)
    );
}

pub async fn a_batch_is_there_with_its_cursor_and_after_a_restart(backend: &Directories) {
    let store = backend.open().await;
    store.apply(batch(0, 5, story())).await.unwrap();
    assert_story_is_there(&*store).await;
    drop(store);
    assert_story_is_there(&*backend.open().await).await;
}

pub async fn a_batch_from_another_cursor_is_refused_whole(backend: &Directories) {
    let store = backend.open().await;
    refused_as_moved(store.apply(batch(5, 6, story())).await, 5, 0);
    assert_eq!(store.room(A).await.unwrap(), None);
    store.apply(batch(0, 5, story())).await.unwrap();
    let more = vec![left(A, ANN), DirectoryChange::LastSeq { room_id: A, seq: 9 }];
    refused_as_moved(store.apply(batch(0, 8, more.clone())).await, 0, 5);
    refused_as_moved(store.apply(batch(6, 8, more)).await, 6, 5);
    assert_story_is_there(&*store).await;

    let other = TopicPartition::accounts(0);
    let first = DirectoryBatch { expected_offset: 0, cursor: cursor(other, 2), changes: Vec::new() };
    store.apply(first).await.unwrap();
    assert_eq!(store.cursor(other).await.unwrap(), Some(cursor(other, 2)));
    assert_story_is_there(&*store).await;
}

pub async fn of_two_writers_of_one_batch_one_is_refused(backend: &Directories) {
    let store = backend.open().await;
    apply(&*store, 0, vec![DirectoryChange::Room(room(A))]).await;
    for offset in 1..20 {
        let account = AccountId::from_u128(u128::from(offset));
        let one = || batch(offset, offset + 1, vec![joined(A, account, offset)]);
        let (a, b) = tokio::join!(store.apply(one()), store.apply(one()));
        let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
        won.expect("one of them is applied");
        refused_as_moved(lost, offset, offset + 1);
        assert_eq!(member_count(&*store, A).await, offset);
    }
}

pub async fn a_room_keeps_its_members_and_seq_when_it_changes(backend: &Directories) {
    let store = backend.open().await;
    // What a room row says of seq and members is not taken.
    let created = RoomRow { last_seq: 77, member_count: 77, ..room(A) };
    apply(&*store, 0, vec![DirectoryChange::Room(created), joined(A, ANN, 2)]).await;
    apply(&*store, 1, vec![DirectoryChange::LastSeq { room_id: A, seq: 5 }]).await;
    let changed = RoomRow {
        parent_id: Some(B),
        root_id: B,
        kind: RoomKind::Broadcast,
        access: Access::Vip,
        history: History::FromJoin,
        name: "renamed".into(),
        ..room(A)
    };
    apply(&*store, 2, vec![DirectoryChange::Room(room(A)), DirectoryChange::Room(changed.clone())]).await;
    apply(&*store, 3, vec![DirectoryChange::LastSeq { room_id: A, seq: 4 }]).await;
    let expected = RoomRow { last_seq: 5, member_count: 1, ..changed };
    assert_eq!(store.room(A).await.unwrap(), Some(expected));
}

pub async fn an_imported_account_is_claimed(backend: &Directories) {
    let store = backend.open().await;
    let imported = |account_id| AccountRow {
        username: None,
        display_name: Some("Ada L.".into()),
        source: Some("irc".into()),
        ..account(account_id)
    };
    let claim = |account_id| DirectoryChange::AccountClaimed { account_id, username: "ada".into() };
    let changes = vec![
        DirectoryChange::Account(imported(ANN)),
        DirectoryChange::Account(imported(BOB)),
        claim(BOB),
        DirectoryChange::Room(room(A)),
        joined(A, ANN, 2),
    ];
    apply(&*store, 0, changes).await;
    assert_eq!(store.account(ANN).await.unwrap(), Some(imported(ANN)));
    let claimed = |account_id| AccountRow { username: Some("ada".into()), ..imported(account_id) };
    assert_eq!(store.account(BOB).await.unwrap(), Some(claimed(BOB)));
    assert_eq!(store.members(A, None, 9).await.unwrap()[0].display_name.as_deref(), Some("Ada L."));

    apply(&*store, 1, vec![claim(ANN)]).await;
    assert_eq!(store.account(ANN).await.unwrap(), Some(claimed(ANN)));
    assert_eq!(store.members(A, None, 9).await.unwrap()[0].username.as_deref(), Some("ada"));
}

pub async fn members_are_counted_exactly(backend: &Directories) {
    let store = backend.open().await;
    let changes = vec![DirectoryChange::Room(room(A)), DirectoryChange::Room(room(B)), joined(A, ANN, 1)];
    apply(&*store, 0, changes).await;
    apply(&*store, 1, vec![joined(A, ANN, 2), joined(A, BOB, 3), joined(A, BOB, 4)]).await;
    assert_eq!(member_count(&*store, A).await, 2);
    assert_eq!(store.members(A, None, 9).await.unwrap()[0].joined_seq, 1, "a member that joins stays");

    apply(&*store, 2, vec![left(A, ANN), left(A, ANN), left(B, ANN)]).await;
    assert_eq!((member_count(&*store, A).await, member_count(&*store, B).await), (1, 0));
    assert!(!store.is_member(A, ANN).await.unwrap());
    assert_eq!(store.rooms_of(ANN, None, 9).await.unwrap(), []);

    // Leaving and coming back within a batch is a new membership; coming and leaving none.
    apply(&*store, 3, vec![left(A, BOB), joined(A, BOB, 9), joined(A, ANN, 10), left(A, ANN)]).await;
    assert_eq!(member_count(&*store, A).await, 1);
    let members = store.members(A, None, 9).await.unwrap();
    assert_eq!((members.len(), members[0].account_id, members[0].joined_seq), (1, BOB, 9));
}

pub async fn counts_hold_over_random_batches(backend: &Directories) {
    const ROOMS: u128 = 5;
    const ACCOUNTS: u128 = 12;
    let store = backend.open().await;
    let room_id = |n: u128| RoomId::from_u128((n + 1) << 100);
    let account_id = |n: u128| AccountId::from_u128(n + 1);
    apply(&*store, 0, (0..ROOMS).map(|n| DirectoryChange::Room(room(room_id(n)))).collect()).await;

    let mut model: BTreeMap<RoomId, BTreeSet<AccountId>> = BTreeMap::new();
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |below: u128| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u128::from(random >> 33) % below
    };
    for offset in 1..60 {
        let changes = (0..next(30))
            .map(|_| {
                let (room, account) = (room_id(next(ROOMS)), account_id(next(ACCOUNTS)));
                let members = model.entry(room).or_default();
                if next(5) < 3 {
                    members.insert(account);
                    joined(room, account, offset)
                } else {
                    members.remove(&account);
                    left(room, account)
                }
            })
            .collect();
        apply(&*store, offset, changes).await;
        for (&room, members) in &model {
            assert_eq!(member_count(&*store, room).await, members.len() as u64, "batch {offset}");
            assert!(member_ids(&*store, room).await.iter().eq(members), "batch {offset}");
        }
    }
}

pub async fn members_and_rooms_come_in_pages(backend: &Directories) {
    let store = backend.open().await;
    let accounts: Vec<AccountId> = (1..=7).map(|n| AccountId::from_u128(n << 110)).collect();
    let rooms: Vec<RoomId> = (1..=7).map(|n| RoomId::from_u128(n << 90)).collect();
    let mut changes = Vec::new();
    for &room_id in &rooms {
        changes.push(DirectoryChange::Room(room(room_id)));
        changes.push(joined(room_id, accounts[0], 1));
    }
    // Also one of which the directory does not know the account.
    changes.extend(accounts.iter().rev().map(|&account_id| joined(rooms[0], account_id, 2)));
    apply(&*store, 0, changes).await;

    let members = async |after, limit| {
        let page = store.members(rooms[0], after, limit).await.unwrap();
        page.iter().map(|member| member.account_id).collect::<Vec<_>>()
    };
    assert_eq!(members(None, 3).await, accounts[..3]);
    assert_eq!(members(Some(accounts[2]), 3).await, accounts[3..6]);
    assert_eq!(members(Some(accounts[5]), 3).await, accounts[6..]);
    assert_eq!(members(Some(accounts[6]), 3).await, []);
    assert_eq!(members(Some(AccountId::from_u128((2 << 110) + 5)), 2).await, accounts[2..4]);
    assert_eq!(members(None, 0).await, []);

    let rooms_of = async |after, limit| {
        let page = store.rooms_of(accounts[0], after, limit).await.unwrap();
        page.iter().map(|room| room.room_id).collect::<Vec<_>>()
    };
    assert_eq!(rooms_of(None, 100).await, rooms);
    assert_eq!(rooms_of(None, 2).await, rooms[..2]);
    assert_eq!(rooms_of(Some(rooms[1]), 2).await, rooms[2..4]);
    assert_eq!(rooms_of(Some(rooms[6]), 2).await, []);
}

pub async fn a_large_batch_is_one_batch(backend: &Directories) {
    const ACCOUNTS: u128 = 20_000;
    let store = backend.open().await;
    let mut changes = vec![DirectoryChange::Room(room(A)), DirectoryChange::Room(room(B))];
    for n in 1..=ACCOUNTS {
        let account_id = AccountId::from_u128(n * 0x1234_5678_9abc_def1);
        changes.push(DirectoryChange::Account(account(account_id)));
        changes.push(joined(A, account_id, n as u64));
        changes.push(DirectoryChange::LastSeq { room_id: A, seq: n as u64 });
        if n % 2 == 0 {
            changes.push(joined(B, account_id, n as u64));
        }
        if n % 4 == 0 {
            changes.push(left(B, account_id));
        }
    }
    apply(&*store, 0, changes).await;
    let rows = [store.room(A).await.unwrap().unwrap(), store.room(B).await.unwrap().unwrap()];
    assert_eq!((rows[0].member_count, rows[0].last_seq), (20_000, 20_000));
    assert_eq!((rows[1].member_count, rows[1].last_seq), (5_000, 0));
    assert_eq!(store.members(A, None, usize::MAX).await.unwrap().len(), 20_000);
}

pub async fn a_directory_beside_replaces_the_directory_for_good(backend: &Directories) {
    let store = backend.open().await;
    store.apply(batch(0, 5, story())).await.unwrap();
    // One that is given up.
    let beside = store.beside().await.unwrap();
    apply(&*beside, 0, vec![DirectoryChange::Room(room(B))]).await;

    let beside = store.beside().await.unwrap();
    assert_eq!(beside.cursor(P0).await.unwrap(), None);
    assert_eq!(beside.room(B).await.unwrap(), None);
    let rebuilt = vec![DirectoryChange::Room(room(A)), joined(A, BOB, 2)];
    beside.apply(batch(0, 9, rebuilt)).await.unwrap();
    assert_story_is_there(&*store).await;
    store.promote().await.unwrap();
    for handle in [&store, &beside] {
        assert_eq!(handle.cursor(P0).await.unwrap(), Some(cursor(P0, 9)));
        assert_eq!(handle.account(ANN).await.unwrap(), None);
        assert_eq!(member_ids(&**handle, A).await, [BOB]);
    }
    assert!(store.promote().await.is_err(), "there is nothing beside it any more");
    store.apply(batch(9, 10, vec![joined(A, ANN, 3)])).await.unwrap();
    drop((store, beside));
    let store = backend.open().await;
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 10)));
    assert_eq!(member_ids(&*store, A).await, [ANN, BOB]);
}

pub async fn readers_meet_whole_batches_while_there_is_writing(backend: &Directories) {
    const STEPS: u64 = 200;
    let store = backend.open().await;
    apply(&*store, 0, vec![DirectoryChange::Room(room(A))]).await;
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut last = 0;
                while last < STEPS {
                    let row = store.room(A).await.unwrap().unwrap();
                    assert_eq!(row.member_count, row.last_seq, "one batch, both numbers");
                    assert!(row.last_seq >= last, "time does not go back");
                    last = row.last_seq;
                }
            })
        })
        .collect();
    for seq in 1..=STEPS {
        let account = AccountId::from_u128(u128::from(seq));
        apply(&*store, seq, vec![joined(A, account, seq), DirectoryChange::LastSeq { room_id: A, seq }])
            .await;
        assert!(store.is_member(A, account).await.unwrap(), "a batch is there when `apply` has returned");
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Also where there is no cursor yet: so a projector finds the rows that the store refuses.
pub async fn a_batch_that_leaves_the_cursor_where_it_is_stores_its_rows(backend: &Directories) {
    let store = backend.open().await;
    for id in [A, B] {
        store.apply(batch(0, 0, vec![DirectoryChange::Room(room(id))])).await.unwrap();
    }
    store.apply(batch(0, 5, vec![])).await.unwrap();
    store.apply(batch(5, 5, vec![joined(A, ANN, 2)])).await.unwrap();
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 5)));
    refused_as_moved(store.apply(batch(4, 4, vec![])).await, 4, 5);
    assert_eq!(member_ids(&*store, A).await, [ANN]);
    assert!(store.room(B).await.unwrap().is_some());
}
