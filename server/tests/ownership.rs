//! Several processes share the partitions: while one is killed, one stopped and one started, every command
//! has one answer, and what was acknowledged is there exactly once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use roomlog_eventlog::{PartitionCounts, Topic};
use roomlog_schemas::RoomId;
use serde_json::Value;
use support::shared::Shared;
use support::{Account, Api, Server};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// So many that a new process comes first for one of them as good as always: for each by a half.
const PARTITIONS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 12 };
const ROOMS: usize = 4;
const CLIENTS: usize = 8;
const BALANCE: (&str, &str) = ("ROOMLOG_BALANCE_AFTER_MS", "3000");
/// The machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is waited for is looked at this often, and a command repeated after this long.
const POLL: Duration = Duration::from_millis(20);
/// Messages that have to be acknowledged between one thing that happens and the next.
const PROGRESS: usize = 100;
/// One in so many commands is repeated after it has been answered.
const REPEATED: usize = 8;

/// A command and its answer.
#[derive(Clone)]
struct Sent {
    client: usize,
    text: String,
    key: Uuid,
    answer: Value,
    at: Instant,
}

/// Clients of all processes at once. Each sends into one room, one message after the other.
struct Load {
    accounts: Vec<Account>,
    rooms: Vec<String>,
    /// Processes that clients may go to.
    living: Mutex<Vec<Api>>,
    sent: Mutex<Vec<Sent>>,
    /// Attempts that had to be repeated: refused as unavailable, or without any answer.
    refused: Mutex<[usize; 2]>,
}

impl Load {
    fn room(&self, client: usize) -> &str {
        &self.rooms[client % ROOMS]
    }

    /// Another one for each turn; a process that has gone is not asked again.
    fn process(&self, turn: usize) -> Api {
        let living = self.living.lock().unwrap();
        living[turn % living.len()].clone()
    }

    fn leave(&self, server: &Server) {
        self.living.lock().unwrap().retain(|api| api.url != server.url);
    }

    fn acknowledged(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Gives one command until it has its answer.
    async fn send(&self, client: usize, turn: usize, text: &str, key: Uuid) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut turns = turn..;
        loop {
            let api = self.process(turns.next().expect("there is no end"));
            match api.try_send(&self.accounts[client], self.room(client), text, key).await {
                Some(answer) if answer.status == StatusCode::CREATED => return answer.body,
                Some(answer) => {
                    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
                    self.refused.lock().unwrap()[0] += 1;
                }
                None => self.refused.lock().unwrap()[1] += 1,
            }
            assert!(Instant::now() < until, "{text} is answered in time");
            sleep(POLL).await;
        }
    }

    async fn run_client(self: Arc<Self>, client: usize, stop: watch::Receiver<bool>) {
        for i in 0.. {
            if *stop.borrow() {
                return;
            }
            let (text, key) = (format!("{client}.{i}"), Uuid::now_v7());
            let answer = self.send(client, client + i, &text, key).await;
            if i % REPEATED == 0 {
                let again = self.send(client, client + i + 1, &text, key).await;
                assert_eq!(again, answer, "{text} has one answer, whichever process gives it");
            }
            self.sent.lock().unwrap().push(Sent { client, text, key, answer, at: Instant::now() });
        }
    }

    /// Waits until so many more messages have been acknowledged.
    async fn progress(&self) {
        let goal = self.acknowledged() + PROGRESS;
        eventually("messages go on being acknowledged", async || self.acknowledged() >= goal).await;
    }

    /// The longest time, begun or ended after `since`, without an acknowledgement: anywhere, and in one room.
    fn longest_pause(&self, since: Instant) -> (Duration, Duration) {
        let sent = self.sent.lock().unwrap();
        let pause = |in_room: &dyn Fn(&Sent) -> bool| {
            let mut times: Vec<Instant> =
                sent.iter().filter(|sent| in_room(sent)).map(|sent| sent.at).collect();
            times.sort();
            let pauses = times.windows(2).filter(|pair| pair[1] >= since).map(|pair| pair[1] - pair[0]);
            pauses.max().unwrap_or_default()
        };
        let rooms = (0..ROOMS).map(|room| pause(&|sent| sent.client % ROOMS == room));
        (pause(&|_| true), rooms.max().unwrap_or_default())
    }
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < until, "in time: {what}");
        sleep(POLL).await;
    }
}

/// Partitions that this process owns, as it says itself.
async fn owned(api: &Api) -> u32 {
    let metrics = api.request(Method::GET, "/metrics", None, None).await;
    let text = metrics.body.as_str().unwrap();
    let gauge = text.lines().find_map(|line| line.strip_prefix("roomlog_writer_owned_partitions "));
    gauge.map_or(0, |owned| owned.trim().parse::<f64>().unwrap() as u32)
}

async fn is_ready(api: &Api) -> bool {
    api.request(Method::GET, "/readyz", None, None).await.status.is_success()
}

/// All are ready, and each partition has one owner among them.
async fn all_owned_once(servers: &[Server]) {
    eventually("each partition has one owner", async || {
        let (mut sum, mut ready) = (0, true);
        for server in servers {
            sum += owned(server).await;
            ready &= is_ready(server).await;
        }
        ready && sum == PARTITIONS.accounts + PARTITIONS.rooms
    })
    .await;
}

