//! What can go wrong with a store.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is busy now; trying again may help.
    #[error("the {store} store is unavailable")]
    Unavailable {
        store: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store does not let this process in as it is configured (password, rights, name of the
    /// database, certificate); trying again helps only once somebody has changed that.
    #[error("the {store} store refuses this process")]
    Refused {
        store: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store cannot hold these rows, whoever tries and however often.
    #[error("the {store} store refuses the rows")]
    RowsRefused {
        store: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What the store holds about this root room or account is not all there is.
    #[error("{subject} is in quarantine in {projection}")]
    Quarantined { projection: &'static str, subject: uuid::Uuid },
    /// Somebody else moved the projection's cursor: another projector works on the same.
    #[error("the cursor of {projection} in {partition} is at {found}, not at {expected}")]
    CursorMoved { projection: &'static str, partition: String, expected: u64, found: u64 },
    /// A row cannot be decoded, whoever reads it and however often; others can.
    #[error("the {store} store holds a row that cannot be decoded: {what}")]
    BadRow { store: &'static str, what: String },
    /// What is stored cannot be understood, or its tables are not those of this build; trying again does
    /// not help.
    #[error("the {store} store holds something damaged: {what}")]
    Damaged { store: &'static str, what: String },
    /// The store was written by a newer build.
    #[error("the {store} store has schema version {found}; this build knows {known}")]
    NewerVersion { store: &'static str, found: i64, known: i64 },
}
