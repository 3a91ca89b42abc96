//! What a process knows of the quarantine.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use roomlog_schemas::RoomId;
use tokio::sync::{Mutex, watch};

use super::guard::{GuardedDirectory, GuardedRooms};
use super::{QuarantineStore, Scope, Subject};
use crate::progress::Projection;
use crate::{DirectoryStore, RoomStore, StoreError};

/// How often the store is asked for what other processes have changed.
const POLL: Duration = Duration::from_secs(1);

/// What was in quarantine when the store was last asked.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Known {
    projections: HashMap<Projection, Subjects>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Subjects {
    subjects: HashSet<Subject>,
    /// Rooms that only kept records know of.
    rooms: HashMap<RoomId, Subject>,
    retries: HashSet<Subject>,
}

impl Known {
    pub fn is_empty(&self, projection: Projection) -> bool {
        !self.projections.contains_key(&projection)
    }

    pub fn holds(&self, projection: Projection, subject: Subject) -> bool {
        self.projections.get(&projection).is_some_and(|known| known.subjects.contains(&subject))
    }

    /// The subject of a room that a kept record makes.
    pub fn subject_of(&self, projection: Projection, room: RoomId) -> Option<Subject> {
        self.projections.get(&projection)?.rooms.get(&room).copied()
    }

    /// Those that somebody wants to be retried.
    pub fn retries(&self, projection: Projection) -> impl Iterator<Item = Subject> {
        self.projections.get(&projection).into_iter().flat_map(|known| known.retries.iter().copied())
    }
}

/// A handle, cheap to clone. Looking at it costs no query.
#[derive(Clone)]
pub struct Quarantine(Arc<Inner>);

struct Inner {
    store: Arc<dyn QuarantineStore>,
    known: watch::Sender<Arc<Known>>,
    /// One look at the store after the other, so that an older one never comes last.
    looking: Mutex<()>,
}

impl Quarantine {
    /// Reads what is in quarantine now. [`run`](Self::run) keeps it up to date.
    pub async fn open(store: Arc<dyn QuarantineStore>) -> Result<Self, StoreError> {
        let this =
            Self(Arc::new(Inner { store, known: watch::Sender::default(), looking: Mutex::default() }));
        this.refresh().await?;
        Ok(this)
    }

    /// Looks about once a second at what other processes have changed, for ever.
    pub async fn run(self) {
        let mut is_away = false;
        loop {
            tokio::time::sleep(POLL).await;
            let outcome = self.refresh().await;
            if let (Err(error), false) = (&outcome, is_away) {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "what is in quarantine cannot be read; it is taken to be as it was");
            }
            is_away = outcome.is_err();
        }
    }

    /// Looks at the store now.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _looking = self.0.looking.lock().await;
        let mut known = Known::default();
        for row in self.0.store.list().await? {
            let Some(projection) = Projection::of_name(row.projection) else { continue };
            let of_projection = known.projections.entry(projection).or_default();
            of_projection.subjects.insert(row.subject);
            if row.retry_requested {
                of_projection.retries.insert(row.subject);
            }
        }
        for (projection, of_projection) in &mut known.projections {
            of_projection.rooms =
                self.0.store.rooms(Scope::current(*projection)).await?.into_iter().collect();
        }
        for projection in Projection::ALL {
            let roots = known.projections.get(&projection).map_or(0, |known| known.subjects.len());
            metrics::gauge!("roomlog_projection_quarantined_roots", "projection" => projection.name())
                .set(roots as f64);
        }
        self.0.known.send_if_modified(|old| {
            let changed = **old != known;
            if changed {
                *old = Arc::new(known);
            }
            changed
        });
        Ok(())
    }

    pub fn store(&self) -> &Arc<dyn QuarantineStore> {
        &self.0.store
    }

    pub fn known(&self) -> Arc<Known> {
        self.0.known.borrow().clone()
    }

    /// Tells when what is known changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Known>> {
        self.0.known.subscribe()
    }

    /// The same store for readers: what it would say about a room in quarantine is an error,
    /// [`StoreError::Quarantined`].
    pub fn guard_rooms(&self, store: Arc<dyn RoomStore>) -> Arc<dyn RoomStore> {
        Arc::new(GuardedRooms { inner: store, quarantine: self.clone() })
    }

    /// The same for the directory.
    pub fn guard_directory(&self, store: Arc<dyn DirectoryStore>) -> Arc<dyn DirectoryStore> {
        Arc::new(GuardedDirectory { inner: store, quarantine: self.clone() })
    }
}
