//! What the room store tells about a room.

use roomlog_schemas::{Announced, Event, decode_event};
use roomlog_stores::StoreError;
use roomlog_stores::rooms::StoredEvent;

use crate::hub::Hub;
use crate::room::{Last, Room};

/// Tells a room its last event; the store has to cover everything below `known_from`.
pub(crate) async fn resolve(hub: &Hub, room: &Room) -> Result<(), StoreError> {
    let last = match hub.deps.rooms.seq_range(room.id).await? {
        None => Last { seq: 0, offset: 0 },
        Some((_, seq)) => {
            let offset = match hub.deps.rooms.events(room.id, seq, 1).await {
                Ok(rows) => rows.first().map_or(0, |row| row.offset),
                // As for a row that is missing: whoever comes to it is told.
                Err(StoreError::BadRow { .. }) => 0,
                Err(error) => return Err(error),
            };
            Last { seq, offset }
        }
    };
    room.resolve(last);
    Ok(())
}

/// `None`, said in the log, if this build cannot read the row.
pub(crate) fn decode(row: &StoredEvent) -> Option<Event> {
    decode_event(&row.event, &Announced::default())
        .inspect_err(|error| {
            tracing::error!(
                room = %row.room_id,
                seq = row.seq,
                error = error as &dyn std::error::Error,
                "an event in the room store cannot be read"
            );
        })
        .ok()
}
