//! Real servers on this machine: `cargo xtask cluster` for people, [`ensure_up`] for the tasks that need some.
//!
//! Where a container engine runs, they come from `infra/compose.yaml`; elsewhere Kafka and Cassandra from their Maven
//! jars and PostgreSQL from the distribution's package. Every [`Instance`] has ports and data of its own, so that tests
//! and benchmarks never touch what a person keeps in `dev`, nor what else runs on the machine.

pub mod cli;
pub mod packages;

mod cassandra;
mod certificates;
mod container;
mod environment;
mod instance;
mod jars;
mod kafka;
mod lock;
mod owner;
mod ports;
mod postgres;
mod probe;
mod process;
mod runtime;
mod server;
mod service;
mod start;
mod state;

use std::time::Duration;

use anyhow::{Context, Result, bail};

use certificates::Certificates;
pub use environment::{Environment, FOR_TESTS};
pub use instance::{Instance, relative};
pub use kafka::Detour;
use owner::Owner;
use runtime::Runtime;
use server::Server;
pub use service::Service;
use state::{State, TlsPorts};

use crate::wait;

const PORT_DEADLINE: Duration = Duration::from_secs(10);

/// Servers that accept requests.
///
/// An ephemeral instance that this process started ends, and its data goes, with [`Cluster::stop`], when this value is
/// dropped, or when this process ends in whatever way. Others go on.
pub struct Cluster {
    /// In the order in which they were asked for.
    pub servers: Vec<Running>,
    instance: Instance,
    owner: Option<Owner>,
}

/// One server that accepts requests.
#[derive(Clone, Debug)]
pub struct Running {
    pub service: Service,
    /// Where its clients connect to, on 127.0.0.1.
    pub port: u16,
    /// Where they get TLS; a container has none.
    pub tls: Option<TlsPorts>,
    /// Its process, where it does not run in a container.
    pub pid: Option<u32>,
    /// False when it was up already.
    pub started_here: bool,
}

/// A server to be up. `port` is for its clients; without it the customary one or, for ephemeral instances and where that
/// is taken, a free one.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub service: Service,
    pub port: Option<u16>,
    /// It must have TLS, so it does not run in a container.
    pub tls: bool,
}

impl From<Service> for Wanted {
    fn from(service: Service) -> Self {
        Self { service, port: None, tls: false }
    }
}

impl Wanted {
    /// Each kind of server, on whatever port.
    pub fn all(tls: bool) -> [Self; 3] {
        Service::ALL.map(|service| Self { service, port: None, tls })
    }
}

