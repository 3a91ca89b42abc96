//! What is there before the first request: without rooms and messages every answer would be 404.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::load::api::{Api, text};

pub const LOGIN: &str = "ada";
pub const PASSWORD: &str = "correct horse battery";

/// Log-ins that may be ended, one by each request that finds one.
const SESSIONS: usize = 12;
const MESSAGES: usize = 5;

/// Makes it, and leaves the names of what is there in files for `schemathesis.toml`.
pub async fn set(address: SocketAddr, administrator: &str, folder: &Path) -> Result<()> {
    let mut api = Api::new(address);
    let account = json!({"email": "ada@example.org", "username": LOGIN, "password": PASSWORD});
    let account = api.command("POST", "/v1/accounts", None, &account).await?;
    let mut sessions = Vec::new();
    let mut token = String::new();
    for _ in 0..SESSIONS {
        let log_in = json!({"login": LOGIN, "password": PASSWORD});
        let session = api.command("POST", "/v1/sessions", None, &log_in).await?;
        token = text(&session, "access_token")?;
        sessions.push(text(&session, "session_id")?);
    }
    let token = Some(token.as_str());

    let room = api.command("POST", "/v1/rooms", token, &json!({"name": "Lounge"})).await?;
    let room_id = text(&room, "room_id")?;
    let sub_room = json!({"name": "Corner", "parent_id": room_id, "history": "from_join"});
    let sub_room = api.command("POST", "/v1/rooms", token, &sub_room).await?;
    let mut messages = Vec::new();
    for number in 0..MESSAGES {
        let mut message = json!({"text": format!("message {number}")});
        if let Some(last) = messages.last() {
            message["reply_to"] = Value::String(String::clone(last));
        }
        let sent = api.command("POST", &format!("/v1/rooms/{room_id}/messages"), token, &message).await?;
        messages.push(text(&sent, "message_id")?);
    }

    let mut roles = Vec::new();
    for (name, rank) in [("Helper", 30), ("Singer", 5)] {
        let role = json!({"name": name, "rank": rank, "permissions": ["message.send"]});
        let role = api.command("POST", &format!("/v1/rooms/{room_id}/roles"), token, &role).await?;
        roles.push(text(&role, "role_id")?);
    }

    let line = |line: u32, kind: &str, more: Value| {
        let mut line = json!({"line": line, "id": line.to_string(), "kind": kind, "author": "bob", "time": "2004-07-05T12:00:00Z"});
        line.as_object_mut()
            .into_iter()
            .for_each(|line| line.extend(more.as_object().cloned().unwrap_or_default()));
        line
    };
    let lines = [line(1, "message", json!({"text": "hello"})), line(2, "rename", json!({"to": "robert"}))];
    let import = json!({"room": "ubuntu/support", "lines": lines});
    api.command("POST", "/v1/imports/irc/lines", Some(administrator), &import).await?;
    let code = json!({"author": "bob"});
    let code = api.command("POST", "/v1/imports/irc/claim-codes", Some(administrator), &code).await?;

    let rooms = [room_id, text(&sub_room, "room_id")?];
    let accounts = [text(&account, "account_id")?, text(&code, "account_id")?];
    for (name, values) in [
        ("rooms", &rooms[..]),
        ("messages", &messages),
        ("accounts", &accounts),
        ("roles", &roles),
        ("sessions", &sessions),
        ("sources", &["irc".to_owned()]),
        ("paths", &["ubuntu/support".to_owned()]),
    ] {
        let lines: String = values.iter().map(|value| format!("{value:?}\n")).collect();
        std::fs::write(folder.join(format!("{name}.txt")), lines)?;
    }
    Ok(())
}
