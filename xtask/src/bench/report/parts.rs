//! Who used what: processor time by part, memory by process.

use std::fmt;

use super::median;
use super::number::number;
use crate::bench::figures::Summaries;
use crate::bench::parts::Part;

pub fn write(f: &mut fmt::Formatter<'_>, figures: &Summaries, cores: usize) -> fmt::Result {
    write_processor_time(f, figures, cores)?;
    write_memory(f, figures)
}

fn write_processor_time(f: &mut fmt::Formatter<'_>, figures: &Summaries, cores: usize) -> fmt::Result {
    let Some(seconds) = median(figures, "measured_s") else { return Ok(()) };
    let share = |used: f64| format!("{:.0} %", used / (seconds * cores as f64) * 100.0);
    writeln!(
        f,
        "  {:<14}{:>14}{:>20}{:>20}",
        "CPU",
        format!("of {cores} cores"),
        "s/1,000 messages",
        "s/1M deliveries"
    )?;
    for part in Part::ALL {
        let Some(used) = median(figures, &format!("cpu_s.{part}")) else { continue };
        let of = |name: &str| median(figures, &format!("{name}.{part}")).map(number).unwrap_or_default();
        writeln!(
            f,
            "  {:<14}{:>14}{:>20}{:>20}",
            part.id(),
            share(used),
            of("cpu_s_per_1000_messages"),
            of("cpu_s_per_1m_deliveries")
        )?;
    }
    for (who, figure) in [("load", "load_cpu_s"), ("others", "other_cpu_s")] {
        if let Some(used) = median(figures, figure) {
            writeln!(f, "  {who:<14}{:>14}", share(used))?;
        }
    }
    Ok(())
}

fn write_memory(f: &mut fmt::Formatter<'_>, figures: &Summaries) -> fmt::Result {
    const PEAK: &str = "process_peak_rss_mb.";
    let all: Vec<String> = figures
        .iter()
        .filter_map(|(name, peak)| Some(format!("{} {}", name.strip_prefix(PEAK)?, number(peak.max))))
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(f, "  peak RSS MB: {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use crate::bench::cases::Case;

    #[test]
    fn every_part_and_every_process_has_its_place() {
        let table = example::shown(&[example::case(
            Case::W1,
            &[
                ("measured_s", 10.0),
                ("cpu_s.kafka", 5.0),
                ("cpu_s_per_1000_messages.kafka", 0.4),
                ("cpu_s.ws-fanout", 1.0),
                ("cpu_s_per_1m_deliveries.ws-fanout", 5.5),
                ("load_cpu_s", 2.0),
                ("process_peak_rss_mb.ws-fanout-1", 20.0),
                ("process_peak_rss_mb.kafka", 300.0),
            ],
        )]);
        let line = |start: &str| {
            let line = table.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("kafka"), "kafka 25 % 0.400");
        assert_eq!(line("ws-fanout"), "ws-fanout 5 % 5.50");
        assert_eq!(line("load "), "load 10 %");
        assert_eq!(line("peak RSS"), "peak RSS MB: kafka 600, ws-fanout-1 40.0");
    }
}
