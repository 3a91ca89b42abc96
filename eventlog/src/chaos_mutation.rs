//! Breaks one promise of the platform on purpose, for `cargo xtask chaos --all-mutations`, which has to notice.
//!
//! Only in builds with the feature `chaos-mutations`, and there only where `ROOMLOG_CHAOS_MUTATION` names it. It is
//! here because every other crate depends on this one.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A record counts wherever it stands under the current claim.
    ChainCheck,
    /// A command is acknowledged when its record was appended.
    ReadBack,
    /// A key that was used is a new one.
    KeyWindow,
    /// A stream goes on one event too late.
    Resume,
    /// A cursor is stored before the rows of the last record that it covers.
    Cursor,
    /// Whoever was a member goes on receiving.
    Authorization,
    /// A checkpoint covers one offset more than was read.
    Checkpoint,
}

#[cfg(feature = "chaos-mutations")]
impl Mutation {
    const fn name(self) -> &'static str {
        match self {
            Mutation::ChainCheck => "chain_check",
            Mutation::ReadBack => "read_back",
            Mutation::KeyWindow => "key_window",
            Mutation::Resume => "resume",
            Mutation::Cursor => "cursor",
            Mutation::Authorization => "authorization",
            Mutation::Checkpoint => "checkpoint",
        }
    }
}

/// Whether this promise is broken in this process.
#[cfg(feature = "chaos-mutations")]
pub fn is_on(mutation: Mutation) -> bool {
    static NAMED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let named = NAMED.get_or_init(|| std::env::var("ROOMLOG_CHAOS_MUTATION").ok());
    named.as_deref() == Some(mutation.name())
}

#[cfg(not(feature = "chaos-mutations"))]
pub const fn is_on(_: Mutation) -> bool {
    false
}
