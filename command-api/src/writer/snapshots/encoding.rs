//! The bytes of a snapshot:
//!
//! ```text
//!   magic (8) │ state version (4) │ format (4) │ BLAKE3 of the rest (32) │ MessagePack
//! ```
//!
//! Numbers are big-endian. The hash finds damage; that nobody else wrote it is for whoever guards the store.

use roomlog_domain::STATE_VERSION;

use crate::writer::core::Snapshot;

const MAGIC: &[u8; 8] = b"ROOMLOGS";
/// Of these bytes and of the key window in them; the state has a version of its own.
pub const FORMAT: u32 = 1;

const HASH: usize = 16;
const BODY: usize = HASH + 32;

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("it is no snapshot")]
    NotASnapshot,
    #[error(
        "it is of version {state} of the state and {format} of the form; this build has {STATE_VERSION} and {FORMAT}"
    )]
    OtherVersion { state: u32, format: u32 },
    #[error("it is damaged")]
    Damaged,
    #[error("it cannot be decoded")]
    Body(#[from] rmp_serde::decode::Error),
}

pub fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = vec![0; BODY];
    rmp_serde::encode::write(&mut bytes, snapshot)?;
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&STATE_VERSION.to_be_bytes());
    bytes[12..HASH].copy_from_slice(&FORMAT.to_be_bytes());
    let hash = blake3::hash(&bytes[BODY..]);
    bytes[HASH..BODY].copy_from_slice(hash.as_bytes());
    Ok(bytes)
}

pub fn decode(bytes: &[u8]) -> Result<Snapshot, DecodeError> {
    if bytes.len() < BODY || &bytes[..8] != MAGIC {
        return Err(DecodeError::NotASnapshot);
    }
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (state, format) = (number(8), number(12));
    if (state, format) != (STATE_VERSION, FORMAT) {
        return Err(DecodeError::OtherVersion { state, format });
    }
    if blake3::hash(&bytes[BODY..]).as_bytes() != &bytes[HASH..BODY] {
        return Err(DecodeError::Damaged);
    }
    Ok(rmp_serde::from_slice(&bytes[BODY..])?)
}
