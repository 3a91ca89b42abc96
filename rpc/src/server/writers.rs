//! The writers of this process, for other command-apis.

use std::sync::Arc;
use std::time::Instant;

use roomlog_command_api::forward::LocalWriters;
use roomlog_command_api::writer::driver::clock_ms;
use tonic::{Request, Response, Status, async_trait};
use tracing::{Instrument, Span};

use super::{ended, unreadable};
use crate::codec;
use crate::measure::{WRITERS_IMPORTED, WRITERS_RUN};
use crate::proto::writers_server::Writers;
use crate::proto::{ImportedReply, ImportedRequest, RunReply, RunRequest};

pub struct Handler {
    pub writers: Arc<dyn LocalWriters>,
    pub parent_of: Option<fn(&Span, &str)>,
}

#[async_trait]
impl Writers for Handler {
    async fn run(&self, request: Request<RunRequest>) -> Result<Response<RunReply>, Status> {
        let since = Instant::now();
        let result = self.run_here(request.into_inner()).await;
        ended(WRITERS_RUN, since, result)
    }

    async fn imported(&self, request: Request<ImportedRequest>) -> Result<Response<ImportedReply>, Status> {
        let since = Instant::now();
        let result = self.imported_here(request.into_inner()).await;
        ended(WRITERS_IMPORTED, since, result)
    }
}

impl Handler {
    async fn run_here(&self, message: RunRequest) -> Result<RunReply, Status> {
        let (partition, request, hops_left) = codec::request(message, clock_ms()).map_err(unreadable)?;
        let span = tracing::info_span!("run_for_peer", %partition, command = request.command.name());
        if let (Some(parent_of), Some(traceparent)) = (self.parent_of, &request.traceparent) {
            parent_of(&span, traceparent);
        }
        let answer = self.writers.run_local(partition, request, hops_left).instrument(span).await;
        Ok(codec::run_reply(answer))
    }

    async fn imported_here(&self, message: ImportedRequest) -> Result<ImportedReply, Status> {
        let partition = codec::partition(message.partition).map_err(unreadable)?;
        let room = codec::room(&message.room).map_err(unreadable)?;
        let position = self.writers.imported_local(partition, room, message.source).await;
        Ok(ImportedReply { position })
    }
}
