//! Requests as bytes, prepared before the load begins.

use std::io::Write;
use std::net::SocketAddr;

use uuid::Uuid;

/// One account's message to one room; only the idempotency key and the message's number are to be filled in.
pub struct Template {
    bytes: Vec<u8>,
    key_at: usize,
    number_at: usize,
}

/// In front of a message's number in its text. Letters that need no escape in JSON.
const MARK: &str = "message ";
/// Digits of a message's number.
const NUMBER_DIGITS: usize = 10;
const KEY_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

impl Template {
    pub fn new(address: SocketAddr, room_id: &str, token: &str, text_bytes: usize) -> Self {
        let text_bytes = text_bytes.max(MARK.len() + NUMBER_DIGITS);
        let body_start = r#"{"text":""#;
        let body_end = r#""}"#;
        let mut text = format!("{}\r\nidempotency-key: ", head("POST", &path(room_id), address, Some(token)));
        let key_at = text.len();
        let length = body_start.len() + text_bytes + body_end.len();
        text.push_str(&"0".repeat(KEY_LENGTH));
        text.push_str(&format!(
            "\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body_start}{MARK}"
        ));
        let number_at = text.len();
        text.push_str(&"0".repeat(NUMBER_DIGITS));
        // Ordinary text, not one letter over and over.
        text.extend(
            " the quick brown fox jumps over the lazy dog"
                .chars()
                .cycle()
                .take(text_bytes - MARK.len() - NUMBER_DIGITS),
        );
        text.push_str(body_end);
        Self { bytes: text.into_bytes(), key_at, number_at }
    }

    /// Replaces what is in `request` by this message.
    pub fn fill(&self, request: &mut Vec<u8>, key: Uuid, number: u32) {
        request.clear();
        request.extend_from_slice(&self.bytes);
        key.hyphenated().encode_lower(&mut request[self.key_at..self.key_at + KEY_LENGTH]);
        let mut digits = &mut request[self.number_at..self.number_at + NUMBER_DIGITS];
        write!(digits, "{number:0NUMBER_DIGITS$}").expect("ten digits hold every u32");
    }
}

/// The number of a message of ours, from its text.
pub fn number_of(text: &str) -> Option<u32> {
    text.strip_prefix(MARK)?.get(..NUMBER_DIGITS)?.parse().ok()
}

/// Request line and headers up to, not including, the last line's end.
pub fn head(method: &str, path: &str, address: SocketAddr, token: Option<&str>) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}");
    if let Some(token) = token {
        head.push_str("\r\nauthorization: Bearer ");
        head.push_str(token);
    }
    head
}

fn path(room_id: &str) -> String {
    format!("/v1/rooms/{room_id}/messages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_request_is_whole_and_its_number_comes_back() {
        let template = Template::new(SocketAddr::from(([127, 0, 0, 1], 80)), "room", "token", 256);
        let mut request = b"what was here before".to_vec();
        let key = Uuid::now_v7();
        template.fill(&mut request, key, 4_711);

        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut parsed = httparse::Request::new(&mut headers);
        let body_at = parsed.parse(&request).unwrap().unwrap();
        let header = |name| {
            let header = parsed.headers.iter().find(|header| header.name == name).unwrap();
            std::str::from_utf8(header.value).unwrap()
        };
        assert_eq!(parsed.path, Some("/v1/rooms/room/messages"));
        assert_eq!(header("authorization"), "Bearer token");
        assert_eq!(header("idempotency-key"), key.to_string());
        let body = &request[body_at..];
        assert_eq!(header("content-length"), body.len().to_string());
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let text = body["text"].as_str().unwrap();
        assert_eq!(text.len(), 256);
        assert_eq!(number_of(text), Some(4_711));
    }

    #[test]
    fn other_texts_have_no_number() {
        for text in ["", "message ", "message 12", "message 00000x0000", "hello 0000000001"] {
            assert_eq!(number_of(text), None, "{text}");
        }
        assert_eq!(number_of("message 4294967295 and more"), Some(u32::MAX));
    }
}
