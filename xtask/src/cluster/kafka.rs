//! Kafka from its Maven jars: configuration, formatting, command.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::certificates::Certificates;
use super::jars::Classpath;
use super::ports::Ports;
use super::server::Server;
use crate::{secret, workspace};

/// Any 16 bytes in base64 do; clients never see it. The same as in `infra/compose.yaml`.
pub const CLUSTER_ID: &str = "cm9vbWxvZy1rYWZrYS0wMQ";

/// Whom the listener for clients with a password knows.
pub const USER: &str = "roomlog";

/// Kafka's own start script does the same, with 1 GiB as well.
const JVM_OPTIONS: [&str; 7] = [
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// Fills in `infra/kafka/server.properties`.
pub fn configure(server: &Server, ports: Ports) -> Result<()> {
    let template = infra("server.properties");
    let template =
        std::fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let filled = template
        .replace("{{client_port}}", &ports.client.to_string())
        .replace("{{controller_port}}", &ports.internal.to_string())
        .replace("{{mutual_tls_port}}", &ports.mutual_tls.to_string())
        .replace("{{password_tls_port}}", &ports.password_tls.to_string())
        .replace("{{tls_dir}}", &Certificates::of(&server.instance).folder().to_string_lossy())
        .replace("{{data_dir}}", &server.data_dir().to_string_lossy());
    let filled = add_detours(&filled, &detours(server)?);
    std::fs::write(configuration(server), filled).context("cannot write the broker's configuration")
}

/// One more port on which the broker listens, and which sends its clients to another one: that of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detour {
    pub listen: u16,
    pub advertised: u16,
}

/// For the next starts of the server.
pub fn save_detours(server: &Server, detours: &[Detour]) -> Result<()> {
    std::fs::create_dir_all(server.dir())?;
    std::fs::write(detours_file(server), serde_json::to_vec(detours)?)
        .context("cannot write the broker's detours")
}

fn detours(server: &Server) -> Result<Vec<Detour>> {
    match std::fs::read(detours_file(server)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).context("cannot read the broker's detours"),
    }
}

/// A listener for each of them.
fn add_detours(properties: &str, detours: &[Detour]) -> String {
    let each = |of: &dyn Fn(usize, &Detour) -> String| -> String {
        detours.iter().enumerate().map(|(n, detour)| of(n + 1, detour)).collect()
    };
    let line = |line: &str| {
        let more = match line.split_once('=') {
            Some(("listeners", _)) => each(&|n, detour| format!(",DETOUR{n}://127.0.0.1:{}", detour.listen)),
            Some(("advertised.listeners", _)) => {
                each(&|n, detour| format!(",DETOUR{n}://127.0.0.1:{}", detour.advertised))
            }
            Some(("listener.security.protocol.map", _)) => each(&|n, _| format!(",DETOUR{n}:PLAINTEXT")),
            _ => String::new(),
        };
        format!("{line}{more}\n")
    };
    properties.lines().map(line).collect()
}

/// Prepares the data folder, with its user; one that is prepared already stays as it is.
pub fn format_storage(server: &Server, classpath: &Classpath) -> Result<()> {
    std::fs::create_dir_all(server.data_dir())?;
    let password_file = password_file(server);
    if !password_file.exists() {
        if server.data_dir().join("meta.properties").exists() {
            bail!(
                "its data is of before it had a user with a password; \
                 `cargo xtask cluster down --only kafka --wipe` makes room for new data"
            );
        }
        secret::write(&password_file, &secret::password())?;
    }
    let password = password(server)?;
    let mut format = java(classpath);
    format
        .args(["kafka.tools.StorageTool", "format", "--ignore-formatted"])
        .args(["--cluster-id", CLUSTER_ID, "--config"])
        .arg(configuration(server));
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        format.arg("--add-scram").arg(format!("{mechanism}=[name={USER},password={password}]"));
    }
    workspace::run_quietly(&mut format).context("cannot format the broker's data folder")?;
    Ok(())
}

/// The broker; `configure` and `format_storage` come first.
pub fn command(server: &Server, classpath: &Classpath) -> Command {
    let mut broker = java(classpath);
    broker
        .args(JVM_OPTIONS)
        .arg("-Droomlog.log.level=INFO")
        .arg(format!("-D{}", server.mark()))
        .arg("kafka.Kafka")
        .arg(configuration(server));
    broker
}

/// A `java` command that finds Kafka's classes; the class and its arguments are to follow.
pub fn java(classpath: &Classpath) -> Command {
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(classpath.as_os_str())
        .arg(format!("-Dlog4j2.configurationFile={}", infra("log4j2.properties").display()));
    java
}

/// That of [`USER`], made up once and kept as long as the data.
pub fn password(server: &Server) -> Result<String> {
    secret::read(&password_file(server))
}

fn password_file(server: &Server) -> PathBuf {
    server.dir().join("password")
}

fn configuration(server: &Server) -> PathBuf {
    server.dir().join("server.properties")
}

fn detours_file(server: &Server) -> PathBuf {
    server.dir().join("detours.json")
}

fn infra(file: &str) -> PathBuf {
    workspace::root().join("infra/kafka").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detour_is_a_listener_of_its_own() {
        let template = std::fs::read_to_string(infra("server.properties")).unwrap();
        let detour = |listen, advertised| Detour { listen, advertised };
        let with = add_detours(&template, &[detour(1, 2), detour(3, 4)]);
        for expected in [
            "CONTROLLER://127.0.0.1:{{controller_port}},DETOUR1://127.0.0.1:1,DETOUR2://127.0.0.1:3\n",
            "PASSWORD://127.0.0.1:{{password_tls_port}},DETOUR1://127.0.0.1:2,DETOUR2://127.0.0.1:4\n",
            "CONTROLLER:PLAINTEXT,DETOUR1:PLAINTEXT,DETOUR2:PLAINTEXT\n",
        ] {
            assert!(with.contains(expected), "{with}");
        }
        assert_eq!(with.lines().count(), template.lines().count());
    }
}
