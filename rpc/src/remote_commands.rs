//! Clients' commands in a process without a command-api: any living one runs them.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use prost::Message;
use roomlog_command_api::forward::PeerError;
use roomlog_command_api::service::{DEADLINE, generate_key, problem};
use roomlog_command_api::writer::Outcome;
use roomlog_members::{Handle, Role};
use roomlog_schemas::{AccountId, IdempotencyKey};
use roomlog_web::Problem;
use roomlog_web::commands::{Answer, ClientCommand, Commands};
use tokio::time::Instant;

use crate::measure::COMMANDS_RUN;
use crate::proto::client_command_reply::Result as Reply;
use crate::proto::commands_client::CommandsClient;
use crate::proto::{ClientCommandReply, ClientCommandRequest};
use crate::{MAX_MESSAGE_BYTES, Pool, codec};

/// When all that are known have failed, before they are asked again.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub struct RemoteCommandsOptions {
    /// By when a command has its answer, whatever happens.
    pub deadline: Duration,
    /// The current span as a W3C `traceparent`.
    pub traceparent: Option<fn() -> Option<String>>,
}

impl Default for RemoteCommandsOptions {
    fn default() -> Self {
        Self { deadline: DEADLINE, traceparent: None }
    }
}

/// Stays with one command-api while that works; after a failure it asks another, with the same
/// idempotency key, until the deadline.
///
/// Once an attempt may have reached a process, only acceptance is an answer: a rejection of a later
/// attempt says nothing of the earlier one, which may still be accepted. Then the client gets
/// `outcome_unknown` with the key, and a repeat with it finds out.
pub struct RemoteCommands {
    members: Handle,
    pool: Pool,
    options: RemoteCommandsOptions,
    /// The address that is stayed with.
    current: Mutex<Option<String>>,
}

impl RemoteCommands {
    pub fn new(members: Handle, pool: Pool, options: RemoteCommandsOptions) -> Self {
        Self { members, pool, options, current: Mutex::default() }
    }

    /// One command-api that has not failed in this round: the one that is stayed with, or the first in
    /// an order of this process's own, so that the load of many processes is shared.
    fn choose(&self, failed: &HashSet<String>) -> Option<String> {
        let addresses: Vec<String> = {
            let roster = self.members.roster();
            let order = roster.order(self.members.now(), Role::CommandApi, &roster.me().to_string());
            order
                .into_iter()
                .filter_map(|process| roster.member(process))
                .map(|member| member.heartbeat.address.clone())
                .filter(|address| !address.is_empty() && !failed.contains(address))
                .collect()
        };
        let mut current = self.current.lock().expect("no holder panics");
        if let Some(current) = &*current
            && addresses.contains(current)
        {
            return Some(current.clone());
        }
        *current = addresses.into_iter().next();
        current.clone()
    }

    async fn attempt(&self, address: &str, request: ClientCommandRequest) -> Result<Reply, PeerError> {
        let within = Duration::from_millis(request.remaining_ms.into());
        let ClientCommandReply { result } = self
            .pool
            .call(address, COMMANDS_RUN, within, |channel| async move {
                CommandsClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES).run(request).await
            })
            .await?;
        result.ok_or_else(|| PeerError::MaybeSent(format!("{address}: an answer of a kind not known here")))
    }
}

#[async_trait]
impl Commands for RemoteCommands {
    async fn run(
        &self,
        account: AccountId,
        key: Option<IdempotencyKey>,
        command: ClientCommand,
    ) -> Result<Answer, Problem> {
        let deadline = Instant::now() + self.options.deadline;
        let key = key.unwrap_or_else(generate_key);
        let mut request = ClientCommandRequest {
            account: codec::uuid(account.0),
            key: codec::uuid(key.uuid()),
            command: serde_json::to_vec(&command).expect("a command has only plain fields").into(),
            remaining_ms: 0,
            traceparent: self.options.traceparent.and_then(|current| current()),
        };
        if request.encoded_len() > MAX_MESSAGE_BYTES {
            return Err(problem(&Outcome::TooLarge, key));
        }
        let mut failed = HashSet::new();
        let mut maybe_sent = false;
        loop {
            request.remaining_ms = remaining_ms(deadline);
            if request.remaining_ms == 0 {
                return Err(if maybe_sent { outcome_unknown(key) } else { nobody() });
            }
            let Some(address) = self.choose(&failed) else {
                failed.clear();
                let until = (Instant::now() + ROUND_PAUSE).min(deadline);
                tokio::time::sleep_until(until).await;
                continue;
            };
            let error = match self.attempt(&address, request.clone()).await {
                Ok(reply) => match read(reply) {
                    Ok(Err(_)) if maybe_sent => return Err(outcome_unknown(key)),
                    Ok(result) => return result,
                    Err(error) => PeerError::MaybeSent(format!("{address}: {error}")),
                },
                Err(error) => error,
            };
            maybe_sent |= matches!(error, PeerError::MaybeSent(_));
            tracing::info!(%address, %error, "a command-api could not be asked");
            failed.insert(address);
        }
    }
}

fn read(reply: Reply) -> serde_json::Result<Result<Answer, Problem>> {
    Ok(match reply {
        Reply::Answer(answer) => Ok(serde_json::from_slice(&answer)?),
        Reply::Problem(problem) => Err(serde_json::from_slice(&problem)?),
    })
}

fn remaining_ms(deadline: Instant) -> u32 {
    let remaining = deadline.saturating_duration_since(Instant::now());
    remaining.as_millis().try_into().unwrap_or(u32::MAX)
}

pub(crate) fn outcome_unknown(key: IdempotencyKey) -> Problem {
    problem(&Outcome::Unknown, key)
}

fn nobody() -> Problem {
    Problem::unavailable(
        "commands_unavailable",
        "No process that runs commands can be reached now; nothing was written.",
    )
}
