//! Events of a room's timeline, for example to fill a `gap` of the stream.

use axum::extract::State;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Announced, Event, RoomId, decode_event};
use roomlog_stores::rooms::StoredEvent;
use roomlog_web::view::{ContentOf, EventView, content_of, open_event};
use roomlog_web::{Authenticated, Json, MinPositions, Path, Problem, Query};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::View;
use crate::params::{EventsParams, PositionParams, RoomPath};
use crate::problems::{QueryProblems, RoomNotFound};
use crate::{Queries, QueryApi};

/// Every seq from the first one asked for is in exactly one item, in order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum TimelineItem {
    Event {
        #[schema(value_type = u64)]
        seq: Seq,
        event: EventView,
    },
    /// What the caller may not see.
    Hidden { hidden: SeqRange },
    /// What the room store does not hold.
    Gap { gap: SeqRange },
}

/// Both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct SeqRange {
    #[schema(value_type = u64)]
    from: Seq,
    #[schema(value_type = u64)]
    to: Seq,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    /// In rising seq; a hidden range counts as one item. A `gap` may come on top of the limit.
    items: Vec<TimelineItem>,
    /// Whether the timeline goes on after this page now.
    has_more: bool,
    /// Give it as `from_seq` for the next page, now or later.
    #[schema(value_type = u64)]
    next_from_seq: Seq,
}

/// Events of a room
///
/// The same events, in the same form and with the same `hidden` ranges, as on the stream. Reads the
/// projection `room_events`.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}/events",
    tag = crate::ROLE,
    params(RoomPath, EventsParams, PositionParams),
    responses((status = 200, description = "A page of events.", body = EventPage), QueryProblems, RoomNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn list_events(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(RoomPath { room_id }): Path<RoomPath>,
    Query(params): Query<EventsParams>,
    positions: MinPositions,
) -> Result<Json<EventPage>, Problem> {
    let (limit, from) = (params.limit(&api.limits)?, params.first_seq()?);
    let _place = api.rooms_at(&positions).await?;
    let view = View::of(&api, room_id, caller.account_id).await?;
    let (parts, next) = read_timeline(&api, room_id, &view, from, limit).await?;
    Ok(Json(EventPage { items: open(&api, parts).await?, has_more: next <= view.last, next_from_seq: next }))
}

enum Part {
    Event { seq: Seq, record_time_ms: i64, event: Box<Event> },
    Hidden(SeqRange),
    Gap(SeqRange),
}

/// At most `limit` parts from `from` on, not counting gaps, and the seq after the last of them.
async fn read_timeline(
    api: &QueryApi,
    room: RoomId,
    view: &View,
    from: Seq,
    limit: usize,
) -> Result<(Vec<Part>, Seq), Problem> {
    let mut parts = Vec::new();
    let mut next = from;
    let ranges = view.ranges().into_iter().filter(|range| *range.end() >= from);
    for (reads, range) in ranges.enumerate() {
        if next < *range.start() && parts.len() < limit {
            parts.push(Part::Hidden(SeqRange { from: next, to: range.start() - 1 }));
            next = *range.start();
        }
        if parts.len() >= limit || reads == api.limits.max_reads {
            return Ok((parts, next));
        }
        let wanted = (limit - parts.len())
            .min(usize::try_from(range.end() - next).unwrap_or(usize::MAX).saturating_add(1));
        let stored = api.rooms.events(room, next, wanted).await?;
        let is_all = stored.len() < wanted || stored.last().is_some_and(|event| event.seq >= *range.end());
        for row in stored.iter().filter(|row| range.contains(&row.seq)) {
            if next < row.seq {
                parts.push(Part::Gap(SeqRange { from: next, to: row.seq - 1 }));
            }
            next = row.seq + 1;
            let event = Box::new(decode(row)?);
            parts.push(Part::Event { seq: row.seq, record_time_ms: row.record_time_ms, event });
        }
        // A hole in the store itself: said, never skipped.
        if is_all && next <= *range.end() {
            parts.push(Part::Gap(SeqRange { from: next, to: *range.end() }));
            next = range.end() + 1;
        }
    }
    if next <= view.last && parts.len() < limit {
        parts.push(Part::Hidden(SeqRange { from: next, to: view.last }));
        next = view.last + 1;
    }
    Ok((parts, next))
}

fn decode(stored: &StoredEvent) -> Result<Event, Problem> {
    decode_event(&stored.event, &Announced::default()).map_err(|error| {
        let (room, seq) = (stored.room_id, stored.seq);
        tracing::error!(%room, seq, error = &error as &dyn std::error::Error, "a stored event cannot be decoded");
        Problem::unavailable("event_unreadable", "An event cannot be read by this version of the server.")
    })
}

async fn open(api: &QueryApi, parts: Vec<Part>) -> Result<Vec<TimelineItem>, Problem> {
    load_keys(api, &parts).await?;
    let mut items = Vec::with_capacity(parts.len());
    for part in parts {
        items.push(match part {
            Part::Hidden(hidden) => TimelineItem::Hidden { hidden },
            Part::Gap(gap) => TimelineItem::Gap { gap },
            Part::Event { seq, record_time_ms, event } => {
                match open_event(&api.sealer, &event, record_time_ms).await? {
                    Some(event) => TimelineItem::Event { seq, event },
                    None => TimelineItem::Gap { gap: SeqRange { from: seq, to: seq } },
                }
            }
        });
    }
    Ok(items)
}

/// Loads in one query the keys that the page's messages need and the cache lacks.
async fn load_keys(api: &QueryApi, parts: &[Part]) -> Result<(), Problem> {
    let owners: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Event { event, .. } => match content_of(event) {
                ContentOf::Message(author, room) => Some((author, room)),
                ContentOf::Room(_) | ContentOf::Nothing => None,
            },
            Part::Hidden(_) | Part::Gap(_) => None,
        })
        .collect();
    api.sealer.message_keys(&owners).await?;
    Ok(())
}
