//! The accounts, rooms and memberships of a workload.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::api::{self, Api};
use super::{Plan, Target, silent};

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
    let rooms = stream::iter(tokens.chunks(workload.accounts_per_room).enumerate())
        .map(|(number, members)| create_room(plan, number, members))
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
    let mut api = Api::new(plan.addresses.command(number));
    let account =
        json!({ "email": format!("{username}@example.org"), "username": username, "password": PASSWORD });
    api.command("POST", "/v1/accounts", None, &account).await?;
    let log_in = json!({ "login": username, "password": PASSWORD });
    api::text(&api.command("POST", "/v1/sessions", None, &log_in).await?, "access_token")
}

async fn create_room(plan: &Plan, number: usize, members: &[String]) -> Result<Room> {
    let mut api = Api::new(plan.addresses.command(number));
    let silent = plan.workload.silent_members_per_room;
    let mut id = None;
    if silent > 0 {
        id = Some(silent::import_room(&mut api, plan, number, silent).await?);
    }
    for token in members {
        match &id {
            None => {
                let named = json!({ "name": "Benchmark" });
                let room = api.command("POST", "/v1/rooms", Some(token), &named).await?;
                id = Some(api::text(&room, "room_id")?);
            }
            Some(id) => {
                let path = format!("/v1/rooms/{id}/members/me");
                api.command("PUT", &path, Some(token), &Value::Null).await?;
            }
        }
    }
    Ok(Room { id: id.context("a room without accounts")?, members: members.to_vec() })
}
