//! The platform under test: real processes on loopback, and what they stand on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::client::{Instance, Targets};
use super::clock;
use super::history::StoredCursor;
use super::log::Log;
use super::ways::{self, CQL, KAFKA, POSTGRES, Ways};
use crate::cluster::{self, Cluster, Detour, Running, Service, Wanted};
use crate::platform::{self, Group, Platform, Role, Spec};
use crate::wait;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// All roles in one process, on SQLite
    Embedded,
    /// Each role in processes of its own, on Kafka, a CQL store and PostgreSQL
    Distributed,
}

/// A debug build on a busy machine takes its time.
pub const READY_DEADLINE: Duration = Duration::from_secs(180);
/// Processes that start at the same time on empty stores may be in each other's way.
const ATTEMPTS: u32 = 3;

/// What there is of each role.
pub const COMMAND_APIS: usize = 3;
pub const PROJECTORS: usize = 2;
pub const QUERY_APIS: usize = 1;
pub const STREAMS: usize = 2;

pub struct World {
    pub profile: Profile,
    pub platform: Platform,
    pub log: Log,
    pub ways: Ways,
    folder: PathBuf,
    // After the processes, which use them.
    cluster: Option<Cluster>,
}

impl World {
    /// Starts everything; `servers` are for the distributed profile. Within a runtime, whose threads carry the
    /// connections.
    pub fn start(
        profile: Profile,
        roomlog: &Path,
        folder: &Path,
        servers: Option<Servers>,
        settings: &[(String, String)],
    ) -> Result<Self> {
        let (cluster, mut ways) = match servers {
            Some(Servers { cluster, ways }) => (Some(cluster), ways),
            None => (None, Ways::default()),
        };
        let mut environment: Vec<(String, String)> =
            platform::RATES.iter().map(|name| ((*name).to_owned(), "0".to_owned())).collect();
        if let Some(cluster) = &cluster {
            for (name, value) in cluster.environment()? {
                environment.push((name.to_owned(), value));
            }
            environment.push(("ROOMLOG_PARTITIONS_ROOMS".to_owned(), "4".to_owned()));
            environment.push(("ROOMLOG_PARTITIONS_ACCOUNTS".to_owned(), "1".to_owned()));
            environment.push(("ROOMLOG_POSTGRES_MAX_CONNECTIONS".to_owned(), "4".to_owned()));
        }
        environment.extend(settings.iter().cloned());
        let groups = groups(profile);
        let mut own_environment = BTreeMap::new();
        for process in groups.iter().flat_map(Group::process_names) {
            let mut own = vec![clock::own_setting(folder, &process)?];
            if let Some(cluster) = &cluster {
                own.extend(to_servers(&process, cluster, &environment, &mut ways)?);
            }
            own_environment.insert(process, own);
        }
        let spec = Spec {
            roomlog: roomlog.to_owned(),
            folder: folder.to_owned(),
            groups,
            port: None,
            environment,
            own_environment,
        };
        let platform = start(&spec)?;
        let log = match &cluster {
            None => Log::Sqlite { file: folder.join("all-1/data/log.db") },
            Some(cluster) => {
                let kafka = cluster.server(Service::Kafka).context("no Kafka")?;
                Log::Kafka { brokers: kafka.address() }
            }
        };
        for process in platform.processes() {
            ways.open(process.name().to_owned(), process.address())?;
        }
        Ok(Self { profile, platform, log, ways, folder: folder.to_owned(), cluster })
    }

    /// Where clients go: on the ways to the processes.
    pub fn targets(&self) -> Targets {
        let of = |role: Role| {
            let with_role = self.platform.processes().iter().filter(|process| process.has(role));
            with_role
                .map(|process| Instance {
                    name: process.name().to_owned(),
                    address: self.ways.address(process.name()).unwrap_or(process.address()),
                })
                .collect()
        };
        Targets { commands: of(Role::CommandApi), queries: of(Role::QueryApi), streams: of(Role::WsFanout) }
    }

    /// Starts what does not run, and waits until all are ready.
    pub fn all_ready(&mut self) -> Result<()> {
        for process in self.platform.processes_mut() {
            if !process.is_running()? {
                process.start_again()?;
            }
        }
        for process in self.platform.processes_mut() {
            process.wait_until_ready(READY_DEADLINE)?;
        }
        Ok(())
    }

    pub fn end_with_role(&mut self, role: Role) -> Result<()> {
        for process in self.platform.processes_mut() {
            if process.has(role) {
                process.terminate()?;
            }
        }
        Ok(())
    }

    /// SIGKILL, and up again after that long.
    pub fn kill_server(&mut self, service: Service, down: Duration) -> Result<()> {
        let cluster = self.cluster.as_mut().context("the embedded profile has no servers")?;
        let port = cluster.server(service).context("a server that is not there")?.port;
        cluster.kill(service)?;
        pause(down)?;
        cluster.start_again(Wanted { service, port: Some(port), tls: false })
    }

    /// Builds a projection anew while nothing else fills it.
    pub fn rebuild(&self, projection: &str) -> Result<()> {
        self.operate(&["projections", "rebuild", projection]).map(drop)
    }

