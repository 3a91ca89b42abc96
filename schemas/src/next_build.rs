//! What a later build might do, for `cargo xtask chaos`, which replaces a running platform by it: messages are written
//! as a type of event that builds before it do not know, and the directory has another version.
//!
//! Only in builds with the feature `chaos-next-build`, and there only where `ROOMLOG_CHAOS_NEXT_BUILD` is set.

#[cfg(feature = "chaos-next-build")]
pub use on_demand::*;

#[cfg(feature = "chaos-next-build")]
mod on_demand {
    use std::sync::OnceLock;

    use crate::event::Event;
    use crate::{CodecError, codec};

    static IS_ON: OnceLock<bool> = OnceLock::new();

    /// Whether this process is of the later build.
    pub fn is_on() -> bool {
        *IS_ON.get_or_init(|| std::env::var_os("ROOMLOG_CHAOS_NEXT_BUILD").is_some())
    }

    /// Makes this process one of the later build, if nothing has been read or written yet.
    pub fn turn_on() {
        let _ = IS_ON.set(true);
    }

    pub(crate) const OLD_NAME: &str = "message_sent";
    pub(crate) const NEW_NAME: &str = "message_posted";

    /// The new type's schema has the old one's fields.
    pub(crate) fn schema(old: &str) -> String {
        old.replacen("\"MessageSent\"", "\"MessagePosted\"", 1)
    }

    /// The name of the event that a schema of this name holds.
    pub(crate) fn read_as(name: &str) -> &str {
        if is_on() && name == NEW_NAME { OLD_NAME } else { name }
    }

    /// As the log gets it.
    pub fn encode_event(event: &Event) -> Result<bytes::Bytes, CodecError> {
        let name = event.name();
        codec::encode_event_as(if is_on() && name == OLD_NAME { NEW_NAME } else { name }, event)
    }
}

#[cfg(not(feature = "chaos-next-build"))]
pub const fn is_on() -> bool {
    false
}

#[cfg(not(feature = "chaos-next-build"))]
pub(crate) const fn read_as(name: &str) -> &str {
    name
}

/// As the log gets it.
#[cfg(not(feature = "chaos-next-build"))]
pub fn encode_event(event: &crate::Event) -> Result<bytes::Bytes, crate::CodecError> {
    crate::encode_event(event)
}
