//! The fixed frame at the start of every record's value. Acceptance reads nothing else.
//!
//! ```text
//! offset  bytes  field
//!      0      4  magic "RLOG"
//!      4      1  frame version (1)
//!      5      1  kind: 1 claim, 2 command, 3 schema announcement
//!      6     16  claim id (in a claim: the new one)
//!     22     32  prev: the head that this record extends (in a claim: zero)
//!     54      4  length of the body, little endian
//!     58      …  body
//! ```
//!
//! The body of a claim is fixed too: epoch (8), log id (16), partitions of `accounts` (4) and of
//! `rooms` (4), all little endian, then the owner's address in UTF-8.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::chain::{Head, LogIdentity};
use crate::partition::PartitionCounts;

pub const MAGIC: [u8; 4] = *b"RLOG";
pub const VERSION: u8 = 1;
pub const HEADER_LEN: usize = 58;
const CLAIM_BODY_LEN: usize = 32;

/// Most bytes that a record's value may have (900 KiB), checked before the append.
pub const MAX_RECORD_LEN: usize = 900 * 1024;

/// Chosen afresh at random for each claim.
pub type ClaimId = Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Claim,
    Command,
    Schema,
}

/// A decoded frame; `body` borrows from the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    Claim(Claim<'a>),
    Record { kind: Kind, claim_id: ClaimId, prev: Head, body: &'a [u8] },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    pub epoch: u64,
    pub claim_id: ClaimId,
    pub identity: LogIdentity,
    pub address: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not one of ours; every reader skips it.
    #[error("no Roomlog frame")]
    NoMagic,
    /// Cut off or with something behind it; every reader skips it.
    #[error("a frame of the wrong length")]
    WrongLength,
    /// Written by a newer build; a reader that does not know it must stop.
    #[error("frame version {0} is not known to this build")]
    UnknownVersion(u8),
    /// The same, for a kind of record.
    #[error("record kind {0} is not known to this build")]
    UnknownKind(u8),
}

impl<'a> Frame<'a> {
    pub fn decode(value: &'a [u8]) -> Result<Self, FrameError> {
        if value.len() < 6 || value[..4] != MAGIC {
            return Err(FrameError::NoMagic);
        }
        if value[4] != VERSION {
            return Err(FrameError::UnknownVersion(value[4]));
        }
        if value.len() < HEADER_LEN {
            return Err(FrameError::WrongLength);
        }
        let claim_id = Uuid::from_bytes(array(&value[6..22]));
        let prev = Head(array(&value[22..54]));
        let body = &value[HEADER_LEN..];
        if u32::from_le_bytes(array(&value[54..58])) as usize != body.len() {
            return Err(FrameError::WrongLength);
        }
        let kind = match value[5] {
            1 => return decode_claim(claim_id, body).map(Frame::Claim),
            2 => Kind::Command,
            3 => Kind::Schema,
            other => return Err(FrameError::UnknownKind(other)),
        };
        Ok(Frame::Record { kind, claim_id, prev, body })
    }
}

fn decode_claim(claim_id: ClaimId, body: &[u8]) -> Result<Claim<'_>, FrameError> {
    if body.len() < CLAIM_BODY_LEN {
        return Err(FrameError::WrongLength);
    }
    Ok(Claim {
        epoch: u64::from_le_bytes(array(&body[0..8])),
        claim_id,
        identity: LogIdentity {
            log_id: Uuid::from_bytes(array(&body[8..24])),
            partitions: PartitionCounts {
                accounts: u32::from_le_bytes(array(&body[24..28])),
                rooms: u32::from_le_bytes(array(&body[28..32])),
            },
        },
        address: std::str::from_utf8(&body[CLAIM_BODY_LEN..]).map_err(|_| FrameError::WrongLength)?,
    })
}

/// The value of a claim record.
pub fn encode_claim(claim: &Claim<'_>) -> Bytes {
    let mut out = header(Kind::Claim, claim.claim_id, Head::ZERO, CLAIM_BODY_LEN + claim.address.len());
    out.put_u64_le(claim.epoch);
    out.put_slice(claim.identity.log_id.as_bytes());
    out.put_u32_le(claim.identity.partitions.accounts);
    out.put_u32_le(claim.identity.partitions.rooms);
    out.put_slice(claim.address.as_bytes());
    out.freeze()
}

/// The value of any other record.
pub fn encode_record(kind: Kind, claim_id: ClaimId, prev: Head, body: &[u8]) -> Bytes {
    debug_assert!(kind != Kind::Claim, "a claim has its own encoder");
    let mut out = header(kind, claim_id, prev, body.len());
    out.put_slice(body);
    out.freeze()
}

fn header(kind: Kind, claim_id: ClaimId, prev: Head, body_len: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER_LEN + body_len);
    out.put_slice(&MAGIC);
    out.put_u8(VERSION);
    out.put_u8(match kind {
        Kind::Claim => 1,
        Kind::Command => 2,
        Kind::Schema => 3,
    });
    out.put_slice(claim_id.as_bytes());
    out.put_slice(&prev.0);
    out.put_u32_le(u32::try_from(body_len).expect("records are bounded far below 4 GiB"));
    out
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller slices exactly N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Bytes {
        encode_record(Kind::Command, Uuid::from_u128(7), Head([9; 32]), b"body")
    }

    #[test]
    fn a_record_decodes_to_what_was_encoded() {
        let value = record();
        let Frame::Record { kind, claim_id, prev, body } = Frame::decode(&value).unwrap() else {
            panic!("a record")
        };
        assert_eq!(
            (kind, claim_id, prev, body),
            (Kind::Command, Uuid::from_u128(7), Head([9; 32]), &b"body"[..])
        );
    }

    #[test]
    fn a_claim_decodes_to_what_was_encoded() {
        let claim = Claim {
            epoch: 3,
            claim_id: Uuid::from_u128(1),
            identity: LogIdentity {
                log_id: Uuid::from_u128(2),
                partitions: PartitionCounts { accounts: 1, rooms: 4 },
            },
            address: "http://127.0.0.1:8081",
        };
        assert_eq!(Frame::decode(&encode_claim(&claim)), Ok(Frame::Claim(claim)));
    }

    #[test]
    fn every_cut_and_every_addition_is_of_the_wrong_length_or_foreign() {
        let value = record();
        for cut in 0..value.len() {
            let error = Frame::decode(&value[..cut]).unwrap_err();
            assert!(matches!(error, FrameError::NoMagic | FrameError::WrongLength), "{cut}: {error}");
        }
        let longer = [value.as_ref(), b"x"].concat();
        assert_eq!(Frame::decode(&longer), Err(FrameError::WrongLength));
    }

    #[test]
    fn a_newer_version_or_kind_stops_the_reader() {
        let mut value = record().to_vec();
        value[5] = 200;
        assert_eq!(Frame::decode(&value), Err(FrameError::UnknownKind(200)));
        value[4] = 2;
        assert_eq!(Frame::decode(&value), Err(FrameError::UnknownVersion(2)));
    }
}
