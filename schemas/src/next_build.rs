//! What a later build might do, for `cargo xtask chaos`, which replaces a running platform by it: messages are written
//! as a type of event that builds before it do not know, and the directory has another version.
//!
//! Only in builds with the feature `chaos-next-build`, and there only where `ROOMLOG_CHAOS_NEXT_BUILD` is set.

#[cfg(feature = "chaos-next-build")]
pub use on_demand::*;

#[cfg(feature = "chaos-next-build")]
mod on_demand {
    use std::sync::{Arc, OnceLock};

    use bytes::Bytes;

    use crate::event::Event;
    use crate::registry::{Registry, Version};
    use crate::{CodecError, codec};

    pub(crate) const OLD_NAME: &str = "message_sent";
    pub(crate) const NEW_NAME: &str = "message_posted";

    static IS_ON: OnceLock<bool> = OnceLock::new();

    /// Whether this process is of the later build.
    pub fn is_on() -> bool {
        *IS_ON.get_or_init(|| std::env::var_os("ROOMLOG_CHAOS_NEXT_BUILD").is_some())
    }

    /// Makes this process one of the later build, if nothing has been read or written yet.
    pub fn turn_on() {
        let _ = IS_ON.set(true);
    }

    /// Of the new type, from the old one's: the fields are the same.
    pub(crate) fn schema(old: &str) -> String {
        old.replacen("\"MessageSent\"", "\"MessagePosted\"", 1)
    }

    /// The version that a datum of this one is read as.
    pub(crate) fn read_as(version: Arc<Version>) -> Arc<Version> {
        match Registry::known().latest(OLD_NAME) {
            Some(old) if is_on() && version.name == NEW_NAME => old.clone(),
            _ => version,
        }
    }

    /// As the log gets it.
    pub fn encode_event(event: &Event) -> Result<Bytes, CodecError> {
        let encoded = codec::encode_event(event)?;
        let new = Registry::known().named(NEW_NAME);
        match new.filter(|_| event.name() == OLD_NAME) {
            Some(new) => Ok(codec::with_fingerprint(&encoded, new.fingerprint)),
            None => Ok(encoded),
        }
    }
}

#[cfg(not(feature = "chaos-next-build"))]
pub const fn is_on() -> bool {
    false
}

#[cfg(not(feature = "chaos-next-build"))]
pub(crate) fn read_as<T>(version: T) -> T {
    version
}

/// As the log gets it.
#[cfg(not(feature = "chaos-next-build"))]
pub fn encode_event(event: &crate::Event) -> Result<bytes::Bytes, crate::CodecError> {
    crate::encode_event(event)
}
