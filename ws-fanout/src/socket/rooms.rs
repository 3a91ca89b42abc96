//! The rooms of one socket: which are live, and which are behind and read on.

mod reading;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use futures::future::BoxFuture;
use roomlog_eventlog::TopicPartition;
use roomlog_eventlog::chaos_mutation::{self, Mutation};
use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use tokio::time::Instant;

use crate::catch_up::{Joined, Stepped};
use crate::hub::Hub;
use crate::partition::Lease;
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
    /// None once the membership has ended.
    attached: Option<Attached>,
    /// The newest joining that is known.
    joined: Joined,
    standing: Standing,
}

/// The tail of the room's partition runs while this is here.
struct Attached {
    room: Arc<Room>,
    /// Of the room's attachment.
    key: usize,
    lease: Lease,
}

/// Where the rooms begin.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// The first seq to come of rooms that are absent from `since`.
    pub firsts: HashMap<RoomId, Seq>,
    /// Rooms of `since` that are in quarantine, so that it cannot be told whether they are the account's.
    pub quarantined: Vec<RoomId>,
}

/// What a client is told when its stream starts.
pub(super) struct Started {
    /// The first seq to come of each room.
    pub firsts: BTreeMap<RoomId, Seq>,
    pub not_member: Vec<RoomId>,
    /// Rooms in quarantine, with the seq that would come next.
    pub quarantined: Vec<(RoomId, Seq)>,
}

enum Standing {
    /// The stream has not started.
    Parked,
    /// A membership that ended before the stream began, at the seq that is in `joined`: what was heard
    /// of it before comes too late.
    Over,
    Live,
    Behind(Box<Behind>),
    /// The account is no member; this is the next seq, should it join again.
    Ended(Seq),
}

struct Behind {
    next: Seq,
    /// A later joining: the end of this membership is still to be read.
    rejoined: Option<Joined>,
    /// The membership has ended with this event, which lies before `next`.
    over: Option<Seq>,
    was_live: bool,
    backoff: crate::backoff::Backoff,
}

