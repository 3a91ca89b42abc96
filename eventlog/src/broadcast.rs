//! Port of the short-lived topics: messages between the platform's own processes that matter only
//! now. `members` carries heartbeats, `signals` hints. Not part of the log: never replayed, never
//! trusted for more than a hint.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::broadcast;

use crate::LogError;

/// A short-lived topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BroadcastTopic {
    /// Heartbeats of the platform's processes.
    Members,
    /// Hints to the processes that hold clients' connections: typing, presence.
    Signals,
}

impl BroadcastTopic {
    pub const ALL: [BroadcastTopic; 2] = [BroadcastTopic::Members, BroadcastTopic::Signals];

    pub const fn name(self) -> &'static str {
        match self {
            BroadcastTopic::Members => "members",
            BroadcastTopic::Signals => "signals",
        }
    }
}

impl fmt::Display for BroadcastTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Messages to every process that listens, itself included.
///
/// * A message may be lost, late or doubled; a reader that was away misses what was said meanwhile.
/// * Messages of one process arrive in the order published, where they arrive.
#[async_trait]
pub trait Broadcast: Send + Sync + 'static {
    /// Hands a message over at once. Whether it arrives is not said.
    fn publish(&self, message: Bytes);

    /// What is published from now on: a message published after this has returned is not missed for
    /// having come too early. The stream ends only with the process, and waits while the topic cannot
    /// be reached.
    async fn subscribe(&self) -> Result<BoxStream<'static, Bytes>, LogError>;
}

/// Messages kept for a listener that is behind; older ones are lost to it.
pub(crate) const CAPACITY: usize = 4096;

/// Within one process.
#[derive(Debug, Clone)]
pub struct LocalBroadcast {
    messages: broadcast::Sender<Bytes>,
}

impl Default for LocalBroadcast {
    fn default() -> Self {
        Self { messages: broadcast::channel(CAPACITY).0 }
    }
}

#[async_trait]
impl Broadcast for LocalBroadcast {
    fn publish(&self, message: Bytes) {
        // Nobody may be listening.
        let _ = self.messages.send(message);
    }

    async fn subscribe(&self) -> Result<BoxStream<'static, Bytes>, LogError> {
        let receiver = self.messages.subscribe();
        let messages = futures::stream::unfold(receiver, async |mut receiver| {
            loop {
                match receiver.recv().await {
                    Ok(message) => return Some((message, receiver)),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        metrics::counter!("roomlog_broadcast_missed_total").increment(missed);
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        Ok(messages.boxed())
    }
}
