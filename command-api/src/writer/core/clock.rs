//! Two times: the wall clock's, which may jump either way and becomes record time, and the time that
//! has passed, which waiting is measured in.

use crate::writer::request::Millis;

#[derive(Debug, Default)]
pub struct Clock {
    wall: Option<Millis>,
    elapsed: Millis,
}

impl Clock {
    /// What the wall clock says at an input. Set back, it takes nothing from what has passed: else a
    /// wait would last as long as the clock was wrong.
    pub fn set(&mut self, now: Millis) {
        if let Some(before) = self.wall {
            self.elapsed += (now - before).max(0);
        }
        self.wall = Some(now);
    }

    /// Milliseconds since 1970, as of the last input.
    pub fn wall(&self) -> Millis {
        self.wall.unwrap_or_default()
    }

    /// Milliseconds since the first input; never goes back.
    pub fn elapsed(&self) -> Millis {
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_passed_never_goes_back() {
        let mut clock = Clock::default();
        for (wall, elapsed) in [(1000, 0), (1010, 10), (10, 10), (15, 15), (5000, 5000)] {
            clock.set(wall);
            assert_eq!((clock.wall(), clock.elapsed()), (wall, elapsed));
        }
    }
}
