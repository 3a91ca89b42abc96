//! The role `command-api`: the writers, shared with other processes where there are any.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use roomlog_audit::{Archive, Keeper, Signer};
use roomlog_command_api::accounts::Accounts;
use roomlog_command_api::http::CommandApi;
use roomlog_command_api::import::Importer;
use roomlog_command_api::password::Passwords;
use roomlog_command_api::service::Service;
use roomlog_command_api::sessions::Sessions;
use roomlog_command_api::writer::checkpoints::Checkpoints;
use roomlog_command_api::writer::core::Options as WriterOptions;
use roomlog_command_api::writer::driver::{self, Outside, Standing};
use roomlog_command_api::writer::ownership::{Duty, Options as OwnershipOptions};
use roomlog_command_api::writer::share::share;
use roomlog_command_api::writer::snapshots::Snapshots;
use roomlog_command_api::writers::{Elsewhere, Writers};
use roomlog_rpc::GrpcPeers;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::members::Neighbours;
use crate::config::Config;
use crate::platform::Platform;

/// Claims of processes that see the same are spread over this many milliseconds.
const JITTER_MS: u8 = 150;

pub struct CommandRole {
    pub api: CommandApi,
    pub service: Service,
    pub writers: Writers,
    sharing: Option<JoinHandle<()>>,
    sweeper: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    stop_sharing: CancellationToken,
    stop_sweeping: CancellationToken,
    stop_writers: CancellationToken,
}

impl CommandRole {
    pub async fn start(
        config: &Config,
        platform: &Platform,
        address: String,
        neighbours: Option<&Neighbours>,
    ) -> anyhow::Result<Self> {
        let [stop_sharing, stop_sweeping, stop_writers] = std::array::from_fn(|_| CancellationToken::new());
        let options = WriterOptions { address, ..WriterOptions::default() };
        let outside =
            Outside { snapshots: snapshots(config)?, checkpoints: checkpoints(config, platform).await? };
        let duty = if neighbours.is_some() { Duty::WAIT } else { Duty::ALONE };
        let (handles, tasks): (Vec<_>, Vec<_>) = platform
            .log
            .partitions()
            .all()
            .map(|partition| {
                let (log, options, stop) = (platform.log.clone(), options.clone(), stop_writers.clone());
                driver::spawn(log, partition, platform.identity, options, duty, outside.clone(), stop)
            })
            .unzip();
        let sharing = neighbours.map(|neighbours| {
            let members = neighbours.members.clone();
            let options = OwnershipOptions {
                balance_after_ms: config.internal.balance_after_ms.into(),
                jitter_ms: i64::from(members.me().0.as_bytes()[0] % JITTER_MS),
                warm_all: config.internal.warm_all,
                ..OwnershipOptions::default()
            };
            tokio::spawn(share(members, handles.clone(), options, stop_sharing.clone()))
        });
        let elsewhere = neighbours.map(|neighbours| Elsewhere {
            members: neighbours.members.clone(),
            peers: Arc::new(GrpcPeers::new(neighbours.pool.clone())),
        });
        let writers = Writers::new(platform.log.clone(), handles, elsewhere);
        let service = Service {
            writers: writers.clone(),
            sealer: platform.sealer.clone(),
            id_key: platform.id_key.clone(),
            rooms: platform.quarantine.guard_rooms(platform.rooms.clone()),
            progress: platform.progress.clone(),
        };
        let passwords = Passwords::new(std::thread::available_parallelism().map_or(1, usize::from));
        let accounts = Accounts {
            service: service.clone(),
            secrets: platform.secrets.clone(),
            passwords: passwords.clone(),
        };
        let sweeper = tokio::spawn(accounts.clone().sweep(stop_sweeping.clone()));
        let api = CommandApi {
            auth: platform.auth.clone(),
            service: service.clone(),
            accounts,
            sessions: Sessions {
                service: service.clone(),
                secrets: platform.secrets.clone(),
                passwords,
                tokens: platform.auth.tokens.clone(),
                ended: platform.auth.ended.clone(),
                id_key: platform.id_key.clone(),
            },
            importer: Importer::new(service.clone()),
        };
        Ok(Self { api, service, writers, sharing, sweeper, tasks, stop_sharing, stop_sweeping, stop_writers })
    }

    /// Leaves the partitions to others, while requests still come: they are sent on.
    pub async fn hand_over(&mut self) {
        self.stop_sharing.cancel();
        if let Some(sharing) = self.sharing.take() {
            let _ = sharing.await;
        }
    }

    /// After the last request.
    pub async fn stop(self) {
        self.stop_sweeping.cancel();
        let _ = self.sweeper.await;
        self.stop_writers.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Alone, every partition has its writer here. Among others, none here has stopped, and each partition
/// has an owner somewhere.
pub fn ready(writers: &Writers, neighbours: Option<&roomlog_members::Handle>) -> Result<(), String> {
    let not_ready: Vec<String> = writers
        .local()
        .filter(|writer| match neighbours {
            None => writer.standing() != Standing::Owning,
            Some(members) => {
                let owned = members.roster().owner(members.now(), writer.partition()).is_some();
                writer.standing() == Standing::Stopped || !owned
            }
        })
        .map(|writer| format!("{}: {:?}", writer.partition(), writer.standing()))
        .collect();
    if not_ready.is_empty() { Ok(()) } else { Err(not_ready.join(", ")) }
}

/// Where this process keeps the snapshots of its writers.
fn snapshots(config: &Config) -> anyhow::Result<Option<Snapshots>> {
    if config.snapshot_records == 0 {
        return Ok(None);
    }
    Ok(Some(Snapshots::new(config.objects()?, config.snapshot_records)))
}

/// Where this process keeps the checkpoints of its partitions. Fails where the audit key cannot be used; while
/// the store of the objects is away, it starts nevertheless.
async fn checkpoints(config: &Config, platform: &Platform) -> anyhow::Result<Option<Checkpoints>> {
    if config.checkpoint_interval == 0 {
        return Ok(None);
    }
    if config.is_shared() && config.objects.is_empty() {
        // In the folder of each process they would be scattered, and of use to nobody.
        tracing::warn!("ROOMLOG_OBJECTS is not set: no checkpoints of the log are kept");
        return Ok(None);
    }
    let in_store = || Keeper::Store { sealer: platform.sealer.clone(), secrets: platform.secrets.clone() };
    let keeper = config.audit_key_file.clone().map_or_else(in_store, Keeper::File);
    keeper.load(roomlog_audit::signer::now()).await.context("the audit key")?;
    let signer = Signer::new(keeper, Archive::new(config.objects()?));
    let publishing = signer.clone();
    tokio::spawn(async move {
        if let Err(error) = publishing.prepare().await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the audit keys are not published yet: the first checkpoint tries again");
        }
    });
    Ok(Some(Checkpoints::new(signer, Duration::from_secs(config.checkpoint_interval))))
}
