//! Writers, their log and their clients in one thread, with everything that may go wrong, chosen by a
//! seed. An auditor that knows only the log, the requests and the answers checks named invariants
//! (see [`invariant`]) after every step.
//!
//! `ROOMLOG_SIMULATION_SEEDS=10000` runs more seeds than the default, `ROOMLOG_SIMULATION_SEED=7` one
//! again. The breaking of each rule on purpose (see [`super::mutation`]) has to be noticed.
//!
//! Outside it: a request that the network delays past a later attempt with the same key, and a
//! process that pauses while its wall clock is set back.

mod auditor;
mod clients;
mod counters;
mod faults;
mod invariant;
mod log;
mod node;
mod outcomes;
mod profile;
mod readers;
mod rng;
mod runs;
mod sharing;
mod world;
