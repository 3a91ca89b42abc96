//! The command side: validates commands, decides them as the single writer of their partition, and
//! appends their events to the log.

pub mod writer;
