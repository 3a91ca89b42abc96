//! Gathers what is written between two flushes, so that several frames go out in one write and
//! nothing is kept in between.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The WebSocket's own buffer would stay as large as it has ever been.
pub(super) struct Gather<T> {
    io: T,
    buffer: Vec<u8>,
    /// Of the buffer.
    written: usize,
    limit: usize,
}

impl<T> Gather<T> {
    /// Writes once `limit` bytes are there, flush or no flush.
    pub fn new(io: T, limit: usize) -> Self {
        Self { io, buffer: Vec::new(), written: 0, limit }
    }
}

impl<T: AsyncWrite + Unpin> Gather<T> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.buffer[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.buffer = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.buffer.len() + bytes.len() > self.limit {
            ready!(self.poll_drain(cx))?;
            if bytes.len() > self.limit {
                return Pin::new(&mut self.io).poll_write(cx, bytes);
            }
        }
        self.buffer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn nothing_is_written_before_a_flush_and_all_of_it_after() {
        let (ours, mut theirs) = duplex(1_000);
        let mut gather = Gather::new(ours, 10);
        gather.write_all(b"123").await.unwrap();
        gather.write_all(b"4567").await.unwrap();
        let mut bytes = [0; 100];
        assert!(futures::poll!(std::pin::pin!(theirs.read(&mut bytes))).is_pending());
        gather.flush().await.unwrap();
        assert_eq!(theirs.read(&mut bytes).await.unwrap(), 7);
        assert_eq!(gather.buffer.capacity(), 0);
    }

    #[tokio::test]
    async fn order_is_kept_whatever_the_sizes_and_however_little_is_taken() {
        let (ours, mut theirs) = duplex(7);
        let mut gather = Gather::new(ours, 10);
        let expected: Vec<u8> = (0..200).collect();
        let parts = expected.clone();
        let writer = tokio::spawn(async move {
            for part in parts.chunk_by(|a, b| !b.is_multiple_of(1 + a / 8)) {
                gather.write_all(part).await.unwrap();
            }
            gather.shutdown().await.unwrap();
        });
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).await.unwrap();
        writer.await.unwrap();
        assert_eq!(bytes, expected);
    }
}
