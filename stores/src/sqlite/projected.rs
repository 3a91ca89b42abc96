//! The database of a projection that counts now, and the one that is being built beside it.

use std::path::Path;

use tokio::sync::{Mutex, RwLock, RwLockReadGuard};

use super::generations::Generations;
use crate::StoreError;

/// A database in one file (with SQLite's two beside it); clones share it.
pub(super) trait DatabaseFile: Clone + Send + Sync + Sized {
    fn open(path: &Path) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// Returns when everything written so far has reached the disk.
    fn checkpoint(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns when nothing holds the file open any more.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

pub(super) struct Projected<D> {
    generations: Generations,
    /// Every operation holds it for reading, so that a replacement waits for those that still use
    /// what it replaces.
    current: RwLock<Generation<D>>,
    beside: Mutex<Option<Generation<D>>>,
}

#[derive(Clone)]
struct Generation<D> {
    number: u64,
    database: D,
}

impl<D: DatabaseFile> Projected<D> {
    pub async fn open(
        store: &'static str,
        directory: &Path,
        projection: &str,
        version: u32,
    ) -> Result<Self, StoreError> {
        let generations = Generations::new(store, directory, projection, version);
        let number = generations.open()?;
        let database = D::open(&generations.path(number)).await?;
        Ok(Self::new(generations, Generation { number, database }))
    }

    fn new(generations: Generations, current: Generation<D>) -> Self {
        Self { generations, current: RwLock::new(current), beside: Mutex::default() }
    }

    pub async fn current(&self) -> RwLockReadGuard<'_, D> {
        RwLockReadGuard::map(self.current.read().await, |current| &current.database)
    }

    /// A new empty database; the one before, if there is any, is dropped.
    pub async fn beside(&self) -> Result<Self, StoreError> {
        let mut beside = self.beside.lock().await;
        let number = match beside.take() {
            Some(earlier) => {
                earlier.database.close().await;
                earlier.number
            }
            None => self.current.read().await.number + 1,
        };
        self.generations.remove(number);
        let database = D::open(&self.generations.path(number)).await?;
        let generation = Generation { number, database };
        *beside = Some(generation.clone());
        Ok(Self::new(self.generations.clone(), generation))
    }

    /// Puts the database made by `beside` in the place of the current one. At a failure the old one
    /// goes on and the call may be repeated.
    pub async fn promote(&self, store: &'static str) -> Result<(), StoreError> {
        let mut beside = self.beside.lock().await;
        let Some(new) = beside.clone() else {
            return Err(StoreError::Damaged { store, what: "nothing was built beside it".into() });
        };
        // What counts has to be on the disk before it counts.
        new.database.checkpoint().await?;
        let mut current = self.current.write().await;
        // From here to the end of the swap nothing waits: a caller that gives up can't split it.
        self.generations.set_current(new.number)?;
        let old = std::mem::replace(&mut *current, new);
        drop(current);
        *beside = None;
        old.database.close().await;
        self.generations.remove(old.number);
        Ok(())
    }
}
