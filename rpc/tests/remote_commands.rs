//! Clients' commands, run by whichever command-api lives.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::*;
use roomlog_command_api::service::{answer as answered, problem};
use roomlog_command_api::writer::Outcome;
use roomlog_domain::{Permissions, Rejection, Role as MemberRole};
use roomlog_eventlog::{Broadcast, LocalBroadcast, TopicPartition};
use roomlog_members::{Handle, Heartbeat, Members, ProcessId, Role};
use roomlog_rpc::{Pool, RemoteCommands, RemoteCommandsOptions, Services};
use roomlog_schemas::{Access, AccountId, History, IdempotencyKey, MessageId, RoleId, RoomId, RoomKind};
use roomlog_web::commands::{Answer, ClientCommand, Commands, CreateRoom};
use roomlog_web::{Position, Problem};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));

type Asked = (AccountId, IdempotencyKey, ClientCommand);

/// A command-api's commands.
struct FakeCommands {
    asked: Mutex<Vec<Asked>>,
    /// Without one nobody is ever answered.
    result: Option<Result<Answer, Problem>>,
}

impl FakeCommands {
    fn new(result: Option<Result<Answer, Problem>>) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), result })
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Commands for FakeCommands {
    async fn run(
        &self,
        account: AccountId,
        key: Option<IdempotencyKey>,
        command: ClientCommand,
    ) -> Result<Answer, Problem> {
        self.asked.lock().unwrap().push((account, key.expect("there is always one"), command));
        match &self.result {
            Some(result) => result.clone(),
            None => std::future::pending().await,
        }
    }
}

fn accepted() -> Answer {
    Answer {
        room_id: Some(RoomId(Uuid::from_u128(2))),
        message_id: Some(MessageId(Uuid::from_u128(3))),
        role_id: Some(RoleId(Uuid::from_u128(7))),
        seq: 4,
        position: Position { partition: TopicPartition::rooms(5), offset: 6 },
    }
}

fn join() -> ClientCommand {
    ClientCommand::JoinRoom { room_id: RoomId(Uuid::from_u128(2)) }
}

