//! `roomlog import FILE`: loads a conversation through the public API, batch by batch. It may be
//! interrupted and repeated at any time: each room knows how far it got.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, StatusCode};
use roomlog_command_api::import::{ImportAnswer, ImportRequest, Line, LineKind, LineProblem};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::config::Config;
use crate::files;

const BATCH_LINES: usize = 1000;
const BATCH_TEXT: usize = 1024 * 1024;
/// Longer lines are reported and left out.
const MAX_LINE: usize = 4 * 1024 * 1024;
/// How long a batch is tried again while the platform does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
const SHOWN_PROBLEMS: usize = 50;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON lines, plain or gzipped.
    file: PathBuf,
    /// Name under which the rooms remember this source; by default the file's name.
    #[arg(long)]
    source: Option<String>,
    /// The platform.
    #[arg(long, env = "ROOMLOG_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// File of the administrator's token; by default the data folder's.
    #[arg(long)]
    token_file: Option<PathBuf>,
}

/// A line of the file.
#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    room: String,
    kind: LineKind,
    author: String,
    text: Option<String>,
    reply_to: Option<String>,
    to: Option<String>,
}

pub async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let token_file = args.token_file.clone().unwrap_or_else(|| config.administrator_token_file());
    let source = match &args.source {
        Some(source) => source.clone(),
        None => source_name(&args.file)?,
    };
    let import = Import {
        client: Client::builder().timeout(Duration::from_secs(60)).build()?,
        url: format!("{}/v1/imports/{}", args.url.trim_end_matches('/'), encode_segment(&source)),
        token: files::read_administrator_token(&token_file)?,
        rooms: BTreeMap::new(),
        problems: Vec::new(),
    };
    let summary = import.run(&args.file).await?;
    if summary > 0 {
        bail!("{summary} lines could not be taken in as they are; everything else was");
    }
    Ok(())
}

struct Import {
    client: Client,
    url: String,
    token: String,
    rooms: BTreeMap<String, Room>,
    problems: Vec<LineProblem>,
}

#[derive(Default)]
struct Room {
    /// The last line that the platform has.
    done: Option<u64>,
    waiting: Vec<Line>,
    bytes: usize,
    imported: u64,
    already: u64,
}

