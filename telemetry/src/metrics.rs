//! The table of all metrics, docs/METRICS.md, as the help texts and units of `/metrics`.

use metrics::Unit;

const TABLE: &str = include_str!("../../docs/METRICS.md");

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: Vec<&'static str>,
    pub unit: Option<Unit>,
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metric {
    /// `None` for a line that is no row of a metric.
    fn parse(line: &'static str) -> Option<Self> {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [name, kind, labels, unit, help, _roles] = cells[..] else { return None };
        Some(Self {
            name: name.strip_prefix('`')?.strip_suffix('`')?,
            kind: match kind {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                _ => return None,
            },
            labels: labels.split('`').skip(1).step_by(2).collect(),
            unit: match unit {
                "seconds" => Some(Unit::Seconds),
                "bytes" => Some(Unit::Bytes),
                _ => None,
            },
            help,
        })
    }
}

/// Every metric of the platform.
pub fn all() -> impl Iterator<Item = Metric> {
    TABLE.lines().filter_map(Metric::parse)
}

/// The one of that name.
pub fn find(name: &str) -> Option<Metric> {
    all().find(|metric| metric.name == name)
}

/// Gives the process's recorder the help texts, and begins the counters without labels at 0: a counter
/// that first appears as 1 has not increased for Prometheus. To be called once the recorder is
/// installed.
pub fn describe() {
    for Metric { name, kind, labels, unit, help } in all() {
        if name.starts_with("process_") {
            continue;
        }
        if kind == Kind::Counter && labels.is_empty() {
            metrics::counter!(name).increment(0);
        }
        let unit = unit.unwrap_or(Unit::Count);
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let rows = TABLE.lines().filter(|line| line.starts_with("| `")).count();
        assert!(rows > 40, "{rows}");
        assert_eq!(all().count(), rows);
        let commands = find("roomlog_commands_total").unwrap();
        assert_eq!((commands.kind, &commands.labels[..]), (Kind::Counter, &["command", "outcome"][..]));
        assert_eq!(find("roomlog_command_seconds").unwrap().unit, Some(Unit::Seconds));
    }

    /// <https://prometheus.io/docs/practices/naming/>
    #[test]
    fn names_are_as_prometheus_has_them() {
        let mut names: Vec<&str> = Vec::new();
        for Metric { name, kind, unit, help, .. } in all() {
            assert!(!names.contains(&name), "{name} is there twice");
            names.push(name);
            assert!(name.starts_with("roomlog_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}: counters end in _total");
            let base = name.strip_suffix("_total").unwrap_or(name);
            let has_unit = |unit: &str| base.ends_with(unit) || base.contains(&format!("{unit}_"));
            assert_eq!(has_unit("_seconds"), unit == Some(Unit::Seconds), "{name}: its unit");
            assert_eq!(has_unit("_bytes"), unit == Some(Unit::Bytes), "{name}: its unit");
            assert!(help.ends_with('.'), "{name}: a sentence");
        }
    }
}
