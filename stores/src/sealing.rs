//! Sealing of personal content: authenticated encryption under keys that can be destroyed.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha). The content key is
//! `BLAKE3::derive_key("roomlog 2026 content", account key ‖ room key)`; destroying either key makes
//! the content unreadable wherever the log was copied. What is sealed is bound to its place by the
//! associated data, so that it cannot be moved to another event.
//!
//! ```text
//! sealed = 0x01 | nonce (24) | ciphertext | tag (16)
//! ```
//!
//! Content of an account or a room alone (names) is sealed under a key derived from that one's key
//! with a context of its own. Keys lie in the secrets store wrapped, in the same form, under a key
//! derived from the [`MasterKey`], with their owner as associated data.
//!
//! Errors: [`SealError`]; [`MasterKeyError`] for the master key's file.

pub mod aad;
mod cache;
mod content;
mod master;
mod sealer;

pub use content::{ContentKey, SEALED_OVERHEAD};
pub use master::{MasterKey, MasterKeyError};
pub use sealer::Sealer;

use crate::StoreError;
use crate::secrets::KeyOwner;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no such key: it was destroyed, or never made. The content cannot be read again.
    #[error("the key of {0} does not exist")]
    Destroyed(KeyOwner),
    /// The bytes, the key or the associated data do not belong together.
    #[error("sealed bytes are damaged, or belong elsewhere")]
    Damaged,
    /// The key could not be loaded; trying again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Linux answers once its generator was seeded at boot, and never fails after that.
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}
