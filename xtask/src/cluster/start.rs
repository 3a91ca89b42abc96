//! Starting an instance and waiting until it accepts requests.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use super::instance::Instance;
use super::ports::Ports;
use super::runtime::Runtime;
use super::state::State;
use super::{container, jars, probe, process};
use crate::wait;

/// A broker is up in 3 s on an idle machine; a compiler beside it makes that a multiple.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Free ports can be lost to another process between their choice and their use.
const ATTEMPTS: u32 = 3;

pub fn start(instance: &Instance, requested_port: Option<u16>) -> Result<State> {
    std::fs::create_dir_all(instance.dir())?;
    if container::is_usable() {
        match start_in_container(instance, requested_port) {
            Ok(state) => return Ok(state),
            Err(error) => {
                eprintln!("warning: no Kafka from a container, so from its jars: {error:#}");
                container::stop(instance)?;
            }
        }
    }
    start_from_jars(instance, requested_port)
}

fn start_in_container(instance: &Instance, requested_port: Option<u16>) -> Result<State> {
    let ports = Ports::choose(instance, requested_port)?;
    container::start(instance, ports.client)?;
    let state = State { port: ports.client, runtime: Runtime::Container };
    state.save(instance)?;
    wait_until_ready(instance, &state)?;
    Ok(state)
}

fn start_from_jars(instance: &Instance, requested_port: Option<u16>) -> Result<State> {
    let classpath = jars::ensure()?;
    let mut attempt = 1;
    loop {
        let ports = Ports::choose(instance, requested_port)?;
        process::write_configuration(instance, ports)?;
        process::format_storage(instance, &classpath)?;
        let state = State {
            port: ports.client,
            runtime: Runtime::Jars { pid: process::spawn(instance, &classpath)? },
        };
        state.save(instance)?;
        let Err(error) = wait_until_ready(instance, &state) else {
            return Ok(state);
        };
        let port_was_lost = state.runtime.last_words(instance).contains("Address already in use");
        state.runtime.stop(instance, true)?;
        State::remove(instance)?;
        if !port_was_lost || attempt == ATTEMPTS {
            return Err(error);
        }
        attempt += 1;
    }
}

/// Waits until the broker accepts requests; fails at once, with its last words, when it has ended instead.
pub fn wait_until_ready(instance: &Instance, state: &State) -> Result<()> {
    let what = format!("the {instance} Kafka on port {}", state.port);
    let waited = wait::until(&what, READY_DEADLINE, || {
        if probe::is_ready(state.port) {
            return Ok(true);
        }
        if !state.runtime.is_running(instance)? {
            bail!("{what} has ended");
        }
        Ok(false)
    });
    waited.map_err(|error| {
        anyhow!(
            "{error:#}. Its last words ({}):\n{}",
            state.runtime.where_logs_are(instance),
            state.runtime.last_words(instance)
        )
    })
}
