//! Starting a server and waiting until it accepts requests.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, anyhow, bail};

use super::jars::{self, Classpath};
use super::ports::Ports;
use super::runtime::Runtime;
use super::server::Server;
use super::service::Service;
use super::state::{State, TlsPorts};
use super::{cassandra, container, kafka, packages, postgres, probe, process};
use crate::wait;

/// Free ports can be lost to another process between their choice and their use.
const ATTEMPTS: u32 = 3;

/// `tls`: a server without it will not do. It needs no client that uses it.
pub fn start(server: &Server, requested_port: Option<u16>, tls: bool) -> Result<State> {
    std::fs::create_dir_all(server.dir())?;
    if !tls && container::is_usable() {
        match start_in_container(server, requested_port) {
            Ok(state) => return Ok(state),
            Err(error) => {
                eprintln!("warning: no {} from a container, so as a process: {error:#}", server.service);
                container::stop(server)?;
            }
        }
    }
    start_as_process(server, requested_port)
}

fn start_in_container(server: &Server, requested_port: Option<u16>) -> Result<State> {
    let ports = Ports::choose(server, requested_port)?;
    container::start(server, ports.client)?;
    let state = State { port: ports.client, tls: None, runtime: Runtime::Container };
    state.save(server)?;
    wait_until_ready(server, &state)?;
    Ok(state)
}

fn start_as_process(server: &Server, requested_port: Option<u16>) -> Result<State> {
    let software = Software::ensure(server.service)?;
    let mut attempt = 1;
    loop {
        let ports = Ports::choose(server, requested_port)?;
        let pid = process::spawn(server, &mut software.prepare(server, ports)?)?;
        let state = State {
            port: ports.client,
            tls: Some(tls_ports(server.service, ports)),
            runtime: Runtime::Process { pid },
        };
        state.save(server)?;
        let Err(error) = wait_until_ready(server, &state) else {
            return Ok(state);
        };
        let port_was_lost = state.runtime.last_words(server).contains("Address already in use");
        state.runtime.stop(server, true)?;
        State::remove(server)?;
        if !port_was_lost || attempt == ATTEMPTS {
            return Err(error);
        }
        attempt += 1;
    }
}

fn tls_ports(service: Service, ports: Ports) -> TlsPorts {
    match service {
        Service::Kafka => TlsPorts { mutual: ports.mutual_tls, password: ports.password_tls },
        Service::Cql | Service::Postgres => TlsPorts { mutual: ports.client, password: ports.client },
    }
}

/// What a server consists of.
enum Software {
    Kafka(Classpath),
    Cassandra(Classpath),
    Postgres(std::path::PathBuf),
}

impl Software {
    /// Fetches or installs what is missing; one at a time, for package managers have locks.
    fn ensure(service: Service) -> Result<Self> {
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match service {
            Service::Kafka => Self::Kafka(jars::ensure("kafka")?),
            Service::Cql => Self::Cassandra(jars::ensure("cassandra")?),
            Service::Postgres => Self::Postgres(packages::ensure_postgres()?),
        })
    }

    /// Writes the configuration, prepares the data folder, and answers the command that runs the server.
    fn prepare(&self, server: &Server, ports: Ports) -> Result<Command> {
        match self {
            Self::Kafka(classpath) => {
                kafka::configure(server, ports)?;
                kafka::format_storage(server, classpath)?;
                Ok(kafka::command(server, classpath))
            }
            Self::Cassandra(classpath) => {
                cassandra::configure(server, ports)?;
                cassandra::command(server, classpath)
            }
            Self::Postgres(programs) => {
                postgres::configure(server, programs, ports)?;
                postgres::command(server, programs)
            }
        }
    }
}

/// Waits until the server accepts requests; fails at once, with its last words, when it has ended instead.
pub fn wait_until_ready(server: &Server, state: &State) -> Result<()> {
    let what = format!("the {server} on port {}", state.port);
    let waited = wait::until(&what, server.service.ready_deadline(), || {
        if probe::is_ready(server.service, state.port) {
            return Ok(true);
        }
        if !state.runtime.is_running(server)? {
            bail!("{what} has ended");
        }
        Ok(false)
    });
    waited.map_err(|error| {
        anyhow!(
            "{error:#}. Its last words ({}):\n{}",
            state.runtime.where_logs_are(server),
            state.runtime.last_words(server)
        )
    })
}
