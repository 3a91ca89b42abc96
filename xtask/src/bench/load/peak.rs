//! The highest rate at which commands are accepted while every projection stays within a second of the log.

use std::rc::Rc;

use anyhow::{Result, ensure};

use super::Scene;
use super::round::{self, Round};
use super::search::Search;
use super::sockets::Sockets;
use crate::bench::figures::Figures;
use crate::bench::workload::{Load, Timing};

/// Of the rate that is asked for.
const ACCEPTED_SHARE: f64 = 0.98;
const CAUGHT_UP_MS: f64 = 1_000.0;
const WARM_UP_SECONDS: u32 = 2;

/// The figures of the highest rate that held. A search takes several steps, so each is half as long as other rounds.
pub async fn find(scene: &Rc<Scene>, sockets: &Rc<Sockets>, most_per_second: u32) -> Result<Figures> {
    let timing = scene.plan.timing;
    let step = Timing {
        warm_up_seconds: WARM_UP_SECONDS.min(timing.warm_up_seconds),
        seconds: timing.seconds.div_ceil(2),
        rounds: 1,
    };
    let mut search = Search::new(most_per_second);
    let mut best = None;
    let mut steps = 0;
    while let Some(rate) = search.next() {
        let Round { figures, overloaded } =
            round::run(scene, sockets, Load::Open { messages_per_second: rate }, step).await?;
        steps += 1;
        let failure = if overloaded { Some("too many unanswered") } else { failure(rate, &figures) };
        eprintln!("    {rate} messages/s: {}", failure.unwrap_or("holds"));
        search.tell(rate, failure.is_none());
        if failure.is_none() {
            best = Some(figures);
        }
    }
    ensure!(best.is_some(), "not even the lowest rate held");
    let mut figures = best.unwrap_or_default();
    figures.insert("search_steps".to_owned(), f64::from(steps));
    if let Some(failed) = search.failed() {
        figures.insert("search_failed_at_per_s".to_owned(), f64::from(failed));
    }
    Ok(figures)
}

/// Why the rate did not hold.
fn failure(rate: u32, figures: &Figures) -> Option<&'static str> {
    let figure = |name: &str| figures.get(name).copied();
    if figure("accepted_per_s").unwrap_or_default() < f64::from(rate) * ACCEPTED_SHARE {
        Some("not all accepted in time")
    } else if figure("errors_total").unwrap_or_default() > 0.0 {
        Some("errors")
    } else if figure("projection_late_batches").unwrap_or_default() > 0.0 {
        Some("a projection was more than a second behind")
    } else if figure("reads_caught_up_ms").unwrap_or_default() > CAUGHT_UP_MS {
        Some("reads were more than a second behind at the end")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(change: (&str, f64)) -> Option<&'static str> {
        let mut figures: Figures =
            [("accepted_per_s", 990.0), ("errors_total", 0.0), ("projection_late_batches", 0.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        figures.insert(change.0.to_owned(), change.1);
        failure(1_000, &figures)
    }

    #[test]
    fn a_rate_holds_when_everything_keeps_up() {
        assert_eq!(why(("reads_caught_up_ms", 1_000.0)), None);
        assert_eq!(
            why(("reads_caught_up_ms", 1_001.0)),
            Some("reads were more than a second behind at the end")
        );
        assert_eq!(why(("projection_late_batches", 1.0)), Some("a projection was more than a second behind"));
        assert_eq!(why(("accepted_per_s", 979.0)), Some("not all accepted in time"));
        assert_eq!(why(("errors_total", 1.0)), Some("errors"));
    }
}
