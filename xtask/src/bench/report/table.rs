//! The table.

use std::fmt;

use super::goals::{self, goal};
use crate::bench::figures::{ERRORS, Summaries, Summary};
use crate::bench::machine::Circumstances;
use crate::bench::runs::{CaseResult, LogKind};

pub struct Report<'a> {
    pub circumstances: &'a Circumstances,
    pub results: &'a [CaseResult],
}

/// Label, Roomlog's figure, and the figure of the bare log that it stands on. The bare broadcast's has the same name.
const ROWS: [(&str, &str, Option<&str>); 27] = [
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
    ("deliveries", "deliveries", None),
    ("deliveries/s", "deliveries_per_s", None),
    ("lost", "lost", None),
    ("doubled", "doubled", None),
    ("out of order", "out_of_order", None),
    ("skipped seqs", "skipped_seqs", None),
    ("misplaced", "misplaced", None),
    ("unanswered", "unanswered", None),
    ("reads caught up ms", "reads_caught_up_ms", None),
    ("server CPU s/1M deliveries", "server_cpu_s_per_1m_deliveries", None),
    ("server CPU s/1,000 messages", "server_cpu_s_per_1000_messages", None),
    ("broker CPU s/1,000 messages", "broker_cpu_s_per_1000_messages", None),
    ("all CPU s/1,000 messages", "all_cpu_s_per_1000_messages", Some("all_cpu_s_per_1000_messages")),
    ("server RSS MB", "server_rss_mb", None),
    ("server peak RSS MB", "server_peak_rss_mb", None),
    ("broker RSS MB", "broker_rss_mb", None),
];

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Circumstances { date, revision, cores, processor, kernel, memory_mb, .. } = self.circumstances;
        writeln!(f, "\n{date}, revision {revision}")?;
        writeln!(f, "{cores} cores ({processor}), {memory_mb} MB of memory, Linux {kernel}")?;
        for result in self.results {
            write_case(f, result, *cores)?;
        }
        Ok(())
    }
}

/// The share of the machine above which other work is felt. The kernel's own and the network's is below.
const QUIET: f64 = 0.05;

