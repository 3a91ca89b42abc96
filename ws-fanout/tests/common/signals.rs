//! Signals that are lost or late on demand.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use roomlog_eventlog::{Broadcast, LocalBroadcast, LogError};

#[derive(Default)]
pub struct FaultySignals {
    inner: LocalBroadcast,
    fate: Mutex<Fate>,
    held: Mutex<Vec<Bytes>>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Arrives,
    Doubled,
    Lost,
    /// Until it is released.
    Held,
}

impl FaultySignals {
    pub fn set(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }

    pub fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    pub fn release(&self) {
        for message in self.held.lock().unwrap().drain(..) {
            self.inner.publish(message);
        }
    }
}

#[async_trait]
impl Broadcast for FaultySignals {
    fn publish(&self, message: Bytes) {
        match *self.fate.lock().unwrap() {
            Fate::Arrives => self.inner.publish(message),
            Fate::Doubled => {
                self.inner.publish(message.clone());
                self.inner.publish(message);
            }
            Fate::Lost => {}
            Fate::Held => self.held.lock().unwrap().push(message),
        }
    }

    async fn subscribe(&self) -> Result<BoxStream<'static, Bytes>, LogError> {
        self.inner.subscribe().await
    }
}
