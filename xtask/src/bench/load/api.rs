//! The REST calls of the set-up and of the look at the end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use uuid::Uuid;

use super::http::Connection;
use super::request;

pub struct Api {
    address: SocketAddr,
    connection: Option<Connection>,
}

/// A server that has just started may have to find its partitions first, and one with many registrations at once
/// refuses some.
const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

impl Api {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Gives one command, again and again under one key while the server says that it may work later. `body` may be
    /// null.
    pub async fn command(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<Value> {
        let head = request::head(method, path, self.address, token);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let key = Uuid::now_v7();
        let length = body.len();
        let request = format!(
            "{head}\r\nidempotency-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.until_answered(&format!("{method} {path}"), &request).await
    }

    /// Waits for the answer of a query, even if the server cannot give it yet.
    pub async fn query(&mut self, path: &str, token: &str) -> Result<Value> {
        let head = request::head("GET", path, self.address, Some(token));
        self.until_answered(path, &format!("{head}\r\n\r\n")).await
    }

    async fn until_answered(&mut self, what: &str, request: &str) -> Result<Value> {
        let started = Instant::now();
        loop {
            let may_wait = started.elapsed() < DEADLINE;
            match self.exchange(request).await {
                Ok((200 | 201, body)) => return Ok(body),
                Ok((429 | 503, _)) if may_wait => {}
                Ok((status, body)) => bail!("{what} was answered with {status}: {body}"),
                // The process may be about to start again; a command that it has had is a repeat.
                Err(_) if may_wait => {}
                Err(error) => return Err(error.context(what.to_owned())),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn exchange(&mut self, request: &str) -> Result<(u16, Value)> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let response = connection.exchange(request.as_bytes()).await?;
        let answer = (response.status, serde_json::from_slice(response.body)?);
        let is_last = response.is_last;
        self.connection = (!is_last).then_some(connection);
        Ok(answer)
    }
}

/// A member of an answer that has to be there.
pub fn text(answer: &Value, name: &str) -> Result<String> {
    let text = answer[name].as_str().with_context(|| format!("an answer without `{name}`: {answer}"))?;
    Ok(text.to_owned())
}
