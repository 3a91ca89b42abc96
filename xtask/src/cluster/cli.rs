//! `cargo xtask cluster …`

use std::process::{Command as Process, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use super::instance::Instance;
use super::runtime::Runtime;
use super::server::Server;
use super::service::Service;
use super::state::{State, TlsPorts};
use crate::platform;

use super::{Environment, Wanted, container, instance, jars, kafka, lock, probe};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Start Kafka, a CQL store and PostgreSQL, as far as they are not up, and print the environment that makes Roomlog
    /// and its tests use them
    Up {
        #[command(flatten)]
        servers: Servers,
        /// The port for Kafka's clients [default: 9092, or a free one where that is taken]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        kafka_port: Option<u16>,
        /// The port for CQL's clients [default: 9042, or a free one where that is taken]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        cql_port: Option<u16>,
        /// The port for PostgreSQL's clients [default: 5432, or a free one where that is taken]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        postgres_port: Option<u16>,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Stop the servers that `up` started; their data stays
    Down {
        #[command(flatten)]
        servers: Servers,
        /// Delete their data as well
        #[arg(long)]
        wipe: bool,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Start the servers and a whole platform on them, several processes of each role behind one address, and stop the
    /// platform at a Ctrl-C
    Run(platform::cli::Options),
    /// Say which servers of this checkout are up, and where
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
    /// Which cluster; each has ports and data of its own
    #[arg(long, value_name = "NAME", default_value = Instance::DEV)]
    pub instance: Instance,
}

#[derive(Args)]
pub struct Servers {
    /// These servers alone
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    only: Vec<Service>,
}

impl Servers {
    fn list(&self) -> Vec<Service> {
        Service::ALL
            .into_iter()
            .filter(|service| self.only.is_empty() || self.only.contains(service))
            .collect()
    }
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { servers, kafka_port, cql_port, postgres_port, chosen } => {
            let port = |service| match service {
                Service::Kafka => kafka_port,
                Service::Cql => cql_port,
                Service::Postgres => postgres_port,
            };
            let wanted = |service| Wanted { service, port: port(service), tls: false };
            up(&chosen.instance, &servers.list().into_iter().map(wanted).collect::<Vec<_>>())?;
        }
        Command::Down { servers, wipe, chosen } => down(&chosen.instance, &servers.list(), wipe)?,
        Command::Run(options) => return platform::cli::run(&options),
        Command::Status => status()?,
        Command::KafkaTool { chosen, class, arguments } => {
            return kafka_tool(&chosen.instance, &class, &arguments);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints nothing but the environment to stdout, so that `eval "$(cargo xtask cluster up)"` sets it.
fn up(instance: &Instance, wanted: &[Wanted]) -> Result<()> {
    let cluster = super::ensure_up(instance, wanted)?;
    for running in &cluster.servers {
        let server = Server::new(instance, running.service);
        let how = if running.started_here { "is up" } else { "was already up" };
        let process = running.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        let log = match State::load(&server)? {
            Some(state) => format!(", log: {}", state.runtime.where_logs_are(&server)),
            None => String::new(),
        };
        eprintln!("the {server} {how} at {}{process}{log}", running.address());
    }
    print_exports(&cluster.environment()?);
    print_exports(&cluster.test_environment()?);
    Ok(())
}

fn print_exports(environment: &Environment) {
    // A shell changes nothing within such quotes.
    let quoted = |value: &str| value.replace('\'', r"'\''");
    let settings: Vec<_> =
        environment.iter().map(|(name, value)| format!("{name}='{}'", quoted(value))).collect();
    println!("export {}", settings.join(" "));
}

fn down(instance: &Instance, services: &[Service], wipe: bool) -> Result<()> {
    let were_up = super::bring_down(instance, services, wipe)?;
    for service in services {
        let what = if were_up.contains(service) { "is down now" } else { "was not up" };
        let data = if wipe { "; its data is deleted" } else { "" };
        eprintln!("the {} {what}{data}", Server::new(instance, *service));
    }
    Ok(())
}

fn status() -> Result<()> {
    let mut any_up = false;
    for instance in Instance::all()? {
        for service in Service::ALL {
            let server = Server::new(&instance, service);
            let Some(state) = super::running(&server)? else {
                continue;
            };
            any_up = true;
            let answers = probe::is_ready(service, state.port);
            let answers = if answers { "accepts requests" } else { "does not answer" };
            let runs_as = match state.runtime {
                Runtime::Process { pid } => format!("process {pid}"),
                Runtime::Container => "container".to_owned(),
            };
            let log = state.runtime.where_logs_are(&server);
            let tls = match state.tls {
                Some(TlsPorts { mutual, password }) if (mutual, password) == (state.port, state.port) => {
                    ", with and without TLS".to_owned()
                }
                Some(TlsPorts { mutual, password }) => {
                    format!(", TLS with a certificate: {mutual}, TLS with a password: {password}")
                }
                None => String::new(),
            };
            println!("{server}: 127.0.0.1:{}{tls} {answers} ({runs_as}, log: {log})", state.port);
        }
    }
    if !any_up {
        println!(
            "no server of this checkout is up; data is in {}",
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
    if let Some(state) = super::running(&Server::new(instance, Service::Kafka))?
        && matches!(state.runtime, Runtime::Container)
    {
        return Ok(container::kafka_tool(instance));
    }
    let classpath = {
        let _lock = lock::acquire()?;
        jars::ensure("kafka")?
    };
    Ok(kafka::java(&classpath))
}
