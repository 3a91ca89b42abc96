//! Named numbers, and what several rounds of them come to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Names end in the unit. What has not been measured is absent.
pub type Figures = BTreeMap<String, f64>;

/// Counts of what happened; one that is absent is 0.
pub const ERRORS: &str = "errors_";

/// One figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

pub type Summaries = BTreeMap<String, Summary>;

pub fn summarize(rounds: &[Figures]) -> Summaries {
    let names: BTreeSet<&String> = rounds.iter().flat_map(BTreeMap::keys).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let absent = if name.starts_with(ERRORS) { Some(0.0) } else { None };
            let values = rounds.iter().filter_map(|round| round.get(name).copied().or(absent));
            Some((name.clone(), Summary::of(values.collect())?))
        })
        .collect()
}

impl Summary {
    /// `None` of nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { median, min, max })
    }
}

/// Durations, to 0.1 %.
pub struct Latencies(Histogram<u64>);

/// Longer ones count as this long; every deadline of a benchmark is shorter.
const LONGEST_NANOSECONDS: u64 = 300_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NANOSECONDS, SIGNIFICANT_DIGITS);
        Self(histogram.expect("the bounds are constants that fit"))
    }
}

impl Latencies {
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos().try_into().unwrap_or(u64::MAX));
    }

    /// Adds `<name>_p50_ms` and so on; nothing if nothing was recorded.
    pub fn report(&self, name: &str, figures: &mut Figures) {
        if self.0.is_empty() {
            return;
        }
        let quantile = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e6;
        figures.insert(format!("{name}_p50_ms"), quantile(0.50));
        figures.insert(format!("{name}_p95_ms"), quantile(0.95));
        figures.insert(format!("{name}_p99_ms"), quantile(0.99));
        figures.insert(format!("{name}_max_ms"), quantile(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(figures: &[(&str, f64)]) -> Figures {
        figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn rounds_come_to_their_median_and_range() {
        let rounds = [
            round(&[("p50_ms", 3.0)]),
            round(&[("p50_ms", 1.0), ("rss_mb", 9.0)]),
            round(&[("p50_ms", 7.0)]),
        ];
        let summaries = summarize(&rounds);
        assert_eq!(summaries["p50_ms"], Summary { median: 3.0, min: 1.0, max: 7.0 });
        assert_eq!(summaries["rss_mb"], Summary { median: 9.0, min: 9.0, max: 9.0 });
        assert_eq!(Summary::of(vec![4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of(Vec::new()), None);
    }

    #[test]
    fn an_error_that_one_round_saw_was_absent_in_the_others() {
        let rounds = [round(&[]), round(&[("errors_status_503", 4.0)]), round(&[])];
        assert_eq!(summarize(&rounds)["errors_status_503"], Summary { median: 0.0, min: 0.0, max: 4.0 });
    }

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut latencies = Latencies::default();
        let mut figures = Figures::new();
        latencies.report("accept", &mut figures);
        assert!(figures.is_empty());
        for microseconds in 1..=1_000 {
            latencies.record(Duration::from_micros(microseconds));
        }
        latencies.report("accept", &mut figures);
        let near = |name: &str, expected: f64| {
            assert!((figures[name] - expected).abs() <= expected * 0.002, "{name}: {}", figures[name]);
        };
        near("accept_p50_ms", 0.5);
        near("accept_p95_ms", 0.95);
        near("accept_p99_ms", 0.99);
        near("accept_max_ms", 1.0);
    }

    #[test]
    fn the_longest_latency_stays_in_range() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_secs(100_000));
        let mut figures = Figures::new();
        latencies.report("x", &mut figures);
        assert!(figures["x_max_ms"] >= 299_000.0);
    }
}
