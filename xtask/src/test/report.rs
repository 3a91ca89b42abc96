//! What each step came to, and how long it took.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

pub enum Outcome {
    Passed,
    Failed,
    /// Not run, with the reason.
    Skipped(String),
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

impl Report {
    /// Runs `work` as one row. Its error is printed here and ends here: the other steps go on.
    pub fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        eprintln!("\n==> {name}");
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        let outcome = match &result {
            Ok(_) => Outcome::Passed,
            Err(error) => {
                eprintln!("{name} failed: {error:#}");
                Outcome::Failed
            }
        };
        self.rows.push(Row { name, outcome, took });
        result.ok()
    }

    pub fn skip(&mut self, name: &'static str, reason: &str) {
        self.rows.push(Row { name, outcome: Outcome::Skipped(reason.to_owned()), took: Duration::ZERO });
    }

    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.outcome, Outcome::Failed))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14} {:<8} {:>8}", "step", "result", "seconds")?;
        for row in &self.rows {
            let seconds = row.took.as_secs_f64();
            match &row.outcome {
                Outcome::Passed => writeln!(f, "{:<14} {:<8} {seconds:>8.1}", row.name, "passed")?,
                Outcome::Failed => writeln!(f, "{:<14} {:<8} {seconds:>8.1}", row.name, "FAILED")?,
                Outcome::Skipped(reason) => {
                    writeln!(f, "{:<14} {:<8} {:>8}  {reason}", row.name, "skipped", "-")?
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn one_failure_among_others_is_a_failure() {
        let mut report = Report::default();
        assert_eq!(report.time("first", || Ok(1)), Some(1));
        report.skip("second", "not wanted");
        assert!(!report.has_failed());
        assert_eq!(report.time("third", || Err::<(), _>(anyhow!("no"))), None);
        assert_eq!(report.time("fourth", || Ok(4)), Some(4));
        assert!(report.has_failed());
    }

    #[test]
    fn every_step_has_its_line() {
        let mut report = Report::default();
        report.time("format", || Ok(()));
        report.skip("servers", "--without-servers");
        let lines: Vec<_> = report.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("format") && lines[1].contains("passed"));
        assert!(lines[2].starts_with("servers") && lines[2].ends_with("--without-servers"));
    }
}
