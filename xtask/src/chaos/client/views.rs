//! What queries show, when nothing is under way.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use uuid::Uuid;

use super::rest::id;
use super::socket::event;
use super::{Crowd, Rest, Shared, Targets};
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
        let token = client.token();
        let Shared { rest, targets, .. } = &*crowd.shared;
        let reader = Reader { rest, targets, token: &token, positions };
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
        let shared = &crowd.shared;
        let reader = Reader { rest: &shared.rest, targets: &shared.targets, token: &token, positions };
        reader.pages("/v1/rooms").await?;
        reader.get(&format!("/v1/rooms/{}/messages", room.id), &[limit()]).await?;
    }
    Ok(())
}

/// Asks whoever answers, as one account. `positions` have to be reflected.
pub struct Reader<'a> {
    pub rest: &'a Rest,
    pub targets: &'a Targets,
    pub token: &'a str,
    pub positions: &'a [String],
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
        let understand = |item: &Value| match item["seq"].as_u64() {
            Some(seq) => Ok((seq, event(&item["event"])?)),
            None if item["hidden"].is_object() => {
                Ok((item["hidden"]["from"].as_u64().unwrap_or(0), Body::Hidden))
            }
            None => Ok((item["gap"]["from"].as_u64().unwrap_or(0), Body::Gap)),
        };
        self.timeline(path).await?.iter().map(understand).collect()
    }

    /// Everything that happened in the room at this path, as it is shown.
    pub async fn timeline(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut from = 1;
        loop {
            let page =
                self.get(&format!("{path}/events"), &[limit(), ("from_seq", from.to_string())]).await?;
            all.extend(items(&page)?.iter().cloned());
            if page["has_more"] != true {
                return Ok(all);
            }
            from = page["next_from_seq"].as_u64().context("no next page")?;
        }
    }

    async fn messages(&self, path: &str) -> Result<Vec<Message>> {
        let understand = |item: &Value| {
            Ok(Message {
                seq: item["seq"].as_u64().unwrap_or(0),
                id: id(item, "message_id")?,
                author: id(item, "author_id")?,
                text: item["text"].as_str().unwrap_or_default().to_owned(),
            })
        };
        self.history(path).await?.iter().map(understand).collect()
    }

    /// Everything that was said in the room at this path, as it is shown.
    pub async fn history(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page =
                self.get(&format!("{path}/messages"), &[limit(), ("after_seq", after.to_string())]).await?;
            all.extend(items(&page)?.iter().cloned());
            if page["has_more"] != true {
                return Ok(all);
            }
            after = page["next_after_seq"].as_u64().context("no next page")?;
        }
    }

    pub async fn pages(&self, path: &str) -> Result<Vec<Value>> {
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

    pub async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Value> {
        let mut all = vec![("wait_ms", "10000".to_owned())];
        all.extend(parameters.iter().cloned());
        all.extend(self.positions.iter().map(|position| ("min_position", position.clone())));
        let began = tokio::time::Instant::now();
        for turn in 0.. {
            let instance = &self.targets.queries[turn % self.targets.queries.len()];
            if let Some(answer) = self.rest.query(instance, self.token, path, &all).await? {
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
