//! A real Kafka on this machine: `cargo xtask cluster` for people, [`ensure_up`] for the tasks that need one.
//!
//! Where a container engine runs, Kafka comes from `infra/compose.yaml`; elsewhere from its Maven jars. Every
//! [`Instance`] has a port and data of its own, so that tests and benchmarks never touch what a person keeps in `dev`.

pub mod cli;

mod container;
mod instance;
mod jars;
mod lock;
mod owner;
mod packages;
mod ports;
mod probe;
mod process;
mod runtime;
mod start;
mod state;

use anyhow::{Result, bail};

pub use instance::Instance;
use owner::Owner;
use runtime::Runtime;
use state::State;

/// A Kafka that accepts requests.
///
/// An ephemeral instance that this process started ends, and its data goes, with [`KafkaCluster::stop`], when this value
/// is dropped, or when this process ends in whatever way. Others go on.
pub struct KafkaCluster {
    /// What a client connects to: `host:port`.
    pub brokers: String,
    /// The broker's process, where it runs from the jars.
    pub pid: Option<u32>,
    /// False when the instance was up already.
    pub started_here: bool,
    instance: Instance,
    owner: Option<Owner>,
}

/// Makes sure that the instance is up and accepts requests. `requested_port` is for the clients; without it 9092 or,
/// for ephemeral instances and where that is taken, a free one.
///
/// This blocks: within an async runtime call it through `spawn_blocking`.
pub fn ensure_up(instance: &Instance, requested_port: Option<u16>) -> Result<KafkaCluster> {
    let _lock = lock::acquire()?;
    owner::sweep_abandoned()?;

    if let Some(state) = running(instance)? {
        if let Some(port) = requested_port.filter(|port| *port != state.port) {
            bail!(
                "the {instance} Kafka is already up on port {}, not {port}; stop it first: cargo xtask cluster down",
                state.port
            );
        }
        start::wait_until_ready(instance, &state)?;
        return Ok(KafkaCluster::new(instance, &state, None, false));
    }

    let owner = if instance.is_ephemeral() { Some(Owner::claim(instance)?) } else { None };
    let state = start::start(instance, requested_port)?;
    Ok(KafkaCluster::new(instance, &state, owner, true))
}

/// Ends the instance if it runs, and deletes its data if told so. Answers whether it was running.
pub fn bring_down(instance: &Instance, wipe: bool) -> Result<bool> {
    let _lock = lock::acquire()?;
    bring_down_locked(instance, wipe)
}

fn bring_down_locked(instance: &Instance, wipe: bool) -> Result<bool> {
    let running = running(instance)?;
    if let Some(state) = &running {
        state.runtime.stop(instance, wipe)?;
    }
    State::remove(instance)?;
    if wipe {
        runtime::wipe(instance)?;
    }
    Ok(running.is_some())
}

/// What is known of the instance, if what was started for it still runs.
fn running(instance: &Instance) -> Result<Option<State>> {
    match State::load(instance)? {
        Some(state) if state.runtime.is_running(instance)? => Ok(Some(state)),
        _ => Ok(None),
    }
}

impl KafkaCluster {
    fn new(instance: &Instance, state: &State, owner: Option<Owner>, started_here: bool) -> Self {
        Self {
            brokers: state.brokers(),
            pid: match state.runtime {
                Runtime::Jars { pid } => Some(pid),
                Runtime::Container => None,
            },
            started_here,
            instance: instance.clone(),
            owner,
        }
    }

    /// Ends and wipes an ephemeral instance that was started here; leaves any other alone.
    pub fn stop(mut self) -> Result<()> {
        self.stop_if_owned()
    }

    fn stop_if_owned(&mut self) -> Result<()> {
        let Some(owner) = self.owner.take() else {
            return Ok(());
        };
        bring_down(&self.instance, true)?;
        owner.release();
        Ok(())
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop_if_owned() {
            eprintln!("warning: cannot stop the {} Kafka: {error:#}", self.instance);
        }
    }
}
