//! Logs for people or as JSON, one line an event.

use tracing_subscriber::EnvFilter;

use crate::config::Config;

pub fn start(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log_level)?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match config.log_format.as_str() {
        "json" => subscriber.json().flatten_event(true).init(),
        "text" => subscriber.with_target(false).init(),
        other => anyhow::bail!("ROOMLOG_LOG_FORMAT is `text` or `json`, not `{other}`"),
    }
    Ok(())
}
