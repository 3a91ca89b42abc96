//! A server from `infra/compose.yaml`, where a container engine runs.

use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};

use super::instance::{self, Instance};
use super::postgres;
use super::server::Server;
use super::service::Service;
use crate::workspace;

const COMPOSE_FILE: &str = "infra/compose.yaml";

/// Whether an engine answers and knows `compose`. Asked once per process.
pub fn is_usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    *USABLE.get_or_init(|| {
        let answers = |arguments: &[&str]| {
            Command::new("docker")
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        answers(&["info"]) && answers(&["compose", "version"])
    })
}

pub fn start(server: &Server, client_port: u16) -> Result<()> {
    // One at a time: each would create the project's network.
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut up = compose(&server.instance);
    up.args(["up", "--detach", "--force-recreate", "--no-deps", server.service.id()])
        .env(port_variable(server.service), client_port.to_string());
    if server.service == Service::Postgres {
        up.env("ROOMLOG_POSTGRES_PASSWORD", postgres::password(server)?);
    }
    eprintln!("starting the container of {} (a first start fetches the image) …", server.service);
    workspace::run_quietly(&mut up).context("the container does not start")?;
    Ok(())
}

pub fn is_running(server: &Server) -> Result<bool> {
    if !is_usable() {
        return Ok(false);
    }
    let mut ps = compose(&server.instance);
    ps.args(["ps", "--quiet", "--status", "running", server.service.id()]);
    Ok(!workspace::run_quietly(&mut ps)?.stdout.is_empty())
}

pub fn stop(server: &Server) -> Result<()> {
    workspace::run_quietly(compose(&server.instance).args(["rm", "--stop", "--force", server.service.id()]))?;
    Ok(())
}

/// Deletes the server's volume.
pub fn wipe(server: &Server) -> Result<()> {
    stop(server)?;
    let mut remove = Command::new("docker");
    remove.args(["volume", "rm", "--force"]);
    remove.arg(format!("{}_{}-data", project(&server.instance), server.service.id()));
    workspace::run_quietly(&mut remove)?;
    Ok(())
}

/// Deletes what the instance's servers had in common: a network.
pub fn dissolve(instance: &Instance) -> Result<()> {
    workspace::run_quietly(compose(instance).arg("down"))?;
    Ok(())
}

/// Runs a Kafka class inside the container; the class and its arguments are to follow.
pub fn kafka_tool(instance: &Instance) -> Command {
    let mut exec = compose(instance);
    exec.args(["exec", "-T", "-e", "KAFKA_HEAP_OPTS=-Xmx256m"])
        .args([Service::Kafka.id(), "/opt/kafka/bin/kafka-run-class.sh"]);
    exec
}

pub fn logs_command(server: &Server) -> String {
    format!("docker compose --project-name {} logs {}", project(&server.instance), server.service.id())
}

pub fn last_words(server: &Server) -> String {
    let mut logs = compose(&server.instance);
    logs.args(["logs", "--no-color", "--tail", "25", server.service.id()]);
    match workspace::run_quietly(&mut logs) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => format!("(no logs: {error:#})"),
    }
}

/// Names the port of the service's clients in the compose file.
fn port_variable(service: Service) -> &'static str {
    match service {
        Service::Kafka => "ROOMLOG_KAFKA_PORT",
        Service::Cql => "ROOMLOG_CQL_PORT",
        Service::Postgres => "ROOMLOG_POSTGRES_PORT",
    }
}

fn compose(instance: &Instance) -> Command {
    let mut docker = Command::new("docker");
    docker
        .args(["compose", "--project-name", &project(instance), "--file"])
        .arg(workspace::root().join(COMPOSE_FILE));
    docker
}

/// Differs between instances and between checkouts on the same machine.
fn project(instance: &Instance) -> String {
    let checkout = instance::checkout();
    format!("roomlog-{checkout:04x}-{instance}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::kafka::CLUSTER_ID;
    use super::*;

    /// Settings that say where things are, which differs inside a container: there, other containers have a listener of
    /// their own.
    const PLACES: [&str; 5] = [
        "controller.quorum.voters",
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
        "log.dirs",
    ];

    fn read(path: &str) -> String {
        std::fs::read_to_string(workspace::root().join(Path::new(path))).unwrap()
    }

    /// A container has no listener with TLS.
    fn is_for_tls(setting: &str) -> bool {
        ["ssl.", "sasl.", "listener.name."].iter().any(|prefix| setting.starts_with(prefix))
    }

    fn without_places(mut settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
        settings.retain(|setting, _| !is_for_tls(setting));
        for place in PLACES {
            assert!(settings.remove(place).is_some(), "{place} is not set");
        }
        settings
    }

    #[test]
    fn the_container_has_the_settings_of_the_process() {
        let in_process = read("infra/kafka/server.properties")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let in_container = read(COMPOSE_FILE)
            .lines()
            .filter_map(|line| line.trim().strip_prefix("KAFKA_")?.split_once(": "))
            .filter(|(key, _)| *key != "HEAP_OPTS")
            .map(|(key, value)| (key.to_lowercase().replace('_', "."), value.replace('"', "")))
            .collect();
        assert_eq!(without_places(in_process), without_places(in_container));
    }

    #[test]
    fn every_service_has_its_port_and_its_volume() {
        let compose = read(COMPOSE_FILE);
        for service in Service::ALL {
            let (id, port) =
                (service.id(), format!("${{{}:-{}}}", port_variable(service), service.customary_port()));
            assert!(compose.contains(&format!("\n  {id}:\n")), "{id}");
            assert!(compose.contains(&format!("\n  {id}-data:\n")), "{id}");
            assert!(compose.contains(&format!("127.0.0.1:{port}:")), "{id}: {port}");
        }
    }

    #[test]
    fn both_run_the_same_version_and_cluster() {
        let compose = read(COMPOSE_FILE);
        let pom = read("infra/kafka/pom.xml");
        let version = pom.split_once("<kafka.version>").and_then(|(_, rest)| rest.split_once('<')).unwrap().0;
        assert!(compose.contains(&format!("apache/kafka:{version}\n")));
        assert!(compose.contains(&format!("CLUSTER_ID: {CLUSTER_ID}\n")));
    }
}
