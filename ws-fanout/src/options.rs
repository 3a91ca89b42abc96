//! What an operator can set.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Origins that browsers may connect from, such as `https://chat.example`, besides the host that
    /// the request was sent to. `*` allows every origin.
    pub origins: Vec<String>,
    /// Sockets of this process; more are answered 503 `too_many_connections`.
    pub max_connections: usize,
    /// Sockets of one account; more are answered 429 `too_many_sockets`.
    pub max_per_account: usize,
    /// A message from a client with more bytes closes its socket.
    pub max_client_frame: usize,
    /// Events of so many bytes and more go out compressed to clients that take `permessage-deflate`; `None` declines it.
    pub compress_from: Option<usize>,
    /// Most rooms in `since`.
    pub max_since_rooms: usize,
    /// Commands of one socket that have no answer yet; more are rejected.
    pub max_commands: usize,
    /// From the upgrade to the client's first frame.
    pub start_timeout: Duration,
    pub ping_interval: Duration,
    /// A socket from which nothing was heard for so long, not even a pong, is closed. More than two
    /// ping intervals.
    pub idle_timeout: Duration,
    /// Bytes that may wait for one socket; it stops being live when they are reached. A single
    /// larger frame is let through.
    pub queue_bytes: usize,
    /// How long a socket that stopped being live has time to come back.
    pub slow_limit: Duration,
    /// Most events and bytes that a room keeps for resumes, roughly.
    pub ring_events: usize,
    pub ring_bytes: usize,
    /// The same for all rooms together, in bytes.
    pub rings_bytes: usize,
    /// Sockets that read the room store at the same time.
    pub store_readers: usize,
    /// Follows every partition all the time, so that no socket waits for a tail to begin. Without it
    /// only those are followed that the sockets need: for many processes with many partitions.
    pub tail_all: bool,
    /// How long a partition is followed after the last socket that needed it.
    pub tail_linger: Duration,
    /// How often the rooms of an account with sockets are looked up while it might have joined one in
    /// a partition that is not followed, and no signal said so. Only without `tail_all`.
    pub poll_interval: Duration,
    /// Longest that opening a socket waits for the tails, and for the room store.
    pub open_timeout: Duration,
    /// Longest that a closing socket waits for its client.
    pub close_timeout: Duration,
    /// The same when the process stops: commands and queued frames have this time to go out.
    pub drain_timeout: Duration,
    /// Per socket, kept for its life.
    pub read_buffer: usize,
    /// Frames are written together up to this many bytes.
    pub write_buffer: usize,
    /// Before the second attempt, where log, store or keys are away; doubles with each failure.
    pub shortest_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            max_connections: 50_000,
            max_per_account: 64,
            // A text of 64 KiB in which every byte is escaped (six times as long), and what is around it.
            max_client_frame: 512 * 1024,
            compress_from: Some(256),
            max_since_rooms: 2_000,
            max_commands: 16,
            start_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            queue_bytes: 256 * 1024,
            slow_limit: Duration::from_secs(10),
            ring_events: 256,
            ring_bytes: 256 * 1024,
            rings_bytes: 64 * 1024 * 1024,
            store_readers: 16,
            tail_all: true,
            tail_linger: Duration::from_secs(60),
            poll_interval: Duration::from_secs(10),
            open_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(3),
            drain_timeout: Duration::from_secs(8),
            read_buffer: 1024,
            write_buffer: 16 * 1024,
            shortest_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
        }
    }
}
