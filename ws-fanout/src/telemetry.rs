//! The metrics that are counted often, looked up once.

use metrics::{Counter, Gauge, counter, gauge};

use crate::CloseReason;

pub(crate) struct Telemetry {
    pub sockets: Gauge,
    pub tails: Gauge,
    pub frames: Counter,
    pub bytes: Counter,
    pub saved: Counter,
    pub resumes_from_ring: Counter,
    pub resumes_from_store: Counter,
    pub hidden: Counter,
    pub gaps: Counter,
    pub slow_consumers: Counter,
}

impl Telemetry {
    pub fn new() -> Self {
        Self {
            sockets: gauge!("roomlog_fanout_sockets"),
            tails: gauge!("roomlog_fanout_tails"),
            frames: counter!("roomlog_fanout_frames_sent_total"),
            bytes: counter!("roomlog_fanout_bytes_sent_total"),
            saved: counter!("roomlog_fanout_bytes_saved_total"),
            resumes_from_ring: counter!("roomlog_fanout_resumes_total", "source" => "buffer"),
            resumes_from_store: counter!("roomlog_fanout_resumes_total", "source" => "store"),
            hidden: counter!("roomlog_fanout_hidden_total"),
            gaps: counter!("roomlog_fanout_gaps_total"),
            slow_consumers: counter!("roomlog_fanout_slow_consumers_closed_total"),
        }
    }

    pub fn closed(&self, reason: CloseReason) {
        counter!("roomlog_fanout_closed_total", "code" => reason.code().to_string()).increment(1);
        if reason == CloseReason::SlowConsumer {
            self.slow_consumers.increment(1);
        }
    }
}
