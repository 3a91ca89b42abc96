//! A stored cursor, as a reader that starts finds it.

use roomlog_eventlog::{Chain, Cursor, Follower};

use crate::bytes_of::{PARTITION, identity};
use crate::follow;

pub fn run(json: &[u8]) -> bool {
    let Ok(cursor) = serde_json::from_slice::<Cursor>(json) else { return false };
    let stored = serde_json::to_vec(&cursor).expect("cursors can be stored");
    assert_eq!(serde_json::from_slice::<Cursor>(&stored).ok().as_ref(), Some(&cursor));
    let Ok(follower) = Follower::from_cursor(&cursor) else { return false };
    let from_it = follower.cursor().expect("its log is known");
    let once_more = Follower::from_cursor(&from_it).expect("a reader's own cursor");
    assert_eq!(once_more.cursor().as_ref(), Some(&from_it));
    // But for a schema that is announced twice, it is the same.
    assert_eq!(Cursor { announced: Vec::new(), ..from_it }, Cursor { announced: Vec::new(), ..cursor });
    true
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut follower = Follower::from_start(Chain::new(PARTITION, Some(identity())));
    let mut cursors = vec![Cursor::start(identity(), PARTITION)];
    for (offset, value) in follow::history().into_iter().enumerate() {
        follower.follow(&follow::record(offset as u64, value)).expect("a history that its owner wrote");
        cursors.extend(follower.cursor());
    }
    cursors.iter().map(|cursor| serde_json::to_vec(cursor).expect("cursors can be stored")).collect()
}
