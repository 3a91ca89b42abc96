//! HTTP/1.1 on a connection that stays open: only what a benchmark needs, so that it costs little.

use std::net::SocketAddr;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::addresses;

/// One request at a time.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

pub struct Response<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// Whether this was the connection's last: proxies close one after some number of requests.
    pub is_last: bool,
}

/// An answer to a message is a few hundred bytes with its headers.
const FIRST_READ: usize = 4 * 1024;
const MAX_HEADERS: usize = 32;
/// No answer that is asked for here is larger.
const MAX_RESPONSE: usize = 1024 * 1024;

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = addresses::connect(address, 0).await?;
        Ok(Self { stream, received: Vec::with_capacity(FIRST_READ) })
    }

    /// Sends a whole request and waits for its answer. After an error the connection is of no use.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.stream.write_all(request).await.context("cannot send")?;
        self.received.clear();
        loop {
            self.received.reserve(FIRST_READ);
            if self.stream.read_buf(&mut self.received).await.context("cannot receive")? == 0 {
                bail!("the connection was closed");
            }
            if let Some(found) = parse(&self.received)? {
                ensure!(self.received.len() == found.body.end, "more came than was asked for");
                let Found { status, body, is_last } = found;
                return Ok(Response { status, body: &self.received[body], is_last });
            }
            ensure!(self.received.len() < MAX_RESPONSE, "the answer is too long");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    status: u16,
    body: Range<usize>,
    is_last: bool,
}

/// `None` until all of the response is there.
fn parse(received: &[u8]) -> Result<Option<Found>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(received).context("this is no HTTP")? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(header.value.trim_ascii())
    };
    let length = header("content-length").context("an answer without content-length")?;
    let length: usize = std::str::from_utf8(length)?.parse().context("no length of a body")?;
    let is_last = header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    let end = head + length;
    let status = response.code.context("an answer without status")?;
    Ok((received.len() >= end).then_some(Found { status, body: head..end, is_last }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_counts_once_it_is_whole() {
        let whole = b"HTTP/1.1 201 Created\r\ncontent-type: x\r\nContent-Length: 4\r\n\r\n{  }";
        for part in 0..whole.len() {
            assert_eq!(parse(&whole[..part]).unwrap(), None);
        }
        let found = parse(whole).unwrap().unwrap();
        assert_eq!((found.status, found.is_last, &whole[found.body]), (201, false, b"{  }".as_slice()));
    }

    #[test]
    fn a_last_response_is_known() {
        let last = b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 0\r\n\r\n";
        assert!(parse(last).unwrap().unwrap().is_last);
    }

    #[test]
    fn what_cannot_be_delimited_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"\0\0\0").is_err());
    }
}
