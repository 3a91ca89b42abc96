//! One run: the platform, its clients, the faults, and the histories that come of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::archive;
use super::carry::Means;
use super::check::{self, Invariant, Violation};
use super::client::{Account, Crowd, Phase, Rest, Room, Shared, Targets, view};
use super::clock;
use super::conversation::Imported;
use super::disk::Disk;
use super::fault::{Abilities, Fault, plan};
use super::history::{Attempt, Command, Conversation, History, Millis, Outcome, View, Wanted};
use super::recorder::Recorder;
use super::upgrade;
use super::world::{Profile, Servers, World, pause};
use crate::platform::Role;
use crate::wait;

/// Commands that have to be acknowledged between one fault and the next.
const PROGRESS: u64 = 80;
/// Once a fault is over things go on in seconds; a busy machine makes that a multiple.
const DEADLINE: Duration = Duration::from_secs(120);
const CLIENTS: usize = 8;
const ROOTS: usize = 3;

#[derive(Debug, Clone)]
pub struct Plan {
    pub profile: Profile,
    pub seed: u64,
    pub length: Length,
    /// What the description of every fault drawn has to contain.
    pub only: String,
    /// The server's program.
    pub roomlog: PathBuf,
    /// Settings of all processes besides.
    pub settings: Vec<(String, String)>,
    /// Instead of one that is made up.
    pub conversation: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub enum Length {
    /// So many faults, drawn from the seed.
    Faults(usize),
    Minutes(u64),
    /// Just these.
    These(Vec<Fault>),
}

/// A fault as it was carried out.
#[derive(Debug)]
pub struct Done {
    pub fault: Fault,
    pub began: Millis,
    pub ended: Millis,
    /// The longest time without an acknowledgement from its beginning to the next one's.
    pub longest_pause: Millis,
}

pub struct Outcomes {
    pub plan: Plan,
    pub abilities: Abilities,
    pub done: Vec<Done>,
    pub history: History,
    pub violations: Vec<Violation>,
    /// Attempts without an acknowledgement, by reason.
    pub refusals: std::collections::BTreeMap<String, u64>,
    /// What processes said that should be looked at where something is wrong.
    pub words: Vec<String>,
    pub took: Duration,
}

/// Runs it to its end. `Err` is about the machine or the harness; what is wrong with the platform is in the answer.
pub fn run(plan: Plan, folder: &Path) -> Result<Outcomes> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let handle = runtime.handle().clone();
    let _within = handle.enter();
    upgrade::understand();
    let servers = match plan.profile {
        Profile::Embedded => None,
        Profile::Distributed => Some(Servers::start()?),
    };
    let disk = match plan.profile {
        // A conversation of one's own may be too much for it.
        Profile::Embedded if plan.conversation.is_none() => Disk::mount(&folder.join("all-1/data"))?,
        Profile::Embedded | Profile::Distributed => None,
    };
    let clocks = clock::library_for(&plan.roomlog);
    let abilities = Abilities {
        full_disk: disk.is_some(),
        clock: clocks.is_some(),
        kafka: servers.as_ref().is_some_and(Servers::has_way_to_kafka),
        cql: servers.as_ref().is_some_and(Servers::has_way_to_cql),
        next_build: upgrade::is_possible(&plan.roomlog),
    };
    let mut settings = plan.settings.clone();
    settings.extend(clocks.map(clock::settings).into_iter().flatten());
    settings.extend(archive::settings(folder));
    let world = World::start(plan.profile, &plan.roomlog, folder, servers, &settings)?;
    let recorder = std::sync::Arc::new(Recorder::new());
    let conversation = runtime.block_on(async {
        let (rest, targets) = (Rest::new()?, world.targets());
        Imported::import(plan.conversation.as_deref(), &world, &rest, &targets).await
    })?;
    let crowd = runtime.block_on(assemble(&plan, world.targets(), recorder.clone()))?;
    let (violations, done) = (Vec::new(), Vec::new());
    let mut run = Run { plan, runtime, world, crowd, disk, conversation, violations, done };
    run.misfortunes(abilities)?;
    let views = run.settle();
    let history = run.collect(views)?;
    let mut violations = std::mem::take(&mut run.violations);
    violations.extend(check::all(&history));
    let words = if violations.is_empty() { Vec::new() } else { run.world.warnings() };
    let Run { plan, world, done, crowd, disk, runtime, .. } = run;
    drop(crowd);
    world.stop()?;
    if let (Some(disk), false) = (&disk, violations.is_empty()) {
        disk.keep_copy(&folder.join("evidence"))?;
    }
    drop(disk);
    runtime.shutdown_background();
    Ok(Outcomes {
        plan,
        abilities,
        done,
        history,
        violations,
        refusals: recorder.refusals(),
        words,
        took: began.elapsed(),
    })
}