/// Takes out the process that owns the most.
async fn take_busiest(servers: &mut Vec<Server>) -> Server {
    let mut counts = Vec::new();
    for server in servers.iter() {
        counts.push(owned(server).await);
    }
    println!("partitions owned: {counts:?}");
    let (busiest, _) = counts.iter().enumerate().max_by_key(|(_, owned)| **owned).unwrap();
    servers.remove(busiest)
}

/// Rooms of different partitions, which all clients are members of.
async fn rooms(api: &Api, accounts: &[Account]) -> Vec<String> {
    let mut rooms = BTreeMap::new();
    while rooms.len() < ROOMS {
        let room = api.room(&accounts[0], "Lounge").await;
        let slot = RoomId(room.parse().unwrap()).slot();
        rooms.entry(PARTITIONS.partition_of(Topic::Rooms, slot)).or_insert(room);
    }
    for room in rooms.values() {
        for account in &accounts[1..] {
            api.join(account, room).await;
        }
    }
    rooms.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_has_one_answer_while_processes_come_and_go() {
    let Some(shared) = Shared::new(PARTITIONS) else { return };
    // The first makes what is shared.
    let first = shared.start("command-api", &[BALANCE]).await;
    let (second, third, reading) = tokio::join!(
        shared.start("command-api", &[BALANCE]),
        shared.start("command-api", &[BALANCE]),
        shared.start("projectors,query-api,ws-fanout", &[]),
    );
    let mut accounts = Vec::new();
    for client in 0..CLIENTS {
        accounts.push(first.account(&format!("client{client}")).await);
    }
    let rooms = rooms(&second, &accounts).await;
    let mut servers = vec![first, second, third];
    let load = Arc::new(Load {
        accounts,
        rooms,
        living: Mutex::new(servers.iter().map(|server| server.api.clone()).collect()),
        sent: Mutex::default(),
        refused: Mutex::default(),
    });
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(load.clone().run_client(client, stopped.clone()));
    }
    load.progress().await;

    // The clients go on asking the process that is gone until they are told.
    let mut killed = take_busiest(&mut servers).await;
    let since = Instant::now();
    killed.kill().await;
    all_owned_once(&servers).await;
    load.progress().await;
    load.leave(&killed);
    println!(
        "owned again {:?} after the kill; longest pause {:?}",
        since.elapsed(),
        load.longest_pause(since)
    );

    let mut leaving = take_busiest(&mut servers).await;
    let since = Instant::now();
    let status = leaving.stop().await;
    assert!(status.success(), "a process that is asked to stop ends well: {status}");
    println!("stopped after {:?}", since.elapsed());
    all_owned_once(&servers).await;
    load.leave(&leaving);
    load.progress().await;
    println!("longest pause {:?} around the stop", load.longest_pause(since));

    let since = Instant::now();
    let new = shared.start("command-api", &[BALANCE]).await;
    load.living.lock().unwrap().push(new.api.clone());
    eventually("the new process takes partitions", async || owned(&new).await > 0).await;
    println!("new process owns after {:?}", since.elapsed());
    servers.push(new);
    load.progress().await;
    println!("longest pause {:?} around the start", load.longest_pause(since));
    all_owned_once(&servers).await;

    stop.send(true).unwrap();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    println!(
        "{} messages; unavailable, without answer: {:?}",
        load.acknowledged(),
        load.refused.lock().unwrap()
    );
    all_owned_once(&servers).await;
    check_answers(&load, &servers).await;
    check_history(&load, &reading).await;
}

/// Every process still gives the answer that was given, by whichever process that was.
async fn check_answers(load: &Load, servers: &[Server]) {
    let sent = load.sent.lock().unwrap().clone();
    for sent in sent.iter().step_by(sent.len().div_ceil(50)) {
        for server in servers {
            let (account, room) = (&load.accounts[sent.client], load.room(sent.client));
            let again = server.try_send(account, room, &sent.text, sent.key).await.unwrap().created();
            assert_eq!(again, sent.answer, "{} has one answer", sent.text);
        }
    }
}

/// Each room's history is what was acknowledged, and nothing else.
async fn check_history(load: &Load, reading: &Server) {
    let all = load.sent.lock().unwrap().clone();
    for (n, room) in load.rooms.iter().enumerate() {
        let mut acknowledged: BTreeMap<u64, &Sent> = BTreeMap::new();
        for sent in all.iter().filter(|sent| sent.client % ROOMS == n) {
            let seq = sent.answer["seq"].as_u64().unwrap();
            assert!(acknowledged.insert(seq, sent).is_none(), "one seq for two messages");
        }
        let (_, last) = acknowledged.last_key_value().unwrap();
        let position = last.answer["position"].as_str().unwrap();
        let history = reading.history(&load.accounts[0], room, 100, position).await;
        let found: Vec<(u64, &str, &Value)> = history
            .iter()
            .map(|message| {
                (message["seq"].as_u64().unwrap(), message["text"].as_str().unwrap(), &message["message_id"])
            })
            .collect();
        let expected: Vec<(u64, &str, &Value)> = acknowledged
            .iter()
            .map(|(seq, sent)| (*seq, sent.text.as_str(), &sent.answer["message_id"]))
            .collect();
        assert_eq!(found, expected, "every acknowledged message once, in the order of its seq");
        // Before them: the room, its owner and the others joined.
        let first = CLIENTS as u64 + 2;
        let seqs: Vec<u64> = found.iter().map(|(seq, ..)| *seq).collect();
        assert_eq!(seqs, (first..first + seqs.len() as u64).collect::<Vec<_>>(), "no gap between seqs");
    }
}
