use std::io::{Cursor, Read, Write};

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::frames::Frames;
use super::*;

const MOST: usize = 10_000;

/// What the WebSocket reads, and where its answers vanish.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the WebSocket makes of these bytes, come in pieces of this size, up to the end or an error.
fn read(sent: &[u8], piece: usize) -> (Vec<Message>, Error) {
    let mut frames = Frames::new(MOST);
    let mut bytes = Vec::new();
    for piece in sent.chunks(piece) {
        frames.take(piece);
        let mut some = [0; 100];
        let mut buffer = ReadBuf::new(&mut some);
        while frames.serve(&mut buffer) {
            bytes.extend_from_slice(buffer.filled());
            buffer.clear();
        }
    }
    let config = WebSocketConfig::default().max_message_size(Some(MOST)).max_frame_size(Some(MOST));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), Role::Server, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => messages.push(message),
            Err(error) => return (messages, error),
        }
    }
}

fn is_end(error: &Error) -> bool {
    matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))
}

fn compress(message: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::with_capacity(message.len() + 100);
    let mut compress = Compress::new(Compression::default(), false);
    compress.compress_vec(message, &mut compressed, FlushCompress::Sync).unwrap();
    assert!(compressed.ends_with(&super::super::TAIL));
    compressed.truncate(compressed.len() - 4);
    compressed
}

/// A client's frame; `first` is all but the payload's length and the mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 0, 200, 91];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A message in so many frames, with a ping between them.
fn message(payload: &[u8], is_compressed: bool, frames: usize) -> Vec<u8> {
    let payload = if is_compressed { compress(payload) } else { payload.to_owned() };
    let mut sent = Vec::new();
    for index in 0..frames {
        let part = &payload[payload.len() * index / frames..payload.len() * (index + 1) / frames];
        let mut first = if index == 0 { 1 | if is_compressed { 0x40 } else { 0 } } else { 0 };
        if index + 1 == frames {
            first |= 0x80;
        }
        if index > 0 {
            sent.extend(frame(0x89, b"between"));
        }
        sent.extend(frame(first, part));
    }
    sent
}

proptest! {
    #[test]
    fn the_socket_reads_what_was_said(
        messages in proptest::collection::vec(("[ab ]{0,300}", any::<bool>(), 1..4_usize), 0..6),
        piece in 1..200_usize,
    ) {
        let sent: Vec<u8> = messages.iter().flat_map(|(text, is_compressed, frames)| message(text.as_bytes(), *is_compressed, *frames)).collect();
        let (read, end) = read(&sent, piece);
        prop_assert!(is_end(&end), "{}", end);
        let texts: Vec<&str> = read.iter().filter(|read| read.is_text()).map(|read| read.to_text().unwrap()).collect();
        prop_assert_eq!(texts, messages.iter().map(|(text, ..)| text.as_str()).collect::<Vec<_>>());
        let pings = read.iter().filter(|read| read.is_ping()).count();
        prop_assert_eq!(pings, messages.iter().map(|(_, _, frames)| frames - 1).sum::<usize>());
    }

    #[test]
    fn whatever_comes_costs_no_more_than_two_messages(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), piece in 1..200_usize) {
        // The interesting frames are rare among noise.
        let bytes = [frame(0x41, &bytes), bytes].concat();
        let (messages, _) = read(&bytes, piece);
        prop_assert!(messages.iter().all(|message| message.len() <= MOST));
    }
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 7692, section 7.2.3: one block; two fragments; a stored block; one with BFINAL; two blocks.
    let hello: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let fragments = [frame(0x41, &hello[..3]), frame(0x80, &hello[3..])].concat();
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let is_last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    for sent in
        [frame(0xc1, &hello), fragments, frame(0xc1, &stored), frame(0xc1, &is_last), frame(0xc1, &two)]
    {
        let (messages, end) = read(&sent, 1);
        assert_eq!((messages, is_end(&end)), (vec![Message::text("Hello")], true));
    }
    let (messages, _) = read(&frame(0xc2, &[0x00]), 1);
    assert_eq!(messages, [Message::binary(Vec::new())], "an empty message (section 7.2.3.6)");
}

#[test]
fn a_message_of_the_largest_size_is_read_and_one_byte_more_is_too_much() {
    let (messages, end) = read(&message(&[b'a'; MOST], true, 1), 1_000);
    assert!(is_end(&end) && messages[0].len() == MOST, "{end}");
    for sent in [
        message(&[b'a'; MOST + 1], true, 1),
        message(&[b'a'; 1_000 * MOST], true, 3),
        // Blocks of nothing, without end.
        frame(0x41, &[0, 0, 0, 0xff, 0xff].repeat(MOST)),
    ] {
        let (messages, error) = read(&sent, 1_000);
        assert!(messages.iter().all(|message| message.is_ping()), "{messages:?}");
        assert!(matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })), "{error}");
    }
}

#[test]
fn breaches_are_breaches() {
    let hello = compress(b"Hello");
    let unmasked = [&[0xc1, hello.len() as u8], hello.as_slice()].concat();
    for (what, sent) in [
        ("no deflate", frame(0xc1, &[0xff; 20])),
        ("a message within a compressed one", [frame(0x41, &hello), frame(0x81, b"x")].concat()),
        ("a compressed one within a compressed one", [frame(0x41, &hello), frame(0xc1, &hello)].concat()),
        ("a compressed one within a plain one", [frame(0x01, b"x"), frame(0xc1, &hello)].concat()),
        ("a marked continuation", [frame(0x41, &hello), frame(0xc0, b"")].concat()),
        ("a marked continuation of a plain one", [frame(0x01, b"x"), frame(0xc0, &hello)].concat()),
        ("a continuation of nothing", frame(0xc0, &hello)),
        ("a marked ping", frame(0xc9, b"")),
        ("other reserved bits", frame(0xe1, &hello)),
        ("no mask", unmasked),
        ("an unknown code", frame(0xc3, &hello)),
    ] {
        let (messages, error) = read(&sent, 3);
        assert_eq!(messages, [], "{what}");
        let is_breach = matches!(error, Error::Protocol(_)) && !is_end(&error);
        assert!(is_breach, "{what}: {error}");
    }
}

#[tokio::test]
async fn without_an_agreement_nothing_is_touched() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let sent = message(b"Hello", true, 1);
    for most in [None, Some(MOST)] {
        let (mut theirs, ours) = tokio::io::duplex(100);
        theirs.write_all(&sent).await.unwrap();
        drop(theirs);
        let mut read = Vec::new();
        Inflate::new(ours, most).read_to_end(&mut read).await.unwrap();
        assert_eq!(read == sent, most.is_none());
    }
}