/// Processes that hear each other.
struct World {
    broadcast: Arc<dyn Broadcast>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl World {
    fn new() -> Self {
        let stop = CancellationToken::new();
        Self { broadcast: Arc::new(LocalBroadcast::default()), _guard: stop.clone().drop_guard(), stop }
    }

    fn join(&self, role: Role, address: &str) -> Handle {
        let own = Heartbeat::new(ProcessId::fresh(), vec![role], address.to_owned());
        let members = Members::new(self.broadcast.clone(), own);
        let handle = members.handle();
        tokio::spawn(members.run(self.stop.clone()));
        handle
    }

    async fn command_api(&self, commands: &Arc<FakeCommands>) -> (Server, Handle) {
        let services = Services { commands: Some(commands.clone()), ..Services::default() };
        let server = Server::start(services).await;
        let handle = self.join(Role::CommandApi, &server.address);
        (server, handle)
    }

    /// One that knows so many command-apis.
    async fn fanout(&self, command_apis: usize, deadline: Duration) -> RemoteCommands {
        let members = self.join(Role::WsFanout, "");
        until(|| members.roster().with_role(members.now(), Role::CommandApi).count() == command_apis).await;
        let options = RemoteCommandsOptions { deadline, ..RemoteCommandsOptions::default() };
        RemoteCommands::new(members, Pool::new(plain()), options)
    }
}

async fn run(commands: &RemoteCommands) -> Result<Answer, Problem> {
    within("an answer", commands.run(ACCOUNT, None, join())).await
}

#[tokio::test]
async fn commands_and_answers_survive_the_trip() {
    let world = World::new();
    let commands = FakeCommands::new(Some(Ok(accepted())));
    let (_server, _) = world.command_api(&commands).await;
    let fanout = world.fanout(1, DEADLINE).await;
    let room_id = RoomId(Uuid::from_u128(2));
    let all = [
        join(),
        ClientCommand::LeaveRoom { room_id },
        ClientCommand::SetRole {
            room_id,
            account_id: AccountId(Uuid::from_u128(8)),
            role: MemberRole::Admin,
        },
        ClientCommand::SetOverride {
            room_id,
            role: MemberRole::Custom(RoleId(Uuid::from_u128(7))),
            allow: Permissions::ALL,
            deny: Permissions::NONE,
        },
        ClientCommand::SendMessage { room_id, text: "⟂ \"\u{0}".into(), reply_to: None },
        ClientCommand::SendMessage { room_id, text: "x".repeat(1 << 20), reply_to: accepted().message_id },
        ClientCommand::CreateRoom(CreateRoom {
            name: "Lounge".into(),
            parent_id: Some(room_id),
            kind: RoomKind::default(),
            access: Access::default(),
            history: History::default(),
        }),
    ];
    for command in all {
        let key = IdempotencyKey::new(Uuid::now_v7()).unwrap();
        assert_eq!(fanout.run(ACCOUNT, Some(key), command.clone()).await, Ok(accepted()));
        assert_eq!(commands.asked().pop(), Some((ACCOUNT, key, command)));
    }
}

#[tokio::test]
async fn every_problem_survives_the_trip() {
    let key = IdempotencyKey::new(Uuid::now_v7()).unwrap();
    let outcomes = [
        Outcome::KeyReused,
        Outcome::KeyExpired,
        Outcome::TooLarge,
        Outcome::Unavailable,
        Outcome::Overloaded,
        Outcome::Unknown,
    ];
    let rejections = Rejection::ALL.iter().copied().map(Outcome::Rejected);
    let mut problems: Vec<Problem> = outcomes
        .into_iter()
        .chain(rejections)
        .map(|outcome| answered(outcome, ROOMS_3, key).unwrap_err())
        .collect();
    problems.push(Problem::room_not_found().detail("more").field("a").field("b").key(key).retry_after(7));
    problems.push(Problem::unauthorized("Log in."));
    for problem in problems {
        let world = World::new();
        let (_server, _) = world.command_api(&FakeCommands::new(Some(Err(problem.clone())))).await;
        let fanout = world.fanout(1, DEADLINE).await;
        assert_eq!(run(&fanout).await, Err(problem));
    }
}

#[tokio::test]
async fn a_process_stays_with_the_command_api_that_works() {
    let world = World::new();
    let commands = [FakeCommands::new(Some(Ok(accepted()))), FakeCommands::new(Some(Ok(accepted())))];
    let _first = world.command_api(&commands[0]).await;
    let _second = world.command_api(&commands[1]).await;
    let fanout = world.fanout(2, DEADLINE).await;
    for _ in 0..10 {
        run(&fanout).await.unwrap();
    }
    let mut asked = commands.each_ref().map(|commands| commands.asked().len());
    asked.sort_unstable();
    assert_eq!(asked, [0, 10]);
}

#[tokio::test]
async fn one_that_is_stopping_is_left() {
    let world = World::new();
    let commands = [FakeCommands::new(Some(Ok(accepted()))), FakeCommands::new(Some(Ok(accepted())))];
    let processes = [world.command_api(&commands[0]).await, world.command_api(&commands[1]).await];
    let members = world.join(Role::WsFanout, "");
    let known = |count| {
        let members = members.clone();
        async move {
            until(|| members.roster().with_role(members.now(), Role::CommandApi).count() == count).await;
        }
    };
    known(2).await;
    let fanout = RemoteCommands::new(members.clone(), Pool::new(plain()), RemoteCommandsOptions::default());
    run(&fanout).await.unwrap();
    let used = commands.iter().position(|commands| !commands.asked().is_empty()).unwrap();
    processes[used].1.update(|own| own.stopping = true);
    processes[used].1.beat();
    known(1).await;
    run(&fanout).await.unwrap();
    assert_eq!(commands[1 - used].asked().len(), 1);
}

#[tokio::test]
async fn after_a_death_in_mid_call_another_one_is_asked_with_the_same_key() {
    let world = World::new();
    let stuck = FakeCommands::new(None);
    let (mut server, _first) = world.command_api(&stuck).await;
    let fanout = world.fanout(1, DEADLINE).await;
    let mut call = std::pin::pin!(run(&fanout));
    tokio::select! {
        result = &mut call => panic!("{result:?}"),
        () = until(|| !stuck.asked().is_empty()) => {}
    }
    let works = FakeCommands::new(Some(Ok(accepted())));
    let _second = world.command_api(&works).await;
    server.die();
    assert_eq!(call.await, Ok(accepted()));
    assert_eq!(works.asked(), stuck.asked(), "the same key, although the client gave none");
    assert_eq!(run(&fanout).await, Ok(accepted()));
}

/// The first attempt may still be accepted, whatever became of the second.
#[tokio::test]
async fn a_rejection_after_an_attempt_that_may_have_run_is_not_believed() {
    let world = World::new();
    let stuck = FakeCommands::new(None);
    let (mut server, _first) = world.command_api(&stuck).await;
    let fanout = world.fanout(1, DEADLINE).await;
    let mut call = std::pin::pin!(run(&fanout));
    tokio::select! {
        result = &mut call => panic!("{result:?}"),
        () = until(|| !stuck.asked().is_empty()) => {}
    }
    let _second = world.command_api(&FakeCommands::new(Some(Err(Problem::room_not_found())))).await;
    server.die();
    assert_eq!(call.await, Err(problem(&Outcome::Unknown, stuck.asked()[0].1)));
}

#[tokio::test]
async fn without_any_command_api_nothing_was_written() {
    let world = World::new();
    let fanout = world.fanout(0, Duration::from_millis(500)).await;
    assert_eq!(run(&fanout).await.unwrap_err().code, "commands_unavailable");
    // One that is named but not there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _gone = world.join(Role::CommandApi, &format!("http://127.0.0.1:{port}"));
    let fanout = world.fanout(1, Duration::from_millis(500)).await;
    assert_eq!(run(&fanout).await.unwrap_err().code, "commands_unavailable");
}

#[tokio::test]
async fn a_command_api_that_comes_in_time_is_asked() {
    let world = World::new();
    let fanout = world.fanout(0, DEADLINE).await;
    let mut call = std::pin::pin!(run(&fanout));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut call).await;
    assert!(early.is_err(), "{early:?}");
    let _late = world.command_api(&FakeCommands::new(Some(Ok(accepted())))).await;
    assert_eq!(call.await, Ok(accepted()));
}

#[tokio::test]
async fn at_the_deadline_the_outcome_is_unknown_and_the_key_named() {
    let world = World::new();
    let stuck = FakeCommands::new(None);
    let _process = world.command_api(&stuck).await;
    let fanout = world.fanout(1, Duration::from_millis(500)).await;
    let unknown = run(&fanout).await.unwrap_err();
    assert_eq!(unknown, problem(&Outcome::Unknown, stuck.asked()[0].1));
}
