//! How long projections take, from the metrics of the processes that keep them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::http::Connection;
use super::request;
use crate::bench::figures::Figures;

/// From the append of a batch's first record until it can be read.
const METRIC: &str = "roomlog_projection_delay_seconds_bucket{";

/// A batch that takes longer is late.
const LATE_SECONDS: f64 = 1.0;

/// Batches since the start of the processes, by projection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delays(BTreeMap<String, Buckets>);

/// Batches that took no longer than so many microseconds.
type Buckets = BTreeMap<u64, f64>;

/// Those of all these processes together.
pub async fn read(projectors: &[SocketAddr]) -> Result<Delays> {
    let mut all = Delays::default();
    for address in projectors {
        let request = format!("{}\r\n\r\n", request::head("GET", "/metrics", *address, None));
        let mut connection = Connection::open(*address).await?;
        let response = connection.exchange(request.as_bytes()).await?;
        ensure!(response.status == 200, "the metrics of {address} are answered with {}", response.status);
        all.add(std::str::from_utf8(response.body)?).context("metrics are not understood")?;
    }
    Ok(all)
}

impl Delays {
    /// What a process says.
    fn add(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            let Some(rest) = line.strip_prefix(METRIC) else { continue };
            let (labels, count) = rest.rsplit_once("} ").context("no value")?;
            let projection = label(labels, "projection").context("no projection")?;
            let bound: f64 = label(labels, "le").context("no bound")?.parse()?;
            let buckets = self.0.entry(projection.to_owned()).or_default();
            // A bound of infinity is the highest number.
            *buckets.entry((bound * 1e6).round() as u64).or_default() += count.trim().parse::<f64>()?;
        }
        Ok(())
    }

    /// What has come since `before`. A process that was started again in the meantime counts from then on.
    pub fn since(&self, before: &Self) -> Self {
        let subtract = |projection: &String, buckets: &Buckets| {
            let before = before.0.get(projection);
            let before = |bound| before.and_then(|before| before.get(bound)).copied().unwrap_or_default();
            buckets.iter().map(|(bound, count)| (*bound, (count - before(bound)).max(0.0))).collect()
        };
        Self(self.0.iter().map(|(name, buckets)| (name.clone(), subtract(name, buckets))).collect())
    }

    /// `projection_late_batches` of all, and by projection the bound of the bucket that holds the p99.
    pub fn report(&self, figures: &mut Figures) {
        let late_bound = (LATE_SECONDS * 1e6) as u64;
        let mut late = 0.0;
        for (projection, buckets) in &self.0 {
            let Some(all) = buckets.values().copied().reduce(f64::max).filter(|all| *all > 0.0) else {
                continue;
            };
            let in_time = buckets.range(..=late_bound).next_back().map_or(0.0, |(_, count)| *count);
            late += all - in_time;
            let p99 = buckets.iter().find(|(_, count)| **count >= all * 0.99).map(|(bound, _)| *bound);
            if let Some(bound) = p99.filter(|bound| *bound < u64::MAX) {
                figures.insert(format!("projection_delay_p99_ms.{projection}"), bound as f64 / 1e3);
            }
        }
        if !self.0.is_empty() {
            figures.insert("projection_late_batches".to_owned(), late);
        }
    }
}

/// Names of projections need no escapes.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buckets: [[u32; 4]; 2]) -> Delays {
        let mut delays = Delays::default();
        for (projection, counts) in ["directory", "room_events"].iter().zip(buckets) {
            for (bound, count) in ["0.1", "1", "2", "+Inf"].iter().zip(counts) {
                delays
                    .add(&format!(
                        "# HELP roomlog_projection_delay_seconds x\n\
                         roomlog_projection_delay_seconds_bucket{{projection=\"{projection}\",le=\"{bound}\"}} {count}\n\
                         roomlog_projection_delay_seconds_sum{{projection=\"{projection}\"}} 1.5\n"
                    ))
                    .unwrap();
            }
        }
        delays
    }

    fn reported(delays: &Delays) -> Figures {
        let mut figures = Figures::new();
        delays.report(&mut figures);
        figures
    }

    #[test]
    fn batches_beyond_a_second_are_late() {
        let figures = reported(&read([[100, 100, 100, 100], [90, 95, 99, 101]]));
        assert_eq!(figures["projection_late_batches"], 6.0);
        assert_eq!(figures["projection_delay_p99_ms.directory"], 100.0);
        assert!(!figures.contains_key("projection_delay_p99_ms.room_events"), "beyond the last bound");
        let figures = reported(&read([[1, 1, 1, 1], [98, 100, 100, 100]]));
        assert_eq!(figures["projection_delay_p99_ms.room_events"], 1_000.0);
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let (before, after) = (read([[10; 4], [0, 0, 5, 5]]), read([[12; 4], [4, 4, 9, 9]]));
        let figures = reported(&after.since(&before));
        assert_eq!(figures["projection_late_batches"], 0.0);
        assert_eq!(after.since(&Delays::default()), after);
    }

    #[test]
    fn processes_count_together_and_none_say_nothing() {
        let mut both = read([[1; 4], [0, 0, 0, 1]]);
        both.add("roomlog_projection_delay_seconds_bucket{projection=\"directory\",le=\"+Inf\"} 3\n")
            .unwrap();
        assert_eq!(reported(&both)["projection_late_batches"], 4.0);
        assert!(reported(&Delays::default()).is_empty());
        assert!(both.add("roomlog_projection_delay_seconds_bucket{projection=\"x\"} 1\n").is_err());
    }
}
