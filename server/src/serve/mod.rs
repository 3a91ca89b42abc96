//! Any set of roles in one process: what each needs is started, and stopped in order.

mod command_api;
mod members;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use roomlog_command_api::http::CommandApi;
use roomlog_members::{ProcessId, Role};
use roomlog_projectors::{Options as ProjectorsOptions, Projectors};
use roomlog_query_api::QueryApi;
use roomlog_query_api::audit::AuditApi;
use roomlog_query_api::quarantine::QuarantineApi;
use roomlog_rpc::{RemoteCommands, RemoteCommandsOptions, Services};
use roomlog_web::commands::Commands;
use roomlog_web::limits::RateLimited;
use roomlog_ws_fanout::{Fanout, FanoutDeps, Options as FanoutOptions};
use tokio_util::sync::CancellationToken;

use self::command_api::CommandRole;
use self::members::Neighbours;
use crate::config::Config;
use crate::health::{Check, Health, install_metrics};
use crate::patience::Patience;
use crate::platform::Platform;
use crate::{http, listener, logging};

const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Partitions are handed over, sockets told to resume elsewhere, and the listener drained.
const STOP_LIMIT: Duration = Duration::from_secs(30);

pub async fn run(config: Config) -> anyhow::Result<()> {
    let roles = config.roles()?;
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let process = ProcessId::fresh();
    let exporter = logging::start(
        &config,
        &roomlog_telemetry::Process {
            roles: names.join(","),
            instance: process.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
        },
    )?;
    let metrics = install_metrics()?;
    let platform = Box::pin(Platform::open(&config, Patience::Wait)).await?;
    let listener =
        listener::bind(config.listen).with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let url = format!("http://{address}");
    let neighbours = match &platform.broadcasts {
        Some(broadcasts) => Some(Neighbours::join(&config, process, &roles, broadcasts).await?),
        None => None,
    };
    let members = neighbours.as_ref().map(|neighbours| neighbours.members.clone());

    let stop_serving = CancellationToken::new();
    let stop_rest = CancellationToken::new();
    let mut checks: Vec<(&'static str, Check)> = Vec::new();

    let mut commands = match roles.contains(&Role::CommandApi) {
        true => Some(CommandRole::start(&config, &platform, url.clone(), neighbours.as_ref()).await?),
        false => None,
    };
    if let Some(role) = &commands {
        let (writers, members) = (role.writers.clone(), members.clone());
        checks.push(("command-api", Arc::new(move || command_api::ready(&writers, members.as_ref()))));
    }
    let api: Option<CommandApi> = commands.as_ref().map(|role| role.api.clone());

    let projector_task = roles.contains(&Role::Projectors).then(|| {
        let mut projectors = Projectors::new(
            ProjectorsOptions::default(),
            platform.log.clone(),
            platform.projection_stores(),
            platform.progress.clone(),
        )
        .with_quarantine(platform.quarantine.clone());
        if let (Some(broadcasts), Some(members)) = (&platform.broadcasts, &members) {
            projectors = projectors.with_signals(broadcasts.signals.clone()).shared(members.clone());
        }
        let projecting = projectors.handle();
        checks.push((
            "projectors",
            Arc::new(move || ready(projecting.is_ready(), "a projection has stopped or is catching up")),
        ));
        tokio::spawn(projectors.run(stop_rest.clone()))
    });

    let queries = roles.contains(&Role::QueryApi).then(|| QueryApi {
        auth: platform.auth.clone(),
        rooms: platform.quarantine.guard_rooms(platform.rooms.clone()),
        directory: platform.quarantine.guard_directory(platform.directory.clone()),
        sealer: platform.sealer.clone(),
        progress: platform.progress.clone(),
        limits: Default::default(),
    });

    let quarantine = queries
        .is_some()
        .then(|| QuarantineApi { auth: platform.auth.clone(), quarantine: platform.quarantine.clone() });

    let audit = match queries {
        Some(_) => {
            let archive = roomlog_audit::Archive::new(config.objects()?);
            Some(AuditApi { archive, log_id: platform.identity.log_id })
        }
        None => None,
    };

    let (mut stream, mut fanout_task) = (None, None);
    if roles.contains(&Role::WsFanout) {
        let client_commands: Arc<dyn Commands> = match (&commands, &neighbours) {
            (Some(role), _) => Arc::new(role.service.clone()),
            (None, Some(neighbours)) => Arc::new(RemoteCommands::new(
                neighbours.members.clone(),
                neighbours.pool.clone(),
                RemoteCommandsOptions {
                    traceparent: Some(roomlog_telemetry::current_traceparent),
                    ..RemoteCommandsOptions::default()
                },
            )),
            (None, None) => anyhow::bail!("a ws-fanout without command-api has to be among others"),
        };
        let client_commands = RateLimited::new(client_commands, platform.auth.limiter.clone());
        let fanout = Fanout::new(
            FanoutDeps {
                log: platform.log.clone(),
                identity: platform.identity,
                // Of a room in quarantine nothing is sent that a kept removal may forbid.
                rooms: platform.quarantine.guard_rooms(platform.rooms.clone()),
                directory: platform.directory.clone(),
                secrets: platform.secrets.clone(),
                signals: platform.broadcasts.as_ref().map(|broadcasts| broadcasts.signals.clone()),
                sealer: platform.sealer.clone(),
                progress: platform.progress.clone(),
                auth: platform.auth.clone(),
                commands: Arc::new(client_commands),
            },
            // Alone, every partition is followed: the tails tell of everything.
            FanoutOptions {
                origins: config.origins(),
                tail_all: platform.broadcasts.is_none(),
                compress_from: (config.compress_from > 0).then_some(config.compress_from),
                ..FanoutOptions::default()
            },
        );
        let fanning = fanout.handle();
        checks.push((
            "ws-fanout",
            Arc::new(move || ready(fanning.is_ready(), "the live stream has stopped or is catching up")),
        ));
        stream = Some(fanout.router());
        fanout_task = Some(tokio::spawn(fanout.run(stop_serving.clone())));
    }

    let internal = neighbours.map(|neighbours| {
        let services = Services {
            writers: commands.as_ref().map(|role| Arc::new(role.writers.clone()) as _),
            commands: commands.as_ref().map(|role| Arc::new(role.service.clone()) as _),
            parent_of: Some(roomlog_telemetry::parent_of),
        };
        let (listener, transport, beating) = neighbours.into_parts();
        let stop = stop_rest.clone();
        let serving =
            tokio::spawn(async move { roomlog_rpc::serve(listener, &transport, services, stop).await });
        (serving, beating)
    });

    let watching = tokio::spawn(platform.quarantine.clone().run());
    let health = Health::new(checks, metrics.clone());
    let upkeep = tokio::spawn(async move {
        loop {
            tokio::time::sleep(METRICS_UPKEEP).await;
            metrics.run_upkeep();
        }
    });
    let router =
        http::router(platform.auth.clone(), api, queries, quarantine, audit, stream, health.router());
    let server =
        tokio::spawn(listener::serve(listener, router, config.max_connections, stop_serving.clone()));
    greet(&platform, &roles, &url);

    stop_requested().await?;
    eprintln!(
        "\nStopping: letting requests finish and telling sockets to resume. Once more to stop at once."
    );
    // First the partitions, while requests are still sent on to their new owners; then sockets and
    // requests; then the writers that they wait for; then the rest.
    let stop = async {
        if let Some(role) = &mut commands {
            role.hand_over().await;
        }
        stop_serving.cancel();
        let _ = server.await;
        if let Some(task) = fanout_task {
            let _ = task.await;
        }
        if let Some(role) = commands {
            role.stop().await;
        }
        stop_rest.cancel();
        if let Some(task) = projector_task
            && let Ok(Err(error)) = task.await
        {
            tracing::error!(error = &error as &dyn std::error::Error, "a projection had stopped");
        }
        if let Some((serving, beating)) = internal {
            beating.stop().await;
            if let Ok(Err(error)) = serving.await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "serving other processes had ended"
                );
            }
        }
    };
    tokio::select! {
        stopped = tokio::time::timeout(STOP_LIMIT, stop) => {
            if stopped.is_err() {
                tracing::warn!("not everything had ended in time");
            }
        }
        again = stop_requested() => again?,
    }
    upkeep.abort();
    watching.abort();
    if let Some(exporter) = exporter {
        exporter.stop().await;
    }
    Ok(())
}

fn ready(ready: bool, reason: &str) -> Result<(), String> {
    if ready { Ok(()) } else { Err(reason.to_owned()) }
}

fn greet(platform: &Platform, roles: &[Role], url: &str) {
    println!("Roomlog {} is listening on {url}", env!("CARGO_PKG_VERSION"));
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    println!("  {:<24}{}", "roles", names.join(", "));
    for (what, place) in &platform.places {
        println!("  {what:<24}{place}");
    }
    println!("  {:<24}{}", "log id", platform.identity.log_id);
    if roles.contains(&Role::CommandApi) {
        println!("Try it:\n  curl -s {url}/v1/accounts -H 'content-type: application/json' \\");
        println!(
            "    -d '{{\"email\":\"ada@example.org\",\"username\":\"ada\",\"password\":\"correct horse battery\"}}'"
        );
        println!(
            "The API is described at {url}/v1/openapi.json; the README goes on from here. Ctrl-C stops."
        );
    }
}

/// Ctrl-C or SIGTERM.
async fn stop_requested() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
