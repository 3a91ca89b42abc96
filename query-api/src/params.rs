//! What queries read from path and query string.

use std::str::FromStr;

use roomlog_domain::Permission;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, MessageId, RoomId};
use roomlog_stores::rooms::Page;
use roomlog_web::described::{PermissionName, natural_number};
use roomlog_web::{Position, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Limits;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RoomPath {
    #[param(value_type = Uuid)]
    pub room_id: RoomId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MessagePath {
    #[param(value_type = Uuid)]
    pub room_id: RoomId,
    #[param(value_type = Uuid)]
    pub message_id: MessageId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MemberPath {
    #[param(value_type = Uuid)]
    pub room_id: RoomId,
    #[param(value_type = Uuid)]
    pub account_id: AccountId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PermissionParams {
    /// Only this one.
    #[param(value_type = Option<PermissionName>)]
    permission: Option<String>,
}

impl PermissionParams {
    pub fn permission(&self) -> Result<Option<Permission>, Problem> {
        let named = |name| Permission::from_name(name).ok_or_else(|| malformed("permission"));
        self.permission.as_deref().map(named).transpose()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct AccountPath {
    #[param(value_type = Uuid)]
    pub account_id: AccountId,
}

/// Describes what `MinPositions` reads.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes")]
pub struct PositionParams {
    /// Positions of commands that the answer has to reflect.
    #[param(max_items = 32)]
    min_position: Option<Vec<Position>>,
    /// How long to wait for that, in milliseconds; 2000 if absent. More than 30000 is 30000.
    #[param(schema_with = natural_number)]
    wait_ms: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// `next_cursor` of the page before.
    #[param(format = Uuid)]
    cursor: Option<String>,
    /// Most items on the page; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

impl ListParams {
    pub fn limit(&self, limits: &Limits) -> Result<usize, Problem> {
        limit(self.limit.as_deref(), limits)
    }

    /// The id after which the page begins. A cursor is that id, which clients needn't know.
    pub fn after<Id: FromStr>(&self) -> Result<Option<Id>, Problem> {
        parse("cursor", self.cursor.as_deref())
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MessagesParams {
    /// The newest messages below this seq. Not together with `after_seq`; without either the newest
    /// of all.
    #[param(value_type = Option<u64>)]
    before_seq: Option<String>,
    /// The oldest messages above this seq.
    #[param(value_type = Option<u64>)]
    after_seq: Option<String>,
    /// Most items on the page; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

impl MessagesParams {
    pub fn limit(&self, limits: &Limits) -> Result<usize, Problem> {
        limit(self.limit.as_deref(), limits)
    }

    pub fn page(&self) -> Result<Page, Problem> {
        let before = seq("before_seq", self.before_seq.as_deref())?;
        let after = seq("after_seq", self.after_seq.as_deref())?;
        match (before, after) {
            (None, None) => Ok(Page::Latest),
            (Some(seq), None) => Ok(Page::Before(seq)),
            (None, Some(seq)) => Ok(Page::After(seq)),
            (Some(_), Some(_)) => Err(Problem::bad_request(
                "invalid_query",
                "Give either `before_seq` or `after_seq`, not both.",
            )
            .field("before_seq")
            .field("after_seq")),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsParams {
    /// The first seq wanted; 1 if absent.
    #[param(value_type = Option<u64>)]
    from_seq: Option<String>,
    /// Most items on the page; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

impl EventsParams {
    pub fn limit(&self, limits: &Limits) -> Result<usize, Problem> {
        limit(self.limit.as_deref(), limits)
    }

    pub fn first_seq(&self) -> Result<Seq, Problem> {
        Ok(seq("from_seq", self.from_seq.as_deref())?.unwrap_or(1).max(1))
    }
}

fn limit(text: Option<&str>, limits: &Limits) -> Result<usize, Problem> {
    match parse("limit", text)? {
        None => Ok(limits.default_page),
        Some(limit) if (1..=limits.max_page).contains(&limit) => Ok(limit),
        Some(_) => {
            Err(Problem::bad_request("invalid_query", format!("`limit` is from 1 to {}.", limits.max_page))
                .field("limit"))
        }
    }
}

/// A seq is an Avro `long`: past the largest one there is nothing to ask for.
fn seq(name: &str, text: Option<&str>) -> Result<Option<Seq>, Problem> {
    let seq: Option<i64> = parse(name, text)?;
    seq.map(|seq| Seq::try_from(seq).map_err(|_| malformed(name))).transpose()
}

fn parse<T: FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|_| malformed(name))).transpose()
}

fn malformed(name: &str) -> Problem {
    Problem::bad_request("invalid_query", format!("`{name}` is malformed.")).field(name)
}
