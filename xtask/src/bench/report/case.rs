//! The table of one case.

use std::fmt;

use super::goals::{self, Goal, goal};
use super::number::number;
use super::{QUIET, median, parts, platform, share_of_others};
use crate::bench::cases::Case;
use crate::bench::figures::{ERRORS, Summaries, Summary};
use crate::bench::runs::Measurement;

/// Label, Roomlog's figure, and the figure of the bare log that it stands on. The bare broadcast's has the same name.
const ROWS: [(&str, &str, Option<&str>); 35] = [
    ("accept p50 ms", "accept_p50_ms", Some("read_back_p50_ms")),
    ("accept p95 ms", "accept_p95_ms", Some("read_back_p95_ms")),
    ("accept p99 ms", "accept_p99_ms", Some("read_back_p99_ms")),
    ("accept max ms", "accept_max_ms", Some("read_back_max_ms")),
    ("send to socket p50 ms", "send_to_socket_p50_ms", None),
    ("send to socket p95 ms", "send_to_socket_p95_ms", None),
    ("send to socket p99 ms", "send_to_socket_p99_ms", None),
    ("send to socket max ms", "send_to_socket_max_ms", None),
    ("load's own delay p99 ms", "dispatch_p99_ms", None),
    ("sent/s", "sent_per_s", None),
    ("accepted/s", "accepted_per_s", Some("records_per_s")),
    ("lowest rate that failed/s", "search_failed_at_per_s", None),
    ("deliveries", "deliveries", None),
    ("deliveries/s", "deliveries_per_s", None),
    ("back in step p50 ms", "back_in_step_p50_ms", None),
    ("all back in step ms", "back_in_step_max_ms", None),
    ("sockets back in step", "sockets_back_in_step", None),
    ("sockets never back", "sockets_never_back", None),
    ("failed reconnects", "failed_reconnects", None),
    ("lost", "lost", None),
    ("doubled", "doubled", None),
    ("out of order", "out_of_order", None),
    ("skipped seqs", "skipped_seqs", None),
    ("misplaced", "misplaced", None),
    ("unanswered", "unanswered", None),
    ("reads caught up ms", "reads_caught_up_ms", None),
    ("batches over 1 s behind", "projection_late_batches", None),
    ("sockets", "sockets", None),
    ("memory of a socket, B", "rss_bytes_per_socket", None),
    ("… after an event, B", "rss_bytes_per_socket_after_event", None),
    ("fan-out CPU s/1M deliveries", "fan_out_cpu_s_per_1m_deliveries", None),
    ("own CPU s/1,000 messages", "own_cpu_s_per_1000_messages", None),
    ("all CPU s/1,000 messages", "all_cpu_s_per_1000_messages", Some("all_cpu_s_per_1000_messages")),
    ("own RSS MB", "own_rss_mb", None),
    ("own peak RSS MB", "own_peak_rss_mb", None),
];

