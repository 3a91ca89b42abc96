//! The writers of other processes.

use std::time::Duration;

use async_trait::async_trait;
use prost::Message;
use roomlog_command_api::forward::{PeerAnswer, PeerError, Peers};
use roomlog_command_api::writer::Request;
use roomlog_command_api::writer::driver::clock_ms;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;

use crate::measure::{WRITERS_IMPORTED, WRITERS_RUN};
use crate::proto::ImportedRequest;
use crate::proto::writers_client::WritersClient;
use crate::{MAX_MESSAGE_BYTES, Pool, codec};

/// For a question about an import, which has no deadline of its own.
const IMPORTED_TIMEOUT: Duration = Duration::from_secs(5);

/// Reaches them at the addresses that their heartbeats name.
#[derive(Clone)]
pub struct GrpcPeers {
    pool: Pool,
}

impl GrpcPeers {
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

#[async_trait]
impl Peers for GrpcPeers {
    async fn run(
        &self,
        address: &str,
        partition: TopicPartition,
        request: Request,
        hops_left: u8,
    ) -> Result<PeerAnswer, PeerError> {
        let message = codec::run_request(partition, &request, clock_ms(), hops_left);
        if message.remaining_ms == 0 {
            return Err(PeerError::NotSent("there is no time left".into()));
        }
        if message.encoded_len() > MAX_MESSAGE_BYTES {
            return Err(PeerError::NotSent("the command is larger than a message may be".into()));
        }
        let within = Duration::from_millis(message.remaining_ms.into());
        let reply = self
            .pool
            .call(address, WRITERS_RUN, within, |channel| async move {
                WritersClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES).run(message).await
            })
            .await?;
        codec::peer_answer(reply).map_err(|error| PeerError::MaybeSent(format!("{address}: {error}")))
    }

    async fn imported(
        &self,
        address: &str,
        partition: TopicPartition,
        room: RoomId,
        source: String,
    ) -> Result<Option<u64>, PeerError> {
        let message = ImportedRequest {
            partition: Some(codec::to_partition(partition)),
            room: codec::uuid(room.0),
            source,
        };
        let reply = self
            .pool
            .call(address, WRITERS_IMPORTED, IMPORTED_TIMEOUT, |channel| async move {
                WritersClient::new(channel).imported(message).await
            })
            .await?;
        Ok(reply.position)
    }
}
