//! What takes bytes from strangers, each as a target of a coverage-guided fuzzer: `cargo xtask fuzz`.
//!
//! A target is a file here with two functions and a line in [`TARGETS`]. `run` gives bytes to the code and panics where a
//! promise does not hold; `seeds` are valid inputs from which the fuzzer sets out. What the fuzzer found once is in
//! `regressions/<target>/`. An ordinary test runs both (`tests/known.rs`).

mod avro;
mod bytes_of;
mod cursor;
mod follow;
mod frame;
mod frames_of_clients;
mod position;

/// Code under test.
pub struct Target {
    pub name: &'static str,
    /// Whether the bytes were what the code reads, rather than refused by it.
    pub run: fn(&[u8]) -> bool,
    /// Accepted by `run`.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of the longest input: what is longer is refused by its length alone, or does not happen.
    pub max_len: usize,
}

pub const TARGETS: [Target; 6] = [
    Target { name: "frame", run: frame::run, seeds: frame::seeds, max_len: 512 },
    Target { name: "follow", run: follow::run, seeds: follow::seeds, max_len: 4096 },
    Target { name: "avro", run: avro::run, seeds: avro::seeds, max_len: 1024 },
    Target { name: "cursor", run: cursor::run, seeds: cursor::seeds, max_len: 2048 },
    Target { name: "position", run: position::run, seeds: position::seeds, max_len: 512 },
    Target {
        name: "client_frame",
        run: frames_of_clients::run,
        seeds: frames_of_clients::seeds,
        max_len: 2048,
    },
];

pub fn target(name: &str) -> Option<&'static Target> {
    static ALL: [Target; 6] = TARGETS;
    ALL.iter().find(|target| target.name == name)
}
