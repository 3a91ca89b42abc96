//! What queries show, when nothing is under way.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use uuid::Uuid;

use super::rest::id;
use super::socket::event;
use super::{Crowd, Shared};
use crate::chaos::history::{Body, Message, RoomView, Seq, View};

/// Projections may have much to catch up with.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);
const PAGE: &str = "200";

/// Reads every room as its creator, and every account's list of rooms. `positions` have to be reflected.
pub async fn view(crowd: &Crowd, name: &str, positions: &[String]) -> Result<View> {
    let mut view = View { name: name.to_owned(), ..View::default() };
    for client in &crowd.clients {
        client.log_in(&crowd.shared).await?;
        let reader = Reader { shared: &crowd.shared, token: client.token(), positions };
        for room in crowd.shared.rooms.iter().filter(|room| room.creator == client.account) {
            view.rooms.insert(room.id, reader.room(room.id).await?);
        }
        let items = reader.pages("/v1/rooms").await?;
        let rooms = items.iter().map(|item| id(item, "room_id")).collect::<Result<_>>()?;
        view.rooms_of.insert(client.account, rooms);
    }
    Ok(view)
}

/// Whether queries on both projections are answered, `positions` reflected: as every creator, for their rooms.
pub async fn reads(crowd: &Crowd, positions: &[String]) -> Result<()> {
    for room in &crowd.shared.rooms {
        let creator = crowd.clients.iter().find(|client| client.account == room.creator);
        let client = creator.context("a room without a creator")?;
        // Whatever its client does with the token meanwhile.
        let token = crowd.shared.rest.log_in(&crowd.shared.targets, &client.name).await?;
        let reader = Reader { shared: &crowd.shared, token, positions };
        reader.pages("/v1/rooms").await?;
        reader.get(&format!("/v1/rooms/{}/messages", room.id), &[limit()]).await?;
    }
    Ok(())
}

struct Reader<'a> {
    shared: &'a Shared,
    token: String,
    positions: &'a [String],
}

impl Reader<'_> {
    async fn room(&self, room: Uuid) -> Result<RoomView> {
        let path = format!("/v1/rooms/{room}");
        let about = self.get(&path, &[]).await?;
        let mut members = BTreeMap::new();
        for item in self.pages(&format!("{path}/members")).await? {
            members.insert(id(&item, "account_id")?, item["joined_seq"].as_u64().unwrap_or(0));
        }
        Ok(RoomView {
            last_seq: about["last_seq"].as_u64().unwrap_or(0),
            member_count: about["member_count"].as_u64().unwrap_or(0),
            members,
            events: self.events(&path).await?,
            messages: self.messages(&path).await?,
        })
    }

    async fn events(&self, path: &str) -> Result<Vec<(Seq, Body)>> {
        let mut all = Vec::new();
        let mut from = 1;
        loop {
            let page =
                self.get(&format!("{path}/events"), &[limit(), ("from_seq", from.to_string())]).await?;
            for item in items(&page)? {
                match item["seq"].as_u64() {
                    Some(seq) => all.push((seq, event(&item["event"])?)),
                    None if item["hidden"].is_object() => {
                        all.push((item["hidden"]["from"].as_u64().unwrap_or(0), Body::Hidden));
                    }
                    None => all.push((item["gap"]["from"].as_u64().unwrap_or(0), Body::Gap)),
                }
            }
            if page["has_more"] != true {
                return Ok(all);
            }
            from = page["next_from_seq"].as_u64().context("no next page")?;
        }
    }

    async fn messages(&self, path: &str) -> Result<Vec<Message>> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page =
                self.get(&format!("{path}/messages"), &[limit(), ("after_seq", after.to_string())]).await?;
            for item in items(&page)? {
                all.push(Message {
                    seq: item["seq"].as_u64().unwrap_or(0),
                    id: id(item, "message_id")?,
                    author: id(item, "author_id")?,
                    text: item["text"].as_str().unwrap_or_default().to_owned(),
                });
            }
            if page["has_more"] != true {
                return Ok(all);
            }
            after = page["next_after_seq"].as_u64().context("no next page")?;
        }
    }

    async fn pages(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut parameters = vec![limit()];
            parameters.extend(cursor.iter().map(|cursor| ("cursor", cursor.clone())));
            let page = self.get(path, &parameters).await?;
            all.extend(items(&page)?.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
    }

    async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Value> {
        let mut all = vec![("wait_ms", "10000".to_owned())];
        all.extend(parameters.iter().cloned());
        all.extend(self.positions.iter().map(|position| ("min_position", position.clone())));
        let began = tokio::time::Instant::now();
        for turn in 0.. {
            let instance = &self.shared.targets.queries[turn % self.shared.targets.queries.len()];
            if let Some(answer) = self.shared.rest.query(instance, &self.token, path, &all).await? {
                return Ok(answer);
            }
            if began.elapsed() > PATIENCE {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{path} has no answer that reflects {:?}", self.positions)
    }
}

fn limit() -> (&'static str, String) {
    ("limit", PAGE.to_owned())
}

fn items(page: &Value) -> Result<&Vec<Value>> {
    page["items"].as_array().with_context(|| format!("a page without items: {page}"))
}
