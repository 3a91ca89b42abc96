//! What a caller may see of a room.

use std::ops::RangeInclusive;

use roomlog_domain::visibility::Visibility;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, RoomId};
use roomlog_web::Problem;

use crate::QueryApi;
use crate::ranges::visible_ranges;

/// A member's view of a room's timeline up to `last`.
pub(crate) struct View {
    visibility: Visibility,
    /// Of the timeline, as stored when the view was taken.
    pub last: Seq,
}

impl View {
    /// 404 `room_not_found` for who is no member.
    ///
    /// The end of the timeline is read first: whatever lies below it was decided on what the
    /// visibility, which is read after it, knows. So nothing sent after a removal is ever shown,
    /// also when the removal comes between two reads of a page.
    pub async fn of(api: &QueryApi, room: RoomId, account: AccountId) -> Result<Self, Problem> {
        let (_, last) = api.rooms.seq_range(room).await?.ok_or_else(Problem::room_not_found)?;
        let visibility = api.rooms.visibility(room, account).await?;
        let visibility = visibility.filter(Visibility::is_member).ok_or_else(Problem::room_not_found)?;
        Ok(Self { visibility, last })
    }

    /// See [`visible_ranges`].
    pub fn ranges(&self) -> Vec<RangeInclusive<Seq>> {
        visible_ranges(&self.visibility, self.last)
    }

    pub fn shows(&self, seq: Seq) -> bool {
        seq <= self.last && self.visibility.sees(seq)
    }
}
