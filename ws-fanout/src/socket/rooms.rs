//! The rooms of one socket: which are live, and which are behind and read on.

mod reading;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use futures::future::BoxFuture;
use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use tokio::time::Instant;

use crate::catch_up::{Joined, Stepped};
use crate::hub::Hub;
use crate::queue::{Notice, SocketQueue};
use crate::room::Room;

pub(super) struct Rooms {
    hub: Arc<Hub>,
    queue: Arc<SocketQueue>,
    has_started: bool,
    rooms: HashMap<RoomId, InRoom>,
    /// The rooms that are behind, but for those that wait and the one of the step.
    behind: VecDeque<RoomId>,
    /// Those whose step failed, with the time of the next.
    waiting: Vec<(Instant, RoomId)>,
    /// Rooms that are behind and were live before.
    fallen_behind: usize,
    step: Option<BoxFuture<'static, Stepped>>,
}

struct InRoom {
    /// The room and the key of its attachment; none once the membership has ended.
    attached: Option<(Arc<Room>, usize)>,
    /// The newest joining that is known.
    joined: Joined,
    standing: Standing,
}

enum Standing {
    /// The stream has not started.
    Parked,
    Live,
    Behind(Box<Behind>),
    /// The account is no member; this is the next seq, should it join again.
    Ended(Seq),
}

struct Behind {
    next: Seq,
    /// A later joining: the end of this membership is still to be read.
    rejoined: Option<Joined>,
    was_live: bool,
    backoff: crate::backoff::Backoff,
}

impl Rooms {
    pub fn new(hub: Arc<Hub>, queue: Arc<SocketQueue>, rooms: &[(RoomId, Seq)]) -> Self {
        let mut this = Self {
            hub,
            queue,
            has_started: false,
            rooms: HashMap::new(),
            behind: VecDeque::new(),
            waiting: Vec::new(),
            fallen_behind: 0,
            step: None,
        };
        for &(room, seq) in rooms {
            this.add(room, Joined { seq, offset: 0 }, Standing::Parked);
        }
        this
    }

    /// The rooms before the start for which this holds.
    pub fn parked(&self, holds: impl Fn(RoomId) -> bool) -> Vec<Arc<Room>> {
        let attached = self.rooms.values().filter_map(|room| room.attached.as_ref());
        attached.map(|(room, _)| room).filter(|room| holds(room.id)).cloned().collect()
    }

    /// Gives each room its first seq: the one after `since`, or that of `starts`, or its joining.
    /// Also the rooms of `since` that are none of the account's; should it join one, the stream goes
    /// on there. [`settle_all`](Self::settle_all) has to follow.
    pub fn start(
        &mut self,
        since: &HashMap<RoomId, Seq>,
        starts: &HashMap<RoomId, Seq>,
    ) -> (BTreeMap<RoomId, Seq>, Vec<RoomId>) {
        self.has_started = true;
        let mut firsts = BTreeMap::new();
        for (id, room) in &mut self.rooms {
            let next = match (since.get(id), starts.get(id)) {
                (Some(seq), _) => seq + 1,
                (None, Some(&start)) => start.max(room.joined.seq),
                (None, None) => room.joined.seq,
            };
            firsts.insert(*id, next);
            room.standing = behind(&self.hub, next, false);
        }
        let mut not_member = Vec::new();
        for (&id, seq) in since {
            self.rooms.entry(id).or_insert_with(|| {
                not_member.push(id);
                let joined = Joined { seq: 0, offset: 0 };
                InRoom { attached: None, joined, standing: Standing::Ended(seq + 1) }
            });
        }
        not_member.sort_unstable();
        (firsts, not_member)
    }

    /// Makes live what has nothing to catch up on.
    pub fn settle_all(&mut self) {
        let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.settle(room);
        }
    }

    pub fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Joined { room, seq, offset } => self.joined(room, Joined { seq, offset }),
            // Later a removal is met while reading, or comes as `Ended`.
            Notice::Left { room, seq } => {
                let parked = self.rooms.get(&room).filter(|room| matches!(room.standing, Standing::Parked));
                if parked.is_some_and(|room| room.joined.seq < seq) {
                    self.remove(room);
                }
            }
            Notice::Behind { room, next } => {
                let standing = behind(&self.hub, next, true);
                if let Some(in_room) = self.live(room) {
                    in_room.standing = standing;
                    self.fallen_behind += 1;
                    self.behind.push_front(room);
                }
            }
            Notice::Ended { room, next } => {
                if let Some(in_room) = self.live(room) {
                    in_room.standing = Standing::Ended(next);
                    in_room.attached = None;
                }
            }
        }
    }

    /// From here on nothing comes from any room.
    pub fn leave_all(&mut self) {
        self.step = None;
        self.behind.clear();
        self.waiting.clear();
        for (_, room) in self.rooms.drain() {
            room.detach(&self.hub, &self.queue);
        }
    }

    fn joined(&mut self, room: RoomId, joined: Joined) {
        let Some(in_room) = self.rooms.get_mut(&room) else {
            let standing =
                if self.has_started { behind(&self.hub, joined.seq, false) } else { Standing::Parked };
            self.add(room, joined, standing);
            return self.settle(room);
        };
        if joined.seq <= in_room.joined.seq {
            return;
        }
        match &mut in_room.standing {
            Standing::Behind(behind) => behind.rejoined = Some(joined),
            Standing::Parked | Standing::Live => in_room.joined = joined,
            Standing::Ended(next) => {
                let standing = behind(&self.hub, *next, false);
                self.add(room, joined, standing);
                self.settle(room);
            }
        }
    }

    fn add(&mut self, id: RoomId, joined: Joined, standing: Standing) {
        let attached = Some(self.hub.partition_of(id).attach(id, &self.queue));
        self.rooms.insert(id, InRoom { attached, joined, standing });
    }

    fn remove(&mut self, id: RoomId) {
        if let Some(room) = self.rooms.remove(&id) {
            room.detach(&self.hub, &self.queue);
        }
    }

    fn live(&mut self, room: RoomId) -> Option<&mut InRoom> {
        self.rooms.get_mut(&room).filter(|room| matches!(room.standing, Standing::Live))
    }

    /// A room that is behind becomes live if there is nothing to read, or is read in its turn.
    fn settle(&mut self, id: RoomId) {
        let Some(in_room) = self.rooms.get_mut(&id) else { return };
        let Standing::Behind(behind) = &in_room.standing else { return };
        let Some((room, key)) = &in_room.attached else { return };
        if behind.next >= in_room.joined.seq && room.go_live(*key, behind.next) {
            in_room.standing = Standing::Live;
        } else {
            self.behind.push_back(id);
        }
    }
}

impl Drop for Rooms {
    fn drop(&mut self) {
        self.leave_all();
    }
}

impl InRoom {
    fn detach(self, hub: &Hub, queue: &Arc<SocketQueue>) {
        if let Some((room, key)) = self.attached {
            hub.partition_of(room.id).detach(&room, key, queue);
        }
    }
}

fn behind(hub: &Hub, next: Seq, was_live: bool) -> Standing {
    Standing::Behind(Box::new(Behind { next, rejoined: None, was_live, backoff: hub.backoff() }))
}
