//! Keys in memory, and what is sealed under them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{SealError, random};

const FORMAT: u8 = 1;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
/// How much longer sealed bytes are than what they hold.
pub const SEALED_OVERHEAD: usize = 1 + NONCE_LEN + TAG_LEN;

/// 32 bytes that are wiped when their last holder lets go of them.
pub(super) type Secret = Arc<Zeroizing<[u8; 32]>>;

/// A new secret by BLAKE3 from others, in a context of its own.
pub(super) fn derive(context: &'static str, parts: &[&[u8; 32]]) -> Zeroizing<[u8; 32]> {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(*part);
    }
    Zeroizing::new(*hasher.finalize().as_bytes())
}

/// Seals and opens. Cheap to clone; wiped from memory with its last clone.
#[derive(Clone)]
pub struct ContentKey(Arc<XChaCha20Poly1305>);

impl ContentKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Arc::new(XChaCha20Poly1305::new(key.into())))
    }

    /// Encrypts under a fresh random nonce and binds the result to `aad` (see [`super::aad`]).
    /// The result is [`SEALED_OVERHEAD`] bytes longer than `plaintext`.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Bytes {
        let nonce = random::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(plaintext.len() + SEALED_OVERHEAD);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let text = &mut sealed[1 + NONCE_LEN..];
        let tag = self
            .0
            .encrypt_inout_detached(&XNonce::from(nonce), aad, text.into())
            .expect("only a text of more than 256 GiB is refused");
        sealed.extend_from_slice(&tag);
        Bytes::from(sealed)
    }

    /// The plaintext; `Damaged` unless `sealed` was made under this key and this `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (&format, rest) = sealed.split_first().ok_or(SealError::Damaged)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
        let (text, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(SealError::Damaged)?;
        if format != FORMAT {
            return Err(SealError::Damaged);
        }
        let mut text = text.to_vec();
        self.0
            .decrypt_inout_detached(&XNonce::from(*nonce), aad, text.as_mut_slice().into(), &Tag::from(*tag))
            .map_err(|_| SealError::Damaged)?;
        Ok(text)
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(secret)")
    }
}
