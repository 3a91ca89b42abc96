//! The frames, as JSON text; described in `docs/asyncapi.yaml`.

use std::collections::{BTreeMap, HashMap};

use roomlog_schemas::event::Seq;
use roomlog_schemas::{IdempotencyKey, RoomId};
use roomlog_web::Problem;
use roomlog_web::commands::{Answer, ClientCommand};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::frame::Frame;

/// What a client has to offer, and is answered.
pub const SUBPROTOCOL: &str = "roomlog.v1";
/// Begins the subprotocol entry that carries a browser's access token.
pub const BEARER_PREFIX: &str = "bearer.";

pub const START: &str = "start";
pub const COMMAND: &str = "command";
pub const REFRESH: &str = "refresh";

pub const STARTED: &str = "started";
pub const EVENT: &str = "event";
pub const HIDDEN: &str = "hidden";
pub const GAP: &str = "gap";
pub const ACCEPTED: &str = "accepted";
pub const REJECTED: &str = "rejected";
pub const REFRESHED: &str = "refreshed";
pub const ERROR: &str = "error";

/// Every `type` that a client sends.
pub const FROM_CLIENT: [&str; 3] = [START, COMMAND, REFRESH];
/// Every `type` that a client receives.
pub const TO_CLIENT: [&str; 8] = [STARTED, EVENT, HIDDEN, GAP, ACCEPTED, REJECTED, REFRESHED, ERROR];

/// Every `code` of a frame `error`.
pub const ERROR_CODES: [&str; 7] =
    [MALFORMED, OTHER_LOG, NOT_STARTED_IN_TIME, NOT_CAUGHT_UP, TOKEN_EXPIRED, TOKEN_REFUSED, OTHER_ACCOUNT];
pub const MALFORMED: &str = "malformed";
pub const OTHER_LOG: &str = "other_log";
pub const NOT_STARTED_IN_TIME: &str = "not_started_in_time";
pub const NOT_CAUGHT_UP: &str = "not_caught_up";
pub const TOKEN_EXPIRED: &str = "token_expired";
pub const TOKEN_REFUSED: &str = "token_refused";
pub const OTHER_ACCOUNT: &str = "other_account";

/// Longest `id` of a command, in bytes.
pub const MAX_COMMAND_ID: usize = 64;
/// A seq is an Avro `long`.
const MAX_SEQ: Seq = i64::MAX as Seq - 1;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    Start(Start),
    Command(Box<CommandFrame>),
    Refresh { access_token: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    #[serde(default)]
    pub log_id: Option<String>,
    /// The last seq that the client has of each room.
    #[serde(default)]
    pub since: HashMap<RoomId, Seq>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandFrame {
    pub id: String,
    /// `Err` if it is no UUIDv7.
    pub key: Result<Option<IdempotencyKey>, ()>,
    pub command: ClientCommand,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    access_token: String,
}

/// Reads a client's frame; the error says what is wrong with it.
pub fn parse(text: &str, max_since_rooms: usize) -> Result<ClientFrame, String> {
    let mut fields: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
    let kind = string(&mut fields, "type")?;
    match kind.as_str() {
        START => start(fields, max_since_rooms).map(ClientFrame::Start),
        COMMAND => command(fields).map(|command| ClientFrame::Command(Box::new(command))),
        REFRESH => {
            let Refresh { access_token } = read(fields)?;
            Ok(ClientFrame::Refresh { access_token })
        }
        _ => Err("`type` is not known".to_owned()),
    }
}

fn start(fields: Map<String, Value>, max_since_rooms: usize) -> Result<Start, String> {
    let start: Start = read(fields)?;
    if start.since.len() > max_since_rooms {
        return Err(format!("`since` has more than {max_since_rooms} rooms"));
    }
    if start.since.values().any(|&seq| seq > MAX_SEQ) {
        return Err("a seq in `since` is too large".to_owned());
    }
    Ok(start)
}

fn command(mut fields: Map<String, Value>) -> Result<CommandFrame, String> {
    let id = string(&mut fields, "id")?;
    if id.is_empty() || id.len() > MAX_COMMAND_ID {
        return Err(format!("`id` has 1 to {MAX_COMMAND_ID} bytes"));
    }
    let key = match fields.remove("key") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(key)) => key.parse().map(Some).map_err(drop),
        Some(_) => Err(()),
    };
    Ok(CommandFrame { id, key, command: read(fields)? })
}

fn string(fields: &mut Map<String, Value>, name: &str) -> Result<String, String> {
    match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("`{name}` is not a string")),
        None => Err(format!("`{name}` is missing")),
    }
}

fn read<T: serde::de::DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ServerFrame<'a> {
    Started {
        log_id: &'a str,
        /// The first seq to come of each room.
        rooms: BTreeMap<RoomId, Seq>,
        /// The rooms of `since` of which the account is no member.
        not_member: Vec<RoomId>,
    },
    Hidden {
        room_id: RoomId,
        from: Seq,
        to: Seq,
    },
    Gap {
        room_id: RoomId,
        from: Seq,
        /// Absent where nothing more of the room comes on this socket.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<Seq>,
        reason: GapReason,
    },
    Accepted {
        id: &'a str,
        #[serde(flatten)]
        answer: Answer,
    },
    Rejected {
        id: &'a str,
        problem: Problem,
    },
    Refreshed {
        /// Seconds.
        expires_in: u64,
    },
    Error {
        code: &'a str,
        title: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
}

/// Why seqs cannot be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GapReason {
    /// The room store covers them and does not have them.
    Lost,
    /// The root room is in quarantine: they come when that is over, to whoever resumes then.
    Quarantined,
}

impl ServerFrame<'_> {
    /// Nothing more of this room comes on this socket: its root is in quarantine.
    pub fn quarantined(room_id: RoomId, from: Seq) -> Self {
        Self::Gap { room_id, from, to: None, reason: GapReason::Quarantined }
    }

    pub fn encode(&self) -> Frame {
        Frame::plain(self)
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