struct Run {
    plan: Plan,
    runtime: Runtime,
    world: World,
    crowd: Crowd,
    disk: Option<Disk>,
    conversation: Imported,
    violations: Vec<Violation>,
    done: Vec<Done>,
}

impl Run {
    fn recorder(&self) -> &Recorder {
        &self.crowd.shared.recorder
    }

    /// One fault after the other, each once the platform has got on.
    fn misfortunes(&mut self, abilities: Abilities) -> Result<()> {
        const MANY: usize = 10_000;
        let Plan { profile, seed, ref only, .. } = self.plan;
        let drawn = || {
            let mut faults = plan(profile, seed, MANY, abilities);
            faults.retain(|fault| fault.to_string().contains(only));
            ensure!(!faults.is_empty(), "no fault's description contains {only:?}");
            Ok(faults)
        };
        let (faults, until) = match &self.plan.length {
            Length::Faults(count) => (drawn()?.into_iter().take(*count).collect(), None),
            Length::Minutes(minutes) => (drawn()?, Some(Instant::now() + Duration::from_secs(60 * minutes))),
            Length::These(faults) => (faults.clone(), None),
        };
        for fault in faults {
            if until.is_some_and(|until| Instant::now() >= until) || !self.gets_on() {
                break;
            }
            let began = self.recorder().now();
            eprintln!("{:>8.1} s  {fault}", began as f64 / 1_000.0);
            let handle = self.runtime.handle().clone();
            let mut means = Means {
                world: &mut self.world,
                crowd: &self.crowd,
                runtime: &handle,
                disk: self.disk.as_ref(),
            };
            means.carry_out(&fault).with_context(|| format!("cannot carry out: {fault}"))?;
            let ended = self.recorder().now();
            if let Err(error) = self.world.all_ready() {
                self.violate(Invariant::Progress, format!("after {fault}: {error:#}"));
                break;
            }
            self.done.push(Done { fault, began, ended, longest_pause: 0 });
            let gets_on = self.gets_on();
            let longest_pause = self.recorder().longest_pause(began);
            if let Some(done) = self.done.last_mut() {
                done.longest_pause = longest_pause;
            }
            if !gets_on {
                break;
            }
        }
        Ok(())
    }

    fn gets_on(&mut self) -> bool {
        let goal = self.recorder().acknowledgements() + PROGRESS;
        let got_on = wait::until("commands to be acknowledged", DEADLINE, || {
            Ok(self.recorder().acknowledgements() >= goal)
        });
        if let Err(error) = &got_on {
            self.violate(Invariant::Progress, format!("{error:#}"));
        }
        got_on.is_ok()
    }

    fn violate(&mut self, invariant: Invariant, what: String) {
        eprintln!("           {invariant:?}: {what}");
        self.violations.push(Violation::new(invariant, what));
    }

