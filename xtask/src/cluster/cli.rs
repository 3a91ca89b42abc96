//! `cargo xtask cluster …`

use std::process::{Command as Process, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use super::instance::{self, Instance};
use super::runtime::Runtime;
use super::state::State;
use super::{container, jars, lock, probe, process};

/// One broker cannot hold the copies that a log needs outside development.
const SINGLE_BROKER: &str =
    "ROOMLOG_KAFKA_ALLOW_WEAK=true ROOMLOG_KAFKA_REPLICATION=1 ROOMLOG_KAFKA_MIN_ISR=1";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Start Kafka, unless it is up, and print the environment that makes Roomlog use it
    Up {
        /// The port for clients [default: 9092, or a free one where that is taken]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        kafka_port: Option<u16>,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Stop the Kafka that `up` started; its data stays
    Down {
        /// Delete its data as well
        #[arg(long)]
        wipe: bool,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Say which Kafkas of this checkout are up, and where
    Status,
    /// Run one of Kafka's own tools, for example
    /// `kafka-tool TopicCommand --bootstrap-server 127.0.0.1:9092 --list`
    KafkaTool {
        #[command(flatten)]
        chosen: Chosen,
        /// The tool's class; short for org.apache.kafka.tools.… unless it begins with `org.` or `kafka.`
        class: String,
        /// What the tool is given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
pub struct Chosen {
    /// Which Kafka; each has a port and data of its own
    #[arg(long, value_name = "NAME", default_value = Instance::DEV)]
    instance: Instance,
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { kafka_port, chosen } => up(&chosen.instance, kafka_port)?,
        Command::Down { wipe, chosen } => down(&chosen.instance, wipe)?,
        Command::Status => status()?,
        Command::KafkaTool { chosen, class, arguments } => {
            return kafka_tool(&chosen.instance, &class, &arguments);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints nothing but the environment to stdout, so that `eval "$(cargo xtask cluster up)"` sets it.
fn up(instance: &Instance, kafka_port: Option<u16>) -> Result<()> {
    let kafka = super::ensure_up(instance, kafka_port)?;
    let how = if kafka.started_here { "is up" } else { "was already up" };
    let process = kafka.pid.map(|pid| format!(" (process {pid})"));
    eprintln!("the {instance} Kafka {how} at {}{}", kafka.brokers, process.unwrap_or_default());
    if let Some(state) = State::load(instance)? {
        eprintln!("its log: {}", state.runtime.where_logs_are(instance));
    }
    println!("export ROOMLOG_LOG=kafka ROOMLOG_KAFKA_BROKERS={} {SINGLE_BROKER}", kafka.brokers);
    Ok(())
}

fn down(instance: &Instance, wipe: bool) -> Result<()> {
    let was_up = super::bring_down(instance, wipe)?;
    let what = if was_up { "is down now" } else { "was not up" };
    let data = if wipe { "; its data is deleted" } else { "" };
    eprintln!("the {instance} Kafka {what}{data}");
    Ok(())
}

fn status() -> Result<()> {
    let mut any_up = false;
    for instance in Instance::all()? {
        let Some(state) = super::running(&instance)? else {
            continue;
        };
        any_up = true;
        let answers = if probe::is_ready(state.port) { "accepts requests" } else { "does not answer" };
        let runs_as = match state.runtime {
            Runtime::Jars { pid } => format!("process {pid}"),
            Runtime::Container => "container".to_owned(),
        };
        println!(
            "{instance}: {} {answers} ({runs_as}, log: {})",
            state.brokers(),
            state.runtime.where_logs_are(&instance)
        );
    }
    if !any_up {
        println!(
            "no Kafka of this checkout is up; data is in {}",
            instance::relative(&crate::workspace::cluster_dir())
        );
    }
    Ok(())
}

fn kafka_tool(instance: &Instance, class: &str, arguments: &[String]) -> Result<ExitCode> {
    let mut tool = tool_command(instance)?;
    if class.starts_with("org.") || class.starts_with("kafka.") {
        tool.arg(class);
    } else {
        tool.arg(format!("org.apache.kafka.tools.{class}"));
    }
    let status = tool.args(arguments).status().context("cannot start the tool")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tool runs where the broker runs, so that it sees the broker's files too.
fn tool_command(instance: &Instance) -> Result<Process> {
    if let Some(state) = super::running(instance)?
        && matches!(state.runtime, Runtime::Container)
    {
        return Ok(container::tool(instance));
    }
    let classpath = {
        let _lock = lock::acquire()?;
        jars::ensure()?
    };
    Ok(process::java(&classpath))
}
