//! A whole platform on this machine: processes of each role, and nginx in front of them.
//!
//! `cargo xtask cluster run` is the person's way in, [`start`] that of tests, benchmarks and chaos, which can kill, end,
//! pause and start again each process. The servers that the platform stands on are [`crate::cluster`]'s.
//!
//! Everything blocks: within an async runtime call it through `spawn_blocking`.

pub mod cli;
mod guard;
mod orders;
mod ports;
mod process;
mod proxy;
mod rates;
pub mod readiness;
mod role;
mod secrets;
mod spec;

#[cfg(test)]
mod routes_tests;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use guard::Guard;
pub use ports::free_address;
use process::{Process, Recipe};
use proxy::{Proxy, Upstreams};
pub use rates::RATES;
pub use role::Role;
use secrets::Secrets;
pub use spec::{Group, Spec};

/// A first start creates the log and the stores; several processes at once share the machine.
pub const READY_DEADLINE: Duration = Duration::from_secs(120);

/// A platform that is ready. Its processes end with [`Platform::stop`], or, without being asked to first, when this value
/// is dropped; and they are asked to when this process ends in whatever way.
pub struct Platform {
    // In the order in which they are to be dropped.
    proxy: Option<Proxy>,
    processes: Vec<Process>,
    secrets: Secrets,
}

/// Starts every process, waits until each is ready, and then starts the proxy.
pub fn start(spec: &Spec) -> Result<Platform> {
    let address = match spec.port {
        Some(port) => ports::bind(port)?,
        None => ports::free_address()?,
    };
    let guard = Arc::new(Guard::start()?);
    let mut platform = start_processes(spec, guard.clone())?;
    let upstreams = platform.processes.as_slice();
    platform.proxy = Some(Proxy::start(&spec.folder.join("nginx"), address, &upstreams, guard)?);
    Ok(platform)
}

/// Without the proxy: each process has its own address, and no one address serves all unless each process has all roles.
pub fn start_without_proxy(spec: &Spec) -> Result<Platform> {
    start_processes(spec, Arc::new(Guard::start()?))
}

fn start_processes(spec: &Spec, guard: Arc<Guard>) -> Result<Platform> {
    let secrets = Secrets::ensure(&spec.folder.join("secrets"))?;
    let mut processes = Vec::new();
    for recipe in recipes(spec, &secrets)? {
        processes.push(Process::start(recipe, guard.clone())?);
    }
    for process in &mut processes {
        process.wait_until_ready(READY_DEADLINE)?;
    }
    Ok(Platform { proxy: None, processes, secrets })
}

/// Whether nginx understands the configuration that it would get.
pub fn check_proxy() -> Result<()> {
    struct OneOfEach;
    impl Upstreams for OneOfEach {
        fn of(&self, _: Role) -> Vec<SocketAddr> {
            vec![SocketAddr::from(([127, 0, 0, 1], 1))]
        }
    }
    let folder = tempfile::tempdir()?;
    proxy::check(folder.path(), ports::free_address()?, &OneOfEach)
}

fn recipes(spec: &Spec, secrets: &Secrets) -> Result<Vec<Recipe>> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut recipes = Vec::new();
    for group in &spec.groups {
        for name in group.process_names() {
            let folder = spec.folder.join(&name);
            let (address, internal_address) = (ports::free_address()?, ports::free_address()?);
            let own = [
                ("ROOMLOG_ROLES", group.roles_setting()),
                ("ROOMLOG_LISTEN", address.to_string()),
                ("ROOMLOG_INTERNAL_LISTEN", internal_address.to_string()),
                ("ROOMLOG_DATA", path(&process::data(&folder))),
                ("ROOMLOG_MASTER_KEY_FILE", path(&secrets.master_key)),
                ("ROOMLOG_ADMINISTRATOR_TOKEN_FILE", path(&secrets.administrator_token)),
                ("ROOMLOG_TRUSTED_PROXIES", address.ip().to_string()),
            ];
            let own = own.map(|(name, value)| (name.to_owned(), value));
            // The last one counts.
            let for_this_one = spec.own_environment.get(&name).into_iter().flatten();
            let environment = spec.environment.iter().chain(for_this_one).cloned().chain(own).collect();
            recipes.push(Recipe {
                name,
                roles: group.roles.clone(),
                address,
                internal_address,
                program: spec.roomlog.clone(),
                environment,
                folder,
            });
        }
    }
    Ok(recipes)
}

impl Upstreams for &[Process] {
    fn of(&self, role: Role) -> Vec<SocketAddr> {
        self.iter().filter(|process| process.has(role)).map(Process::address).collect()
    }
}

impl Platform {
    /// The one that serves all; `None` without a proxy.
    pub fn address(&self) -> Option<SocketAddr> {
        self.proxy.as_ref().map(Proxy::address)
    }

    pub fn proxy_pid(&self) -> Option<u32> {
        self.proxy.as_ref().map(Proxy::pid)
    }

    pub fn administrator_token_file(&self) -> &Path {
        &self.secrets.administrator_token
    }

    /// Where the processes with this role serve HTTP.
    pub fn addresses(&self, role: Role) -> Vec<SocketAddr> {
        self.processes.as_slice().of(role)
    }

    pub fn administrator_token(&self) -> Result<String> {
        self.secrets.administrator_token()
    }

    /// Group by group, in the order of the specification.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    pub fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    /// By its name: `command-api-1`.
    pub fn process(&mut self, name: &str) -> Result<&mut Process> {
        let found = self.processes.iter_mut().find(|process| process.name() == name);
        found.with_context(|| format!("no process of the platform is called {name}"))
    }

    /// Asks the proxy to end and then each role's processes, from the edge inwards. Paused ones are woken to hear it.
    pub fn stop(self) -> Result<()> {
        let Self { proxy, mut processes, secrets: _ } = self;
        let stopped = proxy.map_or(Ok(()), Proxy::stop);
        for role in Role::IN_ORDER_OF_STOPPING {
            let with_role = |process: &&mut Process| process.has(role);
            for process in processes.iter_mut().filter(with_role) {
                if process.is_running()? {
                    process.ask_to_end()?;
                    process.resume()?;
                }
            }
            for process in processes.iter_mut().filter(with_role) {
                process.wait_until_ended(process::STOP_DEADLINE)?;
            }
        }
        stopped
    }
}
