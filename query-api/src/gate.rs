//! How many queries read a store at the same time. A store that gets slower would otherwise collect
//! every query of the process, and be slower still.

use std::sync::Arc;
use std::time::Duration;

use roomlog_web::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of one store; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate {
    store: &'static str,
    places: Arc<Semaphore>,
    wait: Duration,
}

/// A query's place at its store, given back when it is dropped.
#[must_use = "the place is given back at once"]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub fn new(store: &'static str, places: usize, wait: Duration) -> Self {
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { store, places, wait }
    }

    /// Waits for a place in the order of arrival; 503 `busy` if there is none in time.
    pub async fn enter(&self) -> Result<Place, Problem> {
        match tokio::time::timeout(self.wait, self.places.clone().acquire_owned()).await {
            Ok(permit) => Ok(Place { _permit: permit.expect("the semaphore is never closed") }),
            Err(_) => {
                metrics::counter!("roomlog_query_busy_total", "store" => self.store).increment(1);
                Err(Problem::unavailable("busy", "Too many queries are under way; ask again."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn whoever_finds_no_place_in_time_is_told_so() {
        let gate = Gate::new("rooms", 2, WAIT);
        let places = (gate.enter().await.ok().unwrap(), gate.enter().await.ok().unwrap());
        let start = tokio::time::Instant::now();
        let problem = gate.enter().await.err().unwrap();
        assert_eq!((problem.status, problem.code.as_str(), problem.retry_after), (503, "busy", Some(1)));
        assert!(start.elapsed() >= WAIT);

        let patient = Gate { wait: Duration::from_secs(60), ..gate.clone() };
        let (entered, ()) = tokio::join!(patient.enter(), async { drop(places.0) });
        assert!(entered.is_ok(), "a place that is given back goes to who waits");
        drop(entered);
        assert!(gate.enter().await.is_ok());
        drop(places.1);
    }
}
