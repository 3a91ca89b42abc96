//! The command side: validates commands, decides them as the single writer of their partition, and
//! appends their events to the log.

pub mod accounts;
pub mod forward;
pub mod http;
pub mod import;
pub mod password;
pub mod service;
pub mod sessions;
pub mod text;
pub mod writer;
