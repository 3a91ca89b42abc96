//! The server under test: all roles in one process, on a new data folder.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::child::Server;
use super::floors::plan::Log;
use crate::platform::readiness;
use crate::wait;

/// A first start creates its log and stores.
const READY_DEADLINE: Duration = Duration::from_secs(60);
const LAST_WORDS: usize = 20;

/// Starts the server with its data in `folder` and waits until it is ready.
pub fn start(roomlog: &Path, log: &Log, folder: &Path) -> Result<(Server, SocketAddr)> {
    let address = free_address()?;
    let output = folder.join("output.log");
    let mut server = Server::start(&mut command(roomlog, log, folder, address, File::create(&output)?)?)?;
    let ready = wait::until("the server to be ready", READY_DEADLINE, || {
        if server.has_ended()? {
            bail!("the server has ended");
        }
        Ok(readiness::is_ready(address))
    });
    match ready {
        Ok(()) => Ok((server, address)),
        Err(error) => {
            let answer = readiness::ask(address).unwrap_or_default();
            Err(anyhow!("{error:#}. {answer}\nIts last words:\n{}", last_words(&output)))
        }
    }
}

fn command(roomlog: &Path, log: &Log, folder: &Path, address: SocketAddr, output: File) -> Result<Command> {
    let mut command = Command::new(roomlog);
    // Settings of the person who runs this are not what is measured; nor is a `roomlog.toml` in the current folder.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROOMLOG_")) {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .env("ROOMLOG_LISTEN", address.to_string())
        .env("ROOMLOG_DATA", folder.join("data"))
        .env("ROOMLOG_LOG_LEVEL", "warn")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    match log {
        Log::Sqlite { .. } => command.env("ROOMLOG_LOG", "sqlite"),
        Log::Kafka { brokers, topic_prefix } => command.envs([
            ("ROOMLOG_LOG", "kafka"),
            ("ROOMLOG_KAFKA_BROKERS", brokers),
            ("ROOMLOG_KAFKA_TOPIC_PREFIX", topic_prefix),
            ("ROOMLOG_KAFKA_ALLOW_WEAK", "true"),
            ("ROOMLOG_KAFKA_REPLICATION", "1"),
            ("ROOMLOG_KAFKA_MIN_ISR", "1"),
        ]),
    };
    Ok(command)
}

/// Free at the time of the call.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?)
}

fn last_words(output: &Path) -> String {
    let output = std::fs::read_to_string(output).unwrap_or_default();
    let lines: Vec<_> = output.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

/// What it has said since its start, if it was worth a warning.
pub fn warnings(folder: &Path) -> Option<String> {
    let output = std::fs::read_to_string(folder.join("output.log")).unwrap_or_default();
    let lines: Vec<_> =
        output.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
    (!lines.is_empty()).then(|| format!("{} in all, the last:\n{}", lines.len(), last.join("\n")))
}
