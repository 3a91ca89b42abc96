//! Who was a member when, in the room store.

use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, History, RoomId};

use crate::rooms::batch;
use crate::{Backend, ROOMS_0, Stored, account, room};
use roomlog_stores::RoomStore;
use roomlog_stores::rooms::{MembershipChange, RoomBatch};

type Rooms<'a> = &'a dyn Backend<dyn RoomStore>;

fn joined(room_id: RoomId, account_id: AccountId, seq: Seq) -> MembershipChange {
    MembershipChange::Joined { room_id, account_id, seq }
}

fn left(room_id: RoomId, account_id: AccountId, seq: Seq) -> MembershipChange {
    MembershipChange::Left { room_id, account_id, seq }
}

fn memberships(from: u64, memberships: Vec<MembershipChange>) -> RoomBatch {
    RoomBatch { memberships, ..batch(ROOMS_0, from, from + 1) }
}

fn histories(from: u64, rules: &[(RoomId, Seq, History)]) -> RoomBatch {
    let rule = |&(room, from, rule)| (room, HistoryRule { from, rule });
    RoomBatch { histories: rules.iter().map(rule).collect(), ..batch(ROOMS_0, from, from + 1) }
}

fn interval(joined: Seq, left: Option<Seq>) -> Interval {
    Interval { joined, left }
}

async fn intervals(store: &dyn RoomStore, room: RoomId, account: AccountId) -> Vec<Interval> {
    store.visibility(room, account).await.stored().unwrap_or_default().intervals
}

fn seen(visibility: &Visibility, up_to: Seq) -> Vec<Seq> {
    (1..=up_to).filter(|&seq| visibility.sees(seq)).collect()
}

pub async fn who_never_was_a_member_has_none(backend: Rooms<'_>) {
    let store = backend.open().await;
    store.apply(histories(0, &[(room(1), 1, History::FromBeginning)])).await.stored();
    store.apply(memberships(1, vec![joined(room(1), account(1), 2)])).await.stored();
    assert_eq!(store.visibility(room(1), account(2)).await.stored(), None);
    assert_eq!(store.visibility(room(2), account(1)).await.stored(), None);
}

pub async fn intervals_over_leaving_and_joining_again(backend: Rooms<'_>) {
    let store = backend.open().await;
    let (room, account) = (room(1), account(1));
    store.apply(histories(0, &[(room, 1, History::FromJoin)])).await.stored();
    let steps = [
        (joined(room, account, 2), vec![interval(2, None)], vec![2, 3, 4, 5, 6, 7, 8, 9]),
        (left(room, account, 4), vec![interval(2, Some(4))], vec![]),
        (joined(room, account, 7), vec![interval(2, Some(4)), interval(7, None)], vec![2, 3, 4, 7, 8, 9]),
        (left(room, account, 9), vec![interval(2, Some(4)), interval(7, Some(9))], vec![]),
    ];
    for (offset, (change, intervals, seqs)) in (1..).zip(steps) {
        store.apply(memberships(offset, vec![change.clone()])).await.stored();
        let visibility = store.visibility(room, account).await.stored().expect("it was a member once");
        assert_eq!(visibility.intervals, intervals, "after {change:?}");
        assert_eq!(seen(&visibility, 9), seqs, "after {change:?}");
    }
    drop(store);
    let store = backend.open().await;
    let expected = [interval(2, Some(4)), interval(7, Some(9))];
    assert_eq!(intervals(&*store, room, account).await, expected);
}

pub async fn a_membership_may_begin_and_end_within_one_batch(backend: Rooms<'_>) {
    let store = backend.open().await;
    let (one, two) = (account(1), account(2));
    let changes = vec![
        joined(room(1), one, 1),
        joined(room(1), two, 2),
        left(room(1), one, 3),
        joined(room(2), one, 3),
        joined(room(1), one, 4),
        left(room(1), two, 5),
    ];
    store.apply(memberships(0, changes)).await.stored();
    assert_eq!(intervals(&*store, room(1), one).await, [interval(1, Some(3)), interval(4, None)]);
    assert_eq!(intervals(&*store, room(1), two).await, [interval(2, Some(5))]);
    assert_eq!(intervals(&*store, room(2), one).await, [interval(3, None)]);
    assert_eq!(store.member_ids(room(1)).await.stored(), [one]);
}

