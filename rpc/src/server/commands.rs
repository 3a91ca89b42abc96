//! Clients' commands, for processes that hold their connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomlog_web::commands::{ClientCommand, Commands};
use tonic::{Request, Response, Status, async_trait};
use tracing::{Instrument, Span};

use super::{ended, unreadable};
use crate::codec;
use crate::measure::COMMANDS_RUN;
use crate::proto::client_command_reply::Result as Reply;
use crate::proto::commands_server::Commands as Service;
use crate::proto::{ClientCommandReply, ClientCommandRequest};
use crate::remote_commands::outcome_unknown;

pub struct Handler {
    pub commands: Arc<dyn Commands>,
    pub parent_of: Option<fn(&Span, &str)>,
}

#[async_trait]
impl Service for Handler {
    async fn run(
        &self,
        request: Request<ClientCommandRequest>,
    ) -> Result<Response<ClientCommandReply>, Status> {
        let since = Instant::now();
        let result = self.run_here(request.into_inner()).await;
        ended(COMMANDS_RUN, since, result)
    }
}

impl Handler {
    async fn run_here(&self, message: ClientCommandRequest) -> Result<ClientCommandReply, Status> {
        let account = codec::account(&message.account).map_err(unreadable)?;
        let key = codec::idempotency_key(&message.key).map_err(unreadable)?;
        let command: ClientCommand = serde_json::from_slice(&message.command)
            .map_err(|error| Status::invalid_argument(format!("the command cannot be read: {error}")))?;
        let span = tracing::info_span!("run_for_fanout", %account);
        if let (Some(parent_of), Some(traceparent)) = (self.parent_of, &message.traceparent) {
            parent_of(&span, traceparent);
        }
        let remaining = Duration::from_millis(message.remaining_ms.into());
        let running = self.commands.run(account, Some(key), command).instrument(span);
        let result = match tokio::time::timeout(remaining, running).await {
            Ok(result) => result,
            Err(_) => Err(outcome_unknown(key)),
        };
        let result = match result {
            Ok(answer) => Reply::Answer(json(&answer)),
            Err(problem) => Reply::Problem(json(&problem)),
        };
        Ok(ClientCommandReply { result: Some(result) })
    }
}

fn json(value: &impl serde::Serialize) -> bytes::Bytes {
    serde_json::to_vec(value).expect("only plain fields").into()
}
