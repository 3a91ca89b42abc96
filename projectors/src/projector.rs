//! What a projection is, whichever store it fills.

use std::sync::Arc;

use async_trait::async_trait;
use roomlog_eventlog::{Cursor, Topic, TopicPartition};
use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use roomlog_stores::progress::Projection;
use roomlog_stores::{DirectoryStore, RoomStore, Sealer, StoreError};

use crate::ProjectError;
use crate::batch::Batch;
use crate::directory::Directory;
use crate::room_events::RoomEvents;

/// The stores that the projections fill, and the keys that they need for that.
#[derive(Clone)]
pub struct Stores {
    pub rooms: Arc<dyn RoomStore>,
    pub directory: Arc<dyn DirectoryStore>,
    pub sealer: Sealer,
}

/// Fills one projection's store.
#[async_trait]
pub(crate) trait Projector: Send + Sync + 'static {
    fn projection(&self) -> Projection;

    /// Raised when a rebuild would give other rows.
    fn version(&self) -> u32;

    /// The topics that it is built from.
    fn topics(&self) -> &'static [Topic];

    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError>;

    /// Stores what the batch adds, with its cursor: completely, or without effect.
    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError>;

    /// The root of a room, or the highest above it that the projection knows of; `None` if it does not
    /// hold the room.
    async fn root_of(&self, room: RoomId) -> Result<Option<RoomId>, StoreError>;

    /// Events of the room up to this seq must not be applied again out of their turn; 0 if that does
    /// no harm.
    async fn held(&self, room: RoomId) -> Result<Seq, StoreError>;

    /// The same projection on an empty store beside this one's.
    async fn beside(&self) -> Result<Arc<dyn Projector>, StoreError>;

    /// Replaces the store's content by that of the store beside.
    async fn promote(&self) -> Result<(), StoreError>;
}

pub(crate) fn projector(projection: Projection, stores: &Stores) -> Arc<dyn Projector> {
    match projection {
        Projection::RoomEvents => Arc::new(RoomEvents { store: stores.rooms.clone() }),
        Projection::Directory => {
            Arc::new(Directory { store: stores.directory.clone(), sealer: stores.sealer.clone() })
        }
    }
}
