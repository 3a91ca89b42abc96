//! Which generation of the tables counts.
//!
//! Table `generations` has one CQL partition for each version of the projection: which generation is
//! `current`, which number was given out `last` (none is given twice), and a row for each generation
//! that has tables: `building`, `current`, or `retired` since some time. It is written by lightweight
//! transactions alone.
//!
//! ```text
//!            beside              promote               retire_after
//!  (nothing) ------> building ------------> current ...... retired ------> (dropped)
//!                        \ another `beside`: dropped          /
//! ```
//!
//! A process knows the current generation for [`FRESH`] at most, so it notices a promotion by
//! another one without being told. Writers look after each batch, and before it unless they have done so within
//! that time.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use scylla::statement::prepared::PreparedStatement;
use tokio::time::Instant;

use super::connection::Connection;
use super::cursor::Announced;
use super::error::{damaged, unavailable};
use super::schema::{self, Lease};
use super::tables::Statements;
use crate::StoreError;
use crate::rooms::{PROJECTION, VERSION};

/// How long a reader goes by what it knows.
const FRESH: Duration = Duration::from_millis(500);

/// Between the end of the time that tables stay and their end, for differing clocks.
const MARGIN: Duration = Duration::from_secs(1);

const BUILDING: &str = "building";
const CURRENT: &str = "current";
const RETIRED: &str = "retired";

/// One generation's tables.
pub(super) struct Generation {
    pub number: i64,
    /// Seqs of a room in one CQL partition; for good, or rows would not be found.
    bucket: i64,
    pub statements: Statements,
    pub announced: Announced,
    pub indexed: super::buckets::Indexed,
    pub begun: super::begun::Begun,
}

impl Generation {
    pub fn bucket_of(&self, seq: i64) -> i64 {
        seq / self.bucket
    }

    pub fn first_of(&self, bucket: i64) -> i64 {
        bucket.saturating_mul(self.bucket)
    }
}

pub(super) struct Generations {
    myself: Weak<Self>,
    connection: Arc<Connection>,
    projection: String,
    read: PreparedStatement,
    known: Mutex<Option<(Instant, Arc<Generation>)>>,
    /// Held by the one that asks, so that the others need not.
    asking: tokio::sync::Mutex<()>,
}

/// What the table says.
pub(super) struct Listed {
    pub current: Option<i64>,
    last: Option<i64>,
    rows: Vec<Row>,
}

struct Row {
    generation: i64,
    bucket: i32,
    state: String,
    since_ms: i64,
}

impl Listed {
    /// Whether a generation is current, or can become so.
    pub fn is_alive(&self, generation: i64) -> bool {
        self.current == Some(generation)
            || self.rows.iter().any(|row| row.generation == generation && row.state == BUILDING)
    }
}

impl Generations {
    /// Makes the first generation if there is none yet.
    pub async fn open(connection: Arc<Connection>) -> Result<Arc<Self>, StoreError> {
        let cql = format!(
            "SELECT generation, current, last, bucket, state, since_ms FROM {}.generations WHERE projection = ?",
            connection.config.keyspace
        );
        let read = connection.prepare(&cql).await?;
        let (projection, known) = (format!("{PROJECTION}.v{VERSION}"), Mutex::default());
        let generations = Arc::new_cyclic(|myself| {
            let (myself, asking) = (myself.clone(), tokio::sync::Mutex::default());
            Self { myself, connection, projection, read, known, asking }
        });
        if generations.list().await?.current.is_none() {
            let lease = Lease::acquire(&generations.connection).await?;
            let begun = generations.begin().await;
            lease.release().await;
            begun?;
        }
        Ok(generations)
    }

    async fn begin(&self) -> Result<(), StoreError> {
        if self.list().await?.current.is_some() {
            return Ok(());
        }
        let number = self.make().await?;
        self.switch(None, number).await
    }

