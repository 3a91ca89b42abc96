//! Waiting before the next attempt.

use std::time::Duration;

/// Doubles from `min` to `max`; each pause is shortened at random by up to half, so that many who
/// failed together don't come back together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// Attempts that failed so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The pause after one more failure.
    pub fn next(&mut self) -> Duration {
        let longest = self.min.saturating_mul(2u32.saturating_pow(self.failures)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        for longest in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let longest = Duration::from_millis(longest);
            let pause = backoff.next();
            assert!(longest / 2 <= pause && pause <= longest, "{pause:?} of {longest:?}");
        }
        backoff.failures = u32::MAX;
        assert!(backoff.next() <= Duration::from_secs(5));
    }
}
