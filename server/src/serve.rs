//! All roles in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use roomlog_command_api::accounts::Accounts;
use roomlog_command_api::http::CommandApi;
use roomlog_command_api::import::Importer;
use roomlog_command_api::password::Passwords;
use roomlog_command_api::service::{Service, Writers};
use roomlog_command_api::sessions::Sessions;
use roomlog_command_api::writer::core::Options as WriterOptions;
use roomlog_command_api::writer::driver::{self, Standing};
use roomlog_projectors::Projectors;
use roomlog_query_api::QueryApi;
use roomlog_ws_fanout::{Fanout, FanoutDeps, Options as FanoutOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::health::{Check, Health, install_metrics};
use crate::platform::Platform;
use crate::{http, listener, logging};

const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Sockets are told to resume elsewhere before the listener is drained.
const STOP_LIMIT: Duration = Duration::from_secs(20);

pub async fn run(config: Config) -> anyhow::Result<()> {
    let process = roomlog_telemetry::Process {
        roles: "command-api,projectors,query-api,ws-fanout".into(),
        instance: uuid::Uuid::new_v4().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let exporter = logging::start(&config, &process)?;
    let metrics = install_metrics()?;
    let platform = Platform::open(&config).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;

    // Stopped in this order: sockets and requests, then the writers that they wait for, then the rest.
    let stop_serving = CancellationToken::new();
    let stop_writers = CancellationToken::new();
    let stop_rest = CancellationToken::new();

    let counts = platform.log.partitions();
    let options = WriterOptions { address: format!("http://{address}"), ..WriterOptions::default() };
    let (handles, writer_tasks): (Vec<_>, Vec<_>) = counts
        .all()
        .map(|partition| {
            driver::spawn(
                platform.log.clone(),
                partition,
                platform.identity,
                options.clone(),
                stop_writers.clone(),
            )
        })
        .unzip();
    let writers = Writers::new(counts, handles);
    let service = Service {
        writers: writers.clone(),
        sealer: platform.sealer.clone(),
        id_key: platform.id_key.clone(),
        rooms: platform.rooms.clone(),
        progress: platform.progress.clone(),
    };
    let passwords = Passwords::new(std::thread::available_parallelism().map_or(1, usize::from));
    let accounts = Accounts {
        service: service.clone(),
        secrets: platform.secrets.clone(),
        passwords: passwords.clone(),
    };
    let sweeper = tokio::spawn(accounts.clone().sweep(stop_serving.clone()));
    let commands = CommandApi {
        auth: platform.auth.clone(),
        service: service.clone(),
        accounts,
        sessions: Sessions {
            service: service.clone(),
            secrets: platform.secrets.clone(),
            passwords,
            tokens: platform.auth.tokens.clone(),
            id_key: platform.id_key.clone(),
        },
        importer: Importer::new(service.clone()),
    };

    let projectors = Projectors::new(
        Default::default(),
        platform.log.clone(),
        platform.projection_stores(),
        platform.progress.clone(),
    );
    let projecting = projectors.handle();
    let projector_task = tokio::spawn(projectors.run(stop_rest.clone()));

    let queries = QueryApi {
        auth: platform.auth.clone(),
        rooms: platform.rooms.clone(),
        directory: platform.directory.clone(),
        sealer: platform.sealer.clone(),
        progress: platform.progress.clone(),
        limits: Default::default(),
    };

    let fanout = Fanout::new(
        FanoutDeps {
            log: platform.log.clone(),
            identity: platform.identity,
            rooms: platform.rooms.clone(),
            directory: platform.directory.clone(),
            secrets: platform.secrets.clone(),
            // Every partition is followed here: the tails tell of everything.
            signals: None,
            sealer: platform.sealer.clone(),
            progress: platform.progress.clone(),
            auth: platform.auth.clone(),
            commands: Arc::new(service),
        },
        FanoutOptions { origins: config.origins(), ..FanoutOptions::default() },
    );
    let fanning = fanout.handle();
    let stream = fanout.router();
    let fanout_task = tokio::spawn(fanout.run(stop_serving.clone()));

    let checks: Vec<(&'static str, Check)> = vec![
        ("command-api", Arc::new(move || writers_ready(&writers))),
        (
            "projectors",
            Arc::new(move || ready(projecting.is_ready(), "a projection has stopped or is catching up")),
        ),
        (
            "ws-fanout",
            Arc::new(move || ready(fanning.is_ready(), "the live stream has stopped or is catching up")),
        ),
    ];
    let health = Health::new(checks, metrics.clone());
    let upkeep = tokio::spawn(async move {
        loop {
            tokio::time::sleep(METRICS_UPKEEP).await;
            metrics.run_upkeep();
        }
    });
    let router = http::router(commands, queries, stream, health.router());
    let server =
        tokio::spawn(listener::serve(listener, router, config.max_connections, stop_serving.clone()));
    greet(&platform, &format!("http://{address}"));

    stop_requested().await?;
    eprintln!(
        "\nStopping: letting requests finish and telling sockets to resume. Once more to stop at once."
    );
    let stop = async {
        stop_serving.cancel();
        let _ = tokio::join!(server, fanout_task, sweeper);
        stop_writers.cancel();
        for task in writer_tasks {
            let _ = task.await;
        }
        stop_rest.cancel();
        if let Ok(Err(error)) = projector_task.await {
            tracing::error!(error = &error as &dyn std::error::Error, "a projection had stopped");
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
    if let Some(exporter) = exporter {
        exporter.stop().await;
    }
    Ok(())
}

fn ready(ready: bool, reason: &str) -> Result<(), String> {
    if ready { Ok(()) } else { Err(reason.to_owned()) }
}

/// Every partition has its writer, here.
fn writers_ready(writers: &Writers) -> Result<(), String> {
    let not_ready: Vec<String> = writers
        .all()
        .filter(|writer| writer.standing() != Standing::Owning)
        .map(|writer| format!("{}: {:?}", writer.partition(), writer.standing()))
        .collect();
    if not_ready.is_empty() { Ok(()) } else { Err(not_ready.join(", ")) }
}

fn greet(platform: &Platform, url: &str) {
    println!("Roomlog {} is listening on {url}", env!("CARGO_PKG_VERSION"));
    for (what, place) in &platform.places {
        println!("  {what:<24}{place}");
    }
    println!("  {:<24}{}", "log id", platform.identity.log_id);
    println!("Try it:\n  curl -s {url}/v1/accounts -H 'content-type: application/json' \\");
    println!(
        "    -d '{{\"email\":\"ada@example.org\",\"username\":\"ada\",\"password\":\"correct horse battery\"}}'"
    );
    println!("The API is described at {url}/v1/openapi.json; the README goes on from here. Ctrl-C stops.");
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