impl Import {
    /// The number of bad lines.
    async fn run(mut self, file: &Path) -> anyhow::Result<usize> {
        let (mut lines, bar) = open(file)?;
        let mut number = 0;
        while let Some(line) = lines.next_line()? {
            number += 1;
            bar.set_position(lines.position());
            let record = match line {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => serde_json::from_str::<Record>(&text).map_err(|error| error.to_string()),
                Err(reason) => Err(reason),
            };
            match record {
                Err(title) => {
                    self.report(&bar, LineProblem { line: number, code: "unreadable".into(), title })
                }
                Ok(record) => self.take(&bar, number, record).await?,
            }
        }
        let rooms: Vec<String> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.flush(&bar, &room).await?;
        }
        bar.finish_and_clear();
        println!("{:<40} {:>10} {:>10}", "room", "imported", "already");
        for (path, room) in &self.rooms {
            println!("{path:<40} {:>10} {:>10}", room.imported, room.already);
        }
        if self.problems.len() > SHOWN_PROBLEMS {
            println!("… and {} more lines with problems", self.problems.len() - SHOWN_PROBLEMS);
        }
        Ok(self.problems.len())
    }

    async fn take(&mut self, bar: &ProgressBar, line: u64, record: Record) -> anyhow::Result<()> {
        let path = record.room.clone();
        if !self.rooms.contains_key(&path) {
            let done = self.progress(&path).await?;
            self.rooms.insert(path.clone(), Room { done, ..Room::default() });
        }
        let Some(room) = self.rooms.get_mut(&path) else { return Ok(()) };
        if room.done.is_some_and(|done| line <= done) {
            room.already += 1;
            return Ok(());
        }
        room.bytes += record.text.as_ref().map_or(0, String::len);
        room.waiting.push(Line {
            line,
            id: record.id,
            time: record.time,
            kind: record.kind,
            author: record.author,
            text: record.text,
            reply_to: record.reply_to,
            to: record.to,
        });
        if room.waiting.len() >= BATCH_LINES || room.bytes >= BATCH_TEXT {
            self.flush(bar, &path).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, bar: &ProgressBar, path: &str) -> anyhow::Result<()> {
        let Some(room) = self.rooms.get_mut(path) else { return Ok(()) };
        let lines = std::mem::take(&mut room.waiting);
        room.bytes = 0;
        if lines.is_empty() {
            return Ok(());
        }
        let count = lines.len() as u64;
        let request = ImportRequest { room: path.to_owned(), lines };
        let result = self.send(&request).await;
        let answer = match result {
            Ok(answer) => answer,
            // What is wrong with the whole batch (a room's path) is wrong with each of its lines.
            Err(Failure::Refused(title)) => {
                for line in &request.lines {
                    let problem =
                        LineProblem { line: line.line, code: "refused".into(), title: title.clone() };
                    self.report(bar, problem);
                }
                return Ok(());
            }
            Err(Failure::Broken(error)) => return Err(error),
        };
        for problem in answer.problems {
            self.report(bar, problem);
        }
        if let Some(room) = self.rooms.get_mut(path) {
            room.imported += answer.imported;
            room.already += answer.already;
            bar.set_message(format!("{path}: {} lines", room.imported + room.already));
        }
        debug_assert!(answer.imported + answer.already <= count);
        Ok(())
    }

    fn report(&mut self, bar: &ProgressBar, problem: LineProblem) {
        if self.problems.len() < SHOWN_PROBLEMS {
            bar.suspend(|| eprintln!("line {}: {} ({})", problem.line, problem.title, problem.code));
        }
        self.problems.push(problem);
    }

    /// Repeats the batch until it is answered: repeating is harmless.
    async fn send(&self, request: &ImportRequest) -> Result<ImportAnswer, Failure> {
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(200);
        loop {
            let sent = self
                .client
                .post(format!("{}/lines", self.url))
                .bearer_auth(&self.token)
                .json(request)
                .send()
                .await;
            let failed = match sent {
                Ok(response) if response.status().is_success() => {
                    return response.json().await.map_err(|error| Failure::Broken(error.into()));
                }
                Ok(response) => {
                    let status = response.status();
                    let text = response.text().await.unwrap_or_default();
                    match status {
                        StatusCode::UNPROCESSABLE_ENTITY => return Err(Failure::Refused(text)),
                        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {}
                        _ => {
                            return Err(Failure::Broken(anyhow::anyhow!(
                                "the platform answered {status}: {text}"
                            )));
                        }
                    }
                    anyhow::anyhow!("the platform answered {status}: {text}")
                }
                Err(error) => error.into(),
            };
            if tokio::time::Instant::now() >= until {
                return Err(Failure::Broken(failed));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    async fn progress(&self, room: &str) -> anyhow::Result<Option<u64>> {
        let response = self
            .client
            .get(format!("{}/progress", self.url))
            .query(&[("room", room)])
            .bearer_auth(&self.token)
            .send()
            .await
            .context("the platform does not answer")?;
        match response.status() {
            StatusCode::OK => {
                let progress: HashMap<String, Option<u64>> = response.json().await?;
                Ok(progress.get("line").copied().flatten())
            }
            // The batch itself will be refused, line by line.
            StatusCode::UNPROCESSABLE_ENTITY => Ok(None),
            status => bail!("the platform answered {status}: {}", response.text().await.unwrap_or_default()),
        }
    }
}

enum Failure {
    /// This batch will never be taken.
    Refused(String),
    Broken(anyhow::Error),
}

/// Lines of a file, with their place in it.
struct Lines {
    reader: Box<dyn BufRead>,
    position: std::rc::Rc<std::cell::Cell<u64>>,
}

struct Counted<R> {
    inner: R,
    position: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.position.set(self.position.get() + n as u64);
        Ok(n)
    }
}

impl Lines {
    fn position(&self) -> u64 {
        self.position.get()
    }

    /// `None` at the end; `Some(Err)` for a line that is no text.
    fn next_line(&mut self) -> anyhow::Result<Option<Result<String, String>>> {
        let mut bytes = Vec::new();
        if self.reader.read_until(b'\n', &mut bytes).context("the file cannot be read on")? == 0 {
            return Ok(None);
        }
        if bytes.len() > MAX_LINE {
            return Ok(Some(Err("the line is longer than 4 MiB".into())));
        }
        Ok(Some(String::from_utf8(bytes).map_err(|_| "the line is not UTF-8".into())))
    }
}

fn open(path: &Path) -> anyhow::Result<(Lines, ProgressBar)> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let length = file.metadata()?.len();
    let position = std::rc::Rc::new(std::cell::Cell::new(0));
    let mut counted = BufReader::new(Counted { inner: file, position: position.clone() });
    let gzipped = counted.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn BufRead> =
        if gzipped { Box::new(BufReader::new(MultiGzDecoder::new(counted))) } else { Box::new(counted) };
    let style = ProgressStyle::with_template("[{bar:30}] {percent}% {elapsed} {msg}")?.progress_chars("=> ");
    Ok((Lines { reader, position }, ProgressBar::new(length).with_style(style)))
}

/// The file's name without `.jsonl` and `.gz`.
fn source_name(path: &Path) -> anyhow::Result<String> {
    let name =
        path.file_name().and_then(|name| name.to_str()).context("the file has no name: use --source")?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    Ok(name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned())
}

/// For a path: everything but letters, digits and `-._~` is escaped (RFC 3986).
fn encode_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
