//! A client's bytes, frame by frame: those of a compressed message are held back until it can be handed on as one plain
//! frame; all others go through as they are, also what no client may send, for the WebSocket to object to.

use tokio::io::ReadBuf;

use super::super::TAIL;
use super::message::{Bad, Message};

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// In the first frame of a message: it is compressed.
const COMPRESSED: u8 = 0x40;
const CODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const CONTROL: u8 = 8;
const MASKED: u8 = 0x80;
/// A frame with all reserved bits set: the WebSocket takes it for the breach of protocol that it stands for.
const BREACH: [u8; 6] = [FINAL | RESERVED | 1, MASKED, 0, 0, 0, 0];

pub(super) struct Frames {
    /// Of a message, in bytes.
    most: usize,
    state: State,
    /// The compressed message under way.
    message: Option<Message>,
    /// For the WebSocket.
    out: Vec<u8>,
    served: usize,
}

enum State {
    Header {
        bytes: [u8; 14],
        len: usize,
    },
    /// So many bytes are none of ours.
    Plain(u64),
    Compressed {
        left: u64,
        mask: [u8; 4],
        /// Of the mask.
        at: usize,
        is_final: bool,
    },
    /// The WebSocket was told of a breach: nothing that comes is looked at.
    Deaf,
}

const NO_HEADER: State = State::Header { bytes: [0; 14], len: 0 };

impl Frames {
    pub fn new(most: usize) -> Self {
        Self { most, state: NO_HEADER, message: None, out: Vec::new(), served: 0 }
    }

    /// Fills the buffer with what there is; false if that is nothing.
    pub fn serve(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let waiting = &self.out[self.served..];
        if waiting.is_empty() {
            return false;
        }
        let len = waiting.len().min(buffer.remaining());
        buffer.put_slice(&waiting[..len]);
        self.served += len;
        if self.served == self.out.len() {
            // Nothing is kept for a quiet socket.
            self.out = Vec::new();
            self.served = 0;
        }
        true
    }

    /// Takes what has come from the client.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Header { .. } => self.header(bytes),
                State::Plain(left) => {
                    let (these, rest) = split(bytes, *left);
                    *left -= these.len() as u64;
                    if *left == 0 {
                        self.state = NO_HEADER;
                    }
                    self.out.extend_from_slice(these);
                    rest
                }
                State::Compressed { .. } => self.payload(bytes),
                State::Deaf => {
                    self.out.extend_from_slice(bytes);
                    &[]
                }
            };
        }
    }

    fn header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Header { bytes: header, len } = &mut self.state else { return bytes };
        let needed = header_len(&header[..*len]);
        let (these, rest) = split(bytes, (needed - *len) as u64);
        header[*len..*len + these.len()].copy_from_slice(these);
        *len += these.len();
        let header = &header[..*len];
        if header.len() >= 2 && header.len() == header_len(header) {
            let (header, len) = (header.to_owned(), payload_len(header));
            self.frame(&header, len);
        }
        rest
    }

    /// A frame begins.
    fn frame(&mut self, header: &[u8], left: u64) {
        let (first, is_masked) = (header[0], header[1] & MASKED != 0);
        let (code, reserved, is_final) = (first & CODE, first & RESERVED, first & FINAL != 0);
        let begins = code != CONTINUATION && code < CONTROL;
        if begins && self.message.is_some() {
            return self.breach();
        }
        if begins && reserved == COMPRESSED && is_masked {
            self.message = Some(Message::new(code, self.most));
        }
        let is_ours = match &self.message {
            Some(_) if begins => true,
            Some(_) => code == CONTINUATION && reserved == 0 && is_masked,
            None => false,
        };
        if !is_ours {
            self.out.extend_from_slice(header);
            self.state = if left == 0 { NO_HEADER } else { State::Plain(left) };
            return;
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&header[header.len() - 4..]);
        self.state = State::Compressed { left, mask, at: 0, is_final };
        if left == 0 {
            self.frame_ends(is_final);
        }
    }

    fn payload<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Compressed { left, mask, at, is_final } = &mut self.state else { return bytes };
        let (these, rest) = split(bytes, *left);
        let unmasked: Vec<u8> =
            these.iter().enumerate().map(|(index, byte)| byte ^ mask[(*at + index) % 4]).collect();
        *left -= these.len() as u64;
        *at = (*at + these.len()) % 4;
        let (ends, is_final) = (*left == 0, *is_final);
        if self.inflate(&unmasked) && ends {
            self.frame_ends(is_final);
        }
        rest
    }

    /// False if the message cannot be read.
    fn inflate(&mut self, compressed: &[u8]) -> bool {
        match self.message.as_mut().map_or(Ok(()), |message| message.inflate(compressed)) {
            Ok(()) => return true,
            Err(Bad::TooLarge) => self.too_large(),
            Err(Bad::Data) => self.breach(),
        }
        false
    }

    fn frame_ends(&mut self, is_final: bool) {
        self.state = NO_HEADER;
        if is_final
            && self.inflate(&TAIL)
            && let Some(message) = self.message.take()
        {
            self.plain(message.code, message.plain.len() as u64);
            self.out.extend_from_slice(&message.plain);
        }
    }

    /// The header of a whole message, masked with zeros.
    fn plain(&mut self, code: u8, len: u64) {
        self.out.extend_from_slice(&[FINAL | code, MASKED | 127]);
        self.out.extend_from_slice(&len.to_be_bytes());
        self.out.extend_from_slice(&[0; 4]);
    }

    fn breach(&mut self) {
        self.out.extend_from_slice(&BREACH);
        self.go_deaf();
    }

    fn too_large(&mut self) {
        self.plain(1, self.most as u64 + 1);
        self.go_deaf();
    }

    fn go_deaf(&mut self) {
        self.message = None;
        self.state = State::Deaf;
    }
}

/// The first `most` bytes, and the others.
fn split(bytes: &[u8], most: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len()))
}

/// Of the whole header, as far as what is known of it tells (RFC 6455, section 5.2).
fn header_len(header: &[u8]) -> usize {
    let &[_, second, ..] = header else { return 2 };
    let extended = match second & !MASKED {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & MASKED != 0 { 4 } else { 0 }
}

/// Of a whole header.
fn payload_len(header: &[u8]) -> u64 {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    match header[1] & !MASKED {
        126 => number(&header[2..4]),
        127 => number(&header[2..10]),
        len => u64::from(len),
    }
}
