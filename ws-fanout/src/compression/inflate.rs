//! What a client compressed, made plain before the WebSocket, which knows no extensions, reads it.

mod frames;
mod message;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::frames::Frames;

/// Bytes that are read at a time; they lie on the stack.
const READ: usize = 1024;

/// Writing goes straight through. So does reading, unless compression was agreed upon.
pub(crate) struct Inflate<T> {
    io: T,
    frames: Option<Box<Frames>>,
}

impl<T> Inflate<T> {
    /// With `max_message`, the client may compress its messages; one that is longer is too large for the WebSocket as well.
    pub fn new(io: T, max_message: Option<usize>) -> Self {
        Self { io, frames: max_message.map(|most| Box::new(Frames::new(most))) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Inflate<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, frames } = &mut *self;
        let Some(frames) = frames else { return Pin::new(io).poll_read(cx, buffer) };
        while !frames.serve(buffer) {
            let mut bytes = [0; READ];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                break;
            }
            frames.take(read.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Inflate<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "inflate_tests.rs"]
mod tests;
