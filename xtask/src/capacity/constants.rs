//! What one message, one delivery and one socket cost, as measured.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// A number and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    pub value: f64,
    pub source: String,
}

/// Processor time in seconds of one core; bytes as on the wire or on the disk, before replication.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    pub fan_out_cpu_per_1m_deliveries: Constant,
    pub command_api_cpu_per_1000: Constant,
    pub projectors_cpu_per_1000: Constant,
    pub kafka_cpu_per_1000: Constant,
    pub cql_cpu_per_1000: Constant,
    pub postgres_cpu_per_1000: Constant,
    pub bytes_per_idle_socket: Constant,
    /// Messages a second that one partition's writer accepted.
    pub partition_peak: Constant,
    pub record_bytes: Constant,
    pub frame_bytes: Constant,
    pub row_bytes: Constant,
}

/// W3 fills the four partitions of an embedded log evenly; alone one of them would reach more.
const PARTITIONS_OF_W3: f64 = 4.0;
/// Of docs/PERFORMANCE.md, for where no bench has been run.
const DOCUMENTED: &str = "docs/PERFORMANCE.md";
/// A text of 256 B, sealed, with the envelope of its event, the frame and its place in the log.
const RECORD_BYTES: f64 = 700.0;
/// The same as a client gets it, in JSON, with the heads of WebSocket, TCP and IP.
const FRAME_BYTES: f64 = 600.0;
/// As event and as message, with the store's own overhead.
const ROW_BYTES: f64 = 1_800.0;

impl Constants {
    /// From the last lines of the distributed platform that have the figure.
    pub fn read(file: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context(format!("cannot read {}", file.display())),
        };
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(Self::from_lines(&lines.with_context(|| format!("{} is not of the bench", file.display()))?))
    }

    fn from_lines(lines: &[Value]) -> Self {
        let measured = |platforms: &[&str], cases: &[&str], name: &str, documented: f64| {
            let found = lines.iter().rev().find_map(|line| {
                let is = |field: &str, any: &[&str]| line[field].as_str().is_some_and(|it| any.contains(&it));
                let value = line["figures"][name]["median"].as_f64()?;
                (is("platform", platforms) && is("case", cases)).then(|| Constant {
                    value,
                    source: format!(
                        "bench, {} of {}, revision {}",
                        line["case"].as_str().unwrap_or_default(),
                        line["platform"].as_str().unwrap_or_default(),
                        line["circumstances"]["revision"].as_str().unwrap_or("unknown")
                    ),
                })
            });
            found.unwrap_or_else(|| Constant { value: documented, source: DOCUMENTED.into() })
        };
        let assumed = |value: f64| Constant { value, source: "by counting".into() };
        let distributed = &["distributed"];
        let busy = &["w3", "w2"];
        Self {
            fan_out_cpu_per_1m_deliveries: measured(
                distributed,
                &["w1"],
                "cpu_s_per_1m_deliveries.ws-fanout",
                10.3,
            ),
            command_api_cpu_per_1000: measured(
                distributed,
                busy,
                "cpu_s_per_1000_messages.command-api",
                0.13,
            ),
            projectors_cpu_per_1000: measured(distributed, busy, "cpu_s_per_1000_messages.projectors", 0.072),
            kafka_cpu_per_1000: measured(distributed, busy, "cpu_s_per_1000_messages.kafka", 0.125),
            cql_cpu_per_1000: measured(distributed, busy, "cpu_s_per_1000_messages.cql", 0.4),
            postgres_cpu_per_1000: measured(distributed, busy, "cpu_s_per_1000_messages.postgres", 0.035),
            bytes_per_idle_socket: measured(
                &["distributed", "embedded"],
                &["w4"],
                "rss_bytes_per_socket",
                4_223.0,
            ),
            partition_peak: {
                let all = measured(&["embedded"], &["w3"], "accepted_per_s", 12_639.0);
                Constant { value: all.value / PARTITIONS_OF_W3, ..all }
            },
            record_bytes: assumed(RECORD_BYTES),
            frame_bytes: assumed(FRAME_BYTES),
            row_bytes: assumed(ROW_BYTES),
        }
    }

    /// All of them, with their names and units.
    pub fn all(&self) -> [(&'static str, &Constant); 11] {
        [
            ("ws-fanout, CPU s per 1M deliveries", &self.fan_out_cpu_per_1m_deliveries),
            ("command-api, CPU s per 1,000 messages", &self.command_api_cpu_per_1000),
            ("projectors, CPU s per 1,000 messages", &self.projectors_cpu_per_1000),
            ("Kafka, CPU s per 1,000 messages", &self.kafka_cpu_per_1000),
            ("CQL, CPU s per 1,000 messages", &self.cql_cpu_per_1000),
            ("PostgreSQL, CPU s per 1,000 messages", &self.postgres_cpu_per_1000),
            ("memory of an idle socket, B", &self.bytes_per_idle_socket),
            ("one partition's writer, messages/s", &self.partition_peak),
            ("one message in the log, B", &self.record_bytes),
            ("one message to a client, B", &self.frame_bytes),
            ("one message in the room store, B", &self.row_bytes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_line_that_has_a_figure_counts_and_others_are_documented() {
        let line = |case: &str, platform: &str, value: f64| {
            json!({
                "case": case, "platform": platform, "circumstances": {"revision": "abc"},
                "figures": {"cpu_s_per_1m_deliveries.ws-fanout": {"median": value}}
            })
        };
        let lines = [
            line("w1", "distributed", 9.0),
            line("w1", "distributed", 5.0),
            line("w2", "distributed", 1.0),
            line("w1", "embedded", 2.0),
        ];
        let constants = Constants::from_lines(&lines);
        assert_eq!(constants.fan_out_cpu_per_1m_deliveries.value, 5.0);
        assert_eq!(constants.fan_out_cpu_per_1m_deliveries.source, "bench, w1 of distributed, revision abc");
        assert_eq!(constants.kafka_cpu_per_1000.source, DOCUMENTED);
    }

    #[test]
    fn a_missing_file_is_no_error_and_a_foreign_one_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Constants::read(&folder.path().join("none")).is_ok());
        let foreign = folder.path().join("foreign");
        std::fs::write(&foreign, "no json\n").unwrap();
        assert!(Constants::read(&foreign).is_err());
    }
}
