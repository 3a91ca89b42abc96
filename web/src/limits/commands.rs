//! Limits on commands that do not come over REST.

use std::sync::Arc;

use async_trait::async_trait;
use roomlog_schemas::{AccountId, IdempotencyKey};

use super::{Kind, Limiter};
use crate::Problem;
use crate::commands::{Answer, ClientCommand, Commands};

/// Commands behind the account's limit. For the socket: over REST [`limit`](super::limit) counts
/// already.
pub struct RateLimited {
    inner: Arc<dyn Commands>,
    limiter: Limiter,
}

impl RateLimited {
    pub fn new(inner: Arc<dyn Commands>, limiter: Limiter) -> Self {
        Self { inner, limiter }
    }
}

#[async_trait]
impl Commands for RateLimited {
    async fn run(
        &self,
        account: AccountId,
        key: Option<IdempotencyKey>,
        command: ClientCommand,
    ) -> Result<Answer, Problem> {
        self.limiter.account(Kind::Command, account)?;
        self.inner.run(account, key, command).await
    }
}
