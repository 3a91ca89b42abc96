//! Cassandra from its Maven jars: configuration and command. It speaks the same CQL as ScyllaDB, which has no jars.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::certificates::Certificates;
use super::jars::Classpath;
use super::ports::Ports;
use super::server::Server;
use crate::workspace;

const JVM_OPTIONS: [&str; 4] =
    ["-Xmx768m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"];

/// One node has nobody to wait for. (Its defaults wait for gossip and for a ring's other members.)
const ALONE: [&str; 5] = [
    "-Dcassandra-foreground=yes",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.superuser_setup_delay_ms=0",
    "-Dcassandra.ring_delay_ms=100",
    "-Djdk.attach.allowAttachSelf=true",
];

/// How the commit log is synced, and one setting more.
const SYNC_AFTER_ANSWER: &str = "periodic\ncommitlog_sync_period: 1000ms";
/// For a node that is killed: with the other, what it confirmed since the last sync is gone, though its machine runs on.
const SYNC_BEFORE_ANSWER: &str = "group\ncommitlog_sync_group_window: 10ms";
/// Every change of a schema waits for a flush otherwise, and tests make many. The commit log has it as well, but only when
/// that was synced last: a node that was killed may come back without its tables.
const WITHOUT_FLUSHES: &str = "-Dcassandra.test.flush_local_schema_changes=false";

/// Inner parts of Java that Cassandra uses, as in its own `jvm17-server.options`.
const EXPORTS: [&str; 10] = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
];
const OPENS: [&str; 17] = [
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "java.base/jdk.internal.util",
    "jdk.management/com.sun.management.internal",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.lang",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.net",
];

/// The agent that measures objects; Cassandra does not start without it.
const AGENT: &str = "jamm-";

/// Fills in `infra/cassandra/cassandra.yaml`.
pub fn configure(server: &Server, ports: Ports) -> Result<()> {
    let template = infra("cassandra.yaml");
    let template =
        std::fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let sync = if server.instance.is_killed() { SYNC_BEFORE_ANSWER } else { SYNC_AFTER_ANSWER };
    let filled = template
        .replace("{{commitlog_sync}}", sync)
        .replace("{{client_port}}", &ports.client.to_string())
        .replace("{{storage_port}}", &ports.internal.to_string())
        .replace("{{tls_dir}}", &Certificates::of(&server.instance).folder().to_string_lossy())
        .replace("{{data_dir}}", &server.data_dir().to_string_lossy());
    std::fs::create_dir_all(server.data_dir())?;
    std::fs::write(configuration(server), filled).context("cannot write Cassandra's configuration")
}

/// The node; `configure` comes first.
pub fn command(server: &Server, classpath: &Classpath) -> Result<Command> {
    let mut node = Command::new("java");
    node.args(JVM_OPTIONS).args(ALONE);
    for export in EXPORTS {
        node.arg("--add-exports").arg(format!("{export}=ALL-UNNAMED"));
    }
    for open in OPENS {
        node.arg("--add-opens").arg(format!("{open}=ALL-UNNAMED"));
    }
    if server.instance.is_ephemeral() && !server.instance.is_killed() {
        node.arg(WITHOUT_FLUSHES);
    }
    let data = server.data_dir();
    node.arg(format!("-javaagent:{}", classpath.find(AGENT)?.display()))
        .arg(format!("-Dcassandra.config=file://{}", configuration(server).display()))
        .arg(format!("-Dcassandra.storagedir={}", data.display()))
        .arg(format!("-Dcassandra.logdir={}", data.display()))
        // Its native libraries are unpacked here: many machines' /tmp allows no execution.
        .arg(format!("-Djava.io.tmpdir={}", data.display()))
        .arg(format!("-Dlogback.configurationFile={}", infra("logback.xml").display()))
        .arg(format!("-D{}", server.mark()))
        .arg("-cp")
        .arg(classpath.as_os_str())
        .arg("org.apache.cassandra.service.CassandraDaemon")
        .current_dir(server.dir());
    Ok(node)
}

fn configuration(server: &Server) -> PathBuf {
    server.dir().join("cassandra.yaml")
}

fn infra(file: &str) -> PathBuf {
    workspace::root().join("infra/cassandra").join(file)
}
