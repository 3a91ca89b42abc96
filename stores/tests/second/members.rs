//! Members of rooms and rooms of members, in the directory.

use roomlog_schemas::{AccountId, RoomId};

use crate::directory::{Directory, account_row, apply, joined, left, room_row};
use crate::{Stored, account, room};
use roomlog_stores::DirectoryStore;
use roomlog_stores::directory::{AccountRow, DirectoryChange, MemberRow};

async fn member_count(store: &dyn DirectoryStore, room: RoomId) -> u64 {
    store.room(room).await.stored().expect("the room is there").member_count
}

async fn member_ids(store: &dyn DirectoryStore, room: RoomId) -> Vec<AccountId> {
    let members = store.members(room, None, usize::MAX).await.stored();
    members.iter().map(|member| member.account_id).collect()
}

pub async fn members_are_counted_exactly(backend: Directory<'_>) {
    let store = backend.open().await;
    let (one, two, three) = (account(1), account(2), account(3));
    let a = room(1);
    apply(
        &*store,
        vec![DirectoryChange::Room(room_row(1)), joined(a, one, 1), DirectoryChange::Room(room_row(2))],
    )
    .await;
    let steps: [(&str, Vec<DirectoryChange>, &[AccountId]); 7] = [
        ("two join", vec![joined(a, two, 2), joined(a, three, 3)], &[one, two, three]),
        ("who is a member joins", vec![joined(a, two, 4), joined(a, two, 5)], &[one, two, three]),
        ("one leaves", vec![left(a, two)], &[one, three]),
        ("who is no member leaves", vec![left(a, two), left(a, account(9))], &[one, three]),
        (
            "one leaves twice, another joins",
            vec![left(a, one), left(a, one), joined(a, two, 6)],
            &[two, three],
        ),
        ("all leave", vec![left(a, two), left(a, three)], &[]),
        ("one comes back", vec![joined(a, three, 7)], &[three]),
    ];
    for (what, changes, members) in steps {
        apply(&*store, changes).await;
        assert_eq!(member_ids(&*store, a).await, members, "{what}");
        assert_eq!(member_count(&*store, a).await, members.len() as u64, "{what}");
        assert_eq!(member_count(&*store, room(2)).await, 0, "{what}");
    }
}

pub async fn the_order_within_a_batch_counts(backend: Directory<'_>) {
    let store = backend.open().await;
    let (one, two, three) = (account(1), account(2), account(3));
    let a = room(1);
    let first = vec![
        joined(a, one, 1),
        left(a, one),
        joined(a, two, 3),
        left(a, two),
        joined(a, two, 5),
        left(a, three),
        joined(a, three, 7),
    ];
    apply(&*store, vec![DirectoryChange::Room(room_row(1))]).await;
    apply(&*store, first).await;
    assert_eq!(member_ids(&*store, a).await, [two, three]);
    assert_eq!(member_count(&*store, a).await, 2);
    assert_eq!(store.members(a, None, 10).await.stored()[0].joined_seq, 5);

    apply(&*store, vec![left(a, two), joined(a, two, 9), left(a, three), joined(a, one, 11), left(a, two)])
        .await;
    assert_eq!(member_ids(&*store, a).await, [one]);
    assert_eq!(member_count(&*store, a).await, 1);
    assert!(store.is_member(a, one).await.stored());
    assert!(!store.is_member(a, two).await.stored());
}

pub async fn who_joins_again_is_a_new_member(backend: Directory<'_>) {
    let store = backend.open().await;
    let (a, one) = (room(1), account(1));
    let join = |role: &str, seq, at_ms| DirectoryChange::Joined {
        room_id: a,
        account_id: one,
        role: role.to_owned(),
        seq,
        at_ms,
    };
    let member = |role: &str, joined_seq, joined_at_ms| MemberRow {
        account_id: one,
        username: None,
        display_name: None,
        role: role.to_owned(),
        joined_seq,
        joined_at_ms,
    };
    apply(&*store, vec![DirectoryChange::Room(room_row(1)), join("owner", 1, 100)]).await;
    assert_eq!(store.members(a, None, 10).await.stored(), [member("owner", 1, 100)]);
    // In one batch, and in two.
    apply(&*store, vec![left(a, one), join("member", 3, 300)]).await;
    assert_eq!(store.members(a, None, 10).await.stored(), [member("member", 3, 300)]);
    apply(&*store, vec![left(a, one)]).await;
    apply(&*store, vec![join("moderator", 5, -1)]).await;
    assert_eq!(store.members(a, None, 10).await.stored(), [member("moderator", 5, -1)]);
    assert_eq!(member_count(&*store, a).await, 1);
}

