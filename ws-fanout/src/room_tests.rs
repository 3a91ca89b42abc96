use roomlog_schemas::{AccountId, MemberLeft, SessionId};

use super::*;
use crate::frame::Frame;
use crate::queue::Inbox;

const ROOM: RoomId = RoomId::from_u128(1);
const ALICE: AccountId = AccountId::from_u128(2);
const OTHER: AccountId = AccountId::from_u128(3);

fn entry(seq: Seq, leaver: AccountId) -> Arc<Entry> {
    let event = MemberLeft { room_id: ROOM, seq, account_id: leaver, imported: None }.into();
    let entry = Entry::new(&event, 10 * seq, 0).unwrap();
    entry.frame.set(Frame::plain(&seq)).unwrap();
    Arc::new(entry)
}

fn queue(account: AccountId) -> Arc<SocketQueue> {
    Arc::new(SocketQueue::new(account, SessionId::from_u128(9), 70))
}

fn room(last: Seq) -> Room {
    let room = Room::new(ROOM, TopicPartition::rooms(0), 0);
    room.resolve(Last { seq: last, offset: 10 * last });
    room
}

fn deliver(room: &Room, entry: &Arc<Entry>) {
    let delivered = room.deliver(entry, Encoding::Lazy, 1, &Options::default());
    assert!(matches!(delivered, Delivered::Done(_)), "{delivered:?}");
}

fn received(queue: &SocketQueue) -> (Vec<String>, Vec<String>) {
    let mut inbox = Inbox::default();
    queue.take(&mut inbox);
    (
        inbox.frames.iter().map(|frame| frame.text().to_owned()).collect(),
        inbox.notices.iter().map(|notice| format!("{notice:?}")).collect(),
    )
}

#[test]
fn only_the_next_seq_is_delivered() {
    let room = room(4);
    let (queue, ahead) = (queue(ALICE), queue(ALICE));
    let key = room.attach(&queue).unwrap();
    assert!(!room.go_live(key, 4, 1), "4 exists");
    assert!(room.go_live(key, 5, 1));
    assert!(room.go_live(room.attach(&ahead).unwrap(), 6, 0));
    deliver(&room, &entry(5, OTHER));
    deliver(&room, &entry(6, OTHER));
    assert_eq!(received(&queue).0, ["5", "6"]);
    assert_eq!(received(&ahead).0, ["6"]);
    deliver(&room, &entry(8, OTHER));
    assert_eq!(received(&queue), (vec![], vec![format!("{:?}", Notice::Behind { room: ROOM, next: 7 })]));
}

#[test]
fn a_removal_is_the_last_that_its_account_gets() {
    let room = room(0);
    let (alice, other) = (queue(ALICE), queue(OTHER));
    for queue in [&alice, &other] {
        assert!(room.go_live(room.attach(queue).unwrap(), 1, 0));
    }
    deliver(&room, &entry(1, ALICE));
    deliver(&room, &entry(2, AccountId::from_u128(4)));
    assert_eq!(
        received(&alice),
        (vec!["1".into()], vec![format!("{:?}", Notice::Ended { room: ROOM, next: 2 })])
    );
    assert_eq!(received(&other), (vec!["1".into(), "2".into()], vec![]));
}

#[test]
fn a_removal_counts_also_for_who_pretends_to_have_it() {
    let room = room(2);
    let (ahead, later) = (queue(ALICE), queue(ALICE));
    assert!(room.go_live(room.attach(&ahead).unwrap(), 5, 1));
    // The store knew that it has come back.
    assert!(room.go_live(room.attach(&later).unwrap(), 5, 4));
    deliver(&room, &entry(3, ALICE));
    for seq in 4..=5 {
        deliver(&room, &entry(seq, OTHER));
    }
    let ended = format!("{:?}", Notice::Ended { room: ROOM, next: 5 });
    assert_eq!(received(&ahead), (vec![], vec![ended]));
    assert_eq!(received(&later), (vec!["5".into()], vec![]));
}

#[test]
fn a_full_queue_ends_being_live_and_nothing_is_lost() {
    let room = room(0);
    let queue = queue(ALICE);
    assert!(room.go_live(room.attach(&queue).unwrap(), 1, 0));
    for seq in 1..=4 {
        deliver(&room, &entry(seq, OTHER));
    }
    assert_eq!(
        received(&queue),
        (vec!["1".into(), "2".into()], vec![format!("{:?}", Notice::Behind { room: ROOM, next: 3 })])
    );
    assert!(matches!(room.look(3), Look::Ring(entries) if entries.len() == 2));
    assert!(matches!(room.look(5), Look::End));
}

#[test]
fn without_a_frame_live_sockets_read_for_themselves() {
    let room = room(0);
    let queue = queue(ALICE);
    let event = MemberLeft { room_id: ROOM, seq: 1, account_id: OTHER, imported: None }.into();
    let entry = Arc::new(Entry::new(&event, 10, 0).unwrap());
    assert!(room.go_live(room.attach(&queue).unwrap(), 1, 0));
    assert_eq!(room.deliver(&entry, Encoding::Lazy, 1, &Options::default()), Delivered::NeedsFrame);
    assert!(matches!(room.deliver(&entry, Encoding::Failed, 1, &Options::default()), Delivered::Done(_)));
    assert_eq!(received(&queue), (vec![], vec![format!("{:?}", Notice::Behind { room: ROOM, next: 1 })]));
}

#[test]
fn an_unused_room_goes_and_takes_nobody_more() {
    let room = room(0);
    let queue = queue(ALICE);
    let key = room.attach(&queue).unwrap();
    assert!(!room.retire());
    assert!(room.detach(key, &queue));
    assert!(room.retire());
    assert!(room.attach(&queue).is_none());
    assert_eq!(room.deliver(&entry(1, OTHER), Encoding::Lazy, 1, &Options::default()), Delivered::Gone);
}