pub async fn history_rules_rise_in_seq(backend: Rooms<'_>) {
    use History::{FromBeginning, FromJoin};
    let store = backend.open().await;
    store.apply(histories(0, &[(room(1), 1, FromJoin), (room(2), 1, FromBeginning)])).await.stored();
    store.apply(histories(1, &[(room(1), 4, FromBeginning), (room(1), 300, FromJoin)])).await.stored();
    store.apply(memberships(2, vec![joined(room(1), account(1), 301)])).await.stored();
    let visibility = store.visibility(room(1), account(1)).await.stored().expect("a member");
    let rules = [(1, FromJoin), (4, FromBeginning), (300, FromJoin)];
    assert_eq!(visibility.rules, rules.map(|(from, rule)| HistoryRule { from, rule }));
    let sees = |seqs: &[Seq]| seqs.iter().map(|&seq| visibility.sees(seq)).collect::<Vec<bool>>();
    assert_eq!(sees(&[3, 4, 299, 300, 301]), [false, true, true, false, true]);
}

pub async fn rooms_of_an_account_are_those_of_now(backend: Rooms<'_>) {
    let store = backend.open().await;
    let one = account(1);
    assert_eq!(store.rooms_of(one).await.stored(), []);
    let changes = [3, 1, 2].map(|n| joined(room(n), one, n as Seq)).to_vec();
    store.apply(memberships(0, changes)).await.stored();
    store.apply(memberships(1, vec![joined(room(4), account(2), 1), left(room(2), one, 5)])).await.stored();
    let expected = [(room(1), vec![interval(1, None)]), (room(3), vec![interval(3, None)])];
    assert_eq!(store.rooms_of(one).await.stored(), expected);

    store.apply(memberships(2, vec![joined(room(2), one, 8), left(room(1), one, 9)])).await.stored();
    let expected =
        [(room(2), vec![interval(2, Some(5)), interval(8, None)]), (room(3), vec![interval(3, None)])];
    assert_eq!(store.rooms_of(one).await.stored(), expected);
}

pub async fn members_of_a_room_are_those_of_now(backend: Rooms<'_>) {
    let store = backend.open().await;
    assert_eq!(store.member_ids(room(1)).await.stored(), []);
    let changes = [300, 2, 0x1_0000].map(|n| joined(room(1), account(n), 1)).to_vec();
    store.apply(memberships(0, changes)).await.stored();
    assert_eq!(store.member_ids(room(1)).await.stored(), [account(2), account(300), account(0x1_0000)]);
    store.apply(memberships(1, vec![left(room(1), account(300), 2)])).await.stored();
    assert_eq!(store.member_ids(room(1)).await.stored(), [account(2), account(0x1_0000)]);
    assert_eq!(store.member_ids(room(2)).await.stored(), []);
}

/// The owner of the room decides neither; a store that meets them all the same keeps its intervals
/// apart.
pub async fn joining_and_leaving_without_effect(backend: Rooms<'_>) {
    let store = backend.open().await;
    let (room, account) = (room(1), account(1));
    store.apply(memberships(0, vec![left(room, account, 1)])).await.stored();
    assert_eq!(store.visibility(room, account).await.stored(), None);
    store.apply(memberships(1, vec![joined(room, account, 2), joined(room, account, 3)])).await.stored();
    assert_eq!(intervals(&*store, room, account).await, [interval(2, None)]);
    store.apply(memberships(2, vec![left(room, account, 5), left(room, account, 6)])).await.stored();
    assert_eq!(intervals(&*store, room, account).await, [interval(2, Some(5))]);
}
