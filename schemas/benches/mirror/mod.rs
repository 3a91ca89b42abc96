//! `MessageSent` for a library that takes ids for text unless they are bytes.

use bytes::Bytes;
use roomlog_schemas::{Imported, MessageSent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    #[serde(with = "as_bytes")]
    room_id: Uuid,
    seq: i64,
    #[serde(with = "as_bytes")]
    message_id: Uuid,
    #[serde(with = "as_bytes")]
    author_id: Uuid,
    text: Bytes,
    /// Of a reply; not measured.
    reply_to: Option<()>,
    imported: Option<Imported>,
}

impl Mirror {
    pub fn of(sent: &MessageSent) -> Self {
        Self {
            room_id: sent.room_id.0,
            seq: i64::try_from(sent.seq).unwrap(),
            message_id: sent.message_id.0,
            author_id: sent.author_id.0,
            text: sent.text.clone(),
            reply_to: None,
            imported: sent.imported.clone(),
        }
    }
}

mod as_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(id.as_bytes())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        let bytes: &serde_bytes::Bytes = Deserialize::deserialize(deserializer)?;
        Uuid::from_slice(bytes).map_err(de::Error::custom)
    }
}
