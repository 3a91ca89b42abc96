//! The rules of rooms and accounts, as pure functions.
//!
//! `decide(state, command, context) -> events | rejection`, `apply(state, event)`. No I/O, no
//! clock, no random numbers: what a decision needs comes in its context.

pub mod visibility;
