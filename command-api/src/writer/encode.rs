//! From decided events to a record's body, with what has to be announced before it.

use bytes::Bytes;
use roomlog_schemas::registry::{Fingerprint, Registry};
use roomlog_schemas::{Announced, CodecError, CommandRecord, Event, codec, decode_event, next_build};

use super::request::{Millis, Request};

pub struct Encoded {
    pub body: Bytes,
    /// Schemas that the partition has not announced yet, with their fingerprint.
    pub announcements: Vec<(Fingerprint, &'static str)>,
    /// Copies for tools, neither hashed nor trusted.
    pub key: Bytes,
    pub headers: Vec<(&'static str, String)>,
}

/// Encodes, and decodes again: an owner appends nothing that readers could not read.
pub fn encode(
    request: &Request,
    events: &[Event],
    record_time_ms: Millis,
    announced: impl Fn(Fingerprint) -> bool,
) -> Result<Encoded, CodecError> {
    let none = Announced::default();
    let mut announcements = Vec::new();
    let mut announce = |bytes: &[u8]| -> Result<(), CodecError> {
        let fingerprint = codec::fingerprint(bytes)?;
        if !announced(fingerprint) && !announcements.iter().any(|(known, _)| *known == fingerprint) {
            let version =
                Registry::known().version(fingerprint).ok_or(CodecError::UnknownSchema(fingerprint))?;
            announcements.push((fingerprint, version.json.as_str()));
        }
        Ok(())
    };
    let mut encoded = Vec::with_capacity(events.len());
    for event in events {
        let bytes = next_build::encode_event(event)?;
        if decode_event(&bytes, &none)? != *event {
            return Err(CodecError::UnknownEvent(event.name().to_owned()));
        }
        announce(&bytes)?;
        encoded.push(bytes);
    }
    let (key, fingerprint) = request.key.clone().unzip();
    let record = CommandRecord {
        record_time_ms,
        command: request.command.name().to_owned(),
        actor: request.actor,
        key,
        fingerprint,
        events: encoded,
    };
    let body = record.encode()?;
    announce(&body)?;
    let mut headers = vec![("type", record.command)];
    headers.extend(key.map(|key| ("key", key.to_string())));
    headers.extend(request.traceparent.clone().map(|traceparent| ("traceparent", traceparent)));
    Ok(Encoded { body, announcements, key: partition_key(events), headers })
}

/// The aggregate's id, as tools expect it in a record's key.
fn partition_key(events: &[Event]) -> Bytes {
    let id = match events.first() {
        Some(Event::AccountRegistered(e)) => e.account_id.0,
        Some(Event::AccountClaimed(e)) => e.account_id.0,
        Some(Event::SessionEnded(e)) => e.account_id.0,
        Some(event) => event.timeline().map(|(room, _)| room.0).unwrap_or_default(),
        None => return Bytes::new(),
    };
    Bytes::copy_from_slice(id.to_string().as_bytes())
}
