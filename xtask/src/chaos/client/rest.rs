//! The REST calls, one attempt each.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Instance, Targets};
use crate::chaos::history::{Answer, Outcome, Wanted};

/// The platform's own deadline is 10 s; a process that is paused answers when it goes on.
const TIMEOUT: Duration = Duration::from_secs(15);
/// For everything that is only preparation: a server that has just started may still refuse.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

const PASSWORD: &str = "correct horse battery";

#[derive(Clone)]
pub struct Rest {
    http: Client,
}

impl Rest {
    pub fn new() -> Result<Self> {
        Ok(Self { http: Client::builder().timeout(TIMEOUT).no_proxy().build()? })
    }

    /// Registers an account and logs it in; its id and an access token.
    pub async fn account(&self, targets: &Targets, name: &str) -> Result<(Uuid, String)> {
        let body = json!({"email": format!("{name}@example.org"), "username": name, "password": PASSWORD});
        let key = Uuid::now_v7();
        let registered = self
            .until_answered(targets, Method::POST, "/v1/accounts", |request| {
                request.header("idempotency-key", key.to_string()).json(&body)
            })
            .await?;
        Ok((id(&registered, "account_id")?, self.log_in(targets, name).await?))
    }

    /// Takes over the account that an author of an import became, under this name. Its id.
    pub async fn take_over(
        &self,
        targets: &Targets,
        administrator: &str,
        source: &str,
        author: &str,
        name: &str,
    ) -> Result<Uuid> {
        let path = format!("/v1/imports/{source}/claim-codes");
        let body = json!({ "author": author });
        let code = self
            .until_answered(targets, Method::POST, &path, |request| {
                request.bearer_auth(administrator).json(&body)
            })
            .await?;
        let account = id(&code, "account_id")?;
        let body = json!({
            "claim_code": code["claim_code"],
            "email": format!("{name}@example.org"),
            "username": name,
            "password": PASSWORD
        });
        let key = Uuid::now_v7();
        self.until_answered(targets, Method::POST, &format!("/v1/accounts/{account}/claim"), |request| {
            request.header("idempotency-key", key.to_string()).json(&body)
        })
        .await?;
        Ok(account)
    }

    pub async fn log_in(&self, targets: &Targets, name: &str) -> Result<String> {
        let body = json!({"login": name, "password": PASSWORD});
        let session =
            self.until_answered(targets, Method::POST, "/v1/sessions", |request| request.json(&body)).await?;
        Ok(session["access_token"].as_str().context("a session without a token")?.to_owned())
    }

    /// A room that has to be there before anything goes wrong.
    pub async fn room(&self, targets: &Targets, token: &str, key: Uuid, body: &Value) -> Result<Answer> {
        let answer = self
            .until_answered(targets, Method::POST, "/v1/rooms", |request| {
                request.bearer_auth(token).header("idempotency-key", key.to_string()).json(body)
            })
            .await?;
        understand(&answer).context("an answer without its fields")
    }

    async fn until_answered(
        &self,
        targets: &Targets,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value> {
        let began = tokio::time::Instant::now();
        for turn in 0.. {
            let instance = &targets.commands[turn % targets.commands.len()];
            let url = format!("http://{}{path}", instance.address);
            let said = match with(self.http.request(method.clone(), url)).send().await {
                Ok(response) => {
                    let status = response.status();
                    let body = response.json().await.unwrap_or(Value::Null);
                    match status.as_u16() {
                        200 | 201 => return Ok(body),
                        429 | 500.. => body.to_string(),
                        _ => bail!("{path} was answered with {status}: {body}"),
                    }
                }
                Err(error) => error.to_string(),
            };
            if began.elapsed() > PATIENCE {
                bail!("{path} has no answer: {said}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{path} was not asked for")
    }

    /// Gives a command once. `Err` says that the token does for it no more.
    pub async fn attempt(
        &self,
        instance: &Instance,
        token: &str,
        key: Uuid,
        wanted: &Wanted,
    ) -> Result<Outcome, Outcome> {
        let (method, path, body) = match wanted {
            Wanted::Create => return Ok(Outcome::Rejected("rooms are made before".to_owned())),
            Wanted::Join { room } => (Method::PUT, format!("/v1/rooms/{room}/members/me"), None),
            Wanted::Leave { room } => (Method::DELETE, format!("/v1/rooms/{room}/members/me"), None),
            Wanted::Send { room, text } => {
                (Method::POST, format!("/v1/rooms/{room}/messages"), Some(json!({ "text": text })))
            }
        };
        let mut request = self.http.request(method, format!("http://{}{path}", instance.address));
        request = request.bearer_auth(token).header("idempotency-key", key.to_string());
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Outcome::Unknown(kind(&error).to_owned())),
        };
        let status = response.status().as_u16();
        let body: Value = match response.json().await {
            Ok(body) => body,
            Err(error) => return Ok(Outcome::Unknown(kind(&error).to_owned())),
        };
        let code = body["code"].as_str().unwrap_or("no code").to_owned();
        Ok(match status {
            200 | 201 => understand(&body)
                .map_or(Outcome::Unknown("an answer without its fields".to_owned()), Outcome::Accepted),
            401 => return Err(Outcome::Unknown(code)),
            _ => refused(status, code),
        })
    }

    /// What stands at an address, as text.
    pub async fn text(&self, url: &str) -> Result<String> {
        Ok(self.http.get(url).send().await?.text().await?)
    }

    /// `GET`, once; `Ok(None)` where it may work later.
    pub async fn query(
        &self,
        instance: &Instance,
        token: &str,
        path: &str,
        parameters: &[(&str, String)],
    ) -> Result<Option<Value>> {
        let url = format!("http://{}{path}", instance.address);
        let Ok(response) = self.http.get(url).query(parameters).bearer_auth(token).send().await else {
            return Ok(None);
        };
        let status = response.status().as_u16();
        let Ok(body) = response.json::<Value>().await else { return Ok(None) };
        match status {
            200 => Ok(Some(body)),
            // The projections may not have the account or the room yet.
            401 | 404 | 429 | 500.. => Ok(None),
            _ => bail!("{path} was answered with {status}: {body}"),
        }
    }
}

/// What an answer other than an acceptance says about the command.
pub fn refused(status: u16, code: String) -> Outcome {
    // An expired key says that nobody knows any more.
    if status >= 500 || status == 429 || code == "key_expired" {
        Outcome::Unknown(code)
    } else {
        Outcome::Rejected(code)
    }
}

pub fn understand(body: &Value) -> Option<Answer> {
    let optional = |name: &str| body[name].as_str().and_then(|id| id.parse().ok());
    Some(Answer {
        seq: body["seq"].as_u64()?,
        room: optional("room_id"),
        message: optional("message_id"),
        position: body["position"].as_str()?.to_owned(),
    })
}

pub fn id(body: &Value, name: &str) -> Result<Uuid> {
    let text = body[name].as_str().with_context(|| format!("an answer without `{name}`: {body}"))?;
    Ok(text.parse()?)
}

/// Few enough to be counted.
fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "connection lost"
    }
}
