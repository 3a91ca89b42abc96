//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Short beside what is waited for (a server's start), long beside the cost of one look.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Returns as soon as `condition` answers true. An error of the condition ends the waiting; `what` names it in the error
/// when the deadline passes first.
pub fn until(what: &str, deadline: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !condition()? {
        if started.elapsed() >= deadline {
            bail!("waited {} s in vain for {what}", deadline.as_secs());
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the waiting for a condition that others are told to use"
        )]
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