/// Makes sure that these servers of the instance are up and accept requests. Those that are not are started at the same
/// time; where one of them fails, the others stay.
///
/// This blocks: within an async runtime call it through `spawn_blocking`.
pub fn ensure_up(instance: &Instance, wanted: &[Wanted]) -> Result<Cluster> {
    let _lock = lock::acquire()?;
    owner::sweep_abandoned()?;

    Certificates::of(instance).ensure()?;
    let is_new = instance.is_ephemeral() && none_runs(instance)?;
    let owner = if is_new { Some(Owner::claim(instance)?) } else { None };
    let servers = std::thread::scope(|scope| {
        let starting: Vec<_> = wanted
            .iter()
            .map(|wanted| scope.spawn(|| ensure_server(&Server::new(instance, wanted.service), wanted)))
            .collect();
        let started: Vec<Result<Running>> = starting
            .into_iter()
            .map(|starting| starting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        started.into_iter().collect::<Result<Vec<_>>>()
    })?;
    Ok(Cluster { servers, instance: instance.clone(), owner })
}

/// Before the instance's Kafka is started as a process: it shall have these ports besides.
pub fn prepare_detours(instance: &Instance, detours: &[Detour]) -> Result<()> {
    kafka::save_detours(&Server::new(instance, Service::Kafka), detours)
}

fn ensure_server(server: &Server, wanted: &Wanted) -> Result<Running> {
    if let Some(state) = running(server)? {
        if let Some(port) = wanted.port.filter(|port| *port != state.port) {
            bail!(
                "the {server} is already up on port {}, not {port}; stop it first: cargo xtask cluster down",
                state.port
            );
        }
        if wanted.tls && state.tls.is_none() {
            bail!("the {server} is already up, without TLS; stop it first: cargo xtask cluster down");
        }
        start::wait_until_ready(server, &state)?;
        return Ok(Running::new(server, &state, false));
    }
    let started = start::start(server, wanted.port, wanted.tls);
    let state = started.with_context(|| format!("cannot start the {server}"))?;
    Ok(Running::new(server, &state, true))
}

/// Ends these servers of the instance as far as they run, and deletes their data if told so. Answers which were running.
pub fn bring_down(instance: &Instance, services: &[Service], wipe: bool) -> Result<Vec<Service>> {
    let _lock = lock::acquire()?;
    bring_down_locked(instance, services, wipe)
}

fn bring_down_locked(instance: &Instance, services: &[Service], wipe: bool) -> Result<Vec<Service>> {
    let were_running = std::thread::scope(|scope| {
        let stopping: Vec<_> = services
            .iter()
            .map(|service| scope.spawn(|| bring_server_down(&Server::new(instance, *service), wipe)))
            .collect();
        let stopped: Vec<Result<bool>> = stopping
            .into_iter()
            .map(|stopping| stopping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        stopped.into_iter().collect::<Result<Vec<_>>>()
    })?;
    if none_runs(instance)? {
        if container::is_usable() {
            container::dissolve(instance)?;
        }
        if wipe && services.len() == Service::ALL.len() {
            runtime::remove_folder(&instance.dir())?;
        }
    }
    Ok(services.iter().zip(were_running).filter_map(|(service, was)| was.then_some(*service)).collect())
}

fn bring_server_down(server: &Server, wipe: bool) -> Result<bool> {
    let running = running(server)?;
    if let Some(state) = &running {
        state.runtime.stop(server, wipe)?;
    }
    State::remove(server)?;
    if wipe {
        runtime::wipe(server)?;
    }
    Ok(running.is_some())
}

/// What is known of the server, if what was started for it still runs.
fn running(server: &Server) -> Result<Option<State>> {
    match State::load(server)? {
        Some(state) if state.runtime.is_running(server)? => Ok(Some(state)),
        _ => Ok(None),
    }
}

fn none_runs(instance: &Instance) -> Result<bool> {
    for service in Service::ALL {
        if running(&Server::new(instance, service))?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Running {
    fn new(server: &Server, state: &State, started_here: bool) -> Self {
        let pid = match state.runtime {
            Runtime::Process { pid } => Some(pid),
            Runtime::Container => None,
        };
        Self { service: server.service, port: state.port, tls: state.tls, pid, started_here }
    }

    /// What a client connects to: `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Cluster {
    pub fn server(&self, service: Service) -> Option<&Running> {
        self.servers.iter().find(|server| server.service == service)
    }

    /// What makes Roomlog use these servers.
    pub fn environment(&self) -> Result<Environment> {
        let mut all = Vec::new();
        for server in &self.servers {
            all.extend(environment::for_roomlog(&self.instance, server)?);
        }
        // Everything listens on loopback here.
        all.push(("ROOMLOG_INTERNAL_ALLOW_PLAIN", "true".to_owned()));
        Ok(all)
    }

    /// The same over TLS, where each side has to say who it is as far as the server's kind allows; between processes too.
    pub fn environment_over_tls(&self) -> Result<Environment> {
        let mut all = Vec::new();
        for server in &self.servers {
            all.extend(environment::for_roomlog_over_tls(&self.instance, server)?);
        }
        all.extend(environment::between_processes(&self.instance));
        Ok(all)
    }

    /// What makes tests use these servers, and fail without them.
    pub fn test_environment(&self) -> Result<Environment> {
        let mut all = Vec::new();
        for server in &self.servers {
            all.extend(environment::for_tests(&self.instance, server)?);
        }
        if self.servers.iter().any(|server| server.tls.is_some()) {
            all.push(environment::certificates_for_tests(&self.instance));
        }
        debug_assert!(all.iter().all(|(name, _)| FOR_TESTS.contains(name)), "{all:?}");
        Ok(all)
    }

    /// Ends a server without giving it time to close its data. One in a container is stopped instead.
    pub fn kill(&self, service: Service) -> Result<()> {
        let server = Server::new(&self.instance, service);
        match State::load(&server)? {
            Some(State { runtime: Runtime::Process { pid }, .. }) => process::kill(pid, &server),
            Some(State { runtime: Runtime::Container, .. }) => container::stop(&server),
            None => Ok(()),
        }
    }

    /// Starts a server again that was killed, with its data, and waits until it accepts requests.
    pub fn start_again(&mut self, wanted: Wanted) -> Result<()> {
        if let Some(port) = wanted.port {
            // What was killed gives its port back a moment after its end can be seen.
            let what = format!("port {port} to be free");
            wait::until(&what, PORT_DEADLINE, || Ok(ports::is_free(port)))?;
        }
        let started = ensure_up(&self.instance, &[wanted])?;
        for running in started.servers.iter().cloned() {
            self.servers.retain(|server| server.service != running.service);
            self.servers.push(running);
        }
        Ok(())
    }

    /// Ends and wipes an ephemeral instance that was started here; leaves any other alone.
    pub fn stop(mut self) -> Result<()> {
        self.stop_if_owned()
    }

    fn stop_if_owned(&mut self) -> Result<()> {
        let Some(owner) = self.owner.take() else {
            return Ok(());
        };
        bring_down(&self.instance, &Service::ALL, true)?;
        owner.release();
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop_if_owned() {
            eprintln!("warning: cannot stop the {} cluster: {error:#}", self.instance);
        }
    }
}
