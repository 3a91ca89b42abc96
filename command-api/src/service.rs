//! From a client's command to its answer: validates, makes ids, seals, asks the partition's writer,
//! and turns the outcome into an answer or a problem.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use bytes::Bytes;
use roomlog_domain::role::Override;
use roomlog_domain::{Command, Context, Rejection, command};
use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_schemas::{AccountId, IdKey, IdempotencyKey, MessageId, RoleId, RoomId};
use roomlog_stores::progress::Progress;
use roomlog_stores::sealing::aad;
use roomlog_stores::{RoomStore, Sealer};
use roomlog_web::commands::{Answer, ClientCommand, Commands, CreateRoom};
use roomlog_web::{Position, Problem};
use tokio::time::Instant;
use uuid::Uuid;

use crate::text;
use crate::writer::driver::clock_ms;
use crate::writer::request::{Outcome, Request};
use crate::writers::Writers;

/// By when a request has its answer.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Runs commands about rooms; cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub writers: Writers,
    pub sealer: Sealer,
    pub id_key: IdKey,
    pub rooms: Arc<dyn RoomStore>,
    pub progress: Arc<Progress>,
}

#[async_trait]
impl Commands for Service {
    async fn run(
        &self,
        account: AccountId,
        key: Option<IdempotencyKey>,
        command: ClientCommand,
    ) -> Result<Answer, Problem> {
        let key = key.unwrap_or_else(generate_key);
        let body = serde_json::to_vec(&command).expect("a command has only plain fields");
        let fingerprint = match self.sealer.cached_fingerprint(account, &body) {
            Some(fingerprint) => fingerprint,
            None => self.sealer.fingerprint(account, &body).await?,
        };
        match command {
            ClientCommand::CreateRoom(create) => self.create_room(account, key, fingerprint, create).await,
            ClientCommand::JoinRoom { room_id } => {
                let command = Command::JoinRoom { room_id, account_id: account };
                self.run_in_room(account, room_id, key, fingerprint, command).await
            }
            ClientCommand::LeaveRoom { room_id } => {
                let command = Command::LeaveRoom { room_id, account_id: account };
                self.run_in_room(account, room_id, key, fingerprint, command).await
            }
            ClientCommand::SendMessage { room_id, text, reply_to } => {
                text::check_message(&text)?;
                let message_id = self.id_key.message(account, key.uuid().as_bytes(), 0, room_id);
                let sealing = match self.sealer.cached_message_key(account, room_id) {
                    Some(sealing) => sealing,
                    None => self.sealer.message_key(account, room_id).await.map_err(no_such_room)?,
                };
                let text = sealing.seal(&aad::message_text(room_id, message_id), text.as_bytes());
                let send = command::SendMessage { room_id, message_id, author_id: account, text, reply_to };
                self.run_in_room(account, room_id, key, fingerprint, Command::SendMessage(send)).await
            }
            ClientCommand::SetRole { room_id, account_id, role } => {
                let set = command::SetRole { room_id, account_id, role, by: account };
                self.run_in_room(account, room_id, key, fingerprint, Command::SetRole(set)).await
            }
            ClientCommand::TransferOwnership { room_id, account_id } => {
                let transfer = command::TransferOwnership { room_id, account_id, by: account };
                let command = Command::TransferOwnership(transfer);
                self.run_in_room(account, room_id, key, fingerprint, command).await
            }
            ClientCommand::CreateRole { room_id, name, rank, permissions } => {
                let role_id = self.id_key.role(account, key.uuid().as_bytes(), room_id);
                let name = self.seal_role_name(room_id, role_id, &name).await?;
                let create = command::DefineRole { room_id, role_id, name, rank, permissions, by: account };
                self.run_in_room(account, room_id, key, fingerprint, Command::CreateRole(create)).await
            }
            ClientCommand::ChangeRole { room_id, role_id, name, rank, permissions } => {
                let name = self.seal_role_name(room_id, role_id, &name).await?;
                let change = command::DefineRole { room_id, role_id, name, rank, permissions, by: account };
                self.run_in_room(account, room_id, key, fingerprint, Command::ChangeRole(change)).await
            }
            ClientCommand::RemoveRole { room_id, role_id } => {
                let remove = command::RemoveRole { room_id, role_id, by: account };
                self.run_in_room(account, room_id, key, fingerprint, Command::RemoveRole(remove)).await
            }
            ClientCommand::SetOverride { room_id, role, allow, deny } => {
                let set = Override { allow, deny };
                let set = command::SetOverride { room_id, role, set, by: account };
                self.run_in_room(account, room_id, key, fingerprint, Command::SetOverride(set)).await
            }
        }
    }
}

impl Service {
    async fn create_room(
        &self,
        account: AccountId,
        key: IdempotencyKey,
        fingerprint: Bytes,
        create: CreateRoom,
    ) -> Result<Answer, Problem> {
        text::check_room_name(&create.name)?;
        let room_id = match create.parent_id {
            None => self.id_key.root_room(account, key.uuid().as_bytes()),
            Some(parent) => self.id_key.sub_room(account, key.uuid().as_bytes(), parent),
        };
        self.sealer.create_room_keys(&[room_id]).await?;
        let name =
            self.sealer.room_key(room_id).await?.seal(&aad::room_name(room_id), create.name.as_bytes());
        let command = Command::CreateRoom(command::CreateRoom {
            room_id,
            parent_id: create.parent_id,
            kind: create.kind,
            access: create.access,
            history: create.history,
            name,
            creator_id: account,
            source: None,
        });
        self.run_in_room(account, room_id, key, fingerprint, command).await
    }

