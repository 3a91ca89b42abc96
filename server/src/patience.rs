//! Waiting at a start for what is not there yet.
//!
//! Servers and processes of one platform are often started together, or come back together after an
//! outage. A process that ended because the log was not there yet would only be started again.

use std::time::Duration;

use roomlog_eventlog::{LogError, ReadError};
use roomlog_stores::StoreError;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to do about a server that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Say so and ask again, for ever: a person or a supervisor sees to it.
    Wait,
    /// Give up at once: somebody looks on.
    None,
}

/// Whether trying again may help.
pub trait Passing {
    fn is_passing(&self) -> bool;
}

impl Passing for LogError {
    fn is_passing(&self) -> bool {
        matches!(self, LogError::Unavailable(_) | LogError::UnknownOutcome(_))
    }
}

impl Passing for ReadError {
    fn is_passing(&self) -> bool {
        matches!(self, ReadError::Log(error) if error.is_passing())
    }
}

impl Passing for StoreError {
    fn is_passing(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. })
    }
}

impl Patience {
    /// Opens something, again and again while the reason that it cannot be opened may pass.
    pub async fn open<T, E>(self, what: &str, mut open: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E>
    where
        E: std::error::Error + Passing + 'static,
    {
        let mut pause = FIRST_PAUSE;
        let mut has_waited = false;
        loop {
            match open().await {
                Err(error) if self == Patience::Wait && error.is_passing() => {
                    let seconds = pause.as_secs_f64();
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, seconds, "{what} does not answer: the start waits for it");
                    has_waited = true;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                opened => {
                    if has_waited && opened.is_ok() {
                        tracing::info!("{what} answers: the start goes on");
                    }
                    return opened;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails so often, then opens.
    async fn open(patience: Patience, errors: Vec<LogError>) -> (Result<usize, LogError>, usize) {
        let (mut errors, mut attempts) = (errors.into_iter(), 0);
        let opened = patience
            .open("a test", async || {
                attempts += 1;
                errors.next().map_or(Ok(7), Err)
            })
            .await;
        (opened, attempts)
    }

    fn away() -> LogError {
        LogError::Unavailable("a test says so".into())
    }

    #[tokio::test]
    async fn what_may_pass_is_waited_for() {
        let unknown = LogError::UnknownOutcome("a test says so".into());
        let (opened, attempts) = open(Patience::Wait, vec![away(), unknown]).await;
        assert_eq!((opened.unwrap(), attempts), (7, 3));
    }

    #[tokio::test]
    async fn what_does_not_pass_is_told_at_once() {
        let (opened, attempts) = open(Patience::Wait, vec![LogError::Fatal("a test says so".into())]).await;
        assert!(matches!(opened, Err(LogError::Fatal(_))), "{opened:?}");
        assert_eq!(attempts, 1);
        let (opened, attempts) = open(Patience::None, vec![away()]).await;
        assert!(matches!(opened, Err(LogError::Unavailable(_))), "{opened:?}");
        assert_eq!(attempts, 1);
    }
}