    /// Where the projections stand, as they say themselves.
    pub fn cursors(&self) -> Result<Vec<StoredCursor>> {
        let said = self.operate(&["projections", "list", "--json"])?;
        let mut cursors = Vec::new();
        for line in said.lines().filter(|line| line.starts_with('{')) {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let Some(projection) = row["projection"].as_str() else { continue };
            if row["next_offset"].is_null() {
                bail!("something is in quarantine: {line}");
            }
            cursors.push(StoredCursor {
                projection: projection.to_owned(),
                partition: partition(&row["partition"]),
                next_offset: row["next_offset"].as_u64().unwrap_or(0),
                head: row["head"].as_str().map(str::to_owned),
            });
        }
        Ok(cursors)
    }

    /// Runs an operator's command with the settings of the process that has the projections.
    fn operate(&self, arguments: &[&str]) -> Result<String> {
        let process = self.platform.processes().iter().find(|process| process.has(Role::Projectors));
        let mut command = process.context("no projectors")?.operators_command();
        let output = command.args(arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("`roomlog {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What the processes said that was worth a warning, the end of it.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        for process in self.platform.processes() {
            let log = std::fs::read_to_string(process.log_file()).unwrap_or_default();
            let loud: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
            let last = &loud[loud.len().saturating_sub(5)..];
            all.extend(last.iter().map(|line| format!("{}: {line}", process.name())));
        }
        all
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn stop(self) -> Result<()> {
        let Self { platform, cluster, .. } = self;
        let stopped = platform.stop();
        if let Some(cluster) = cluster {
            cluster.stop()?;
        }
        stopped
    }
}

/// As a listing has it: `rooms/3`, or its parts.
fn partition(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => format!("{}/{}", value["topic"].as_str().unwrap_or_default(), value["partition"]),
    }
}

/// Settings that lead one process to the servers on ways of its own.
fn to_servers(
    process: &str,
    cluster: &Cluster,
    environment: &[(String, String)],
    ways: &mut Ways,
) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let postgres = cluster.server(Service::Postgres).context("no PostgreSQL")?;
    let way = ways.open(ways::from(POSTGRES, process), postgres.address().parse()?)?;
    for (name, url) in environment.iter().filter(|(name, _)| name == "ROOMLOG_POSTGRES_URL") {
        settings.push((name.clone(), url.replace(&postgres.address(), &way.to_string())));
    }
    if let Some(cql) = as_process(cluster, Service::Cql) {
        let node: SocketAddr = cql.address().parse()?;
        let way = ways.open(ways::from(CQL, process), node)?;
        settings.push(("ROOMLOG_CQL_NODES".to_owned(), way.to_string()));
        // The node says of itself where it really is.
        let translation = format!("{}={way}", node.ip());
        settings.push(("ROOMLOG_CQL_ADDRESS_TRANSLATION".to_owned(), translation));
    }
    // Made before the broker, which has to know of them.
    if let Some(way) = ways.address(&ways::from(KAFKA, process)) {
        settings.push(("ROOMLOG_KAFKA_BROKERS".to_owned(), way.to_string()));
    }
    Ok(settings)
}

/// What runs in a container says of itself that it is elsewhere than a way could lead.
fn as_process(cluster: &Cluster, service: Service) -> Option<&Running> {
    cluster.server(service).filter(|server| server.pid.is_some())
}

fn groups(profile: Profile) -> Vec<Group> {
    match profile {
        Profile::Embedded => Group::all_in_one(1),
        Profile::Distributed => [
            (Role::CommandApi, COMMAND_APIS),
            (Role::Projectors, PROJECTORS),
            (Role::QueryApi, QUERY_APIS),
            (Role::WsFanout, STREAMS),
        ]
        .map(|(role, instances)| Group { roles: vec![role], instances })
        .to_vec(),
    }
}

fn start(spec: &Spec) -> Result<Platform> {
    let mut attempt = 1;
    loop {
        match platform::start_without_proxy(spec) {
            Err(error) if attempt < ATTEMPTS => {
                eprintln!("the platform did not start, so once more: {error:#}")
            }
            result => return result,
        }
        attempt += 1;
    }
}

/// What the distributed platform stands on.
pub struct Servers {
    cluster: Cluster,
    /// Each process's to Kafka; there are none to one in a container.
    ways: Ways,
}

impl Servers {
    /// Has to be called within the runtime that carries the connections.
    pub fn start() -> Result<Self> {
        let instance = cluster::Instance::killed();
        let (mut ways, mut detours) = (Ways::default(), Vec::new());
        for process in groups(Profile::Distributed).iter().flat_map(Group::process_names) {
            let listen = platform::free_address()?;
            let advertised = ways.open(ways::from(KAFKA, &process), listen)?.port();
            detours.push(Detour { listen: listen.port(), advertised });
        }
        cluster::prepare_detours(&instance, &detours)?;
        let cluster = cluster::ensure_up(&instance, &Service::ALL.map(Into::into))?;
        let has_ways = as_process(&cluster, Service::Kafka).is_some();
        Ok(Self { cluster, ways: if has_ways { ways } else { Ways::default() } })
    }

    pub fn has_way_to_kafka(&self) -> bool {
        as_process(&self.cluster, Service::Kafka).is_some()
    }

    pub fn has_way_to_cql(&self) -> bool {
        as_process(&self.cluster, Service::Cql).is_some()
    }
}

/// Lets a fault last.
pub fn pause(duration: Duration) -> Result<()> {
    let until = std::time::Instant::now() + duration;
    wait::until("a fault to last", duration * 2 + Duration::from_secs(1), || {
        Ok(std::time::Instant::now() >= until)
    })
}
