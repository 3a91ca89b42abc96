//! The accounts, rooms and memberships of a workload.

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::api::{self, Api};
use super::{Plan, Target};

pub struct Stage {
    pub rooms: Vec<Room>,
}

pub struct Room {
    pub id: String,
    /// Access tokens of the members.
    pub members: Vec<String>,
}

/// Enough to keep a server's password hashing busy, few enough not to be refused.
const REGISTRATIONS_AT_ONCE: usize = 8;
const ROOMS_AT_ONCE: usize = 8;

pub async fn prepare(plan: &Plan) -> Result<Stage> {
    if plan.target == Target::Broadcast {
        return Ok(without_accounts(plan));
    }
    let workload = &plan.workload;
    eprintln!("  preparing {} accounts and {} rooms", workload.accounts(), workload.rooms);
    let tokens: Vec<String> = stream::iter(0..workload.accounts())
        .map(|number| register(plan, number))
        .buffered(REGISTRATIONS_AT_ONCE)
        .try_collect()
        .await?;
    let rooms = stream::iter(tokens.chunks(workload.accounts_per_room))
        .map(|members| create_room(plan, members))
        .buffered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Stage { rooms })
}

fn without_accounts(plan: &Plan) -> Stage {
    let room = |number: usize| Room { id: number.to_string(), members: vec![number.to_string()] };
    Stage { rooms: (0..plan.workload.rooms).map(room).collect() }
}

/// Answers an access token.
async fn register(plan: &Plan, number: usize) -> Result<String> {
    const PASSWORD: &str = "correct horse battery staple";
    let username = format!("bench-{number}");
    let mut api = Api::new(plan.address);
    let account =
        json!({ "email": format!("{username}@example.org"), "username": username, "password": PASSWORD });
    api.command("POST", "/v1/accounts", None, &account).await?;
    let log_in = json!({ "login": username, "password": PASSWORD });
    api::text(&api.command("POST", "/v1/sessions", None, &log_in).await?, "access_token")
}

async fn create_room(plan: &Plan, members: &[String]) -> Result<Room> {
    let mut api = Api::new(plan.address);
    let mut id = String::new();
    for (position, token) in members.iter().enumerate() {
        if position == 0 {
            let room = api.command("POST", "/v1/rooms", Some(token), &json!({ "name": "Benchmark" })).await?;
            id = api::text(&room, "room_id")?;
        } else {
            let path = format!("/v1/rooms/{id}/members/me");
            api.command("PUT", &path, Some(token), &Value::Null).await?;
        }
    }
    Ok(Room { id, members: members.to_vec() })
}
