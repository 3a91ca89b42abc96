//! A broker as a Java process of ours, from the Maven jars.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::instance::Instance;
use super::jars::Classpath;
use super::ports::Ports;
use crate::{wait, workspace};

/// Any 16 bytes in base64 do; clients never see it. The same as in `infra/compose.yaml`.
pub const CLUSTER_ID: &str = "cm9vbWxvZy1rYWZrYS0wMQ";

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

/// A broker hands over and closes its segments in about a second; past this it hangs.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// From a process's creation to its program's first instruction.
const EXEC_DEADLINE: Duration = Duration::from_secs(1);

const LAST_WORDS: usize = 25;

/// Fills in `infra/kafka/server.properties`.
pub fn write_configuration(instance: &Instance, ports: Ports) -> Result<()> {
    let template = infra("server.properties");
    let template =
        std::fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let filled = template
        .replace("{{client_port}}", &ports.client.to_string())
        .replace("{{controller_port}}", &ports.controller.to_string())
        .replace("{{data_dir}}", &instance.data_dir().to_string_lossy());
    std::fs::write(configuration(instance), filled).context("cannot write the broker's configuration")
}

/// Prepares the data folder; one that is prepared already stays as it is.
pub fn format_storage(instance: &Instance, classpath: &Classpath) -> Result<()> {
    std::fs::create_dir_all(instance.data_dir())?;
    let mut format = java(classpath);
    format
        .args(["kafka.tools.StorageTool", "format", "--ignore-formatted"])
        .args(["--cluster-id", CLUSTER_ID, "--config"])
        .arg(configuration(instance));
    workspace::run_quietly(&mut format).context("cannot format the broker's data folder")?;
    Ok(())
}

/// Starts the broker and answers its process id at once.
pub fn spawn(instance: &Instance, classpath: &Classpath) -> Result<u32> {
    let log = File::create(instance.log_file())
        .with_context(|| format!("cannot write {}", instance.log_file().display()))?;
    let broker = java(classpath)
        .args(JVM_OPTIONS)
        .arg("-Droomlog.log.level=INFO")
        .arg(mark(instance))
        .arg("kafka.Kafka")
        .arg(configuration(instance))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C at the terminal is not for the broker.
        .process_group(0)
        .spawn()
        .context("cannot start java")?;
    Ok(broker.id())
}

/// A `java` command that finds Kafka's classes; the class and its arguments are to follow.
pub fn java(classpath: &Classpath) -> Command {
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(classpath.as_os_str())
        .arg(format!("-Dlog4j2.configurationFile={}", infra("log4j2.properties").display()));
    java
}

/// Whether this process is the instance's broker. Process ids are used again, so the number alone says nothing.
pub fn is_broker(pid: u32, instance: &Instance) -> bool {
    command_line(pid).contains(&mark(instance))
}

/// Ends the broker: it closes its data properly, unless that is not needed any more (`in_haste`).
pub fn stop(pid: u32, instance: &Instance, in_haste: bool) -> Result<()> {
    let ended = || Ok(!is_broker(pid, instance));
    let what = format!("the {instance} Kafka (process {pid}) to end");
    if !in_haste && is_broker(pid, instance) {
        signal("TERM", pid)?;
        if wait::until(&what, STOP_DEADLINE, ended).is_ok() {
            return Ok(());
        }
    }
    if is_broker(pid, instance) {
        signal("KILL", pid)?;
    }
    wait::until(&what, KILL_DEADLINE, ended)
}

pub fn last_words(instance: &Instance) -> String {
    let log = std::fs::read(instance.log_file()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

/// Stands in the broker's command line and nowhere else on this machine.
fn mark(instance: &Instance) -> String {
    // The colon ends it: `dev` is not `dev-2`.
    format!("-Droomlog.instance={}:", instance.dir().display())
}

/// Empty for a process that does not exist or has ended and only waits to be noticed.
fn command_line(pid: u32) -> String {
    let proc = Path::new("/proc");
    if !proc.join("self").exists() {
        let mut ps = Command::new("ps");
        ps.args(["-ww", "-o", "command=", "-p", &pid.to_string()]);
        return workspace::run_quietly(&mut ps)
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
    }
    let process = proc.join(pid.to_string());
    let mut line = Vec::new();
    // A process that has just been started has no command line for a moment; one that keeps none is the kernel's.
    let _ = wait::until("a command line", EXEC_DEADLINE, || {
        line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        Ok(!line.is_empty() || !is_alive(&process))
    });
    String::from_utf8_lossy(&line).into_owned()
}

/// Whether the process behind this folder of `/proc` has not ended.
fn is_alive(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The state follows the program's name, which stands in parentheses and may hold some itself.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn signal(signal: &str, pid: u32) -> Result<()> {
    // The shell's own `kill`: a minimal system has no other.
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid.to_string()]);
    workspace::run_quietly(&mut kill)?;
    Ok(())
}

fn configuration(instance: &Instance) -> PathBuf {
    instance.dir().join("server.properties")
}

fn infra(file: &str) -> PathBuf {
    workspace::root().join("infra/kafka").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_not_the_broker() {
        let dev: Instance = "dev".parse().unwrap();
        assert!(!command_line(std::process::id()).is_empty());
        assert!(!is_broker(std::process::id(), &dev));
    }

    #[test]
    fn a_broker_is_known_from_its_first_moment_to_its_last() {
        let instance = Instance::ephemeral("unit");
        let mut broker = Command::new("sh")
            .args(["-c", "read -r _", &mark(&instance)])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(is_broker(broker.id(), &instance));
        stop(broker.id(), &instance, false).unwrap();
        assert!(!is_broker(broker.id(), &instance));
        broker.wait().unwrap();
        assert!(!is_broker(broker.id(), &instance));
    }
}
