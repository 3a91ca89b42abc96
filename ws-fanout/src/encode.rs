//! An event as the frame that every client gets.

use std::sync::Arc;

use roomlog_schemas::event::Seq;
use roomlog_schemas::{Event, RoomId};
use roomlog_stores::{SealError, Sealer};
use roomlog_web::view::{EventView, open_event};
use serde::Serialize;

use crate::frame::Frame;
use crate::protocol;
use crate::ring::Entry;

#[derive(Serialize)]
struct EventFrame {
    r#type: &'static str,
    room_id: RoomId,
    seq: Seq,
    event: EventView,
}

/// The entry's frame, made when first asked for.
pub(crate) async fn entry_frame(sealer: &Sealer, entry: &Arc<Entry>) -> Result<Frame, SealError> {
    if let Some(frame) = entry.frame.get() {
        return Ok(frame.clone());
    }
    let frame = event_frame(sealer, &entry.event, entry.record_time_ms).await?;
    Ok(entry.frame.get_or_init(|| frame).clone())
}

/// Opens the event's content. Only events of a timeline have a frame.
pub(crate) async fn event_frame(
    sealer: &Sealer,
    event: &Event,
    record_time_ms: i64,
) -> Result<Frame, SealError> {
    let view = open_event(sealer, event, record_time_ms).await?;
    let (Some(event), Some((room_id, seq))) = (view, event.timeline()) else {
        debug_assert!(false, "only events of a timeline are sent");
        return Ok(Frame::plain(&""));
    };
    Ok(Frame::event(&EventFrame { r#type: protocol::EVENT, room_id, seq, event }))
}