    /// Lets everything come to rest; what queries show then.
    fn settle(&mut self) -> Option<View> {
        eprintln!("{:>8.1} s  settling", self.recorder().now() as f64 / 1_000.0);
        let settled = self.come_to_rest();
        self.crowd.tell(|phase| phase.over = true);
        let Self { runtime, crowd, .. } = self;
        let ended = runtime.block_on(tokio::time::timeout(DEADLINE, async {
            crowd.finish_commands().await;
            crowd.finish_streams().await;
        }));
        if ended.is_err() {
            self.violate(Invariant::Progress, "clients do not come to an end".to_owned());
        }
        match settled
            .and_then(|positions| self.runtime.block_on(view(&self.crowd, "after settling", &positions)))
        {
            Ok(view) => Some(view),
            Err(error) => {
                self.violate(Invariant::Progress, format!("{error:#}"));
                None
            }
        }
    }

    /// Every command has its answer, and every stream the last event of each of its rooms. The positions of those.
    fn come_to_rest(&mut self) -> Result<Vec<String>> {
        self.world.all_ready()?;
        self.crowd.tell(|phase| phase.no_more_commands = true);
        let recorder = self.crowd.shared.recorder.clone();
        // Whoever has not heard of it yet begins one more.
        pause(Duration::from_millis(500))?;
        wait::until("every command to be answered", DEADLINE, || Ok(recorder.unfinished() == 0))?;
        // Each stream shows once more that it can resume.
        self.crowd.tell(|phase| phase.round += 1);
        let mut marks = Vec::new();
        for room in &self.crowd.shared.rooms {
            let creator = self.crowd.clients.iter().find(|client| client.account == room.creator);
            let (done, mark) = oneshot::channel();
            let order = super::client::Order::Mark { room: room.id, done };
            creator.context("a room without a creator")?.orders.send(order).ok().context("a client ended")?;
            marks.push((room.id, mark));
        }
        let mut ends = Vec::new();
        for (room, mark) in marks {
            let waited = self.runtime.block_on(tokio::time::timeout(DEADLINE, mark));
            ends.push((room, waited.context("a last message is not answered")?.context("a client ended")?));
        }
        let clients = self.crowd.clients.clone();
        let missing = || {
            clients.iter().find_map(|client| {
                let behind =
                    |(room, end): &&(Uuid, u64)| client.is_member(*room) && client.place(*room) < *end;
                ends.iter().find(behind).map(|(room, end)| (client.account, *room, client.place(*room), *end))
            })
        };
        let complete = wait::until("every stream to be complete", DEADLINE, || Ok(missing().is_none()));
        if let (Err(error), Some((account, room, has, end))) = (complete, missing()) {
            bail!("{error:#}: {account} has {has} of {end} in room {room}");
        }
        Ok(last_positions(&recorder.commands()))
    }

    /// Reads the log, and what the projections say before and after they are built anew.
    fn collect(&mut self, view_before: Option<View>) -> Result<History> {
        let recorder = self.crowd.shared.recorder.clone();
        let mut history = History {
            commands: recorder.commands(),
            connections: recorder.connections(),
            ..History::default()
        };
        let is_settled = view_before.is_some();
        history.views.extend(view_before);
        self.world.end_with_role(Role::Projectors)?;
        let rebuilt = if is_settled {
            eprintln!("{:>8.1} s  rebuilding", recorder.now() as f64 / 1_000.0);
            self.rebuild(&mut history)
        } else {
            Ok(())
        };
        // Before the log: what they say has to be in what is read.
        history.archive = Some(archive::read(self.world.folder())?);
        {
            // Owners may claim at any time: what the cursors have seen has to be in what is read.
            let log = self.world.log.open()?;
            history.log = self.runtime.block_on(log.read())?;
            self.conversation.leave_out(&mut history.log);
        }
        if is_settled {
            match rebuilt.and_then(|()| self.view_rebuilt(&history)) {
                Ok(view) => {
                    history.views.push(view);
                    match self.read_conversation(&history) {
                        Ok(conversation) => history.conversation = Some(conversation),
                        Err(error) => self.violate(Invariant::Conversation, format!("{error:#}")),
                    }
                }
                Err(error) => self.violate(Invariant::Projections, format!("{error:#}")),
            }
        }
        Ok(history)
    }

