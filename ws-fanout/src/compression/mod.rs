//! `permessage-deflate` (RFC 7692), without context take-over in either direction: a message is compressed by itself, so
//! that the same compressed bytes go to everyone who takes them.

mod deflate;
mod inflate;
mod offer;

pub(crate) use deflate::deflate;
pub(crate) use inflate::Inflate;
pub(crate) use offer::accept;

/// Base-two logarithm of how far back a compressed message refers. 4 KiB are all of nearly every event; a client needs no
/// more memory than that to read it, and those that offer little are content.
const WINDOW_BITS: u8 = 12;
/// What a flush ends with. Not sent (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
