//! Which log this is.

use std::sync::Arc;

use roomlog_eventlog::{EventLog, LogIdentity, TopicPartition, discover_identity};

use crate::Error;

/// The log's identity; waits while the log is empty.
pub(crate) async fn wait_for_identity(log: &Arc<dyn EventLog>) -> Result<LogIdentity, Error> {
    let partition = TopicPartition::accounts(0);
    loop {
        // Asked for first, so that no claim can come between the look and the wait unseen.
        let end = log.end(partition).await?;
        if let Some(identity) = discover_identity(log).await? {
            return Ok(identity);
        }
        log.read(partition, end).await?.next().await?;
    }
}
