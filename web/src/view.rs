//! How events and messages look to a client, with their content opened.

use roomlog_eventlog::LogIdentity;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Access, AccountId, Event, History, MessageId, Noted, RoleId, RoomId, RoomKind};
use roomlog_stores::rooms::StoredMessage;
use roomlog_stores::sealing::{ContentKey, aad};
use roomlog_stores::{SealError, Sealer};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::described::{AccessName, HistoryName, NotedName, RoomKindName};

/// An event of a room's timeline. `at` is when it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventView {
    RoomCreated {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Option<Uuid>)]
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_id: Option<RoomId>,
        #[schema(value_type = RoomKindName)]
        kind: RoomKind,
        #[schema(value_type = AccessName)]
        access: Access,
        #[schema(value_type = HistoryName)]
        history: History,
        /// Null if its key was destroyed.
        name: Option<String>,
        #[schema(value_type = Uuid)]
        creator_id: AccountId,
    },
    MemberJoined {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Uuid)]
        account_id: AccountId,
        role: String,
    },
    MemberLeft {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Uuid)]
        account_id: AccountId,
    },
    MessageSent {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Uuid)]
        message_id: MessageId,
        #[schema(value_type = Uuid)]
        author_id: AccountId,
        /// Null if its author or room was erased.
        text: Option<String>,
        #[schema(value_type = Option<Uuid>)]
        #[serde(skip_serializing_if = "Option::is_none")]
        reply_to: Option<MessageId>,
        /// Equal to `at`, or the original time of an imported message.
        #[serde(with = "time::serde::rfc3339")]
        sent_at: OffsetDateTime,
    },
    ImportNoted {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Uuid)]
        account_id: AccountId,
        #[schema(value_type = NotedName)]
        noted: Noted,
        #[schema(value_type = Option<Uuid>)]
        #[serde(skip_serializing_if = "Option::is_none")]
        renamed_to: Option<AccountId>,
        /// The original time.
        #[serde(with = "time::serde::rfc3339")]
        sent_at: OffsetDateTime,
    },
    /// A member holds this role in the room from now on, in place of the one before.
    RoleSet {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Uuid)]
        account_id: AccountId,
        /// A built-in role's name, or a custom role's id.
        role: String,
        #[schema(value_type = Uuid)]
        by: AccountId,
    },
    /// The root has this custom role from now on, or has it changed.
    RoleDefined {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Uuid)]
        role_id: RoleId,
        /// Null if its key was destroyed.
        name: Option<String>,
        rank: i32,
        permissions: Vec<String>,
        #[schema(value_type = Uuid)]
        by: AccountId,
    },
    /// The custom role is no more, nor what rooms said of it.
    RoleRemoved {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[schema(value_type = Uuid)]
        role_id: RoleId,
        #[schema(value_type = Uuid)]
        by: AccountId,
    },
    /// What the room says of a role from now on; nothing, if both are empty.
    OverrideSet {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        role: String,
        allow: Vec<String>,
        deny: Vec<String>,
        #[schema(value_type = Uuid)]
        by: AccountId,
    },
}

/// A message of a room's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    #[schema(value_type = Uuid)]
    pub message_id: MessageId,
    #[schema(value_type = Uuid)]
    pub room_id: RoomId,
    #[schema(value_type = u64)]
    pub seq: Seq,
    #[schema(value_type = Uuid)]
    pub author_id: AccountId,
    /// Null if its author or room was erased.
    pub text: Option<String>,
    #[schema(value_type = Option<Uuid>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The original time of an imported message.
    #[serde(with = "time::serde::rfc3339")]
    pub sent_at: OffsetDateTime,
    /// The id that an imported message had in its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
}

/// The key that an event's content is sealed under, if it has any.
pub enum ContentOf {
    Nothing,
    Room(RoomId),
    Message(AccountId, RoomId),
}

pub fn content_of(event: &Event) -> ContentOf {
    match event {
        Event::RoomCreated(e) => ContentOf::Room(e.room_id),
        Event::RoleDefined(e) => ContentOf::Room(e.room_id),
        Event::MessageSent(e) => ContentOf::Message(e.author_id, e.room_id),
        _ => ContentOf::Nothing,
    }
}

/// Opens one event of a timeline. `None` for an event that is in no timeline.
pub async fn open_event(
    sealer: &Sealer,
    event: &Event,
    record_time_ms: i64,
) -> Result<Option<EventView>, SealError> {
    let key = match content_of(event) {
        ContentOf::Nothing => None,
        ContentOf::Room(room) => present(sealer.room_key(room).await)?,
        ContentOf::Message(author, room) => match sealer.cached_message_key(author, room) {
            Some(key) => Some(key),
            None => present(sealer.message_key(author, room).await)?,
        },
    };
    Ok(view_event(event, record_time_ms, key.as_ref()))
}

