//! `cargo xtask cluster run`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::{Group, Platform, Spec, orders};
use crate::build::{self, Profile};
use crate::cluster::{self, Instance, Wanted, relative};

#[derive(clap::Args)]
pub struct Options {
    /// This program instead of one built from the checkout
    #[arg(long, value_name = "PATH")]
    roomlog: Option<PathBuf>,
    /// How many processes of each role
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = at_least_one)]
    instances: usize,
    /// Every process with all roles, instead of one role each
    #[arg(long)]
    all_in_one: bool,
    /// Mutual TLS to Kafka, to the CQL store and between the processes, TLS to PostgreSQL; nginx serves without
    #[arg(long)]
    tls: bool,
    /// The port of the address that serves all
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// How the program is built
    #[arg(long, value_enum, default_value_t = Profile::Debug)]
    profile: Profile,
    /// Which cluster; each has ports and data of its own
    #[arg(long, value_name = "NAME", default_value = Instance::DEV)]
    instance: Instance,
}

fn at_least_one(text: &str) -> Result<usize> {
    match text.parse()? {
        0 => bail!("a role without a process serves nobody"),
        count => Ok(count),
    }
}

/// As a shell reports a program that a Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Starts everything, and stops the platform when it is told to. The servers stay.
pub fn run(options: &Options) -> Result<ExitCode> {
    let roomlog = build::given_or_built("roomlog", options.roomlog.as_deref(), options.profile)?;
    let servers = cluster::ensure_up(&options.instance, &Wanted::all(options.tls))?;
    for server in &servers.servers {
        eprintln!("{} is up at {}", server.service, server.address());
    }
    // What the person has set, for example the log's level; the servers are those of the instance.
    let own = std::env::vars().filter(|(name, _)| name.starts_with("ROOMLOG_"));
    let of_servers = if options.tls { servers.environment_over_tls()? } else { servers.environment()? };
    let of_servers = of_servers.into_iter().map(|(name, value)| (name.to_owned(), value));
    let spec = Spec {
        roomlog,
        folder: options.instance.dir().join("platform"),
        groups: if options.all_in_one {
            Group::all_in_one(options.instances)
        } else {
            Group::each_role(options.instances)
        },
        port: Some(options.port),
        environment: own.chain(of_servers).collect(),
        own_environment: BTreeMap::new(),
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let starting = tokio::task::spawn_blocking(move || super::start(&spec));
        let mut platform = tokio::select! {
            started = starting => started.context("the start was broken off")??,
            // Nobody uses it yet; the guard ends what runs of it.
            _ = interrupted.recv() => std::process::exit(INTERRUPTED),
            _ = terminated.recv() => std::process::exit(INTERRUPTED),
        };
        print(&platform)?;
        let all_run = watch(&mut platform, &mut [&mut interrupted, &mut terminated]).await?;
        eprintln!("stopping …");
        tokio::task::spawn_blocking(move || platform.stop()).await.context("the stop was broken off")??;
        eprintln!(
            "the servers stay up; they end with: cargo xtask cluster down --instance {}",
            options.instance
        );
        Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// How often it is looked whether the processes still run.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Until a signal comes; what the person types is done meanwhile. A process that ends by itself is said once; the others go on, as on several machines. Answers whether
/// all ran to the end.
async fn watch(platform: &mut Platform, signals: &mut [&mut tokio::signal::unix::Signal; 2]) -> Result<bool> {
    let [interrupted, terminated] = signals;
    let mut orders = orders::from_standard_input();
    let mut running = vec![true; platform.processes().len()];
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            Some(order) = orders.recv() => {
                let done = order.and_then(|order| Ok((order.carry_out(platform)?, order)));
                match done {
                    Ok((what, order)) => eprintln!("{} {what}", order.name()),
                    Err(error) => eprintln!("{error:#}"),
                }
            }
            _ = look.tick() => {}
        }
        for (process, was_running) in platform.processes_mut().iter_mut().zip(&mut running) {
            let runs = process.is_running()?;
            if *was_running && !runs {
                eprintln!("{} has ended. Its last words:\n{}", process.name(), process.last_words());
            }
            *was_running = runs;
        }
    }
    Ok(running.iter().all(|running| *running))
}

fn print(platform: &Platform) -> Result<()> {
    println!("{:<16} {:>8}  {:<21} {:<21} log", "process", "pid", "HTTP", "internal");
    for process in platform.processes() {
        let pid = process.pid().map(|pid| pid.to_string()).unwrap_or_default();
        println!(
            "{:<16} {pid:>8}  {:<21} {:<21} {}",
            process.name(),
            process.address().to_string(),
            process.internal_address().to_string(),
            relative(&process.log_file())
        );
    }
    if let (Some(pid), Some(address)) = (platform.proxy_pid(), platform.address()) {
        println!("{:<16} {pid:>8}  {:<21}", "nginx", address.to_string());
        println!("\nthe platform is up at http://{address}");
    }
    println!("the administrator's token: {}", platform.administrator_token()?);
    println!("{}; Ctrl-C stops it", orders::HELP);
    Ok(())
}
