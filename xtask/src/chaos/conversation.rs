//! A conversation from elsewhere: taken in through `roomlog import` before anything goes wrong, and read back when all
//! is over by the account of the source itself, which owns its rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::client::{Reader, Rest, Targets, id};
use super::history::{Conversation, Entry, Happening, Kind, Line, Log, Said, ShownRoom};
use super::world::World;
use crate::platform::Role;

const SOURCE: &str = "conversation";
/// The source's own account, once somebody has taken it over.
const NAME: &str = "archivist";
/// Names that are asked for at a time.
const AT_A_TIME: usize = 16;
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// A line of the file, as `docs/IMPORT.md` has it.
#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    room: String,
    kind: Kind,
    author: String,
    text: Option<String>,
    reply_to: Option<String>,
    to: Option<String>,
}

/// What was imported, and by whom it is read.
pub struct Imported {
    lines: Vec<Line>,
    owner: Uuid,
    /// Those of the lines and those above them, by path.
    rooms: BTreeMap<String, Uuid>,
}

impl Imported {
    /// Loads a file, or a small one that is made up. Nothing may go wrong meanwhile.
    pub async fn import(file: Option<&Path>, world: &World, rest: &Rest, targets: &Targets) -> Result<Self> {
        let file = match file {
            Some(file) => file.canonicalize().with_context(|| format!("there is no {}", file.display()))?,
            None => made_up(world.folder())?,
        };
        let lines = read(&file)?;
        let with_lines: BTreeSet<&str> = lines.iter().map(|line| line.room.as_str()).collect();
        let above = with_lines.iter().flat_map(|path| paths(path).filter(move |above| above != path));
        for above in above {
            ensure!(!with_lines.contains(above), "{above} has lines, and so has a room below it");
        }
        let token_file = world.platform.administrator_token_file();
        let process = world.platform.processes().iter().find(|process| process.has(Role::CommandApi));
        let process = process.context("no command-api")?;
        let output = process
            .operators_command()
            .arg("import")
            .arg(&file)
            .args(["--source", SOURCE, "--url", &format!("http://{}", process.address()), "--token-file"])
            .arg(token_file)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!("`roomlog import`: {}", String::from_utf8_lossy(&output.stderr));
        }
        let administrator = world.platform.administrator_token()?;
        let owner = rest.take_over(targets, &administrator, SOURCE, "", NAME).await?;
        let mut imported = Self { lines, owner, rooms: BTreeMap::new() };
        imported.rooms = imported.find_rooms(rest, targets).await?;
        Ok(imported)
    }

    /// Nobody else has anything to do with the rooms: they are checked by themselves.
    pub fn leave_out(&self, log: &mut Log) {
        let rooms: BTreeSet<Uuid> = self.rooms.values().copied().collect();
        log.records.retain(|record| !record.events.iter().any(|event| rooms.contains(&event.room)));
    }

    /// What queries show of it.
    pub async fn read_back(
        &self,
        rest: &Rest,
        targets: &Targets,
        positions: &[String],
    ) -> Result<Conversation> {
        let token = rest.log_in(targets, NAME).await?;
        let reader = Reader { rest, targets, token: &token, positions };
        let mut shown = BTreeMap::new();
        for (path, room) in &self.rooms {
            let about = format!("/v1/rooms/{room}");
            let events = reader.timeline(&about).await?.iter().map(entry).collect::<Result<_>>()?;
            let messages = reader.history(&about).await?.iter().map(said).collect::<Result<_>>()?;
            shown.insert(path.clone(), ShownRoom { events, messages });
        }
        let accounts: BTreeSet<Uuid> =
            shown.values().flat_map(|room: &ShownRoom| &room.events).flat_map(Entry::accounts).collect();
        let names = futures::stream::iter(accounts)
            .map(|account| name(&reader, account))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(Conversation { lines: self.lines.clone(), owner: self.owner, shown, names })
    }

    /// As soon as all are known to the queries.
    async fn find_rooms(&self, rest: &Rest, targets: &Targets) -> Result<BTreeMap<String, Uuid>> {
        let expected: BTreeSet<&str> = self.lines.iter().flat_map(|line| paths(&line.room)).collect();
        let token = rest.log_in(targets, NAME).await?;
        let reader = Reader { rest, targets, token: &token, positions: &[] };
        let began = tokio::time::Instant::now();
        loop {
            let rooms = paths_of(&reader.pages("/v1/rooms").await?)?;
            if expected.iter().all(|path| rooms.contains_key(*path)) {
                return Ok(rooms);
            }
            ensure!(began.elapsed() < PATIENCE, "of the rooms {expected:?} there are {:?}", rooms.keys());
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn name(reader: &Reader<'_>, account: Uuid) -> Result<(Uuid, String)> {
    let about = reader.get(&format!("/v1/accounts/{account}"), &[]).await?;
    let name = about["display_name"].as_str().with_context(|| format!("{account} has no name"))?;
    Ok((account, name.to_owned()))
}

/// A room's path, and those above it.
fn paths(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}

fn paths_of(rooms: &[Value]) -> Result<BTreeMap<String, Uuid>> {
    let by_id: BTreeMap<&str, &Value> =
        rooms.iter().filter_map(|room| Some((room["room_id"].as_str()?, room))).collect();
    rooms
        .iter()
        .map(|room| {
            let mut path = room["name"].as_str().unwrap_or_default().to_owned();
            let mut above = room["parent_id"].as_str();
            while let Some(parent) = above.and_then(|parent| by_id.get(parent)) {
                path = format!("{}/{path}", parent["name"].as_str().unwrap_or_default());
                above = parent["parent_id"].as_str();
            }
            Ok((path, id(room, "room_id")?))
        })
        .collect()
}

fn read(file: &Path) -> Result<Vec<Line>> {
    let mut bytes = BufReader::new(File::open(file)?);
    let is_compressed = bytes.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let text: Box<dyn BufRead> =
        if is_compressed { Box::new(BufReader::new(MultiGzDecoder::new(bytes))) } else { Box::new(bytes) };
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let record: Record =
            serde_json::from_str(&line?).with_context(|| format!("{}, line {number}", file.display()))?;
        let Record { id, time, room, kind, author, text, reply_to, to } = record;
        let time_ms = (time.unix_timestamp_nanos() / 1_000_000) as i64;
        lines.push(Line { id, time_ms, room, kind, author, text, reply_to, to });
    }
    Ok(lines)
}

fn entry(item: &Value) -> Result<Entry> {
    let seq = item["seq"].as_u64().with_context(|| format!("its owner does not see {item}"))?;
    let event = &item["event"];
    let happening = match event["type"].as_str().unwrap_or_default() {
        "room_created" => Happening::Created { by: id(event, "creator_id")? },
        "member_joined" => Happening::Joined { account: id(event, "account_id")? },
        "member_left" => Happening::Left { account: id(event, "account_id")? },
        "message_sent" => {
            Happening::Said { message: id(event, "message_id")?, author: id(event, "author_id")? }
        }
        "import_noted" => Happening::Noted {
            account: id(event, "account_id")?,
            kind: serde_json::from_value(event["noted"].clone())?,
            to: event["renamed_to"].as_str().map(str::parse).transpose()?,
            time_ms: time_ms(&event["sent_at"])?,
        },
        other => bail!("an event `{other}`"),
    };
    Ok(Entry { seq, happening })
}

fn said(item: &Value) -> Result<Said> {
    Ok(Said {
        seq: item["seq"].as_u64().unwrap_or(0),
        message: id(item, "message_id")?,
        author: id(item, "author_id")?,
        source_id: item["source_id"].as_str().unwrap_or_default().to_owned(),
        text: item["text"].as_str().map(str::to_owned),
        reply_to: item["reply_to"].as_str().map(str::parse).transpose()?,
        time_ms: time_ms(&item["sent_at"])?,
    })
}

fn time_ms(value: &Value) -> Result<i64> {
    let time = OffsetDateTime::parse(value.as_str().unwrap_or_default(), &Rfc3339)?;
    Ok((time.unix_timestamp_nanos() / 1_000_000) as i64)
}

/// Two rooms below one, in which some talk, come, go, answer and change their names, and often speak without having
/// come.
fn made_up(folder: &Path) -> Result<PathBuf> {
    const LINES: u64 = 600;
    const PEOPLE: [&str; 5] = ["ann", "ben", "Ann", "c d", "Ωμέγα"];
    let path = folder.join("conversation.jsonl");
    let mut file = File::create(&path)?;
    let time =
        |number: u64| (OffsetDateTime::UNIX_EPOCH + Duration::from_millis(1_250 * number)).format(&Rfc3339);
    for number in 0..LINES {
        let room = if number % 7 == 3 { "town/market" } else { "town/hall" };
        let author = PEOPLE[(number % 5) as usize];
        let mut line =
            json!({"id": format!("m:{number}"), "time": time(number)?, "room": room, "author": author});
        match number % 23 {
            11 => line["kind"] = "join".into(),
            17 => line["kind"] = "leave".into(),
            21 => {
                line["kind"] = "rename".into();
                line["to"] = format!("{author} {number}").into();
            }
            _ => {
                line["kind"] = "message".into();
                line["text"] = format!(" line {number}: \u{1}\"ñ\" \u{1f642}\n").into();
                // A message of the same room, a round of both cycles before.
                let earlier = number.checked_sub(7 * 23).filter(|_| number % 3 == 0);
                if let Some(earlier) = earlier {
                    line["reply_to"] = format!("m:{earlier}").into();
                }
            }
        }
        writeln!(file, "{line}")?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_has_every_kind_and_answers_within_a_room() {
        let folder = tempfile::tempdir().unwrap();
        let lines = read(&made_up(folder.path()).unwrap()).unwrap();
        for kind in [Kind::Message, Kind::Join, Kind::Leave, Kind::Rename] {
            assert!(lines.iter().any(|line| line.kind == kind), "{kind:?}");
        }
        let mut answers = 0;
        for (number, line) in lines.iter().enumerate() {
            let Some(to) = &line.reply_to else { continue };
            let earlier = lines[..number].iter().find(|earlier| earlier.id == *to).unwrap();
            assert_eq!((earlier.kind, &earlier.room), (Kind::Message, &line.room));
            answers += 1;
        }
        assert!(answers > 100);
    }

    #[test]
    fn rooms_are_found_by_their_paths() {
        let [a, b] = [1, 2].map(Uuid::from_u128);
        let rooms =
            [json!({"room_id": b, "parent_id": a, "name": "hall"}), json!({"room_id": a, "name": "town"})];
        let found = paths_of(&rooms).unwrap();
        assert_eq!(found, BTreeMap::from([("town".to_owned(), a), ("town/hall".to_owned(), b)]));
        assert_eq!(paths("a/b/c").collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    }
}
