//! One compressed message.

use flate2::{Decompress, FlushDecompress, Status};

/// Bytes that a compressed message may have more than the plain one: what deflate adds to noise.
const ALLOWANCE: usize = 1024;
/// Plain bytes that are made at a time.
const STEP: usize = 4 * 1024;

/// Why a message cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    TooLarge,
    Data,
}

pub(super) struct Message {
    /// Text or binary.
    pub code: u8,
    pub plain: Vec<u8>,
    reader: Decompress,
    /// Compressed bytes so far.
    taken: usize,
    /// Of the plain message, in bytes.
    most: usize,
}

impl Message {
    pub fn new(code: u8, most: usize) -> Self {
        Self { code, plain: Vec::new(), reader: Decompress::new(false), taken: 0, most }
    }

    /// Holds at most about twice what a message may have, whatever the bytes promise.
    pub fn inflate(&mut self, mut compressed: &[u8]) -> Result<(), Bad> {
        self.taken = self.taken.saturating_add(compressed.len());
        if self.taken > self.most.saturating_add(ALLOWANCE) {
            return Err(Bad::TooLarge);
        }
        loop {
            self.plain.reserve(STEP);
            let (read, made) = (self.reader.total_in(), self.plain.len());
            let status = self
                .reader
                .decompress_vec(compressed, &mut self.plain, FlushDecompress::Sync)
                .map_err(|_| Bad::Data)?;
            let read = (self.reader.total_in() - read) as usize;
            compressed = &compressed[read..];
            if self.plain.len() > self.most {
                return Err(Bad::TooLarge);
            }
            if status == Status::StreamEnd {
                // A block that says it is the last one; another may follow (section 7.2.3.5).
                self.reader.reset(false);
            }
            let has_room = self.plain.len() < self.plain.capacity();
            if compressed.is_empty() && has_room {
                return Ok(());
            }
            if read == 0 && self.plain.len() == made && status != Status::StreamEnd {
                return Err(Bad::Data);
            }
        }
    }
}
