//! What a run came to: a line of JSON for each measurement, and tables to read.

mod case;
mod curve;
mod goals;
mod number;
mod parts;

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::figures::Summaries;
use super::machine::Circumstances;
use super::runs::Measurement;
use super::what::What;

/// Whole in itself: lines of different runs may stand in one file.
#[derive(Serialize)]
struct Line<'a> {
    circumstances: &'a Circumstances,
    #[serde(flatten)]
    measurement: &'a Measurement,
}

pub fn append_line(file: &Path, circumstances: &Circumstances, measurement: &Measurement) -> Result<()> {
    let mut line = serde_json::to_string(&Line { circumstances, measurement })?;
    line.push('\n');
    // In one write, so that runs beside each other do not mix their lines.
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(line.as_bytes())?)
}

/// The tables of everything that was measured.
pub struct Report<'a> {
    pub circumstances: &'a Circumstances,
    pub measurements: &'a [Measurement],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Circumstances { date, revision, cores, processor, kernel, memory_mb, .. } = self.circumstances;
        writeln!(f, "\n{date}, revision {revision}")?;
        writeln!(f, "{cores} cores ({processor}), {memory_mb} MB of memory, Linux {kernel}")?;
        let is_same_curve = |one: &Measurement, next: &Measurement| match (one.what, next.what) {
            (What::Point(point), What::Point(next_point)) => {
                point.curve == next_point.curve && one.platform == next.platform
            }
            _ => false,
        };
        for group in self.measurements.chunk_by(is_same_curve) {
            match group[0].what {
                What::Case { case } => case::write(f, case, &group[0], *cores)?,
                What::Point(point) => curve::write(f, point.curve, group, *cores)?,
            }
        }
        Ok(())
    }
}

/// `embedded`, or `distributed (2 of each role, straight)`.
fn platform(measurement: &Measurement) -> String {
    match measurement.layout {
        Some(layout) => format!("{} ({layout})", measurement.platform),
        None => measurement.platform.to_string(),
    }
}

fn median(figures: &Summaries, name: &str) -> Option<f64> {
    figures.get(name).map(|summary| summary.median)
}

/// The share of the machine above which other work is felt. The kernel's own and the network's is below.
const QUIET: f64 = 0.05;

/// The share of the machine that had nothing to do with the measurement.
fn share_of_others(figures: &Summaries, cores: usize) -> Option<f64> {
    Some(median(figures, "other_cpu_s")? / (median(figures, "measured_s")? * cores as f64))
}

#[cfg(test)]
mod example {
    use super::*;
    use crate::bench::cases::Case;
    use crate::bench::figures::{Figures, Summary};
    use crate::bench::kind::Kind;
    use crate::bench::workload::Timing;

    pub fn summary(value: f64) -> Summary {
        Summary { median: value, min: value / 2.0, max: value * 2.0 }
    }

    pub fn summaries(figures: &[(&str, f64)]) -> Summaries {
        figures.iter().map(|(name, value)| ((*name).to_owned(), summary(*value))).collect()
    }

    pub fn measurement(what: What, figures: &[(&str, f64)]) -> Measurement {
        Measurement {
            platform: Kind::Embedded,
            layout: None,
            what,
            quick: false,
            workload: what.workload(false),
            timing: Timing { warm_up_seconds: 1, seconds: 10, rounds: 3 },
            figures: summaries(figures),
            log_floor: summaries(&[("read_back_p50_ms", 0.25)]),
            log_floor_one_by_one: Summaries::new(),
            commit_floor: Figures::new(),
            reading_floor: Figures::new(),
            broadcast_floor: summaries(&[("accept_p50_ms", 0.18)]),
        }
    }

    pub fn case(case: Case, figures: &[(&str, f64)]) -> Measurement {
        measurement(What::Case { case }, figures)
    }

    pub fn shown(measurements: &[Measurement]) -> String {
        let circumstances = Circumstances { cores: 2, ..Circumstances::now() };
        Report { circumstances: &circumstances, measurements }.to_string()
    }

    #[test]
    fn a_line_is_whole_in_itself() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench.jsonl");
        for value in [1.0, 2.0] {
            append_line(&file, &Circumstances::now(), &case(Case::W1, &[("lost", value)])).unwrap();
        }
        let lines = std::fs::read_to_string(&file).unwrap();
        let last: serde_json::Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!((&last["platform"], &last["case"]), (&"embedded".into(), &"w1".into()));
        assert_eq!(last["figures"]["lost"]["median"], 2.0);
        assert!(last["circumstances"]["revision"].is_string());
    }
}
