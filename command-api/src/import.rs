//! Import of a conversation from elsewhere: an administrator's command.
//!
//! Ids are derived from the source's name and its own ids, so that the same import can be repeated at
//! any time and from anywhere; each room remembers per source how far it got.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use roomlog_domain::{Command, Context, ImportBatch, ImportItem, ImportKind, Rejection, command};
use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_schemas::{AccountId, MessageId, RoomId};
use roomlog_stores::sealing::aad;
use roomlog_web::described::natural_number;
use roomlog_web::{Position, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::http::described;
use crate::service::{DEADLINE, Service, generate_key, problem, rejected};
use crate::text;
use crate::writer::driver::clock_ms;
use crate::writer::request::{Outcome, Request};

pub const MAX_SOURCE_CHARS: usize = 100;
pub const MAX_LINES: usize = 2000;
/// Sealed text of one record, well below what a record may have.
const MAX_RECORD_TEXT: usize = 400 * 1024;
const MAX_RECORD_LINES: usize = 500;

/// One line of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Place in the source; rises within a room.
    #[schema(schema_with = natural_number)]
    pub line: u64,
    /// Unique in the source.
    pub id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    pub kind: LineKind,
    pub author: String,
    /// Of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The id of an earlier message of the same room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Of a rename: the new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    Message,
    Join,
    Leave,
    Rename,
}

