//! Logs for people or as JSON, one line an event, and the spans of traces.

use roomlog_telemetry::{Exporter, Process};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::Config;

/// Starts logging, and the export of spans if one is set. What it returns is to be
/// [stopped](Exporter::stop) last.
pub fn start(config: &Config, process: &Process) -> anyhow::Result<Option<Exporter>> {
    let filter = EnvFilter::try_new(&config.log_level)?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format.as_str() {
        "json" => lines.json().flatten_event(true).with_filter(filter).boxed(),
        "text" => lines.with_target(false).with_filter(filter).boxed(),
        other => anyhow::bail!("ROOMLOG_LOG_FORMAT is `text` or `json`, not `{other}`"),
    };
    let exporter = Exporter::start(&config.telemetry(), process)?;
    let spans = exporter.as_ref().map(Exporter::layer);
    tracing_subscriber::registry().with(lines).with(spans).init();
    Ok(exporter)
}
