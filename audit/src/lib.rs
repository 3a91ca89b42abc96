//! Checkpoints: signed words on where the log stood, kept outside of it, and the keys that sign them.
//!
//! The hash chain shows any change between two heads that somebody knows. A checkpoint is a head that
//! somebody knows: whoever keeps one notices when the log before it is changed, cut off or written anew.
//! See `docs/adr/0024-checkpoints.md`, which has the form for those who verify with tools of their own.
//!
//! [`checkpoint`] and [`keys`] are the form, without I/O; [`keeper`] has the secret keys, [`archive`] the
//! place outside the log, [`signer`] makes checkpoints, [`verify`] holds a log against them.

pub mod archive;
pub mod checkpoint;
pub mod form;
pub mod keeper;
pub mod keys;
pub mod signer;
pub mod verify;

pub use archive::Archive;
pub use checkpoint::Checkpoint;
pub use form::{PublicKey, Time};
pub use keeper::{Keeper, KeeperError};
pub use keys::{AuditKey, KeyChain};
pub use signer::{Signer, SignerError};
