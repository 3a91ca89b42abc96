//! Commands that only a test sees.

use std::sync::Mutex;

use async_trait::async_trait;
use axum::http::StatusCode;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::{AccountId, IdempotencyKey};
use roomlog_web::commands::{Answer, ClientCommand, Commands};
use roomlog_web::{Position, Problem};
use tokio::sync::Semaphore;

/// Accepts messages; those that say `wait` only when told, those that say `no` never.
pub struct StubCommands {
    pub seen: Mutex<Vec<(AccountId, Option<IdempotencyKey>, ClientCommand)>>,
    pub go: Semaphore,
}

impl Default for StubCommands {
    fn default() -> Self {
        Self { seen: Mutex::default(), go: Semaphore::new(0) }
    }
}

#[async_trait]
impl Commands for StubCommands {
    async fn run(
        &self,
        account: AccountId,
        key: Option<IdempotencyKey>,
        command: ClientCommand,
    ) -> Result<Answer, Problem> {
        self.seen.lock().unwrap().push((account, key, command.clone()));
        if let ClientCommand::SendMessage { text, .. } = &command {
            if text == "wait" {
                self.go.acquire().await.unwrap().forget();
            }
            if text == "no" {
                return Err(Problem::new(StatusCode::FORBIDDEN, "not_a_member", "No.").field("room_id"));
            }
        }
        let position = Position { partition: TopicPartition::rooms(0), offset: 7 };
        Ok(Answer { room_id: None, message_id: None, role_id: None, seq: 5, position })
    }
}
