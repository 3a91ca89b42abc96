//! docs/METRICS.md, the code, the dashboard and the alert rules name the same metrics.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use roomlog_telemetry::metrics::{self, Kind, Metric};
use serde_json::{Value, json};
use support::Server;
use support::stream::Stream;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn documented() -> BTreeMap<&'static str, Metric> {
    metrics::all().map(|metric| (metric.name, metric)).collect()
}

/// Words that may be the name of a metric.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("roomlog_") || word.starts_with("process_"))
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names of metrics in the code of the platform: string literals that are one.
fn in_the_code() -> BTreeMap<String, PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root()).unwrap() {
        let package = entry.unwrap().path();
        if package.join("Cargo.toml").is_file() && !package.ends_with("xtask") {
            sources(&package.join("src"), &mut files);
        }
    }
    let mut found = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // Every other part is inside quotes, or so nearly that no name is missed.
        for literal in text.split('"') {
            let is_name = literal.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let prefixed =
                ["roomlog_", "process_"].iter().any(|p| literal.len() > p.len() && literal.starts_with(p));
            if is_name && prefixed {
                found.insert(literal.to_owned(), file.clone());
            }
        }
    }
    found
}

#[test]
fn the_table_has_every_metric_of_the_code_and_no_other() {
    let (documented, code) = (documented(), in_the_code());
    for (name, file) in &code {
        assert!(
            documented.contains_key(name.as_str()),
            "{name} ({}) is not in docs/METRICS.md: add its row",
            file.display()
        );
    }
    for name in documented.keys() {
        assert!(code.contains_key(*name), "docs/METRICS.md names {name}, which the code does not have");
    }
}

/// The documented name behind a series' name.
fn family<'a>(documented: &BTreeMap<&'static str, Metric>, series: &'a str) -> &'a str {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix));
    match base {
        Some(base) if documented.get(base).is_some_and(|metric| metric.kind == Kind::Histogram) => base,
        _ => series,
    }
}

fn assert_known(text: &str, whose: &str) {
    let documented = documented();
    let names = names(text);
    assert!(names.len() > 10, "{whose}: {names:?}");
    for series in names {
        let name = family(&documented, series);
        let metric = documented.get(name).unwrap_or_else(|| panic!("{whose}: there is no metric {series}"));
        let needs_suffix = metric.kind == Kind::Histogram;
        assert_eq!(needs_suffix, name != series, "{whose}: {series} of a {:?}", metric.kind);
    }
}

#[test]
fn the_dashboard_shows_metrics_that_exist() {
    let text = std::fs::read_to_string(root().join("infra/grafana/roomlog.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let shown = panels.iter().filter(|panel| panel["type"] != "row");
    for panel in shown.clone() {
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| target["expr"].is_string()) && !targets.is_empty(), "{panel}");
    }
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids of panels are unique");
    assert_known(&text, "infra/grafana/roomlog.json");
}

#[test]
fn the_alert_rules_use_metrics_that_exist_and_say_what_to_do() {
    let file = root().join("infra/prometheus/alerts.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_known(&text, "infra/prometheus/alerts.yaml");
    let rules: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule.lines().next().unwrap();
        for field in ["expr:", "severity:", "summary:", "description:"] {
            assert!(rule.contains(field), "{name} has no {field}");
        }
        let runbook = format!("runbook: docs/OPERATIONS.md#{}\n", name.to_lowercase());
        assert!(format!("{rule}\n").contains(&runbook), "{name}: {runbook}");
        for line in rule.lines().filter(|line| line.contains("increase(roomlog_")) {
            // A labelled counter is not there until it counts, and then has not increased.
            let of: Vec<_> = names(line).into_iter().collect();
            let metric = metrics::find(of[0]).unwrap();
            let sums_up = line.contains("sum by");
            assert!(metric.labels.is_empty() || sums_up, "{name}: {line}");
        }
    }
}

/// With `ROOMLOG_TEST_PROMTOOL`, Prometheus' own tool looks at the rules and tries them.
#[test]
fn prometheus_accepts_the_rules_and_raises_each_alert() {
    let Some(promtool) = std::env::var_os("ROOMLOG_TEST_PROMTOOL").filter(|path| !path.is_empty()) else {
        eprintln!("skipped: ROOMLOG_TEST_PROMTOOL is not set");
        return;
    };
    let folder = root().join("infra/prometheus");
    for arguments in [
        ["check", "rules", "alerts.yaml"],
        ["check", "config", "prometheus.yaml"],
        ["test", "rules", "alerts.test.yaml"],
    ] {
        let output = Command::new(&promtool).args(arguments).current_dir(&folder).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn what_a_process_says_is_what_the_table_says() {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Figures").await;
    let mut stream = Stream::open(&server, &ada, json!({})).await;
    server.send(&ada, &room, "one").await;
    stream.until_text("one").await;
    let text = server.http.get(format!("{}/metrics", server.url)).send().await.unwrap().text().await.unwrap();

    let documented = documented();
    let mut kinds = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let metric = documented.get(name).unwrap_or_else(|| panic!("{name} is not in docs/METRICS.md"));
            let expected = format!("{:?}", metric.kind).to_lowercase();
            assert_eq!(kind, expected, "{name}");
            assert!(kinds.insert(name), "{name} is there once");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert_eq!(help, documented[name].help, "{name}");
        } else {
            let series = line.split(['{', ' ']).next().unwrap();
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let metric = &documented[family(&documented, series)];
            for label in labels.split(',').filter_map(|label| label.split_once("=\"")).map(|(name, _)| name) {
                assert!(label == "le" || metric.labels.contains(&label), "{series} has a label {label}");
            }
        }
    }
    for name in [
        "roomlog_build_info",
        "roomlog_commands_total",
        "roomlog_command_seconds",
        "roomlog_log_append_seconds",
        "roomlog_writer_read_back_seconds",
        "roomlog_writer_alarms_total",
        "roomlog_writer_queue_requests",
        "roomlog_writer_in_flight_records",
        "roomlog_ended_sessions",
        "roomlog_projection_lag_seconds",
        "roomlog_fanout_sockets",
        "process_cpu_seconds_total",
    ] {
        assert!(kinds.contains(name), "{name} is missing in\n{text}");
    }
    assert!(text.contains(r#"roomlog_command_seconds_bucket{outcome="accepted",le="0.0001"}"#), "{text}");
}