impl Rooms {
    /// `ends` has the partitions of all these rooms.
    pub fn new(
        hub: Arc<Hub>,
        queue: Arc<SocketQueue>,
        rooms: &[(RoomId, Seq)],
        ends: &[(Lease, u64)],
    ) -> Self {
        let leases: HashMap<TopicPartition, &Lease> =
            ends.iter().map(|(lease, _)| (lease.id, lease)).collect();
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
            if let Some(&lease) = leases.get(&this.hub.partition_of(room).id) {
                this.add(room, Joined { seq, offset: 0 }, Standing::Parked, lease.clone());
            }
        }
        this
    }

    /// The rooms before the start for which this holds.
    pub fn parked(&self, holds: impl Fn(RoomId) -> bool) -> Vec<Arc<Room>> {
        let attached = self.rooms.values().filter_map(|room| room.attached.as_ref());
        attached.map(|attached| &attached.room).filter(|room| holds(room.id)).cloned().collect()
    }

    /// Whether the account is known to be a member, before the start.
    pub fn knows(&self, room: RoomId) -> bool {
        self.rooms.get(&room).is_some_and(|room| matches!(room.standing, Standing::Parked))
    }

    /// Gives each room its first seq: the one after `since`, or that of `starts`, or its joining.
    /// Also the rooms of `since` that are none of the account's, or of which that cannot be told now;
    /// should it join one, the stream goes on there. [`settle_all`](Self::settle_all) has to follow.
    pub fn start(&mut self, since: &HashMap<RoomId, Seq>, starts: &Starts) -> Started {
        self.has_started = true;
        let mut firsts = BTreeMap::new();
        for (id, room) in &mut self.rooms {
            if let Standing::Over = room.standing {
                continue;
            }
            let next = match (since.get(id), starts.firsts.get(id)) {
                (Some(seq), _) if chaos_mutation::is_on(Mutation::Resume) => seq + 2,
                (Some(seq), _) => seq + 1,
                (None, Some(&start)) => start.max(room.joined.seq),
                (None, None) => room.joined.seq,
            };
            firsts.insert(*id, next);
            room.standing = behind(&self.hub, next, false);
        }
        let (mut not_member, mut quarantined) = (Vec::new(), Vec::new());
        for (&id, seq) in since {
            let room = self.rooms.entry(id).or_insert_with(|| {
                let joined = Joined { seq: 0, offset: 0 };
                InRoom { attached: None, joined, standing: Standing::Over }
            });
            if let Standing::Over = room.standing {
                if starts.quarantined.contains(&id) {
                    quarantined.push((id, seq + 1));
                } else {
                    not_member.push(id);
                }
                room.standing = Standing::Ended(seq + 1);
            }
        }
        not_member.sort_unstable();
        Started { firsts, not_member, quarantined }
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
            Notice::Joined { room, seq, left, offset, lease } => {
                self.joined(room, Joined { seq, offset }, left, lease);
            }
            Notice::Left { room, seq } => self.left(room, seq),
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
        for (_, mut room) in self.rooms.drain() {
            room.detach(&self.queue);
        }
    }

    /// Whoever says it, and however often: a joining that is not after the newest known one is known.
    fn joined(&mut self, room: RoomId, joined: Joined, left: Option<Seq>, lease: Lease) {
        let first = if self.has_started {
            Some(behind(&self.hub, joined.seq, false))
        } else {
            // What is over before the stream begins is no part of it.
            left.is_none().then_some(Standing::Parked)
        };
        let standing = match self.rooms.get_mut(&room) {
            None => first,
            Some(in_room) if joined.seq <= in_room.joined.seq => None,
            Some(in_room) => match &mut in_room.standing {
                Standing::Over => first,
                // The absence is covered first, but a membership that was over by then is passed over.
                Standing::Ended(next) if left.is_none_or(|left| left >= *next) => {
                    Some(behind(&self.hub, *next, false))
                }
                Standing::Ended(_) => None,
                // The tail has still to tell of the removal before it, and then of this.
                Standing::Live => None,
                Standing::Parked => {
                    in_room.joined = joined;
                    None
                }
                Standing::Behind(behind) => {
                    let newer = |rejoined: Joined| rejoined.seq < joined.seq;
                    if behind.rejoined.is_none_or(newer) {
                        behind.rejoined = Some(joined);
                    }
                    None
                }
            },
        };
        if let Some(standing) = standing {
            self.add(room, joined, standing, lease);
            self.settle(room);
        }
    }

    /// The tail has read a removal. Mostly it is met while reading, or has come as `Ended`.
    fn left(&mut self, id: RoomId, seq: Seq) {
        let joined = Joined { seq, offset: 0 };
        let Some(in_room) = self.rooms.get_mut(&id) else {
            if !self.has_started {
                self.rooms.insert(id, InRoom { attached: None, joined, standing: Standing::Over });
            }
            return;
        };
        if seq <= in_room.joined.seq || chaos_mutation::is_on(Mutation::Authorization) {
            return;
        }
        match &mut in_room.standing {
            Standing::Over => in_room.joined = joined,
            Standing::Parked => {
                in_room.joined = joined;
                in_room.standing = Standing::Over;
                in_room.detach(&self.queue);
            }
            // It became live behind its removal: its `since` is ahead of this instance.
            Standing::Live => {
                let next = in_room.attached.as_ref().and_then(|at| at.room.next_of(at.key));
                in_room.standing = Standing::Ended(next.unwrap_or(seq + 1));
                in_room.detach(&self.queue);
            }
            // The same, once the step under way is done.
            Standing::Behind(behind) if behind.next > seq => behind.over = Some(seq),
            Standing::Behind(_) => {}
            Standing::Ended(_) => {}
        }
    }

    fn add(&mut self, id: RoomId, joined: Joined, standing: Standing, lease: Lease) {
        let (room, key) = lease.attach(id, &self.queue);
        let attached = Some(Attached { room, key, lease });
        self.rooms.insert(id, InRoom { attached, joined, standing });
    }

    fn live(&mut self, room: RoomId) -> Option<&mut InRoom> {
        self.rooms.get_mut(&room).filter(|room| matches!(room.standing, Standing::Live))
    }

    /// A room that is behind becomes live if there is nothing to read, or is read in its turn.
    fn settle(&mut self, id: RoomId) {
        let Some(in_room) = self.rooms.get_mut(&id) else { return };
        let Standing::Behind(behind) = &in_room.standing else { return };
        let Some(Attached { room, key, .. }) = &in_room.attached else { return };
        let joined = in_room.joined.seq;
        if behind.next >= joined && room.go_live(*key, behind.next, joined) {
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
    fn detach(&mut self, queue: &Arc<SocketQueue>) {
        if let Some(Attached { room, key, lease }) = self.attached.take() {
            lease.detach(&room, key, queue);
        }
    }
}

fn behind(hub: &Hub, next: Seq, was_live: bool) -> Standing {
    Standing::Behind(Box::new(Behind { next, rejoined: None, over: None, was_live, backoff: hub.backoff() }))
}