    fn rebuild(&mut self, history: &mut History) -> Result<()> {
        history.cursors.extend(self.world.cursors()?);
        for projection in ["room_events", "directory"] {
            self.world.rebuild(projection)?;
        }
        history.cursors.extend(self.world.cursors()?);
        Ok(())
    }

    fn read_conversation(&self, history: &History) -> Result<Conversation> {
        let Shared { rest, targets, .. } = &*self.crowd.shared;
        let positions = last_positions(&history.commands);
        self.runtime.block_on(self.conversation.read_back(rest, targets, &positions))
    }

    fn view_rebuilt(&mut self, history: &History) -> Result<View> {
        // Other processes notice a rebuild within a second; these at once.
        self.world.end_with_role(Role::QueryApi)?;
        self.world.all_ready()?;
        self.runtime.block_on(view(&self.crowd, "after a rebuild", &last_positions(&history.commands)))
    }
}

/// Of each partition the last one that was acknowledged: a query may rest on a handful.
pub fn last_positions(commands: &[Command]) -> Vec<String> {
    let mut last = std::collections::BTreeMap::new();
    for answer in commands.iter().filter_map(Command::accepted) {
        let Some((partition, offset)) = answer.position.split_once('-') else { continue };
        let offset = u64::from_str_radix(offset, 16).unwrap_or(0);
        let place = last.entry(partition.to_owned()).or_insert((offset, answer.position.clone()));
        if place.0 <= offset {
            *place = (offset, answer.position.clone());
        }
    }
    last.into_values().map(|(_, position)| position).collect()
}

/// Accounts and rooms, before anything goes wrong; then the clients start.
async fn assemble(plan: &Plan, targets: Targets, recorder: std::sync::Arc<Recorder>) -> Result<Crowd> {
    let rest = Rest::new()?;
    let mut accounts = Vec::new();
    for number in 0..CLIENTS {
        let name = format!("client{number}");
        let (id, token) = rest.account(&targets, &name).await?;
        accounts.push(Account { id, name, token, member: std::collections::BTreeSet::new() });
    }
    let mut rooms = Vec::new();
    for (number, account) in accounts.iter_mut().take(ROOTS).enumerate() {
        let history = if number % 2 == 0 { "from_join" } else { "from_beginning" };
        let body = json!({"name": format!("Root {number}"), "history": history});
        let root = make(&rest, &targets, &recorder, account, &body).await?;
        rooms.push(Room { id: root, parent: None, creator: account.id });
        if number == 0 {
            let body = json!({"name": "Below", "parent_id": root, "history": "from_beginning"});
            let below = make(&rest, &targets, &recorder, account, &body).await?;
            rooms.push(Room { id: below, parent: Some(root), creator: account.id });
        }
    }
    let (phase, seen) = watch::channel(Phase::default());
    let pause = match plan.profile {
        Profile::Embedded => 200,
        Profile::Distributed => 400,
    };
    let shared = Shared { targets, rest, recorder, rooms, phase: seen, seed: plan.seed, pause };
    Ok(Crowd::start(shared, phase, accounts))
}

async fn make(
    rest: &Rest,
    targets: &Targets,
    recorder: &Recorder,
    account: &mut Account,
    body: &serde_json::Value,
) -> Result<Uuid> {
    let key = Uuid::now_v7();
    let began = recorder.now();
    let answer = rest.room(targets, &account.token, key, body).await?;
    let room = answer.room.context("a room without an id")?;
    let attempt = Attempt {
        began,
        ended: recorder.now(),
        instance: "any".to_owned(),
        outcome: Outcome::Accepted(answer),
    };
    let command = Command { account: account.id, key, wanted: Wanted::Create, attempts: Vec::new() };
    let number = recorder.command(command);
    recorder.attempt(number, attempt);
    recorder.finished();
    account.member.insert(room);
    Ok(room)
}