    pub async fn list(&self) -> Result<Listed, StoreError> {
        type Columns = (Option<i64>, Option<i64>, Option<i64>, Option<i32>, Option<String>, Option<i64>);
        let found = self.connection.rows::<Columns>(&self.read, (&self.projection,)).await?;
        let (current, last) = found.first().map_or((None, None), |row| (row.1, row.2));
        let rows = found.into_iter().filter_map(|(generation, _, _, bucket, state, since_ms)| {
            let (generation, bucket, since_ms) = (generation?, bucket?, since_ms?);
            Some(Row { generation, bucket, state: state?, since_ms })
        });
        Ok(Listed { current, last, rows: rows.collect() })
    }

    /// The generation that counts, as of half a second ago at most.
    pub async fn current(&self) -> Result<Arc<Generation>, StoreError> {
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let _asking = self.asking.lock().await;
        match self.fresh() {
            Some(known) => Ok(known),
            None => self.take(&self.list().await?).await,
        }
    }

    /// The generation that counts now.
    pub async fn ask(&self) -> Result<Arc<Generation>, StoreError> {
        self.take(&self.list().await?).await
    }

    /// The one that counts, or counted when somebody asked last.
    pub async fn guess(&self) -> Result<Arc<Generation>, StoreError> {
        match self.known() {
            Some((_, known)) => Ok(known),
            None => self.current().await,
        }
    }

    /// The same without asking, if somebody asked that lately.
    pub fn fresh(&self) -> Option<Arc<Generation>> {
        self.known().filter(|(since, _)| since.elapsed() < FRESH).map(|(_, known)| known)
    }

    fn known(&self) -> Option<(Instant, Arc<Generation>)> {
        self.known.lock().expect("no holder panics").clone()
    }

    pub async fn take(&self, listed: &Listed) -> Result<Arc<Generation>, StoreError> {
        // The answer is as old as the question, but by much less than the tables stay.
        let now = Instant::now();
        let number = listed.current.ok_or_else(|| damaged("no generation of its tables counts"))?;
        let generation = match self.known() {
            Some((_, known)) if known.number == number => known,
            known => {
                let opened = self.load(listed, number).await?;
                if known.is_some() {
                    tracing::info!(generation = number, "the room store was replaced by a rebuilt one");
                    self.clean_up_later();
                }
                opened
            }
        };
        *self.known.lock().expect("no holder panics") = Some((now, generation.clone()));
        Ok(generation)
    }

    async fn load(&self, listed: &Listed, number: i64) -> Result<Arc<Generation>, StoreError> {
        let row = listed.rows.iter().find(|row| row.generation == number);
        let bucket = row.map(|row| i64::from(row.bucket)).filter(|&bucket| bucket > 0);
        let bucket = bucket.ok_or_else(|| damaged(format!("generation {number} has no bucket size")))?;
        let statements = Statements::prepare(&self.connection, number).await?;
        let (announced, indexed, begun) = Default::default();
        Ok(Arc::new(Generation { number, bucket, statements, announced, indexed, begun }))
    }

    /// A new generation with empty tables. Those that others began and did not finish are dropped.
    pub async fn build(&self) -> Result<Arc<Generation>, StoreError> {
        let lease = Lease::acquire(&self.connection).await?;
        let built = async {
            for row in self.list().await?.rows.iter().filter(|row| row.state == BUILDING) {
                self.remove(row.generation).await?;
            }
            self.remove_retired().await?;
            let number = self.make().await?;
            self.load(&self.list().await?, number).await
        };
        let built = built.await;
        lease.release().await;
        built
    }

