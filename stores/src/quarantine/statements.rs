//! The quarantine's statements, which PostgreSQL and SQLite understand alike. sqlx ties a query to one
//! kind of database, so they are expanded for each.
//!
//! Whoever keeps or removes records of a subject has locked its row in `quarantined` first, so that a
//! quarantine does not end while something is added to it.

macro_rules! quarantine_statements {
    ($Connection:ty, $Row:ty) => {
        use roomlog_eventlog::{Topic, TopicPartition};
        use roomlog_schemas::RoomId;
        use sqlx::{AssertSqlSafe, Result, Row};
        use uuid::Uuid;

        use crate::columns::to_i64;
        use crate::progress::Projection;
        use crate::quarantine::{Entry, Quarantined, Scope, Subject};

        const TABLES: [&str; 3] = ["quarantined", "quarantined_records", "quarantined_rooms"];

        /// In a transaction; it is to be rolled back if this is false.
        pub async fn put(connection: &mut $Connection, scope: Scope, entries: &[Entry]) -> Result<bool> {
            for entry in entries {
                if !put_one(connection, scope, entry).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        }

        async fn put_one(connection: &mut $Connection, scope: Scope, entry: &Entry) -> Result<bool> {
            let mut is_locked = lock(connection, scope, entry.subject).await?;
            // Twice where another one has just ended the quarantine.
            while !is_locked {
                if entry.error.is_none() {
                    return Ok(false);
                }
                sqlx::query(
                    "INSERT INTO quarantined
                         (projection, is_beside, subject, topic, partition, retry_requested, failed_retries)
                     VALUES ($1, $2, $3, $4, $5, FALSE, 0) ON CONFLICT DO NOTHING",
                )
                .bind(scope.projection.name())
                .bind(scope.is_beside)
                .bind(entry.subject.0)
                .bind(entry.partition.topic.name())
                .bind(i64::from(entry.partition.partition))
                .execute(&mut *connection)
                .await?;
                is_locked = lock(connection, scope, entry.subject).await?;
            }
            sqlx::query(
                "INSERT INTO quarantined_records
                     (projection, is_beside, subject, log_offset, record_time_ms, record, error)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(entry.subject.0)
            .bind(to_i64(entry.offset))
            .bind(entry.record_time_ms)
            .bind(&entry.record[..])
            .bind(entry.error.as_deref().map(text))
            .execute(&mut *connection)
            .await?;
            for room in &entry.rooms {
                sqlx::query(
                    "INSERT INTO quarantined_rooms (projection, is_beside, subject, log_offset, room_id)
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                )
                .bind(scope.projection.name())
                .bind(scope.is_beside)
                .bind(entry.subject.0)
                .bind(to_i64(entry.offset))
                .bind(room.0)
                .execute(&mut *connection)
                .await?;
            }
            Ok(true)
        }

        /// False if the subject is not in quarantine.
        async fn lock(connection: &mut $Connection, scope: Scope, subject: Subject) -> Result<bool> {
            let locked = sqlx::query(
                "UPDATE quarantined SET retry_requested = retry_requested
                 WHERE projection = $1 AND is_beside = $2 AND subject = $3",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(subject.0);
            Ok(locked.execute(connection).await?.rows_affected() == 1)
        }

        /// Not every database holds a zero in a text.
        fn text(error: &str) -> String {
            error.replace('\0', "\u{fffd}")
        }

        pub async fn is_quarantined(
            connection: &mut $Connection,
            scope: Scope,
            subject: Subject,
        ) -> Result<bool> {
            let row = sqlx::query(
                "SELECT subject FROM quarantined
                 WHERE projection = $1 AND is_beside = $2 AND subject = $3",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(subject.0);
            Ok(row.fetch_optional(connection).await?.is_some())
        }

        pub async fn list(connection: &mut $Connection) -> Result<Vec<Quarantined>> {
            let rows = sqlx::query(
                "SELECT q.projection, q.subject, q.topic, q.partition, q.retry_requested, q.failed_retries,
                        (SELECT count(*) FROM quarantined_records r
                         WHERE (r.projection, r.is_beside, r.subject)
                               = (q.projection, q.is_beside, q.subject)) AS records,
                        first.log_offset, first.record_time_ms,
                        (SELECT r.error FROM quarantined_records r
                         WHERE (r.projection, r.is_beside, r.subject)
                               = (q.projection, q.is_beside, q.subject) AND r.error IS NOT NULL
                         ORDER BY r.log_offset LIMIT 1) AS error
                 FROM quarantined q JOIN quarantined_records first
                   ON (first.projection, first.is_beside, first.subject)
                      = (q.projection, q.is_beside, q.subject)
                 WHERE q.is_beside = FALSE AND first.log_offset =
                       (SELECT min(r.log_offset) FROM quarantined_records r
                        WHERE (r.projection, r.is_beside, r.subject)
                              = (q.projection, q.is_beside, q.subject))
                 ORDER BY q.projection, q.subject",
            );
            rows.fetch_all(connection).await?.iter().map(quarantined).collect()
        }

        pub async fn subjects(
            connection: &mut $Connection,
            scope: Scope,
            partition: TopicPartition,
        ) -> Result<Vec<Subject>> {
            let subjects = sqlx::query_scalar(
                "SELECT subject FROM quarantined
                 WHERE projection = $1 AND is_beside = $2 AND topic = $3 AND partition = $4
                 ORDER BY subject",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(partition.topic.name())
            .bind(i64::from(partition.partition));
            Ok(subjects.fetch_all(connection).await?.into_iter().map(Subject).collect())
        }

        pub async fn rooms(connection: &mut $Connection, scope: Scope) -> Result<Vec<(RoomId, Subject)>> {
            let rooms = sqlx::query_as(
                "SELECT DISTINCT room_id, subject FROM quarantined_rooms
                 WHERE projection = $1 AND is_beside = $2 ORDER BY room_id",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside);
            let rooms: Vec<(Uuid, Uuid)> = rooms.fetch_all(connection).await?;
            Ok(rooms.into_iter().map(|(room, subject)| (RoomId(room), Subject(subject))).collect())
        }

        pub async fn entries(
            connection: &mut $Connection,
            scope: Scope,
            subject: Subject,
            from: u64,
            limit: usize,
        ) -> Result<Vec<Entry>> {
            let rows = sqlx::query(
                "SELECT r.subject, q.topic, q.partition, r.log_offset, r.record_time_ms, r.record, r.error
                 FROM quarantined_records r JOIN quarantined q
                   ON (q.projection, q.is_beside, q.subject) = (r.projection, r.is_beside, r.subject)
                 WHERE r.projection = $1 AND r.is_beside = $2 AND r.subject = $3 AND r.log_offset >= $4
                 ORDER BY r.log_offset LIMIT $5",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(subject.0)
            .bind(to_i64(from))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
            let rows = rows.fetch_all(&mut *connection).await?;
            let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>>>()?;
            let Some(last) = entries.last() else { return Ok(entries) };
            let rooms: Vec<(i64, Uuid)> = sqlx::query_as(
                "SELECT log_offset, room_id FROM quarantined_rooms
                 WHERE projection = $1 AND is_beside = $2 AND subject = $3
                   AND log_offset BETWEEN $4 AND $5 ORDER BY log_offset, room_id",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(subject.0)
            .bind(to_i64(from))
            .bind(to_i64(last.offset))
            .fetch_all(connection)
            .await?;
            for (offset, room) in rooms {
                if let Some(entry) = entries.iter_mut().find(|entry| to_i64(entry.offset) == offset) {
                    entry.rooms.push(RoomId(room));
                }
            }
            Ok(entries)
        }

        /// In a transaction.
        pub async fn remove(
            connection: &mut $Connection,
            scope: Scope,
            subject: Subject,
            through: u64,
        ) -> Result<bool> {
            if !lock(connection, scope, subject).await? {
                return Ok(true);
            }
            for table in ["quarantined_records", "quarantined_rooms"] {
                let statement = format!(
                    "DELETE FROM {table}
                     WHERE projection = $1 AND is_beside = $2 AND subject = $3 AND log_offset <= $4"
                );
                sqlx::query(AssertSqlSafe(statement))
                    .bind(scope.projection.name())
                    .bind(scope.is_beside)
                    .bind(subject.0)
                    .bind(to_i64(through))
                    .execute(&mut *connection)
                    .await?;
            }
            let over = sqlx::query(
                "DELETE FROM quarantined WHERE projection = $1 AND is_beside = $2 AND subject = $3
                 AND NOT EXISTS (SELECT 1 FROM quarantined_records r
                                 WHERE r.projection = $1 AND r.is_beside = $2 AND r.subject = $3)",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(subject.0);
            Ok(over.execute(connection).await?.rows_affected() == 1)
        }

        pub async fn request_retry(
            connection: &mut $Connection,
            projection: Projection,
            subject: Option<Subject>,
        ) -> Result<u64> {
            let marked = match subject {
                Some(subject) => sqlx::query(
                    "UPDATE quarantined SET retry_requested = TRUE
                     WHERE projection = $1 AND is_beside = FALSE AND subject = $2",
                )
                .bind(projection.name())
                .bind(subject.0),
                None => sqlx::query(
                    "UPDATE quarantined SET retry_requested = TRUE
                     WHERE projection = $1 AND is_beside = FALSE",
                )
                .bind(projection.name()),
            };
            Ok(marked.execute(connection).await?.rows_affected())
        }

        pub async fn take_retry(
            connection: &mut $Connection,
            projection: Projection,
            subject: Subject,
        ) -> Result<bool> {
            let taken = sqlx::query(
                "UPDATE quarantined SET retry_requested = FALSE
                 WHERE projection = $1 AND is_beside = FALSE AND subject = $2 AND retry_requested",
            )
            .bind(projection.name())
            .bind(subject.0);
            Ok(taken.execute(connection).await?.rows_affected() == 1)
        }

        /// In a transaction.
        pub async fn retry_failed(
            connection: &mut $Connection,
            scope: Scope,
            subject: Subject,
            offset: u64,
            error: &str,
        ) -> Result<()> {
            sqlx::query(
                "UPDATE quarantined SET failed_retries = failed_retries + 1
                 WHERE projection = $1 AND is_beside = $2 AND subject = $3",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(subject.0)
            .execute(&mut *connection)
            .await?;
            sqlx::query(
                "UPDATE quarantined_records SET error = $5
                 WHERE projection = $1 AND is_beside = $2 AND subject = $3 AND log_offset = $4",
            )
            .bind(scope.projection.name())
            .bind(scope.is_beside)
            .bind(subject.0)
            .bind(to_i64(offset))
            .bind(text(error))
            .execute(connection)
            .await
            .map(drop)
        }

        /// In a transaction.
        pub async fn clear(connection: &mut $Connection, scope: Scope) -> Result<()> {
            for table in TABLES {
                let statement = format!("DELETE FROM {table} WHERE projection = $1 AND is_beside = $2");
                sqlx::query(AssertSqlSafe(statement))
                    .bind(scope.projection.name())
                    .bind(scope.is_beside)
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        }

        /// In a transaction.
        pub async fn begin_promote(connection: &mut $Connection, projection: Projection) -> Result<()> {
            for (table, columns) in [
                ("quarantined", "subject, topic, partition, retry_requested, failed_retries"),
                ("quarantined_records", "subject, log_offset, record_time_ms, record, error"),
                ("quarantined_rooms", "subject, log_offset, room_id"),
            ] {
                let statement = format!(
                    "INSERT INTO {table} (projection, is_beside, {columns})
                     SELECT projection, FALSE, {columns} FROM {table}
                     WHERE projection = $1 AND is_beside = TRUE ON CONFLICT DO NOTHING"
                );
                let copied = sqlx::query(AssertSqlSafe(statement)).bind(projection.name());
                copied.execute(&mut *connection).await?;
            }
            Ok(())
        }

        /// In a transaction.
        pub async fn finish_promote(connection: &mut $Connection, projection: Projection) -> Result<()> {
            clear(connection, Scope::current(projection)).await?;
            for table in TABLES {
                let statement = format!(
                    "UPDATE {table} SET is_beside = FALSE WHERE projection = $1 AND is_beside = TRUE"
                );
                let moved = sqlx::query(AssertSqlSafe(statement)).bind(projection.name());
                moved.execute(&mut *connection).await?;
            }
            Ok(())
        }

        fn quarantined(row: &$Row) -> Result<Quarantined> {
            let name: String = row.try_get("projection")?;
            let projection = Projection::of_name(&name)
                .ok_or_else(|| sqlx::Error::Decode(format!("the projection {name}").into()))?;
            let error: Option<String> = row.try_get("error")?;
            Ok(Quarantined {
                projection: projection.name(),
                subject: Subject(row.try_get("subject")?),
                partition: partition(row)?,
                records: row.try_get::<i64, _>("records")?.unsigned_abs(),
                first_offset: row.try_get::<i64, _>("log_offset")?.unsigned_abs(),
                since_ms: row.try_get("record_time_ms")?,
                error: error.unwrap_or_default(),
                retry_requested: row.try_get("retry_requested")?,
                failed_retries: row.try_get::<i64, _>("failed_retries")?.unsigned_abs(),
            })
        }

        /// Without its rooms.
        fn entry(row: &$Row) -> Result<Entry> {
            let record: Vec<u8> = row.try_get("record")?;
            Ok(Entry {
                subject: Subject(row.try_get("subject")?),
                partition: partition(row)?,
                offset: row.try_get::<i64, _>("log_offset")?.unsigned_abs(),
                record_time_ms: row.try_get("record_time_ms")?,
                record: record.into(),
                error: row.try_get("error")?,
                rooms: Vec::new(),
            })
        }

        fn partition(row: &$Row) -> Result<TopicPartition> {
            let topic: String = row.try_get("topic")?;
            let number: i64 = row.try_get("partition")?;
            let topic = [Topic::Accounts, Topic::Rooms].into_iter().find(|known| known.name() == topic);
            match (topic, number.try_into()) {
                (Some(topic), Ok(partition)) => Ok(TopicPartition { topic, partition }),
                _ => Err(sqlx::Error::Decode(format!("a partition numbered {number}").into())),
            }
        }
    };
}
pub(crate) use quarantine_statements;
