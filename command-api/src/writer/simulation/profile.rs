//! How much of which fault a run has. Chances are per mille.

use crate::writer::request::Millis;

#[derive(Debug, Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub writers: usize,
    /// Steps with faults; the quiet phase follows.
    pub steps: u32,

    // Of each record that reaches the log.
    pub lost: u32,
    pub late: u32,
    pub doubled: u32,
    pub report_lost: u32,

    // Of each step.
    pub slow_wire: u32,
    pub slow_reader: u32,
    pub pause: u32,
    pub crash: u32,
    pub clock_jump: u32,
    /// A day passes.
    pub leap: u32,
    pub garbage: u32,
    pub gap: u32,
    pub snapshot: u32,

    /// Of each query for the log's end.
    pub end_fails: u32,
    /// Most that a writer's clock differs from the log's.
    pub skew_ms: Millis,
    pub deadline_ms: (Millis, Millis),
    pub max_keys: usize,
    pub max_waiting: usize,
    pub max_in_flight: usize,

    /// Processes leave the partition to its owner, as heartbeats tell; otherwise each claims as it likes.
    pub shared: bool,
    // Of each heartbeat.
    pub beat_lost: u32,
    pub beat_delay_ms: Millis,
    // Of each step.
    pub deaf: u32,
    /// Told to stop: hands over first.
    pub stop: u32,

    // Of each command.
    pub without_key: u32,
    /// A second body under the same key.
    pub other_body: u32,
    /// Asked again after its answer.
    pub repeated: u32,
    /// A key from far behind or ahead.
    pub odd_key: u32,
    pub too_large: u32,
}

const CALM: Profile = Profile {
    name: "calm",
    writers: 2,
    steps: 1_200,
    lost: 0,
    late: 0,
    doubled: 0,
    report_lost: 0,
    slow_wire: 0,
    slow_reader: 0,
    pause: 0,
    crash: 0,
    clock_jump: 0,
    leap: 0,
    garbage: 5,
    gap: 5,
    snapshot: 5,
    end_fails: 0,
    skew_ms: 500,
    deadline_ms: (10_000, 10_000),
    max_keys: 4096,
    max_waiting: 1000,
    max_in_flight: 64,
    shared: false,
    beat_lost: 0,
    beat_delay_ms: 0,
    deaf: 0,
    stop: 0,
    without_key: 100,
    other_body: 50,
    repeated: 200,
    odd_key: 50,
    too_large: 3,
};

const WIRE: Profile = Profile {
    name: "wire",
    lost: 30,
    late: 30,
    doubled: 50,
    report_lost: 50,
    slow_wire: 4,
    slow_reader: 4,
    end_fails: 100,
    deadline_ms: (2_000, 10_000),
    without_key: 250,
    ..CALM
};

const ZOMBIES: Profile = Profile {
    name: "zombies",
    writers: 3,
    lost: 10,
    late: 10,
    slow_wire: 4,
    slow_reader: 6,
    pause: 4,
    crash: 2,
    snapshot: 10,
    deadline_ms: (3_000, 10_000),
    ..CALM
};

const CLOCKS: Profile = Profile {
    name: "clocks",
    lost: 5,
    late: 5,
    pause: 3,
    crash: 2,
    clock_jump: 6,
    skew_ms: 6_000,
    odd_key: 300,
    ..CALM
};

/// Days pass, keys leave the window, by their age and by their number.
const KEYS: Profile = Profile {
    name: "keys",
    crash: 1,
    leap: 3,
    max_keys: 6,
    without_key: 0,
    other_body: 100,
    repeated: 500,
    odd_key: 400,
    ..CALM
};

const DAYS: Profile = Profile { name: "days", max_keys: 4096, ..KEYS };

const OVERLOAD: Profile = Profile {
    name: "overload",
    lost: 5,
    slow_wire: 6,
    slow_reader: 6,
    deadline_ms: (150, 2_500),
    max_waiting: 12,
    max_in_flight: 3,
    ..CALM
};

const EVERYTHING: Profile = Profile {
    name: "everything",
    writers: 3,
    lost: 15,
    late: 15,
    doubled: 30,
    report_lost: 30,
    slow_wire: 3,
    slow_reader: 3,
    pause: 3,
    crash: 2,
    clock_jump: 5,
    leap: 1,
    garbage: 15,
    gap: 10,
    snapshot: 10,
    end_fails: 50,
    skew_ms: 4_000,
    deadline_ms: (500, 10_000),
    max_keys: 12,
    repeated: 300,
    odd_key: 150,
    without_key: 150,
    ..CALM
};

const SHARED: Profile =
    Profile { name: "shared", writers: 3, shared: true, beat_delay_ms: 60, crash: 2, stop: 4, ..CALM };

/// Heartbeats lost, late and not coming back; owners that pause, or that heartbeat and cannot append.
const DUELS: Profile = Profile {
    name: "duels",
    writers: 3,
    shared: true,
    beat_lost: 200,
    beat_delay_ms: 900,
    deaf: 6,
    stop: 3,
    lost: 10,
    late: 10,
    slow_wire: 6,
    slow_reader: 4,
    pause: 4,
    crash: 2,
    end_fails: 30,
    skew_ms: 4_000,
    deadline_ms: (3_000, 10_000),
    ..CALM
};

pub const PROFILES: &[Profile] =
    &[SHARED, DUELS, CALM, WIRE, ZOMBIES, CLOCKS, KEYS, DAYS, OVERLOAD, EVERYTHING];
