//! Who is a member when, and what follows for what it may see.

use super::*;

async fn change_members(store: &dyn RoomStore, offset: u64, memberships: Vec<MembershipChange>) {
    apply(store, RoomBatch { memberships, ..batch(offset, offset + 1) }).await;
}

async fn intervals(store: &dyn RoomStore, room: RoomId, account: AccountId) -> Vec<(Seq, Option<Seq>)> {
    let visibility = store.visibility(room, account).await.expect("an answer").unwrap_or_default();
    visibility.intervals.iter().map(|interval| (interval.joined, interval.left)).collect()
}

pub async fn intervals_follow_leaving_and_coming_back(backend: &Rooms) {
    let store = backend.open().await;
    change_members(&*store, 0, vec![joined(A, ANN, 2), joined(A, BOB, 3), left(A, ANN, 4)]).await;
    assert_eq!(intervals(&*store, A, ANN).await, [(2, Some(4))]);
    let gone = store.visibility(A, ANN).await.unwrap().expect("it was a member");
    assert!(!gone.is_member());

    change_members(&*store, 1, vec![joined(A, ANN, 7)]).await;
    assert_eq!(intervals(&*store, A, ANN).await, [(2, Some(4)), (7, None)]);
    let back = store.visibility(A, ANN).await.unwrap().expect("it is a member");
    assert_eq!([3, 4, 5, 6, 7, 8].map(|seq| back.sees(seq)), [true, true, false, false, true, true]);

    // Joining and leaving in one event.
    change_members(&*store, 2, vec![left(A, ANN, 9), joined(A, ANN, 10), left(A, ANN, 10)]).await;
    assert_eq!(intervals(&*store, A, ANN).await, [(2, Some(4)), (7, Some(9)), (10, Some(10))]);
    assert_eq!(intervals(&*store, A, BOB).await, [(3, None)]);
    assert_eq!(store.visibility(A, CAT).await.unwrap(), None);
    assert_eq!(store.visibility(B, ANN).await.unwrap(), None);
}

pub async fn a_membership_change_that_comes_again_changes_nothing(backend: &Rooms) {
    let store = backend.open().await;
    let story = vec![joined(A, ANN, 2), left(A, ANN, 4), joined(A, ANN, 7)];
    change_members(&*store, 0, story.clone()).await;
    change_members(&*store, 1, story.clone()).await;
    for (offset, change) in (2..).zip(story) {
        change_members(&*store, offset, vec![change]).await;
    }
    // A member that joins is a member; who is no member can't leave.
    change_members(&*store, 5, vec![joined(A, ANN, 9), left(A, BOB, 9)]).await;
    assert_eq!(intervals(&*store, A, ANN).await, [(2, Some(4)), (7, None)]);
    assert_eq!(store.visibility(A, BOB).await.unwrap(), None);
}

pub async fn rooms_of_an_account_are_those_it_is_in_now(backend: &Rooms) {
    let store = backend.open().await;
    let changes = vec![joined(B, ANN, 1), joined(A, ANN, 2), joined(A, BOB, 3), left(A, ANN, 5)];
    change_members(&*store, 0, changes).await;
    let open = |joined| Interval { joined, left: None };
    assert_eq!(store.rooms_of(ANN).await.unwrap(), [(B, vec![open(1)])]);
    change_members(&*store, 1, vec![joined(A, ANN, 8)]).await;
    let closed = Interval { joined: 2, left: Some(5) };
    assert_eq!(store.rooms_of(ANN).await.unwrap(), [(A, vec![closed, open(8)]), (B, vec![open(1)])]);
    assert_eq!(store.rooms_of(BOB).await.unwrap(), [(A, vec![open(3)])]);
    change_members(&*store, 2, vec![left(A, BOB, 9)]).await;
    assert_eq!(store.rooms_of(BOB).await.unwrap(), []);
}

pub async fn members_are_those_that_are_in_now(backend: &Rooms) {
    let store = backend.open().await;
    let all = [CAT, ANN, BOB];
    change_members(&*store, 0, all.map(|account| joined(A, account, 1)).into()).await;
    assert_eq!(store.member_ids(A).await.unwrap(), [ANN, BOB, CAT]);
    change_members(&*store, 1, vec![left(A, BOB, 2), left(A, CAT, 3), joined(A, CAT, 4)]).await;
    assert_eq!(store.member_ids(A).await.unwrap(), [ANN, CAT]);
    assert_eq!(store.member_ids(B).await.unwrap(), []);
}

pub async fn history_rules_rise_in_seq(backend: &Rooms) {
    let store = backend.open().await;
    let rule = |from, rule| HistoryRule { from, rule };
    let rules =
        [rule(1, History::FromBeginning), rule(4, History::FromJoin), rule(9, History::FromBeginning)];
    let histories = vec![(A, rules[2]), (A, rules[0]), (B, rules[1])];
    apply(&*store, RoomBatch { histories, memberships: vec![joined(A, ANN, 10)], ..batch(0, 1) }).await;
    apply(&*store, RoomBatch { histories: vec![(A, rules[1]), (A, rules[1])], ..batch(1, 2) }).await;
    let visibility = store.visibility(A, ANN).await.unwrap().expect("a member");
    assert_eq!(visibility.rules, rules);
    assert_eq!([1, 3, 4, 8, 9].map(|seq| visibility.sees(seq)), [true, true, false, false, true]);
}
