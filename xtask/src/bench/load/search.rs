//! The highest rate that holds: doubled until one does not, and then halved in between.

const FIRST: u32 = 500;
/// No rate below is looked for.
const LOWEST: u32 = 50;
/// Closer than that is not worth another step.
const TOLERANCE: f64 = 0.06;

pub struct Search {
    most: u32,
    /// The highest that held, 0 before the first.
    held: u32,
    /// The lowest that did not.
    failed: Option<u32>,
}

impl Search {
    /// Up to `most`.
    pub fn new(most: u32) -> Self {
        Self { most, held: 0, failed: None }
    }

    /// The rate to be tried next; none when the search is over.
    pub fn next(&self) -> Option<u32> {
        match self.failed {
            None if self.held == 0 => Some(FIRST.min(self.most)),
            None if self.held >= self.most => None,
            None => Some(self.held.saturating_mul(2).min(self.most)),
            Some(failed) => {
                let is_close = f64::from(failed - self.held) <= f64::from(self.held) * TOLERANCE;
                (failed > LOWEST && !is_close).then_some(self.held.midpoint(failed))
            }
        }
    }

    pub fn tell(&mut self, rate: u32, held: bool) {
        if held {
            self.held = self.held.max(rate);
        } else {
            self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
        }
    }

    pub fn failed(&self) -> Option<u32> {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that are tried where everything up to `limit` holds, and the highest that did.
    fn tried(limit: u32, most: u32) -> (Vec<u32>, u32) {
        let mut search = Search::new(most);
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.tell(rate, rate <= limit);
        }
        (tried, search.held)
    }

    #[test]
    fn the_limit_is_found_in_few_steps() {
        for limit in [60, 499, 500, 4_000, 5_432, 63_999] {
            let (tried, held) = tried(limit, 64_000);
            assert!(held <= limit && f64::from(limit - held) <= f64::from(limit) * 0.1, "{limit}: {held}");
            assert!(tried.len() <= 13, "{limit}: {tried:?}");
        }
    }

    #[test]
    fn it_ends_at_the_most_and_where_nothing_holds() {
        assert_eq!(tried(u32::MAX, 1_500), (vec![500, 1_000, 1_500], 1_500));
        assert_eq!(tried(u32::MAX, 200), (vec![200], 200));
        assert_eq!(tried(0, 64_000), (vec![500, 250, 125, 62, 31], 0));
    }
}
