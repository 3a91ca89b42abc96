//! Requests, answers and their parts as the protocol has them.

use bytes::Bytes;
use roomlog_command_api::forward::PeerAnswer;
use roomlog_command_api::writer::request::Millis;
use roomlog_command_api::writer::{Outcome, Request};
use roomlog_domain::{Answer, Rejection};
use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_schemas::{AccountId, IdempotencyKey, RoomId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::proto::{self, run_reply::Result as Reply};

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read: {reason}")]
pub struct Unreadable {
    what: &'static str,
    reason: String,
}

fn unreadable(what: &'static str, reason: impl ToString) -> Unreadable {
    Unreadable { what, reason: reason.to_string() }
}

pub fn run_request(
    partition: TopicPartition,
    request: &Request,
    now: Millis,
    hops_left: u8,
) -> proto::RunRequest {
    let key = request
        .key
        .as_ref()
        .map(|(id, fingerprint)| proto::Key { id: uuid(id.uuid()), fingerprint: fingerprint.clone() });
    proto::RunRequest {
        partition: Some(to_partition(partition)),
        actor: request.actor.map(|AccountId(id)| uuid(id)),
        key,
        command: pack(&request.command),
        context: pack(&request.context),
        remaining_ms: (request.deadline - now).clamp(0, u32::MAX.into()) as u32,
        hops_left: hops_left.into(),
        traceparent: request.traceparent.clone(),
    }
}

pub fn request(message: proto::RunRequest, now: Millis) -> Result<(TopicPartition, Request, u8), Unreadable> {
    let key = match message.key {
        Some(key) => Some((idempotency_key(&key.id)?, key.fingerprint)),
        None => None,
    };
    let request = Request {
        actor: message.actor.map(|id| from_uuid("the actor", &id)).transpose()?.map(AccountId),
        key,
        command: unpack("the command", &message.command)?,
        context: unpack("the context", &message.context)?,
        deadline: now + Millis::from(message.remaining_ms),
        traceparent: message.traceparent,
    };
    let hops_left = u8::try_from(message.hops_left).unwrap_or(u8::MAX);
    Ok((partition(message.partition)?, request, hops_left))
}

pub fn run_reply(answer: PeerAnswer) -> proto::RunReply {
    use proto::Failure;
    let failed = |failure: Failure| Reply::Failed(failure.into());
    let done = |answer: &Answer, offset| proto::Done { answer: pack(answer), offset };
    let result = match answer {
        PeerAnswer::Moved { owner } => Reply::Moved(proto::Moved { owner }),
        PeerAnswer::Outcome(outcome) => match outcome {
            Outcome::Accepted { answer, offset } => Reply::Accepted(done(&answer, offset)),
            Outcome::Unchanged { answer, offset } => Reply::Unchanged(done(&answer, offset)),
            Outcome::Rejected(rejection) => Reply::Rejected(rejection.code().to_owned()),
            Outcome::Moved => Reply::Moved(proto::Moved { owner: None }),
            Outcome::KeyReused => failed(Failure::KeyReused),
            Outcome::KeyExpired => failed(Failure::KeyExpired),
            Outcome::TooLarge => failed(Failure::TooLarge),
            Outcome::Unavailable => failed(Failure::Unavailable),
            Outcome::Overloaded => failed(Failure::Overloaded),
            Outcome::Unknown => failed(Failure::Unknown),
        },
    };
    proto::RunReply { result: Some(result) }
}

pub fn peer_answer(reply: proto::RunReply) -> Result<PeerAnswer, Unreadable> {
    use proto::Failure;
    let outcome = match reply.result.ok_or_else(|| unreadable("the answer", "of a kind not known here"))? {
        Reply::Moved(moved) => return Ok(PeerAnswer::Moved { owner: moved.owner }),
        Reply::Accepted(done) => {
            Outcome::Accepted { answer: unpack("the answer", &done.answer)?, offset: done.offset }
        }
        Reply::Unchanged(done) => {
            Outcome::Unchanged { answer: unpack("the answer", &done.answer)?, offset: done.offset }
        }
        Reply::Rejected(code) => {
            let rejection = Rejection::ALL.iter().find(|rejection| rejection.code() == code);
            Outcome::Rejected(*rejection.ok_or_else(|| unreadable("the rejection", code))?)
        }
        Reply::Failed(failure) => match Failure::try_from(failure) {
            Ok(Failure::KeyReused) => Outcome::KeyReused,
            Ok(Failure::KeyExpired) => Outcome::KeyExpired,
            Ok(Failure::TooLarge) => Outcome::TooLarge,
            Ok(Failure::Unavailable) => Outcome::Unavailable,
            Ok(Failure::Overloaded) => Outcome::Overloaded,
            Ok(Failure::Unknown) => Outcome::Unknown,
            Ok(Failure::Unspecified) | Err(_) => return Err(unreadable("the failure", failure)),
        },
    };
    Ok(PeerAnswer::Outcome(outcome))
}

pub fn to_partition(partition: TopicPartition) -> proto::Partition {
    proto::Partition { topic: partition.topic.name().to_owned(), number: partition.partition }
}

pub fn partition(message: Option<proto::Partition>) -> Result<TopicPartition, Unreadable> {
    let message = message.ok_or_else(|| unreadable("the partition", "missing"))?;
    let topic = Topic::ALL.into_iter().find(|topic| topic.name() == message.topic);
    let topic = topic.ok_or_else(|| unreadable("the topic", message.topic))?;
    Ok(TopicPartition::new(topic, message.number))
}

pub fn uuid(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

pub fn account(bytes: &[u8]) -> Result<AccountId, Unreadable> {
    from_uuid("the account", bytes).map(AccountId)
}

pub fn room(bytes: &[u8]) -> Result<RoomId, Unreadable> {
    from_uuid("the room", bytes).map(RoomId)
}

pub fn idempotency_key(bytes: &[u8]) -> Result<IdempotencyKey, Unreadable> {
    let id = from_uuid("the idempotency key", bytes)?;
    IdempotencyKey::new(id).map_err(|error| unreadable("the idempotency key", error))
}

fn from_uuid(what: &'static str, bytes: &[u8]) -> Result<Uuid, Unreadable> {
    Uuid::from_slice(bytes).map_err(|error| unreadable(what, error))
}

/// With field names, so that a reader of another version finds what it knows.
fn pack(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec_named(value).expect("only plain fields, written to memory").into()
}

fn unpack<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Unreadable> {
    rmp_serde::from_slice(bytes).map_err(|error| unreadable(what, error))
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