/// Lines of one room in the order of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    #[schema(schema_with = described::room_path)]
    pub room: String,
    #[schema(max_items = 2000)]
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportAnswer {
    #[schema(value_type = uuid::Uuid)]
    pub room_id: RoomId,
    /// Lines taken in by this request.
    pub imported: u64,
    /// Lines that the room had already.
    pub already: u64,
    /// Lines left out, or taken in without their reply link.
    pub problems: Vec<LineProblem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineProblem {
    pub line: u64,
    pub code: String,
    pub title: String,
}

/// What the platform knows to exist already, so that it need not be ensured for every batch.
#[derive(Default)]
struct Known {
    accounts: HashSet<AccountId>,
    rooms: HashMap<String, RoomId>,
}

/// Past this many the cache starts again: it only saves work.
const MAX_KNOWN: usize = 200_000;

#[derive(Clone)]
pub struct Importer {
    service: Service,
    known: Arc<Mutex<Known>>,
}

impl Importer {
    pub fn new(service: Service) -> Self {
        Self { service, known: Arc::default() }
    }

    /// The account that an author of a source becomes.
    pub fn account_id(&self, source: &str, author: &str) -> AccountId {
        self.service.id_key.account(&name(&["import", source, "author", author]))
    }

    /// The line that a room got to, `None` before the first.
    pub async fn progress(&self, source: &str, path: &str) -> Result<Option<u64>, Problem> {
        check_source(source)?;
        let room = self.room_id(source, &segments(path)?);
        let partition = self.service.writers.partition_of(Topic::Rooms, room.slot());
        Ok(self.service.writers.imported(partition, room, source.to_owned()).await)
    }

    pub async fn import(&self, source: &str, request: ImportRequest) -> Result<ImportAnswer, Problem> {
        check_source(source)?;
        if request.lines.len() > MAX_LINES {
            return Err(Problem::unprocessable("too_many_lines", "At most 2000 lines at once.", "lines"));
        }
        if !request.lines.is_sorted_by(|a, b| a.line < b.line) {
            return Err(rejected(Rejection::ImportOutOfOrder));
        }
        let room_id = self.ensure_room(source, &request.room).await?;
        let partition = self.service.writers.partition_of(Topic::Rooms, room_id.slot());
        let done = self.service.writers.imported(partition, room_id, source.to_owned()).await;
        let mut problems = Vec::new();
        let mut lines = Vec::with_capacity(request.lines.len());
        let mut already = 0;
        for line in request.lines {
            if done.is_some_and(|done| line.line <= done) {
                already += 1;
            } else if let Err(problem) = check_line(&line) {
                problems.push(LineProblem { line: line.line, code: problem.code, title: problem.title });
            } else {
                lines.push(line);
            }
        }
        let mut names: Vec<&str> = lines.iter().map(|line| line.author.as_str()).collect();
        names.extend(lines.iter().filter_map(|line| line.to.as_deref()));
        self.ensure_accounts(source, &names).await?;
        let mut answer = ImportAnswer { room_id, imported: 0, already, problems, position: None };
        let items = self.seal_lines(source, room_id, lines).await?;
        for items in records_of(items) {
            self.import_record(source, partition, room_id, items, &mut answer).await?;
        }
        Ok(answer)
    }

    /// One command of the batch.
    async fn import_record(
        &self,
        source: &str,
        partition: TopicPartition,
        room_id: RoomId,
        mut items: Vec<ImportItem>,
        answer: &mut ImportAnswer,
    ) -> Result<(), Problem> {
        let replies: Vec<MessageId> = items.iter().filter_map(replied).collect();
        let known_messages = self.service.rooms.known_messages(room_id, &replies).await?;
        let mut context = Context { known_messages };
        for attempt in 0..2 {
            let batch = ImportBatch { room_id, source: source.to_owned(), items: items.clone() };
            let outcome = self.run(partition, Command::Import(Box::new(batch)), context.clone()).await;
            match outcome {
                // The state knows the last messages, the store those of some moments ago: look again
                // when the store has caught up, and let go of links that lead nowhere.
                Outcome::Rejected(Rejection::ReplyNotFound) if attempt == 0 => {
                    context.known_messages =
                        self.service.known_messages(partition, room_id, &replies).await?;
                    drop_unknown_replies(&mut items, &context.known_messages, &mut answer.problems);
                }
                Outcome::Accepted { answer: accepted, offset } => {
                    answer.imported += u64::from(accepted.imported);
                    answer.position = Some(Position { partition, offset });
                    return Ok(());
                }
                Outcome::Unchanged { offset, .. } => {
                    answer.already += items.len() as u64;
                    answer.position = Some(Position { partition, offset });
                    return Ok(());
                }
                outcome => return Err(problem(&outcome, generate_key())),
            }
        }
        Err(rejected(Rejection::ReplyNotFound))
    }

    async fn seal_lines(
        &self,
        source: &str,
        room_id: RoomId,
        lines: Vec<Line>,
    ) -> Result<Vec<ImportItem>, Problem> {
        let owners: Vec<_> =
            lines.iter().map(|line| (self.account_id(source, &line.author), room_id)).collect();
        let keys = self.service.sealer.message_keys(&owners).await?;
        let mut items = Vec::with_capacity(lines.len());
        for ((line, (account_id, _)), key) in lines.into_iter().zip(owners).zip(keys) {
            let kind = match line.kind {
                LineKind::Join => ImportKind::Join,
                LineKind::Leave => ImportKind::Leave,
                LineKind::Rename => {
                    ImportKind::Rename { to: self.account_id(source, line.to.as_deref().unwrap_or_default()) }
                }
                LineKind::Message => {
                    let message_id = self.message_id(source, room_id, &line.id);
                    let aad = aad::message_text(room_id, message_id);
                    let text = line.text.unwrap_or_default();
                    let Some(key) = key else { continue };
                    ImportKind::Message {
                        message_id,
                        text: key.seal(&aad, text.as_bytes()),
                        reply_to: line.reply_to.map(|id| self.message_id(source, room_id, &id)),
                    }
                }
            };
            let time_ms = (line.time.unix_timestamp_nanos() / 1_000_000) as i64;
            items.push(ImportItem { position: line.line, source_id: line.id, time_ms, account_id, kind });
        }
        Ok(items)
    }

    fn message_id(&self, source: &str, room: RoomId, id: &str) -> MessageId {
        let importer = self.account_id(source, "");
        self.service.id_key.message(importer, &name(&["import", source, "message", id]), 0, room)
    }

    fn room_id(&self, source: &str, path: &[&str]) -> RoomId {
        let importer = self.account_id(source, "");
        let key = |depth: usize| name(&[&["import", source, "room"], &path[..=depth]].concat());
        let mut room = self.service.id_key.root_room(importer, &key(0));
        for depth in 1..path.len() {
            room = self.service.id_key.sub_room(importer, &key(depth), room);
        }
        room
    }

    /// The room of a path, with every room above it.
    async fn ensure_room(&self, source: &str, path: &str) -> Result<RoomId, Problem> {
        let segments = segments(path)?;
        let cached = format!("{source}\0{path}");
        if let Some(room) = self.lock().rooms.get(&cached) {
            return Ok(*room);
        }
        self.ensure_accounts(source, &[""]).await?;
        let mut parent_id = None;
        for depth in 0..segments.len() {
            let room_id = self.room_id(source, &segments[..=depth]);
            self.service.sealer.create_room_keys(&[room_id]).await?;
            let key = self.service.sealer.room_key(room_id).await?;
            let create = command::CreateRoom {
                room_id,
                parent_id,
                kind: Default::default(),
                access: Default::default(),
                history: Default::default(),
                name: key.seal(&aad::room_name(room_id), segments[depth].as_bytes()),
                creator_id: self.account_id(source, ""),
                source: Some(source.to_owned()),
            };
            let partition = self.service.writers.partition_of(Topic::Rooms, room_id.slot());
            accepted(self.run(partition, Command::CreateRoom(create), Context::default()).await)?;
            parent_id = Some(room_id);
        }
        let room_id = parent_id.ok_or_else(invalid_path)?;
        self.lock().rooms.insert(cached, room_id);
        Ok(room_id)
    }

    /// Accounts without a password for all of these names; the source itself is the empty name.
    async fn ensure_accounts(&self, source: &str, names: &[&str]) -> Result<(), Problem> {
        let mut missing: BTreeMap<AccountId, &str> =
            names.iter().map(|author| (self.account_id(source, author), *author)).collect();
        missing.retain(|id, _| !self.lock().accounts.contains(id));
        if missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<AccountId> = missing.keys().copied().collect();
        self.service.sealer.create_account_keys(&ids).await?;
        let mut by_partition: HashMap<TopicPartition, Vec<_>> = HashMap::new();
        for (id, author) in missing {
            let key = self.service.sealer.account_key(id).await?;
            let shown = if author.is_empty() { source } else { author };
            let sealed = key.seal(&aad::display_name(id), shown.as_bytes());
            let partition = self.service.writers.partition_of(Topic::Accounts, id.slot());
            by_partition.entry(partition).or_default().push((id, sealed));
        }
        for (partition, accounts) in by_partition {
            for accounts in accounts.chunks(MAX_RECORD_LINES) {
                let source = source.to_owned();
                let import = command::ImportAccounts { source, accounts: accounts.to_vec() };
                let command = Command::ImportAccounts(import);
                accepted(self.run(partition, command, Context::default()).await)?;
            }
        }
        let mut known = self.lock();
        if known.accounts.len() > MAX_KNOWN {
            known.accounts.clear();
        }
        known.accounts.extend(ids);
        Ok(())
    }

    async fn run(&self, partition: TopicPartition, command: Command, context: Context) -> Outcome {
        let deadline = clock_ms() + DEADLINE.as_millis() as i64;
        let request = Request { actor: None, key: None, command, context, deadline, traceparent: None };
        self.service.writers.run(partition, request).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().expect("no holder panics")
    }
}

fn accepted(outcome: Outcome) -> Result<(), Problem> {
    match outcome {
        Outcome::Accepted { .. } | Outcome::Unchanged { .. } => Ok(()),
        outcome => Err(problem(&outcome, generate_key())),
    }
}

fn replied(item: &ImportItem) -> Option<MessageId> {
    match &item.kind {
        ImportKind::Message { reply_to, .. } => *reply_to,
        _ => None,
    }
}

fn drop_unknown_replies(items: &mut [ImportItem], known: &[MessageId], problems: &mut Vec<LineProblem>) {
    let mut known: HashSet<MessageId> = known.iter().copied().collect();
    for item in items {
        if let ImportKind::Message { message_id, reply_to, .. } = &mut item.kind {
            if reply_to.is_some_and(|reply_to| !known.contains(&reply_to)) {
                *reply_to = None;
                problems.push(LineProblem {
                    line: item.position,
                    code: Rejection::ReplyNotFound.code().to_owned(),
                    title: "Taken in without its reply link: that message is not in this room.".to_owned(),
                });
            }
            known.insert(*message_id);
        }
    }
}

/// Cuts lines into records that stay within their limit.
fn records_of(items: Vec<ImportItem>) -> Vec<Vec<ImportItem>> {
    let mut records: Vec<Vec<ImportItem>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = match &item.kind {
            ImportKind::Message { text, .. } => text.len(),
            _ => 0,
        };
        match records.last_mut() {
            Some(record) if record.len() < MAX_RECORD_LINES && bytes + size <= MAX_RECORD_TEXT => {
                bytes += size;
                record.push(item);
            }
            _ => {
                bytes = size;
                records.push(vec![item]);
            }
        }
    }
    records
}

