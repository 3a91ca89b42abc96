//! What was recorded of a run. The checks look at nothing else.
//!
//! Times are milliseconds since the run's beginning, by this process's monotonic clock alone.

use std::collections::BTreeMap;

use uuid::Uuid;

pub type Millis = u64;
pub type Seq = u64;

#[derive(Debug, Clone, Default)]
pub struct History {
    pub log: Log,
    pub commands: Vec<Command>,
    /// Those of one account in the order in which they were opened; it had one at a time.
    pub connections: Vec<Connection>,
    /// What queries showed, each at a time when nothing was under way.
    pub views: Vec<View>,
    /// Where the projections said that they stood, at such a time.
    pub cursors: Vec<StoredCursor>,
    /// What was kept outside the log.
    pub archive: Option<Archive>,
    /// The log above, the commands and the views know nothing of its rooms.
    pub conversation: Option<Conversation>,
}

/// Signed checkpoints and the keys that signed them, as they lay there before the log was read.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// In their order.
    pub keys: Vec<serde_json::Value>,
    pub checkpoints: Vec<serde_json::Value>,
}

/// The log, read from offset 0 through the accept rule.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub log_id: Option<Uuid>,
    /// Accepted commands, partition by partition in the order of their offsets.
    pub records: Vec<Record>,
    /// Records that do not count, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    pub claims: u64,
    /// Partitions that could not be read to their end, and why.
    pub stopped: Vec<String>,
    /// Of each partition, the head before each offset, as far as it changed there.
    pub heads: BTreeMap<String, BTreeMap<u64, String>>,
}

#[derive(Debug, Clone)]
pub struct Record {
    /// `rooms/3`
    pub partition: String,
    pub offset: u64,
    pub actor: Option<Uuid>,
    pub key: Option<Uuid>,
    pub events: Vec<Event>,
}

/// An event of a room's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub room: Uuid,
    pub seq: Seq,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Created { by: Uuid, from_beginning: bool },
    Joined { account: Uuid },
    Left { account: Uuid },
    Sent { message: Uuid, author: Uuid },
}

/// A command of a client, under one key, with everything that was tried to give it.
#[derive(Debug, Clone)]
pub struct Command {
    pub account: Uuid,
    pub key: Uuid,
    pub wanted: Wanted,
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Create,
    Join { room: Uuid },
    Leave { room: Uuid },
    Send { room: Uuid, text: String },
}

#[derive(Debug, Clone)]
pub struct Attempt {
    pub began: Millis,
    pub ended: Millis,
    /// Where it was sent to.
    pub instance: String,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Accepted(Answer),
    /// For good, with this code.
    Rejected(String),
    /// No answer, or one that says that it may be accepted or not.
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub seq: Seq,
    pub room: Option<Uuid>,
    pub message: Option<Uuid>,
    pub position: String,
}

/// One socket of the live stream.
#[derive(Debug, Clone)]
pub struct Connection {
    pub account: Uuid,
    pub instance: String,
    pub opened: Millis,
    /// The last seq that the client has of each room, as it said.
    pub since: BTreeMap<Uuid, Seq>,
    pub started: Option<Started>,
    pub frames: Vec<Frame>,
    /// Why it ended.
    pub ended: String,
}

#[derive(Debug, Clone, Default)]
pub struct Started {
    /// The first seq to come of each room.
    pub rooms: BTreeMap<Uuid, Seq>,
    pub not_member: Vec<Uuid>,
}

/// Covers the seqs from `from` to `to`, both included.
#[derive(Debug, Clone)]
pub struct Frame {
    pub at: Millis,
    pub room: Uuid,
    pub from: Seq,
    pub to: Seq,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `text`: of a message.
    Event {
        what: What,
        text: Option<String>,
    },
    Hidden,
    Gap,
}

/// What queries answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// When: "after settling".
    pub name: String,
    pub rooms: BTreeMap<Uuid, RoomView>,
    /// The rooms that each account is a member of.
    pub rooms_of: BTreeMap<Uuid, Vec<Uuid>>,
}

/// A room as its creator sees it, who never leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomView {
    pub last_seq: Seq,
    pub member_count: u64,
    /// The account and the seq of its joining.
    pub members: BTreeMap<Uuid, Seq>,
    pub events: Vec<(Seq, Body)>,
    pub messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub seq: Seq,
    pub id: Uuid,
    pub author: Uuid,
    pub text: String,
}

/// What was imported, beside what queries showed of it when all was over.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// In the file's order.
    pub lines: Vec<Line>,
    /// The account of the source itself.
    pub owner: Uuid,
    /// By path.
    pub shown: BTreeMap<String, ShownRoom>,
    /// Of all accounts in these rooms.
    pub names: BTreeMap<Uuid, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    pub room: String,
    pub kind: Kind,
    pub author: String,
    pub text: Option<String>,
    /// The id of an earlier message of the same room.
    pub reply_to: Option<String>,
    /// Of a rename.
    pub to: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Message,
    Join,
    Leave,
    Rename,
}

#[derive(Debug, Clone, Default)]
pub struct ShownRoom {
    pub events: Vec<Entry>,
    pub messages: Vec<Said>,
}

/// An event of the timeline.
#[derive(Debug, Clone)]
pub struct Entry {
    pub seq: Seq,
    pub happening: Happening,
}

#[derive(Debug, Clone)]
pub enum Happening {
    Created { by: Uuid },
    Joined { account: Uuid },
    Left { account: Uuid },
    Said { message: Uuid, author: Uuid },
    Noted { account: Uuid, kind: Kind, to: Option<Uuid>, time_ms: i64 },
}

/// A message as the room's history shows it.
#[derive(Debug, Clone)]
pub struct Said {
    pub seq: Seq,
    pub message: Uuid,
    pub author: Uuid,
    pub source_id: String,
    pub text: Option<String>,
    pub reply_to: Option<Uuid>,
    pub time_ms: i64,
}

#[derive(Debug, Clone)]
pub struct StoredCursor {
    pub projection: String,
    pub partition: String,
    pub next_offset: u64,
    /// Hexadecimal digits.
    pub head: Option<String>,
}

impl Entry {
    /// Everybody whom it is about.
    pub fn accounts(&self) -> impl Iterator<Item = Uuid> {
        let (account, other) = match self.happening {
            Happening::Created { by } => (by, None),
            Happening::Joined { account } | Happening::Left { account } => (account, None),
            Happening::Said { author, .. } => (author, None),
            Happening::Noted { account, to, .. } => (account, to),
        };
        [account].into_iter().chain(other)
    }
}

impl Command {
    pub fn room(&self) -> Option<Uuid> {
        match &self.wanted {
            Wanted::Create => None,
            Wanted::Join { room } | Wanted::Leave { room } | Wanted::Send { room, .. } => Some(*room),
        }
    }

    pub fn accepted(&self) -> Option<&Answer> {
        self.attempts.iter().find_map(|attempt| match &attempt.outcome {
            Outcome::Accepted(answer) => Some(answer),
            _ => None,
        })
    }

    pub fn rejected(&self) -> Option<&str> {
        self.attempts.iter().find_map(|attempt| match &attempt.outcome {
            Outcome::Rejected(code) => Some(code.as_str()),
            _ => None,
        })
    }
}
