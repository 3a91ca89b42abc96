//! The command line.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use super::cases::Case;
use super::curves::Curve;
use super::kind::{Kind, Layout};
use super::what::{Asked, What};
use super::workload::Load;

#[derive(clap::Args)]
pub struct Options {
    /// Which platforms, one after the other
    #[arg(
        long = "platform",
        value_name = "PLATFORM",
        value_enum,
        value_delimiter = ',',
        default_value = "embedded"
    )]
    platforms: Vec<Kind>,
    /// Which workloads [default: w1,w2,w3,w4,w5, or none with --curve]
    #[arg(long = "case", value_name = "CASE", value_enum, value_delimiter = ',')]
    cases: Vec<Case>,
    /// Which curves, point by point
    #[arg(long = "curve", value_name = "CURVE", value_enum, value_delimiter = ',')]
    curves: Vec<Curve>,
    /// Of a distributed platform, the processes of each role
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    instances: u16,
    /// To a distributed platform, the load goes through nginx instead of straight to the processes
    #[arg(long)]
    through_proxy: bool,
    /// How long each round is measured [default: 20, a point of a curve 6, or 5 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// How often [default: 3, a point of a curve 1, or 1 with --quick]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Where a line of JSON is added for each measurement [default: target/bench.jsonl]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Measure this program, a server built before, instead of building one
    #[arg(long, value_name = "PROGRAM")]
    pub roomlog: Option<PathBuf>,
    /// Only look whether everything works: less of all; its figures are not comparable
    #[arg(long)]
    pub quick: bool,
}

/// What a goal is stated for.
const USUAL: [Case; 5] = [Case::W1, Case::W2, Case::W3, Case::W4, Case::W5];

/// Access tokens end after 15 minutes, and are not renewed.
const LONGEST_LOAD_SECONDS: u32 = 13 * 60;
/// A search takes about so many steps, each half as long as a round.
const STEPS_OF_A_SEARCH: u32 = 12;

impl Options {
    /// Everything to be measured on each platform, in order.
    pub fn all(&self) -> Result<Vec<What>> {
        let cases: &[Case] =
            if self.cases.is_empty() && self.curves.is_empty() { &USUAL } else { &self.cases };
        let cases = sorted(cases).into_iter().map(|case| What::Case { case });
        let points = sorted(&self.curves).into_iter().flat_map(|curve| curve.points(self.quick));
        let all: Vec<What> = cases.chain(points.map(What::Point)).collect();
        for what in &all {
            let seconds = self.load_seconds(*what);
            ensure!(
                seconds <= LONGEST_LOAD_SECONDS,
                "{seconds} s of load for {what} are too many: at most {LONGEST_LOAD_SECONDS}"
            );
        }
        Ok(all)
    }

    pub fn platforms(&self) -> Vec<Kind> {
        sorted(&self.platforms)
    }

    pub fn layout(&self) -> Layout {
        Layout { instances: self.instances.into(), through_proxy: self.through_proxy }
    }

    pub fn asked(&self) -> Asked {
        Asked { seconds: self.seconds, rounds: self.rounds }
    }

    fn load_seconds(&self, what: What) -> u32 {
        let timing = what.timing(self.quick, self.asked());
        let round = timing.warm_up_seconds + timing.seconds;
        match what.workload(self.quick).load {
            Load::Search { .. } => timing.rounds * STEPS_OF_A_SEARCH * round.div_ceil(2),
            Load::Idle => 0,
            Load::Open { .. } | Load::Closed { .. } => timing.rounds * round,
        }
    }
}

/// Each once, in the order of the declaration.
fn sorted<T: ValueEnum + Ord>(chosen: &[T]) -> Vec<T> {
    T::value_variants().iter().filter(|value| chosen.contains(value)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bench::curves::Point;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Options {
        Cli::parse_from([&["bench"], arguments].concat()).options
    }

    #[test]
    fn everything_has_a_usual_value() {
        let options = parse(&[]);
        assert_eq!(options.all().unwrap(), USUAL.map(|case| What::Case { case }));
        assert_eq!(options.platforms(), [Kind::Embedded]);
        assert_eq!(options.layout(), Layout { instances: 1, through_proxy: false });
    }

    #[test]
    fn lists_are_told_with_commas_and_measured_in_order() {
        let options = parse(&["--platform", "distributed,embedded,distributed", "--case", "w3,cut,w1"]);
        assert_eq!(options.platforms(), [Kind::Embedded, Kind::Distributed]);
        let cases = [Case::W1, Case::W3, Case::Cut].map(|case| What::Case { case });
        assert_eq!(options.all().unwrap(), cases);
    }

    #[test]
    fn curves_come_alone_unless_cases_are_named() {
        let curve = ["--curve", "hot-room", "--quick"];
        let points = [1, 4].map(|at| What::Point(Point { curve: Curve::HotRoom, at }));
        assert_eq!(parse(&curve).all().unwrap(), points);
        let both = parse(&[&curve[..], &["--case", "w2"]].concat());
        assert_eq!(both.all().unwrap()[0], What::Case { case: Case::W2 });
        assert_eq!(both.all().unwrap().len(), 3);
    }

    #[test]
    fn a_load_that_outlives_its_tokens_is_refused() {
        assert!(parse(&["--case", "w1", "--seconds", "300"]).all().is_err());
        assert!(parse(&["--case", "w4", "--seconds", "300"]).all().is_ok());
        assert!(parse(&["--case", "w5", "--seconds", "60"]).all().is_err());
    }
}
