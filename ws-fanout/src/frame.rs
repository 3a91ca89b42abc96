//! A text frame for clients: made once, whoever gets it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::Serialize;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as RawFrame, FrameHeader};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::compression::deflate;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Frame(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    text: Utf8Bytes,
    /// The compressed text, where that pays; made for the first client that takes it.
    deflated: OnceLock<Option<Bytes>>,
}

impl Frame {
    /// An event's, which may be compressed. What else is said is short, or has to do with tokens.
    pub fn event(value: &impl Serialize) -> Self {
        Self::with(value, OnceLock::new())
    }

    /// One that is never compressed.
    pub fn plain(value: &impl Serialize) -> Self {
        Self::with(value, OnceLock::from(None))
    }

    fn with(value: &impl Serialize, deflated: OnceLock<Option<Bytes>>) -> Self {
        let text = serde_json::to_string(value).expect("frames have text keys and plain values").into();
        Self(Arc::new(Shared { text, deflated }))
    }

    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// For a client that takes compressed messages from so many bytes on; `None` if it takes none.
    pub fn message(&self, compress_from: Option<usize>) -> Message {
        let Shared { text, deflated } = &*self.0;
        let is_long = compress_from.is_some_and(|least| text.len() >= least);
        match is_long.then(|| deflated.get_or_init(|| deflate(text.as_bytes()))).and_then(Option::as_ref) {
            Some(payload) => {
                let code = OpCode::Data(Data::Text);
                let header = FrameHeader { rsv1: true, opcode: code, ..FrameHeader::default() };
                Message::Frame(RawFrame::from_payload(header, payload.clone()))
            }
            None => Message::Text(text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_long_events_are_compressed_and_only_for_those_who_take_it() {
        let value = json!({"text": "again and again ".repeat(20)});
        let (event, plain) = (Frame::event(&value), Frame::plain(&value));
        let len = event.text().len();
        for (frame, from) in [(&event, None), (&event, Some(len + 1)), (&plain, Some(0))] {
            assert!(matches!(frame.message(from), Message::Text(text) if text.len() == len));
        }
        let Message::Frame(compressed) = event.message(Some(len)) else { panic!("not compressed") };
        assert!(compressed.header().rsv1 && compressed.header().is_final && compressed.payload().len() < 100);
        let Message::Frame(again) = event.message(Some(1)) else { panic!("not compressed") };
        assert_eq!(again.payload().as_ptr(), compressed.payload().as_ptr(), "compressed once");
        assert!(matches!(Frame::event(&1).message(Some(0)), Message::Text(_)), "it would not get shorter");
    }
}
