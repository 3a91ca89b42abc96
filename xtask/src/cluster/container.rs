//! A broker from `infra/compose.yaml`, where a container engine runs.

use std::hash::Hasher;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::instance::Instance;
use crate::workspace;

const SERVICE: &str = "kafka";
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

pub fn start(instance: &Instance, client_port: u16) -> Result<()> {
    let mut up = compose(instance);
    up.args(["up", "--detach", "--force-recreate", SERVICE])
        .env("ROOMLOG_KAFKA_PORT", client_port.to_string());
    eprintln!("starting the container (a first start fetches the image) …");
    workspace::run_quietly(&mut up).context("the container does not start")?;
    Ok(())
}

pub fn is_running(instance: &Instance) -> Result<bool> {
    if !is_usable() {
        return Ok(false);
    }
    let mut ps = compose(instance);
    ps.args(["ps", "--quiet", "--status", "running", SERVICE]);
    Ok(!workspace::run_quietly(&mut ps)?.stdout.is_empty())
}

pub fn stop(instance: &Instance) -> Result<()> {
    workspace::run_quietly(compose(instance).arg("down"))?;
    Ok(())
}

pub fn wipe(instance: &Instance) -> Result<()> {
    workspace::run_quietly(compose(instance).args(["down", "--volumes"]))?;
    Ok(())
}

/// Runs a Kafka class inside the container; the class and its arguments are to follow.
pub fn tool(instance: &Instance) -> Command {
    let mut exec = compose(instance);
    exec.args(["exec", "-T", "-e", "KAFKA_HEAP_OPTS=-Xmx256m"])
        .args([SERVICE, "/opt/kafka/bin/kafka-run-class.sh"]);
    exec
}

pub fn logs_command(instance: &Instance) -> String {
    format!("docker compose --project-name {} logs", project(instance))
}

pub fn last_words(instance: &Instance) -> String {
    let mut logs = compose(instance);
    logs.args(["logs", "--no-color", "--tail", "25", SERVICE]);
    match workspace::run_quietly(&mut logs) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => format!("(no logs: {error:#})"),
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
    // Unkeyed: the same path gives the same name in every process of one build.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(workspace::root().as_os_str().as_encoded_bytes());
    let checkout = (hasher.finish() >> 48) as u16;
    format!("roomlog-{checkout:04x}-{instance}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::process::CLUSTER_ID;
    use super::*;

    /// Settings that say where things are, which differs inside a container.
    const PLACES: [&str; 4] = ["controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"];

    fn read(path: &str) -> String {
        std::fs::read_to_string(workspace::root().join(Path::new(path))).unwrap()
    }

    fn without_places(mut settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
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
    fn both_run_the_same_version_and_cluster() {
        let compose = read(COMPOSE_FILE);
        let pom = read("infra/kafka/pom.xml");
        let version = pom.split_once("<kafka.version>").and_then(|(_, rest)| rest.split_once('<')).unwrap().0;
        assert!(compose.contains(&format!("apache/kafka:{version}\n")));
        assert!(compose.contains(&format!("CLUSTER_ID: {CLUSTER_ID}\n")));
    }
}