pub fn write(f: &mut fmt::Formatter<'_>, case: Case, measurement: &Measurement, cores: usize) -> fmt::Result {
    let Measurement { workload, timing, figures, quick, .. } = measurement;
    let (rounds, seconds) = (timing.rounds, timing.seconds);
    let smoke = if *quick { " (quick: no comparison with the goals)" } else { "" };
    let platform = platform(measurement);
    writeln!(f, "\n{case} on {platform}: {workload}; {rounds} × {seconds} s{smoke}")?;
    let head = ["figure", "median", "min – max", "goal", "", "bare log", "bare broadcast"];
    write_row(f, &head.map(str::to_owned))?;
    for (label, figure, log_figure) in ROWS {
        let Some(measured) = figures.get(figure) else { continue };
        let goal = goal(measurement.platform, case, figure).filter(|_| !quick || goals::is_never(figure));
        // What may never happen is judged by the worst round.
        let judged = if goals::is_never(figure) { measured.max } else { measured.median };
        let verdict = match goal.map(|goal| goal.is_reached(judged)) {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        let floor = |floor: &Summaries, name: &str| median(floor, name).map(number);
        write_row(
            f,
            &[
                label.to_owned(),
                number(measured.median),
                format!("{} – {}", number(measured.min), number(measured.max)),
                goal.map(|goal| goal.to_string()).unwrap_or_default(),
                verdict.to_owned(),
                log_figure.and_then(|name| floor(&measurement.log_floor, name)).unwrap_or_default(),
                floor(&measurement.broadcast_floor, figure).unwrap_or_default(),
            ],
        )?;
    }
    write_errors(f, figures)?;
    parts::write(f, figures, cores)?;
    write_quietness(f, figures, cores)?;
    write_floors(f, measurement)
}

fn write_errors(f: &mut fmt::Formatter<'_>, figures: &Summaries) -> fmt::Result {
    let total = format!("{ERRORS}total");
    let errors = figures.iter().filter(|(name, _)| name.starts_with(ERRORS) && **name != total);
    let errors: Vec<String> = errors
        .map(|(name, Summary { min, max, .. })| {
            format!("{} {} – {}", name.trim_start_matches(ERRORS), number(*min), number(*max))
        })
        .collect();
    let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
    writeln!(f, "  errors in a round: {errors}")
}

fn write_quietness(f: &mut fmt::Formatter<'_>, figures: &Summaries, cores: usize) -> fmt::Result {
    if share_of_others(figures, cores).is_some_and(|others| others > QUIET) {
        writeln!(f, "  NOT QUIET: other work took the cores as well; these figures are only a hint")?;
    }
    Ok(())
}

fn write_floors(f: &mut fmt::Formatter<'_>, measurement: &Measurement) -> fmt::Result {
    let of = |name: &str| median(&measurement.log_floor_one_by_one, name).map(number);
    if let (Some(append_p50), Some(append_p99), Some(read_p50), Some(read_p99)) =
        (of("append_p50_ms"), of("append_p99_ms"), of("read_back_p50_ms"), of("read_back_p99_ms"))
    {
        writeln!(
            f,
            "  bare log, one by one: append {append_p50} / {append_p99} ms, read back {read_p50} / {read_p99} ms (p50 / p99)"
        )?;
    }
    let of = |name: &str| measurement.commit_floor.get(name).copied().map(number);
    if let (Some(p50), Some(p99), Some(group)) =
        (of("commit_of_1_p50_ms"), of("commit_of_1_p99_ms"), of("commit_of_100_records_per_s"))
    {
        writeln!(f, "  bare commits: {p50} / {p99} ms each (p50 / p99), {group} records/s in groups of 100")?;
    }
    let of = |name: &str| measurement.reading_floor.get(name).copied();
    if let (Some(verified), Some(replayed)) = (of("verified_per_s"), of("replayed_events_per_s")) {
        let judged = |value: f64, goal: Goal| {
            let verdict = if goal.is_reached(value) { "reached" } else { "MISSED" };
            format!("{} ({goal} {verdict})", number(value))
        };
        writeln!(
            f,
            "  bare reading: {} records/s verified, {} events/s replayed",
            judged(verified, goals::VERIFIED_PER_S),
            judged(replayed, goals::REPLAYED_EVENTS_PER_S)
        )?;
    }
    Ok(())
}

fn write_row(f: &mut fmt::Formatter<'_>, cells: &[String; 7]) -> fmt::Result {
    let [label, median, range, goal, verdict, log, broadcast] = cells;
    let line =
        format!("  {label:<28}{median:>10}  {range:>21}  {goal:>9} {verdict:<7}  {log:>9}  {broadcast:>14}");
    writeln!(f, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn reading_stands_beside_its_goals() {
        let mut w2 = example::case(Case::W2, &[]);
        w2.reading_floor.insert("verified_per_s".to_owned(), 1_500_000.0);
        w2.reading_floor.insert("replayed_events_per_s".to_owned(), 299_000.0);
        let table = example::shown(&[w2]);
        let line = table.lines().find(|line| line.contains("bare reading")).unwrap();
        assert!(line.contains("(≥ 1000000 reached)") && line.contains("(≥ 300000 MISSED)"), "{line}");
    }

    #[test]
    fn a_figure_stands_beside_its_goal_and_its_floors() {
        let w2 = example::case(Case::W2, &[("accept_p50_ms", 0.5), ("accept_p99_ms", 7.5)]);
        let table = example::shown(&[w2]);
        let line = |label: &str| {
            let line = table.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("accept p50"), "accept p50 ms 0.500 0.250 – 1.00 ≤ 0.6 reached 0.250 0.180");
        assert_eq!(line("accept p99"), "accept p99 ms 7.50 3.75 – 15.0 ≤ 5 MISSED");
    }

    #[test]
    fn every_never_is_shown_and_judged_by_the_worst_round() {
        for never in goals::NEVER {
            assert!(ROWS.iter().any(|(_, figure, _)| *figure == never), "{never}");
            let mut once = example::case(Case::Cut, &[]);
            once.figures.insert(never.to_owned(), Summary { median: 0.0, min: 0.0, max: 1.0 });
            assert!(example::shown(&[once]).contains("MISSED"), "{never}");
        }
    }

    #[test]
    fn errors_and_other_work_are_named() {
        let table = example::shown(&[example::case(
            Case::W2,
            &[("errors_status_503", 4.0), ("errors_total", 4.0), ("measured_s", 10.0), ("other_cpu_s", 4.0)],
        )]);
        assert!(table.contains("errors in a round: status_503 2.00 – 8.00\n"), "{table}");
        assert!(table.contains("NOT QUIET"), "{table}");
    }
}
