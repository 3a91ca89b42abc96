//! The two requests that the bare broadcast understands.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// The body is this part of what was received, and the request's end.
    Message {
        room: usize,
        body: Range<usize>,
    },
    Stream {
        room: usize,
        accept_key: String,
    },
}

const MAX_HEADERS: usize = 32;
const MAX_REQUEST: usize = 64 * 1024;
const READ: usize = 2 * 1024;

/// The next request of the connection, `None` at its end. `received` keeps what has come; whoever uses a request takes
/// it away.
pub async fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<Option<Request>> {
    loop {
        if let Some(request) = parse(received)? {
            return Ok(Some(request));
        }
        ensure!(received.len() < MAX_REQUEST, "the request is too long");
        received.reserve(READ);
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

pub async fn answer(stream: &mut TcpStream, json: &str) -> Result<()> {
    let length = json.len();
    let answer = format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
    );
    Ok(stream.write_all(answer.as_bytes()).await?)
}

pub async fn upgrade(stream: &mut TcpStream, accept_key: &str) -> Result<()> {
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-protocol: roomlog.v1\r\nsec-websocket-accept: {accept_key}\r\n\r\n"
    );
    Ok(stream.write_all(answer.as_bytes()).await?)
}

/// `None` until all of the request is there.
fn parse(received: &[u8]) -> Result<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(received)? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let path = request.path.unwrap_or_default();
    if path == "/v1/stream" {
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let room = token.context("no token")?.parse()?;
        let accept_key = derive_accept_key(header("sec-websocket-key").context("no key")?.as_bytes());
        return Ok(Some(Request::Stream { room, accept_key }));
    }
    let room = path.strip_prefix("/v1/rooms/").and_then(|rest| rest.strip_suffix("/messages"));
    let Some(room) = room else { bail!("there is nothing at {path}") };
    let length: usize = header("content-length").context("no content-length")?.parse()?;
    let body = head..head + length;
    let is_whole = received.len() >= body.end;
    Ok(is_whole.then_some(Request::Message { room: room.parse()?, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_it_is_whole() {
        let request = b"POST /v1/rooms/7/messages HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}and more";
        let whole = request.len() - "and more".len();
        for part in 0..whole {
            assert_eq!(parse(&request[..part]).unwrap(), None);
        }
        let expected = Request::Message { room: 7, body: whole - 2..whole };
        assert_eq!(parse(request).unwrap(), Some(expected));
    }

    #[test]
    fn a_stream_is_of_the_room_that_its_token_names() {
        // The key and its answer are the example of RFC 6455, 1.3.
        let request = b"GET /v1/stream HTTP/1.1\r\nAuthorization: Bearer 3\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let expected = Request::Stream { room: 3, accept_key: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned() };
        assert_eq!(parse(request).unwrap(), Some(expected));
        assert!(parse(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