    /// Under a lease: the number of a new generation with empty tables.
    async fn make(&self) -> Result<i64, StoreError> {
        let keyspace = &self.connection.config.keyspace;
        let count = self
            .conditional(&format!(
                "UPDATE {keyspace}.generations SET last = ? WHERE projection = ? IF last = ?"
            ))
            .await?;
        let insert = self
            .conditional(&format!(
                "INSERT INTO {keyspace}.generations (projection, generation, bucket, state, since_ms)
                 VALUES (?, ?, ?, ?, ?) IF NOT EXISTS"
            ))
            .await?;
        let last = self.list().await?.last;
        let number = last.unwrap_or(0) + 1;
        let bucket = i32::try_from(self.connection.config.bucket).unwrap_or(i32::MAX);
        let row = (&self.projection, number, bucket, BUILDING, now_ms());
        // Listed before it has tables, so that they are found whatever happens to this process.
        if !self.connection.is_applied(&count, (number, &self.projection, last)).await?
            || !self.connection.is_applied(&insert, row).await?
        {
            return Err(unavailable("another process is making a generation"));
        }
        schema::create_tables(&self.connection, number).await?;
        Ok(number)
    }

    /// From now on this generation counts, in place of `old`. May be repeated after an error.
    pub async fn switch(&self, old: Option<i64>, new: i64) -> Result<(), StoreError> {
        let keyspace = &self.connection.config.keyspace;
        let point = self
            .conditional(&format!(
                "UPDATE {keyspace}.generations SET current = ? WHERE projection = ? IF current = ?"
            ))
            .await?;
        let mark = self
            .conditional(&format!(
                "UPDATE {keyspace}.generations SET state = ?, since_ms = ?
                 WHERE projection = ? AND generation = ? IF state = ?"
            ))
            .await?;
        let (projection, now) = (&self.projection, now_ms());
        let begun = (CURRENT, now, projection, new, BUILDING);
        let applied = match old {
            None => {
                let values = ((new, projection, old), begun);
                self.connection.are_applied(&[&point, &mark], values).await?
            }
            Some(retired) => {
                let values = ((new, projection, old), begun, (RETIRED, now, projection, retired, CURRENT));
                self.connection.are_applied(&[&point, &mark, &mark], values).await?
            }
        };
        // An attempt that seemed to fail may have been the one that did it.
        if !applied && self.list().await?.current != Some(new) {
            return Err(damaged(format!("generation {new} can't replace {old:?}: another build came first")));
        }
        Ok(())
    }

    /// Drops the tables that nobody uses any more.
    pub async fn clean_up(&self) -> Result<(), StoreError> {
        if !self.list().await?.rows.iter().any(|row| self.is_over(row)) {
            return Ok(());
        }
        let lease = Lease::acquire(&self.connection).await?;
        let removed = self.remove_retired().await;
        lease.release().await;
        removed
    }

    /// When what was replaced now is not used any more. Whoever is there then does it.
    fn clean_up_later(&self) {
        let (myself, stays) = (self.myself.clone(), self.connection.config.retire_after);
        tokio::spawn(async move {
            tokio::time::sleep(stays + MARGIN).await;
            let Some(generations) = myself.upgrade() else { return };
            if let Err(error) = generations.clean_up().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "tables of a replaced room store stay until the next start");
            }
        });
    }

    async fn remove_retired(&self) -> Result<(), StoreError> {
        for row in self.list().await?.rows.iter().filter(|row| self.is_over(row)) {
            self.remove(row.generation).await?;
        }
        Ok(())
    }

    fn is_over(&self, row: &Row) -> bool {
        let stays = i64::try_from(self.connection.config.retire_after.as_millis()).unwrap_or(i64::MAX);
        row.state == RETIRED && now_ms().saturating_sub(row.since_ms) >= stays
    }

    async fn remove(&self, generation: i64) -> Result<(), StoreError> {
        schema::drop_tables(&self.connection, generation).await?;
        let cql = format!(
            "DELETE FROM {}.generations WHERE projection = ? AND generation = ? IF EXISTS",
            self.connection.config.keyspace
        );
        let delete = self.conditional(&cql).await?;
        self.connection.is_applied(&delete, (&self.projection, generation)).await.map(drop)
    }

    async fn conditional(&self, cql: &str) -> Result<PreparedStatement, StoreError> {
        self.connection.prepare_conditional(cql).await
    }
}

/// For the time that retired tables stay, which is far longer than clocks differ.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
