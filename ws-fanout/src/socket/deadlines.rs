//! Everything that happens to a socket by time alone, on one timer.

use std::task::Context;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::{Phase, Socket};
use crate::CloseReason;
use crate::protocol::{self, ServerFrame};

/// Far enough away: an instant cannot be infinite.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// When a token ends, given in seconds since 1970.
pub(super) fn expiry(now: Instant, expires_at: u64) -> Instant {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now + Duration::from_secs(expires_at).saturating_sub(since_1970).min(NEVER)
}

impl Socket {
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let due = self.next_deadline();
        // A timer that is early finds nothing due, and is set anew.
        if due < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(due);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.on_time(cx, Instant::now());
        true
    }

    fn next_deadline(&self) -> Instant {
        if let Phase::Closing(closing) = &self.phase {
            return closing.deadline;
        }
        let options = &self.hub.options;
        let mut due = self.expires_at.min(self.next_ping).min(self.last_heard + options.idle_timeout);
        if let Phase::Opened { deadline, .. } = &self.phase {
            due = due.min(*deadline);
        }
        if let Some(since) = self.inbox.overflowed {
            due = due.min(since + options.slow_limit);
        }
        if let Some(at) = self.rooms.retry_at() {
            due = due.min(at);
        }
        due
    }

    fn on_time(&mut self, cx: &mut Context<'_>, now: Instant) {
        let error = |code, title| Some(ServerFrame::Error { code, title, detail: None });
        let options = &self.hub.options;
        match &self.phase {
            Phase::Closing(closing) => {
                if now >= closing.deadline {
                    self.done();
                }
                return;
            }
            Phase::Opened { deadline, .. } if now >= *deadline => {
                let error = error(protocol::NOT_STARTED_IN_TIME, "`start` did not come in time.");
                return self.close(CloseReason::TimeOut, error);
            }
            _ => {}
        }
        if now >= self.expires_at {
            let error = error(protocol::TOKEN_EXPIRED, "The access token has expired.");
            self.close(CloseReason::Unauthorized, error);
        } else if now >= self.last_heard + options.idle_timeout {
            self.close(CloseReason::TimeOut, None);
        } else if self.inbox.overflowed.is_some_and(|since| now >= since + options.slow_limit) {
            self.close(CloseReason::SlowConsumer, None);
        } else {
            if now >= self.next_ping {
                self.next_ping = now + options.ping_interval;
                self.ping(cx);
            }
            self.rooms.retry(now);
        }
    }
}