/// As an import has them: more than one statement holds.
pub async fn thousands_join_in_one_batch(backend: Directory<'_>) {
    const MEMBERS: u64 = 12_345;
    let store = backend.open().await;
    apply(&*store, (1..=MEMBERS).map(|n| DirectoryChange::Account(account_row(n.into()))).collect()).await;
    let rooms = [1, 2].map(|n| DirectoryChange::Room(room_row(n)));
    let joins = (1..=MEMBERS).map(|n| joined(room(u128::from(1 + n % 2)), account(n.into()), n));
    apply(&*store, rooms.into_iter().chain(joins).collect()).await;
    assert_eq!(member_count(&*store, room(1)).await, MEMBERS / 2);
    assert_eq!(member_count(&*store, room(2)).await, MEMBERS - MEMBERS / 2);
    let last = store.account(account(MEMBERS.into())).await.stored();
    assert_eq!(last, Some(account_row(MEMBERS.into())));

    apply(&*store, (1..=MEMBERS).map(|n| left(room(2), account(n.into()))).collect()).await;
    assert_eq!(member_count(&*store, room(1)).await, MEMBERS / 2);
    assert_eq!(member_count(&*store, room(2)).await, 0);
    assert_eq!(member_ids(&*store, room(2)).await, []);
}

pub async fn members_in_pages(backend: Directory<'_>) {
    let store = backend.open().await;
    // Ids whose order as bytes is not that of a text or of a shorter number.
    let ids: Vec<AccountId> = (1..=23).map(|n| account(n << 7 | n << 70)).collect();
    let joins = ids.iter().rev().map(|&id| joined(room(1), id, 1));
    apply(&*store, [DirectoryChange::Room(room_row(1))].into_iter().chain(joins).collect()).await;
    apply(&*store, vec![joined(room(2), account(5), 1)]).await;

    let mut paged = Vec::new();
    let mut pages = Vec::new();
    loop {
        let page = store.members(room(1), paged.last().copied(), 7).await.stored();
        if page.is_empty() {
            break;
        }
        pages.push(page.len());
        paged.extend(page.iter().map(|member| member.account_id));
    }
    assert_eq!(paged, ids);
    assert_eq!(pages, [7, 7, 7, 2]);
    // From an id that is not a member's.
    let page = store.members(room(1), Some(account(ids[3].0.as_u128() + 1)), 2).await.stored();
    assert_eq!(page.iter().map(|member| member.account_id).collect::<Vec<_>>(), ids[4..6]);
    assert_eq!(store.members(room(1), None, 0).await.stored(), []);
    assert_eq!(store.members(room(1), Some(account(u128::MAX)), 7).await.stored(), []);
}

pub async fn members_have_the_names_of_their_accounts(backend: Directory<'_>) {
    let store = backend.open().await;
    let imported = AccountRow { username: None, ..account_row(2) };
    // The account of the third is in another partition, which is not as far yet.
    let mut changes = vec![DirectoryChange::Account(account_row(1)), DirectoryChange::Account(imported)];
    changes.push(DirectoryChange::Room(room_row(1)));
    changes.extend([1, 2, 3].map(|n| joined(room(1), account(n), 4)));
    apply(&*store, changes).await;
    let names = async || {
        let members = store.members(room(1), None, 10).await.stored();
        members.into_iter().map(|member| (member.username, member.display_name)).collect::<Vec<_>>()
    };
    let (one, two, three) = (account_row(1), account_row(2), account_row(3));
    let expected = [(one.username, one.display_name), (None, two.display_name), (None, None)];
    assert_eq!(names().await, expected);

    let claimed = DirectoryChange::AccountClaimed { account_id: account(2), username: "claimed".to_owned() };
    apply(&*store, vec![claimed, DirectoryChange::Account(three.clone())]).await;
    assert_eq!(names().await[1].0.as_deref(), Some("claimed"));
    assert_eq!(names().await[2], (three.username, three.display_name));
}

pub async fn rooms_of_an_account_in_pages(backend: Directory<'_>) {
    let store = backend.open().await;
    let mut changes: Vec<DirectoryChange> =
        (1..=9).rev().map(|n| DirectoryChange::Room(room_row(n))).collect();
    changes.extend((1..=9).map(|n| joined(room(n), account(1), n as u64)));
    changes.extend([joined(room(5), account(2), 10), left(room(4), account(1))]);
    apply(&*store, changes).await;
    let page = async |after, limit| {
        let rooms = store.rooms_of(account(1), after, limit).await.stored();
        rooms.iter().map(|row| row.room_id).collect::<Vec<RoomId>>()
    };
    let rooms = |ns: &[u128]| ns.iter().map(|&n| room(n)).collect::<Vec<RoomId>>();
    assert_eq!(page(None, 3).await, rooms(&[1, 2, 3]));
    assert_eq!(page(Some(room(3)), 3).await, rooms(&[5, 6, 7]));
    // From a room that it has left.
    assert_eq!(page(Some(room(4)), 2).await, rooms(&[5, 6]));
    assert_eq!(page(Some(room(7)), 3).await, rooms(&[8, 9]));
    assert_eq!(page(Some(room(9)), 3).await, []);
    assert_eq!(page(None, 0).await, []);
    assert_eq!(page(None, usize::MAX).await.len(), 8);
    // The rows are those of `room`.
    let five = store.rooms_of(account(2), None, 10).await.stored();
    assert_eq!(five, [store.room(room(5)).await.stored().expect("the room is there")]);
    assert_eq!(five[0].member_count, 2);
}
