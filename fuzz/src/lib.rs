//! What takes bytes from strangers, each as a target of a coverage-guided fuzzer: `cargo xtask fuzz`.
//!
//! A target is a file here with two functions and a line in [`TARGETS`]. `run` gives bytes to the code and panics where a
//! promise does not hold; `seeds` are valid inputs from which the fuzzer sets out. What the fuzzer found once is in
//! `regressions/<target>/`. An ordinary test runs both (`tests/known.rs`).

mod avro;
mod bytes_of;
mod client_frame;
mod cursor;
mod follow;
mod frame;
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
    /// Inputs in continuous integration: about ten seconds of them.
    pub inputs: u64,
}

pub const TARGETS: [Target; 6] = [
    Target { name: "frame", run: frame::run, seeds: frame::seeds, max_len: 512, inputs: 400_000 },
    Target { name: "follow", run: follow::run, seeds: follow::seeds, max_len: 4096, inputs: 50_000 },
    Target { name: "avro", run: avro::run, seeds: avro::seeds, max_len: 1024, inputs: 150_000 },
    Target { name: "cursor", run: cursor::run, seeds: cursor::seeds, max_len: 2048, inputs: 250_000 },
    Target { name: "position", run: position::run, seeds: position::seeds, max_len: 512, inputs: 400_000 },
    Target {
        name: "client_frame",
        run: client_frame::run,
        seeds: client_frame::seeds,
        max_len: 2048,
        inputs: 300_000,
    },
];

pub fn target(name: &str) -> Option<&'static Target> {
    static ALL: &[Target] = &TARGETS;
    ALL.iter().find(|target| target.name == name)
}