/// Names put together so that no two lists give the same bytes.
fn name(parts: &[&str]) -> Vec<u8> {
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    name
}

fn segments(path: &str) -> Result<Vec<&str>, Problem> {
    let segments: Vec<&str> = path.split('/').collect();
    if segments.iter().any(|segment| text::check_room_name(segment).is_err()) {
        return Err(invalid_path());
    }
    Ok(segments)
}

fn invalid_path() -> Problem {
    Problem::unprocessable("invalid_room_path", "A room's path is names with `/` between them.", "room")
}

pub fn check_source(source: &str) -> Result<(), Problem> {
    let chars = source.chars().count();
    if chars == 0 || chars > MAX_SOURCE_CHARS || source.chars().any(char::is_control) {
        return Err(Problem::unprocessable(
            "invalid_source",
            "A source's name has 1 to 100 characters and no control characters.",
            "source",
        ));
    }
    Ok(())
}

fn check_line(line: &Line) -> Result<(), Problem> {
    let bad = |code: &str, title: &str, field: &str| Err(Problem::unprocessable(code, title, field));
    if i64::try_from(line.line).is_err() {
        return bad("invalid_line", "A line's number is at most 2^63 - 1.", "line");
    }
    if line.author.is_empty() || line.author.chars().count() > text::MAX_NAME_CHARS {
        return bad("invalid_author", "An author's name has 1 to 100 characters.", "author");
    }
    if line.id.is_empty() || line.id.len() > 200 {
        return bad("invalid_id", "A line's id has 1 to 200 bytes.", "id");
    }
    match (line.kind, &line.text, &line.to) {
        (LineKind::Message, None, _) => bad("text_missing", "A message has a text.", "text"),
        (LineKind::Message, Some(text), _) if text.len() > text::MAX_MESSAGE_LEN => {
            bad("text_too_long", "A message has at most 64 KiB of text.", "text")
        }
        (LineKind::Rename, _, None) => bad("to_missing", "A rename has a new name.", "to"),
        (LineKind::Rename, _, Some(to)) if to.is_empty() || to.chars().count() > text::MAX_NAME_CHARS => {
            bad("invalid_to", "An author's name has 1 to 100 characters.", "to")
        }
        _ => Ok(()),
    }
}
