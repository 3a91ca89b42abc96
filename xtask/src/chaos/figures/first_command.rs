//! How long it takes until a new owner of a long partition decides its first command: with a snapshot of it,
//! with one that much has happened since, and without.
//!
//! The partition is filled while nobody runs. Then its owner is killed and started, time and again, and given a
//! command at once. A room of a partition with next to nothing gets one at the same moment: what that one takes as
//! well is start and lease, and the rest is the long partition's.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use roomlog_eventlog::TopicPartition;
use serde_json::json;
use tokio::runtime::{Handle, Runtime};
use uuid::Uuid;

use super::{CALM, ROUNDS};
use crate::chaos::client::{Instance, Rest, Targets};
use crate::chaos::history::{Outcome, Wanted};
use crate::chaos::world::{Profile, READY_DEADLINE, Servers, World, pause};
use crate::past::{Extent, Past};
use crate::platform::Role;
use crate::wait;

/// The partition that is filled, and one that stays as it is.
const LONG: u32 = 0;
const SHORT: u32 = 1;
/// Rooms of both are found by making some.
const ROOMS_MADE: usize = 64;
/// What happened since the snapshot, of what has to happen before the next.
const SINCE: f64 = 0.9;
/// A partition is replayed, projections catch up, or a snapshot is kept.
const DEADLINE: Duration = Duration::from_secs(900);
/// Between attempts while nobody answers.
const PAUSE: Duration = Duration::from_millis(2);

pub struct Partition {
    pub records: u64,
    pub days: f64,
}

/// One start of an owner.
#[derive(Debug, Clone, Copy, Default)]
struct Start {
    /// From its start, or the other's end, to the first acknowledgement in the long partition.
    long: f64,
    /// The same in the short one.
    short: f64,
    /// By its own words: of reading and proving the snapshot, and of reading on to the log's end.
    load: f64,
    replay: f64,
    records: f64,
}

struct Row {
    what: String,
    starts: Vec<Start>,
}

pub fn run(
    profile: Profile,
    partition: &Partition,
    roomlog: &std::path::Path,
    folder: &std::path::Path,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let handle = runtime.handle().clone();
    let _within = handle.enter();
    let servers = match profile {
        Profile::Embedded => None,
        Profile::Distributed => Some(Servers::start()?),
    };
    let every = (partition.records / 10).min(100_000);
    let objects = folder.join("objects");
    let settings = [
        ("ROOMLOG_OBJECTS".to_owned(), objects.to_string_lossy().into_owned()),
        ("ROOMLOG_SNAPSHOT_RECORDS".to_owned(), every.to_string()),
        // Balance would move partitions meanwhile.
        ("ROOMLOG_BALANCE_AFTER_MS".to_owned(), "3600000".to_owned()),
    ];
    let mut world = World::start(profile, roomlog, folder, servers, &settings)?;
    // The others have nothing to do with what is measured, but would read all of it.
    for process in world.platform.processes_mut() {
        process.terminate()?;
    }
    fill(&world, &handle, partition.records, partition.days)?;
    let mut stage = Stage::set(world, runtime, objects)?;
    let mut rows = stage.starts(every)?;
    if profile == Profile::Distributed {
        rows.push(stage.take_overs()?);
    }
    print(profile, partition, &rows);
    let Stage { world, runtime, .. } = stage;
    world.stop()?;
    runtime.shutdown_background();
    Ok(())
}