/// A destroyed key is no error: the content is gone, the event stays.
fn present(key: Result<ContentKey, SealError>) -> Result<Option<ContentKey>, SealError> {
    match key {
        Ok(key) => Ok(Some(key)),
        Err(SealError::Destroyed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn view_event(event: &Event, record_time_ms: i64, key: Option<&ContentKey>) -> Option<EventView> {
    let at = timestamp(record_time_ms);
    Some(match event {
        Event::AccountRegistered(_) | Event::AccountClaimed(_) | Event::SessionEnded(_) => return None,
        Event::RoomCreated(e) => EventView::RoomCreated {
            at,
            parent_id: e.parent_id,
            kind: e.kind,
            access: e.access,
            history: e.history,
            name: open_text(key, &aad::room_name(e.room_id), &e.name),
            creator_id: e.creator_id,
        },
        Event::MemberJoined(e) => {
            EventView::MemberJoined { at, account_id: e.account_id, role: e.role.clone() }
        }
        Event::MemberLeft(e) => EventView::MemberLeft { at, account_id: e.account_id },
        Event::MessageSent(e) => EventView::MessageSent {
            at,
            message_id: e.message_id,
            author_id: e.author_id,
            text: open_text(key, &aad::message_text(e.room_id, e.message_id), &e.text),
            reply_to: e.reply_to,
            sent_at: e.imported.as_ref().map_or(at, |imported| timestamp(imported.time_ms)),
        },
        Event::ImportNoted(e) => EventView::ImportNoted {
            at,
            account_id: e.account_id,
            noted: e.noted,
            renamed_to: e.renamed_to,
            sent_at: timestamp(e.imported.time_ms),
        },
        Event::RoleSet(e) => {
            EventView::RoleSet { at, account_id: e.account_id, role: e.role.clone(), by: e.by }
        }
        Event::RoleDefined(e) => EventView::RoleDefined {
            at,
            role_id: e.role_id,
            name: open_text(key, &aad::role_name(e.role_id), &e.name),
            rank: e.rank,
            permissions: e.permissions.clone(),
            by: e.by,
        },
        Event::RoleRemoved(e) => EventView::RoleRemoved { at, role_id: e.role_id, by: e.by },
        Event::OverrideSet(e) => EventView::OverrideSet {
            at,
            role: e.role.clone(),
            allow: e.allow.clone(),
            deny: e.deny.clone(),
            by: e.by,
        },
    })
}

/// Opens a page of messages; the keys that are not cached are loaded in one query.
pub async fn open_messages(
    sealer: &Sealer,
    messages: Vec<StoredMessage>,
) -> Result<Vec<MessageView>, SealError> {
    let owners: Vec<_> = messages.iter().map(|message| (message.author_id, message.room_id)).collect();
    let keys = sealer.message_keys(&owners).await?;
    Ok(messages
        .into_iter()
        .zip(keys)
        .map(|(message, key)| MessageView {
            message_id: message.message_id,
            room_id: message.room_id,
            seq: message.seq,
            author_id: message.author_id,
            text: open_text(
                key.as_ref(),
                &aad::message_text(message.room_id, message.message_id),
                &message.text,
            ),
            reply_to: message.reply_to,
            sent_at: timestamp(message.sent_at_ms),
            source_id: message.source_id,
        })
        .collect())
}

/// Content that cannot be opened is shown as absent, and said in the log: it never stops a reader.
fn open_text(key: Option<&ContentKey>, aad: &[u8], sealed: &[u8]) -> Option<String> {
    let opened = key?.open(aad, sealed).map(String::from_utf8);
    match opened {
        Ok(Ok(text)) => Some(text),
        _ => {
            metrics::counter!("roomlog_unreadable_content_total").increment(1);
            tracing::error!("sealed content could not be opened with its own key");
            None
        }
    }
}

/// Milliseconds since 1970; what is outside of the years 0–9999 is clamped.
pub fn timestamp(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(if ms < 0 {
        OffsetDateTime::UNIX_EPOCH
    } else {
        time::macros::datetime!(9999-12-31 23:59:59 UTC)
    })
}

/// The log id as clients see it.
pub fn log_id(identity: LogIdentity) -> String {
    identity.log_id.to_string()
}