    /// Under the root room's key, as the room's name is.
    async fn seal_role_name(&self, room: RoomId, role: RoleId, name: &str) -> Result<Bytes, Problem> {
        text::check_role_name(name)?;
        let key = self.sealer.room_key(room).await.map_err(no_such_room)?;
        Ok(key.seal(&aad::role_name(role), name.as_bytes()))
    }

    /// Runs a command in the partition of a room.
    async fn run_in_room(
        &self,
        account: AccountId,
        room: RoomId,
        key: IdempotencyKey,
        fingerprint: Bytes,
        command: Command,
    ) -> Result<Answer, Problem> {
        let partition = self.writers.partition_of(Topic::Rooms, room.slot());
        let mut request = Request {
            actor: Some(account),
            key: Some((key, fingerprint)),
            command,
            context: Context::default(),
            deadline: clock_ms() + DEADLINE.as_millis() as i64,
            traceparent: None,
        };
        let mut outcome = self.writers.run(partition, request.clone()).await;
        // The partition's state knows the last messages only; older ones are in the store.
        if outcome == Outcome::Rejected(Rejection::ReplyNotFound)
            && let Some(reply_to) = reply_to(&request.command)
        {
            request.context.known_messages = self.known_messages(partition, room, &[reply_to]).await?;
            if !request.context.known_messages.is_empty() {
                outcome = self.writers.run(partition, request).await;
            }
        }
        answer(outcome, partition, key)
    }

    /// Which of these messages are in the room, as of everything in the log by now: its writer may know
    /// no more.
    pub async fn known_messages(
        &self,
        partition: TopicPartition,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, Problem> {
        let deadline = Instant::now() + DEADLINE;
        let end = self.writers.end(partition).await.ok_or_else(unavailable)?;
        if let Some(last) = end.checked_sub(1)
            && !self.progress.rooms_cover(&*self.rooms, partition, last, deadline).await?
        {
            return Err(unavailable());
        }
        Ok(self.rooms.known_messages(room, messages).await?)
    }
}

fn reply_to(command: &Command) -> Option<MessageId> {
    match command {
        Command::SendMessage(send) => send.reply_to,
        _ => None,
    }
}

pub fn generate_key() -> IdempotencyKey {
    IdempotencyKey::new(Uuid::now_v7()).expect("now_v7 makes version 7")
}

/// A room's key is made with the room.
fn no_such_room(error: roomlog_stores::SealError) -> Problem {
    match error {
        roomlog_stores::SealError::Store(error) => error.into(),
        _ => Problem::room_not_found(),
    }
}

/// What a client is told of an outcome.
pub fn answer(outcome: Outcome, partition: TopicPartition, key: IdempotencyKey) -> Result<Answer, Problem> {
    match outcome {
        Outcome::Accepted { answer, offset } | Outcome::Unchanged { answer, offset } => Ok(Answer {
            room_id: answer.room_id,
            message_id: answer.message_id,
            role_id: answer.role_id,
            seq: answer.seq,
            position: Position { partition, offset },
        }),
        outcome => Err(problem(&outcome, key)),
    }
}

/// The problem of an outcome that is no acceptance.
pub fn problem(outcome: &Outcome, key: IdempotencyKey) -> Problem {
    match outcome {
        Outcome::Accepted { .. } | Outcome::Unchanged { .. } | Outcome::Unavailable | Outcome::Moved => {
            unavailable()
        },
        Outcome::Rejected(rejection) => rejected(*rejection),
        Outcome::KeyReused => Problem::unprocessable(
            "key_reused",
            "This idempotency key was used for a command with another body.",
            "Idempotency-Key",
        )
        .key(key),
        Outcome::KeyExpired => Problem::new(
            StatusCode::CONFLICT,
            "key_expired",
            "This idempotency key is too old, or too far ahead, to know what became of it: look before you try again.",
        )
        .key(key),
        Outcome::TooLarge => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "command_too_large", "The command is larger than a record may be.")
        }
        Outcome::Overloaded => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "overloaded",
            "Too many commands are waiting; nothing was written.",
        )
        .retry_after(1),
        Outcome::Unknown => Problem::unavailable(
            "outcome_unknown",
            "It is not known whether the command was accepted: ask again with the same idempotency key.",
        )
        .key(key),
    }
}

/// This attempt wrote nothing. Trying again is safe; with the same key if an earlier attempt's outcome
/// was unknown.
pub fn unavailable() -> Problem {
    Problem::unavailable("log_unavailable", "The event log is not available now; nothing was written.")
}

pub fn rejected(rejection: Rejection) -> Problem {
    let status = match rejection {
        Rejection::RoomNotFound
        | Rejection::ParentNotFound
        | Rejection::AccountNotFound
        | Rejection::MemberNotFound
        | Rejection::RoleNotFound => StatusCode::NOT_FOUND,
        Rejection::NotAMember
        | Rejection::ParentMembershipRequired
        | Rejection::NotListed
        | Rejection::InvitationRequired
        | Rejection::NotAllowed
        | Rejection::RankTooLow
        | Rejection::PermissionNotHeld => StatusCode::FORBIDDEN,
        Rejection::LastOwner | Rejection::AlreadyClaimed => StatusCode::CONFLICT,
        Rejection::TooDeep
        | Rejection::TooManySubRooms
        | Rejection::KindNotAvailable
        | Rejection::RolesAreOfRoots
        | Rejection::GuestOfRootOnly
        | Rejection::InvalidRank
        | Rejection::TooManyRoles
        | Rejection::OverrideContradicts
        | Rejection::ReplyNotFound
        | Rejection::ImportOutOfOrder => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut problem = Problem::new(status, rejection.code(), rejection.sentence());
    problem.fields = rejection.fields().iter().map(|field| (*field).to_owned()).collect();
    problem
}