/// Nobody may run meanwhile.
fn fill(world: &World, runtime: &Handle, records: u64, days: f64) -> Result<()> {
    let partition = TopicPartition::rooms(LONG);
    let began = Instant::now();
    let log = world.log.open()?;
    let appended = runtime.block_on(async {
        let identity = log.identity().await?.context("a log without identity")?;
        let follower = log.follower(partition).await?;
        let to_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        let from_ms = (to_ms - (days * 86_400_000.0) as i64).max(follower.record_time_ms());
        let extent = Extent { records, from_ms, to_ms };
        log.append_all(partition, Past::behind(&follower, identity, extent)).await
    })?;
    eprintln!("{appended} records appended to {partition} in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

struct Stage {
    world: World,
    runtime: Runtime,
    objects: PathBuf,
    /// The process that owns everything.
    owner: String,
    rest: Rest,
    token: String,
    long: Uuid,
    short: Uuid,
}

impl Stage {
    /// Starts one owner, and finds a room in each of the two partitions.
    fn set(mut world: World, runtime: Runtime, objects: PathBuf) -> Result<Self> {
        let mut owners = world.platform.processes().iter().filter(|process| process.has(Role::CommandApi));
        let owner = owners.next().context("no command-api")?.name().to_owned();
        let process = world.platform.process(&owner)?;
        process.start_again()?;
        process.wait_until_ready(DEADLINE)?;
        let targets = targets(&mut world, &owner)?;
        let rest = Rest::new()?;
        let (token, long, short) = runtime.block_on(async {
            let (_, token) = rest.account(&targets, "first").await?;
            let (mut long, mut short) = (None, None);
            for number in 0..ROOMS_MADE {
                let body = json!({ "name": format!("Room {number}") });
                let answer = rest.room(&targets, &token, Uuid::now_v7(), &body).await?;
                match answer.position.split('-').next() {
                    Some(p) if p == format!("r{LONG}") => long = answer.room,
                    Some(p) if p == format!("r{SHORT}") => short = answer.room,
                    _ => {}
                }
                if let (Some(long), Some(short)) = (long, short) {
                    return anyhow::Ok((token, long, short));
                }
            }
            bail!("no rooms of both partitions among {ROOMS_MADE}");
        })?;
        Ok(Self { world, runtime, objects, owner, rest, token, long, short })
    }

    /// The owner is killed and started.
    fn starts(&mut self, every: u64) -> Result<Vec<Row>> {
        self.wait_for_projections()?;
        let mut rows = Vec::new();
        rows.push(self.repeat("without a snapshot", |stage| {
            let owner = stage.owner.clone();
            stage.world.platform.process(&owner)?.kill()?;
            match std::fs::remove_dir_all(&stage.objects) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => stage.start(),
            }
        })?);
        self.wait_for_snapshot()?;
        let restart = |stage: &mut Self| {
            let owner = stage.owner.clone();
            stage.world.platform.process(&owner)?.kill()?;
            stage.start()
        };
        rows.push(self.repeat("with a snapshot of just now", restart)?);
        let owner = self.owner.clone();
        self.world.platform.process(&owner)?.kill()?;
        let since = (every as f64 * SINCE) as u64;
        fill(&self.world, self.runtime.handle(), since, 0.0)?;
        self.start()?;
        self.wait_for_projections()?;
        rows.push(self.repeat(&format!("with one {since} records old"), restart)?);
        Ok(rows)
    }

    /// The owner is killed while another keeps the partition warm.
    fn take_overs(&mut self) -> Result<Row> {
        let of_role = |stage: &Self| -> Vec<String> {
            let all = stage.world.platform.processes().iter();
            all.filter(|process| process.has(Role::CommandApi)).map(|p| p.name().to_owned()).collect()
        };
        let names = of_role(self);
        self.repeat("another, which kept it warm", |stage| {
            let next =
                names.iter().find(|name| **name != stage.owner).context("no other command-api")?.clone();
            let before = stage.said(&next)?.len();
            let process = stage.world.platform.process(&next)?;
            if !process.is_running()? {
                process.start_again()?;
                process.wait_until_ready(READY_DEADLINE)?;
                wait::until("the partition to be read", DEADLINE, || {
                    Ok(Words::of(&stage.said(&next)?[before..]).replay.is_some())
                })?;
            }
            let owner = std::mem::replace(&mut stage.owner, next);
            stage.world.platform.process(&owner)?.kill()?;
            stage.first_acknowledgements(None)
        })
    }

    fn repeat(&mut self, what: &str, mut once: impl FnMut(&mut Self) -> Result<Start>) -> Result<Row> {
        let mut starts = Vec::new();
        for _ in 0..ROUNDS {
            // A claim that is younger than three seconds is left alone, whoever reads it.
            pause(CALM)?;
            // Tokens last minutes.
            let targets = targets(&mut self.world, &self.owner)?;
            self.token = self.runtime.block_on(self.rest.log_in(&targets, "first"))?;
            let start = once(self)?;
            eprintln!(
                "{what}: {:.2} s, {:.2} s where there is nothing to read; snapshot {:.2} s, {} records {:.2} s",
                start.long, start.short, start.load, start.records, start.replay
            );
            starts.push(start);
            let owner = self.owner.clone();
            self.world.platform.process(&owner)?.wait_until_ready(READY_DEADLINE)?;
        }
        Ok(Row { what: what.to_owned(), starts })
    }

    fn start(&mut self) -> Result<Start> {
        let owner = self.owner.clone();
        let before = self.said(&owner)?.len();
        let began = Instant::now();
        self.world.platform.process(&owner)?.start_again()?;
        self.first_acknowledgements(Some((before, began)))
    }

    /// From that moment, or from now; what the owner said since is looked at as well.
    fn first_acknowledgements(&mut self, since: Option<(usize, Instant)>) -> Result<Start> {
        let (before, began) = since.map_or((None, Instant::now()), |(before, began)| (Some(before), began));
        let address = self.world.platform.process(&self.owner)?.address();
        let instance = Instance { name: self.owner.clone(), address };
        let (long, short) = self.runtime.block_on(async {
            let first = |room| acknowledged(&self.rest, &instance, &self.token, room);
            let both =
                async { tokio::try_join!(timed(began, first(self.long)), timed(began, first(self.short))) };
            tokio::time::timeout(DEADLINE, both).await.context("no acknowledgement")?
        })?;
        let Some(before) = before else { return Ok(Start { long, short, ..Start::default() }) };
        let words = Words::of(&self.said(&self.owner)?[before..]);
        let (records, replay) = words.replay.context("the owner does not say how it read the log")?;
        Ok(Start { long, short, load: words.load.unwrap_or(0.0), replay, records })
    }

    fn said(&self, process: &str) -> Result<String> {
        let found = self.world.platform.processes().iter().find(|found| found.name() == process);
        Ok(std::fs::read_to_string(found.context("no such process")?.log_file())?)
    }

    /// Where they run in the same process, they would take its time.
    fn wait_for_projections(&mut self) -> Result<()> {
        if self.world.profile != Profile::Embedded {
            return Ok(());
        }
        let targets = targets(&mut self.world, &self.owner)?;
        let instance = targets.commands.first().context("no process")?;
        let Self { rest, token, long, .. } = self;
        self.runtime.block_on(async {
            let position = acknowledged(rest, instance, token, *long).await?;
            let path = format!("/v1/rooms/{long}/messages");
            let parameters = [("min_position", position), ("wait_ms", "10000".to_owned())];
            let seen = async {
                while rest.query(instance, token, &path, &parameters).await?.is_none() {
                    tokio::time::sleep(PAUSE).await;
                }
                anyhow::Ok(())
            };
            tokio::time::timeout(DEADLINE, seen).await.context("the projections do not catch up")?
        })
    }

    fn wait_for_snapshot(&self) -> Result<()> {
        let begins = format!("rooms-{LONG}.");
        wait::until("a snapshot to be kept", DEADLINE, || {
            let logs = std::fs::read_dir(self.objects.join("snapshots")).into_iter().flatten().flatten();
            let kept = logs.flat_map(|log| std::fs::read_dir(log.path()).into_iter().flatten().flatten());
            // One that is being written has another name until it is whole.
            let mut names = kept.map(|object| object.file_name().to_string_lossy().into_owned());
            Ok(names.any(|name| name.starts_with(&begins) && !name.contains('#')))
        })
    }
}

/// Straight to the process.
fn targets(world: &mut World, process: &str) -> Result<Targets> {
    let address = world.platform.process(process)?.address();
    let all = vec![Instance { name: process.to_owned(), address }];
    Ok(Targets { commands: all.clone(), queries: all.clone(), streams: all })
}

async fn timed<T>(began: Instant, what: impl Future<Output = Result<T>>) -> Result<f64> {
    what.await.map(|_| began.elapsed().as_secs_f64())
}

/// Sends until it is acknowledged. The message's position.
async fn acknowledged(rest: &Rest, instance: &Instance, token: &str, room: Uuid) -> Result<String> {
    let wanted = Wanted::Send { room, text: "first".to_owned() };
    let key = Uuid::now_v7();
    loop {
        match rest.attempt(instance, token, key, &wanted).await {
            Ok(Outcome::Accepted(answer)) => return Ok(answer.position),
            Ok(Outcome::Rejected(code)) => bail!("rejected: {code}"),
            Ok(Outcome::Unknown(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What a process says of the long partition as it starts.
#[derive(Debug, Default, PartialEq)]
struct Words {
    /// Seconds.
    load: Option<f64>,
    /// Records and seconds.
    replay: Option<(f64, f64)>,
}

impl Words {
    fn of(log: &str) -> Self {
        let mut words = Self::default();
        let partition = format!(" partition=rooms/{LONG} ");
        for line in log.lines().filter(|line| line.contains(&partition)) {
            if line.contains("starting from a snapshot") {
                words.load = field(line, "seconds");
            } else if line.contains("the log has been read to its end") {
                words.replay = field(line, "records").zip(field(line, "seconds"));
            }
        }
        words
    }
}

fn field(line: &str, name: &str) -> Option<f64> {
    let start = format!("{name}=");
    line.split_whitespace().find_map(|word| word.strip_prefix(&start)?.parse().ok())
}

fn print(profile: Profile, partition: &Partition, rows: &[Row]) {
    let Partition { records, days } = partition;
    println!(
        "\nfirst command of a new owner, {profile:?}, {records} records of {days} days, median of {ROUNDS}\n"
    );
    println!(
        "{:<32} {:>7} {:>7} {:>7} {:>9} {:>10} {:>8} {:>10}",
        "", "best s", "median", "worst", "baseline", "snapshot s", "replay s", "records/s"
    );
    for Row { what, starts } in rows {
        let sorted = |of: fn(&Start) -> f64| {
            let mut all: Vec<f64> = starts.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let median = |of| sorted(of)[starts.len() / 2];
        let long = sorted(|start| start.long);
        let replay = median(|start| start.replay);
        let rate = if replay > 0.0 { median(|start| start.records) / replay } else { 0.0 };
        println!(
            "{what:<32} {:>7.2} {:>7.2} {:>7.2} {:>9.2} {:>10.2} {replay:>8.2} {rate:>10.0}",
            long[0],
            long[long.len() / 2],
            long[long.len() - 1],
            median(|start| start.short),
            median(|start| start.load),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_how_it_started() {
        let log = "2026-11-30T20:00:00Z  INFO starting from a snapshot partition=rooms/0 next_offset=9 seconds=0.25\n\
                   2026-11-30T20:00:00Z  INFO the log has been read to its end partition=rooms/1 records=7 seconds=9.0\n\
                   2026-11-30T20:00:01Z  INFO the log has been read to its end partition=rooms/0 records=100 seconds=0.5\n";
        assert_eq!(Words::of(log), Words { load: Some(0.25), replay: Some((100.0, 0.5)) });
    }
}
