//! The table of one curve: a line for each point.

use std::fmt;

use super::number::number;
use super::{QUIET, goals, median, platform, share_of_others};
use crate::bench::curves::Curve;
use crate::bench::runs::Measurement;
use crate::bench::what::What;

/// Head and figure.
const COLUMNS: [(&str, &str); 10] = [
    ("accepted/s", "accepted_per_s"),
    ("accept p50", "accept_p50_ms"),
    ("p99 ms", "accept_p99_ms"),
    ("socket p50", "send_to_socket_p50_ms"),
    ("p99 ms", "send_to_socket_p99_ms"),
    ("deliveries/s", "deliveries_per_s"),
    ("CPU s/1k msg", "all_cpu_s_per_1000_messages"),
    ("s/1M deliv.", "fan_out_cpu_s_per_1m_deliveries"),
    ("RSS MB", "own_rss_mb"),
    ("behind ms", "reads_caught_up_ms"),
];

pub fn write(f: &mut fmt::Formatter<'_>, curve: Curve, points: &[Measurement], cores: usize) -> fmt::Result {
    let Some(first) = points.first() else { return Ok(()) };
    let (rounds, seconds) = (first.timing.rounds, first.timing.seconds);
    writeln!(f, "\ncurve {curve} on {}; {rounds} × {seconds} s each", platform(first))?;
    write!(f, "  {curve:<12}")?;
    for (head, _) in COLUMNS {
        write!(f, "{head:>13}")?;
    }
    writeln!(f, "{:>20}  amiss", "bare socket p50/p99")?;
    for point in points {
        write_point(f, point, cores)?;
    }
    Ok(())
}

fn write_point(f: &mut fmt::Formatter<'_>, point: &Measurement, cores: usize) -> fmt::Result {
    let What::Point(at) = point.what else { return Ok(()) };
    write!(f, "  {:<12}", at.at)?;
    for (_, figure) in COLUMNS {
        let cell = median(&point.figures, figure).map(number).unwrap_or_default();
        write!(f, "{cell:>13}")?;
    }
    let floor = |name: &str| median(&point.broadcast_floor, name).map(number);
    let floor = match (floor("send_to_socket_p50_ms"), floor("send_to_socket_p99_ms")) {
        (Some(p50), Some(p99)) => format!("{p50} / {p99}"),
        _ => String::new(),
    };
    writeln!(f, "{floor:>20}  {}", amiss(point, cores))
}

/// What should not be, in the worst round.
fn amiss(point: &Measurement, cores: usize) -> String {
    let worst = |figure: &str| {
        let worst = point.figures.get(figure).map(|summary| summary.max).filter(|worst| *worst > 0.0)?;
        Some(format!("{} {}", figure.replace('_', " "), number(worst)))
    };
    let mut all: Vec<String> =
        goals::NEVER.into_iter().chain(["unanswered", "errors_total"]).filter_map(worst).collect();
    if share_of_others(&point.figures, cores).is_some_and(|others| others > QUIET) {
        all.push("not quiet".to_owned());
    }
    if all.is_empty() { "–".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::bench::curves::Point;

    fn point(curve: Curve, at: usize, figures: &[(&str, f64)]) -> Measurement {
        example::measurement(What::Point(Point { curve, at }), figures)
    }

    #[test]
    fn points_of_one_curve_stand_below_each_other() {
        let table = example::shown(&[
            point(Curve::Rooms, 1, &[("accepted_per_s", 200.0), ("lost", 0.0)]),
            point(Curve::Rooms, 10, &[("accepted_per_s", 190.0), ("lost", 2.0)]),
            point(Curve::HotRoom, 1, &[("accepted_per_s", 50.0)]),
        ]);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = table.lines().map(words).collect();
        let curve = lines.iter().position(|line| line.starts_with("curve rooms on embedded")).unwrap();
        assert_eq!(lines[curve + 2], "1 200 –");
        assert_eq!(lines[curve + 3], "10 190 lost 4.00");
        assert!(lines[curve + 5].starts_with("curve hot-room"), "{table}");
    }

    #[test]
    fn other_work_is_named_at_its_point() {
        let busy = point(Curve::Rooms, 1, &[("measured_s", 10.0), ("other_cpu_s", 4.0)]);
        assert!(example::shown(&[busy]).contains("not quiet"));
    }
}
