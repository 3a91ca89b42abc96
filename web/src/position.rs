//! Positions: how a client asks to read its own writes.

use std::fmt;
use std::num::IntErrorKind;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_stores::progress::Progress;
use roomlog_stores::{DirectoryStore, RoomStore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::Instant;

use crate::Problem;

/// Longest that a query waits for its positions.
const MAX_WAIT: Duration = Duration::from_secs(30);
const DEFAULT_WAIT: Duration = Duration::from_secs(2);
/// A query rests on a handful of commands, not on a history of them.
const MAX_POSITIONS: usize = 32;

/// A record of the log: opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    pub partition: TopicPartition,
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = match self.partition.topic {
            Topic::Accounts => 'a',
            Topic::Rooms => 'r',
        };
        write!(f, "{topic}{:x}-{:x}", self.partition.partition, self.offset)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let topic = match text.as_bytes().first() {
            Some(b'a') => Topic::Accounts,
            Some(b'r') => Topic::Rooms,
            _ => return Err(NotAPosition),
        };
        let (partition, offset) = text[1..].split_once('-').ok_or(NotAPosition)?;
        let partition = u32::try_from(hexadecimal(partition)?).map_err(|_| NotAPosition)?;
        Ok(Self { partition: TopicPartition::new(topic, partition), offset: hexadecimal(offset)? })
    }
}

/// As it is written, and in no other way: without a sign, leading zeros or capitals.
fn hexadecimal(text: &str) -> Result<u64, NotAPosition> {
    let is_written_so = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && (text == "0" || !text.starts_with('0'));
    if !is_written_so {
        return Err(NotAPosition);
    }
    u64::from_str_radix(text, 16).map_err(|_| NotAPosition)
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `min_position` (repeatable) and `wait_ms` of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinPositions {
    pub positions: Vec<Position>,
    pub wait: Duration,
}

impl<S: Send + Sync> FromRequestParts<S> for MinPositions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl MinPositions {
    /// From a query string, of whose other parameters nothing is said.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let invalid =
            |what: &str| Problem::bad_request("invalid_query", format!("`{what}` is malformed.")).field(what);
        let mut this = Self { positions: Vec::new(), wait: DEFAULT_WAIT };
        // Both kinds of value consist of characters that need no escaping.
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "min_position" => {
                    this.positions.push(value.parse().map_err(|_| invalid("min_position"))?);
                }
                "wait_ms" => {
                    this.wait = wait(value).ok_or_else(|| invalid("wait_ms"))?;
                }
                _ => {}
            }
        }
        if this.positions.len() > MAX_POSITIONS {
            return Err(invalid("min_position"));
        }
        Ok(this)
    }

    /// Waits until the room store reflects all positions, or answers 503 `not_up_to_position`.
    pub async fn rooms(&self, progress: &Progress, store: &dyn RoomStore) -> Result<(), Problem> {
        let deadline = Instant::now() + self.wait;
        for position in self.positions.iter().filter(|position| position.partition.topic == Topic::Rooms) {
            if !progress.rooms_cover(store, position.partition, position.offset, deadline).await? {
                return Err(not_up_to_position());
            }
        }
        Ok(())
    }

    /// The same for the directory.
    pub async fn directory(&self, progress: &Progress, store: &dyn DirectoryStore) -> Result<(), Problem> {
        let deadline = Instant::now() + self.wait;
        for position in &self.positions {
            if !progress.directory_covers(store, position.partition, position.offset, deadline).await? {
                return Err(not_up_to_position());
            }
        }
        Ok(())
    }
}

/// However large, a wait is one: the longest.
fn wait(ms: &str) -> Option<Duration> {
    let ms = match ms.parse::<u64>() {
        Ok(ms) => ms,
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => u64::MAX,
        Err(_) => return None,
    };
    Some(Duration::from_millis(ms).min(MAX_WAIT))
}

fn not_up_to_position() -> Problem {
    Problem::unavailable("not_up_to_position", "What this query reads does not reflect `min_position` yet.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_a_round_trip() {
        for (topic, partition, offset) in [(Topic::Accounts, 0, 0), (Topic::Rooms, 63, u64::MAX)] {
            let position = Position { partition: TopicPartition::new(topic, partition), offset };
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        let other_spellings =
            ["r+1-1", "r01-1", "r1-00", "r1-F", "r1-+f", "r100000000-0", "r0-10000000000000000"];
        for text in ["", "r", "r1", "x1-1", "r-1", "r1-", "é1-1", "r1-1-1"].into_iter().chain(other_spellings)
        {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }

    #[test]
    fn min_positions_are_repeatable_and_bounded() {
        let parsed =
            MinPositions::parse("limit=3&min_position=r1-2&min_position=a0-f&wait_ms=99999999").unwrap();
        assert_eq!(parsed.positions.len(), 2);
        assert_eq!(parsed.wait, MAX_WAIT);
        assert!(MinPositions::parse("min_position=nonsense").is_err());
        assert_eq!(MinPositions::parse("wait_ms=18446744073709551616").unwrap().wait, MAX_WAIT);
        assert!(MinPositions::parse("wait_ms=-1").is_err());
        assert!(MinPositions::parse("wait_ms=").is_err());
        assert!(MinPositions::parse(&"min_position=r1-1&".repeat(33)).is_err());
    }
}
