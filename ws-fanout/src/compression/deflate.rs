//! Compressing a message.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

use super::{TAIL, WINDOW_BITS};

/// Compression has to save this part of a message, or the message goes out as it is.
const LEAST_SAVING: usize = 8;

thread_local! {
    /// Its tables are a quarter of a megabyte, too much to make for each event.
    static COMPRESS: RefCell<Compress> =
        RefCell::new(Compress::new_with_window_bits(Compression::fast(), false, WINDOW_BITS));
}

/// The payload of a compressed message (RFC 7692, section 7.2.1); `None` if that would not be much shorter.
pub(crate) fn deflate(message: &[u8]) -> Option<Bytes> {
    // What does not fit is not worth it.
    let mut compressed = Vec::with_capacity(message.len() - message.len() / LEAST_SAVING + TAIL.len());
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        compress.compress_vec(message, &mut compressed, FlushCompress::Sync).ok()?;
        (compress.total_in() == message.len() as u64).then_some(())
    })?;
    let payload = compressed.strip_suffix(&TAIL)?.len();
    compressed.truncate(payload);
    compressed.shrink_to_fit();
    Some(compressed.into())
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    use super::*;

    /// By a reader with the window that was agreed upon, and nothing more.
    fn inflate(payload: &[u8], len: usize) -> Vec<u8> {
        let whole = [payload, &TAIL].concat();
        let mut message = Vec::with_capacity(len + 1);
        let mut reader = Decompress::new_with_window_bits(false, WINDOW_BITS);
        reader.decompress_vec(&whole, &mut message, FlushDecompress::Sync).unwrap();
        message
    }

    #[test]
    fn an_event_gets_shorter() {
        let event = br#"{"type":"event","room_id":"0199","seq":7,"event":{"type":"message_sent","text":"To be, or not to be: to be!"}}"#;
        let payload = deflate(event).unwrap();
        assert!(payload.len() < event.len() * 9 / 10, "{}", payload.len());
        assert_eq!(inflate(&payload, event.len()), event);
    }

    #[test]
    fn what_does_not_get_shorter_stays_as_it_is() {
        assert_eq!(deflate(b""), None);
        assert_eq!(deflate(b"0123456789abcdef"), None);
        let noise: Vec<u8> = (0..5_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let noise: Vec<u8> =
            noise.iter().zip(noise.iter().skip(7)).map(|(a, b)| a ^ b.rotate_left(3)).collect();
        assert!(deflate(&noise).is_none_or(|payload| inflate(&payload, noise.len()) == noise));
    }

    #[test]
    fn nothing_of_a_message_is_in_the_next_one() {
        let long = "one secret and another ".repeat(1_000);
        let alone = deflate(b"one secret and another one secret and another").unwrap();
        deflate(long.as_bytes()).unwrap();
        assert_eq!(deflate(b"one secret and another one secret and another").unwrap(), alone);
    }

    proptest! {
        #[test]
        fn a_reader_gets_what_was_said(words in proptest::collection::vec("[a-e]{1,6}", 0..3_000)) {
            let message = words.join(" ").into_bytes();
            if let Some(payload) = deflate(&message) {
                prop_assert!(payload.len() < message.len());
                prop_assert_eq!(inflate(&payload, message.len()), message);
            }
        }
    }
}
