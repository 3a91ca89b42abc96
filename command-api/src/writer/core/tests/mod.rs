//! Plain behaviour of one writer, given / steps / then. What faults in every combination do to
//! several of them is the simulation's business.

mod answers;
mod bench;
mod faults;
mod keys;
mod ownership;