fn write_case(f: &mut fmt::Formatter<'_>, result: &CaseResult, cores: usize) -> fmt::Result {
    let CaseResult { log, case, workload, timing, figures, .. } = result;
    let (rounds, seconds) = (timing.rounds, timing.seconds);
    let log_name = if *log == LogKind::Sqlite { "SQLite" } else { "Kafka" };
    let smoke = if result.quick { " (quick: no comparison with the goals)" } else { "" };
    writeln!(f, "\n{case} on {log_name}: {workload}; {rounds} × {seconds} s{smoke}")?;
    let head = ["figure", "median", "min – max", "goal", "", "bare log", "bare broadcast"];
    write_row(f, &head.map(str::to_owned))?;
    for (label, figure, log_figure) in ROWS {
        let Some(measured) = figures.get(figure) else { continue };
        let goal = goal(*log, *case, figure).filter(|_| !result.quick || goals::is_never(figure));
        // What may never happen is judged by the worst round.
        let judged = if goals::is_never(figure) { measured.max } else { measured.median };
        let verdict = match goal.map(|goal| goal.is_reached(judged)) {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        let median = |floor: &Summaries, name: &str| floor.get(name).map(|floor| number(floor.median));
        write_row(
            f,
            &[
                label.to_owned(),
                number(measured.median),
                format!("{} – {}", number(measured.min), number(measured.max)),
                goal.map(|goal| goal.to_string()).unwrap_or_default(),
                verdict.to_owned(),
                log_figure.and_then(|name| median(&result.log_floor, name)).unwrap_or_default(),
                median(&result.broadcast_floor, figure).unwrap_or_default(),
            ],
        )?;
    }
    write_errors(f, figures)?;
    write_processor_note(f, figures, cores)?;
    write_one_by_one(f, result)
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

fn write_processor_note(f: &mut fmt::Formatter<'_>, figures: &Summaries, cores: usize) -> fmt::Result {
    let median = |name: &str| figures.get(name).map(|summary| summary.median);
    let Some(seconds) = median("measured_s") else { return Ok(()) };
    let share = |figure: &str| Some(median(figure)? / (seconds * cores as f64));
    let who = [
        ("server", "server_cpu_s"),
        ("load", "load_cpu_s"),
        ("broker", "broker_cpu_s"),
        ("others", "other_cpu_s"),
    ];
    let shares: Vec<String> = who
        .into_iter()
        .filter_map(|(who, figure)| Some(format!("{who} {:.0} %", share(figure)? * 100.0)))
        .collect();
    writeln!(f, "  cpu: of {cores} cores {}", shares.join(", "))?;
    if share("other_cpu_s").is_some_and(|others| others > QUIET) {
        writeln!(f, "  NOT QUIET: other work took the cores as well; these figures are only a hint")?;
    }
    Ok(())
}

fn write_one_by_one(f: &mut fmt::Formatter<'_>, result: &CaseResult) -> fmt::Result {
    let of = |name: &str| result.log_floor_one_by_one.get(name).map_or(f64::NAN, |summary| summary.median);
    writeln!(
        f,
        "  bare log, one by one: append {} / {} ms, read back {} / {} ms (p50 / p99)",
        number(of("append_p50_ms")),
        number(of("append_p99_ms")),
        number(of("read_back_p50_ms")),
        number(of("read_back_p99_ms")),
    )?;
    let of = |name: &str| result.commit_floor.get(name).copied();
    if let (Some(p50), Some(p99), Some(group)) =
        (of("commit_of_1_p50_ms"), of("commit_of_1_p99_ms"), of("commit_of_100_records_per_s"))
    {
        let [p50, p99, group] = [p50, p99, group].map(number);
        writeln!(f, "  bare commits: {p50} / {p99} ms each (p50 / p99), {group} records/s in groups of 100")?;
    }
    Ok(())
}

fn write_row(f: &mut fmt::Formatter<'_>, cells: &[String; 7]) -> fmt::Result {
    let [label, median, range, goal, verdict, log, broadcast] = cells;
    let line =
        format!("  {label:<28}{median:>10}  {range:>21}  {goal:>9} {verdict:<7}  {log:>9}  {broadcast:>14}");
    writeln!(f, "{}", line.trim_end())
}

/// Three digits that say something; whole numbers from 100 on.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases::{Case, Timing};
    use crate::bench::figures::Figures;

    fn result(figures: &[(&str, f64)]) -> CaseResult {
        let summary = |value: &f64| Summary { median: *value, min: value / 2.0, max: value * 2.0 };
        CaseResult {
            log: LogKind::Sqlite,
            case: Case::W2,
            quick: false,
            workload: Case::W2.workload(false),
            timing: Timing { warm_up_seconds: 1, seconds: 10, rounds: 3 },
            figures: figures.iter().map(|(name, value)| ((*name).to_owned(), summary(value))).collect(),
            log_floor: Summaries::from([("read_back_p50_ms".to_owned(), summary(&0.25))]),
            log_floor_one_by_one: Summaries::new(),
            commit_floor: Figures::new(),
            broadcast_floor: Summaries::from([("accept_p50_ms".to_owned(), summary(&0.18))]),
        }
    }

    fn shown(result: CaseResult) -> String {
        let circumstances = Circumstances::now();
        Report { circumstances: &circumstances, results: &[result] }.to_string()
    }

    fn cores() -> u32 {
        Circumstances::now().cores as u32
    }

    #[test]
    fn a_figure_stands_beside_its_goal_and_its_floors() {
        let table = shown(result(&[("accept_p50_ms", 0.5), ("accept_p99_ms", 7.5)]));
        let line = |label: &str| {
            let line = table.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("accept p50"), "accept p50 ms 0.500 0.250 – 1.00 ≤ 0.6 reached 0.250 0.180");
        assert_eq!(line("accept p99"), "accept p99 ms 7.50 3.75 – 15.0 ≤ 5 MISSED");
    }

    #[test]
    fn what_may_never_happen_is_judged_by_the_worst_round() {
        let mut once = result(&[("lost", 0.0)]);
        once.figures.insert("lost".to_owned(), Summary { median: 0.0, min: 0.0, max: 1.0 });
        assert!(shown(once).contains("MISSED"));
    }

    #[test]
    fn errors_and_processor_time_are_named() {
        let table = shown(result(&[
            ("errors_status_503", 4.0),
            ("errors_total", 4.0),
            ("measured_s", 10.0),
            ("server_cpu_s", 5.0),
            ("other_cpu_s", f64::from(cores()) * 2.0),
        ]));
        assert!(table.contains("errors in a round: status_503 2.00 – 8.00\n"), "{table}");
        assert!(table.contains("others 20 %"), "{table}");
        assert!(table.contains("NOT QUIET"), "{table}");
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let shown = [0.0, 0.1834, 1.234, 12.34, 1234.5].map(number);
        assert_eq!(shown, ["0", "0.183", "1.23", "12.3", "1234"]);
    }
}
