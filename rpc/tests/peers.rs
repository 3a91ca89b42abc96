//! One process's writers, asked by another: what arrives, and what a failure says.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::*;
use roomlog_command_api::forward::{PeerAnswer, PeerError, Peers};
use roomlog_command_api::writer::Outcome;
use roomlog_command_api::writer::driver::clock_ms;
use roomlog_domain::{Answer, Context, Rejection};
use roomlog_rpc::Services;
use roomlog_schemas::{AccountId, IdempotencyKey, MessageId, RoleId, RoomId};
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    let writers = FakeWriters::answering(PeerAnswer::Outcome(Outcome::Unavailable));
    let server = Server::start(writers.services()).await;
    let mut sent = request(Duration::from_secs(8));
    sent.key = Some((IdempotencyKey::new(Uuid::now_v7()).unwrap(), Bytes::from_static(&[0, 255, 3])));
    sent.context = Context { known_messages: vec![MessageId(Uuid::from_u128(9))] };
    sent.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    plain_peers().run(&server.address, ROOMS_3, sent.clone(), 2).await.unwrap();
    sent.actor = None;
    sent.key = None;
    sent.traceparent = None;
    plain_peers().run(&server.address, ROOMS_3, sent.clone(), 0).await.unwrap();
    let asked = writers.asked.lock().unwrap();
    let (partition, first, hops_left) = &asked[0];
    assert_eq!((*partition, *hops_left), (ROOMS_3, 2));
    assert_eq!(first.actor, Some(AccountId(Uuid::from_u128(1))));
    assert_eq!(first.key.as_ref().unwrap().1, [0, 255, 3][..]);
    assert_eq!((&first.command, &first.context), (&sent.command, &sent.context));
    assert!(first.traceparent.as_ref().unwrap().ends_with("b7ad6b7169203331-01"));
    // The time that is left begins anew where the request arrives.
    assert!((sent.deadline - 10..=clock_ms() + 8_000).contains(&first.deadline));
    let (_, second, hops_left) = &asked[1];
    assert_eq!((second.actor, &second.key, &second.traceparent, *hops_left), (None, &None, &None, 0));
}

#[tokio::test]
async fn every_answer_survives_the_trip() {
    let answer = Answer {
        account_id: Some(AccountId(Uuid::from_u128(1))),
        room_id: Some(RoomId(Uuid::from_u128(2))),
        message_id: Some(MessageId(Uuid::from_u128(3))),
        role_id: Some(RoleId(Uuid::from_u128(4))),
        seq: u64::MAX,
        imported: 5,
    };
    let mut outcomes = vec![
        Outcome::Accepted { answer, offset: u64::MAX },
        Outcome::Unchanged { answer: Answer::default(), offset: 0 },
        Outcome::KeyReused,
        Outcome::KeyExpired,
        Outcome::TooLarge,
        Outcome::Unavailable,
        Outcome::Overloaded,
        Outcome::Unknown,
    ];
    outcomes.extend(Rejection::ALL.iter().copied().map(Outcome::Rejected));
    let mut answers: Vec<_> = outcomes.into_iter().map(PeerAnswer::Outcome).collect();
    answers.extend([None, Some("https://other:7000".to_owned())].map(|owner| PeerAnswer::Moved { owner }));
    let peers = plain_peers();
    for answer in answers {
        let server = Server::start(FakeWriters::answering(answer.clone()).services()).await;
        assert_eq!(peers.run(&server.address, ROOMS_3, request(LONG), 1).await, Ok(answer));
    }
}

#[tokio::test]
async fn an_import_is_asked_for() {
    let server = Server::start(FakeWriters::hanging().services()).await;
    let peers = plain_peers();
    let room = RoomId(Uuid::from_u128(5));
    assert_eq!(peers.imported(&server.address, ROOMS_3, room, "irc".into()).await, Ok(Some(77)));
    assert_eq!(peers.imported(&server.address, ROOMS_3, room, "other".into()).await, Ok(None));
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for address in
        [&format!("http://127.0.0.1:{port}"), "http://no-such-host.invalid:1", "", "not an address"]
    {
        let result = within("a refusal", plain_peers().run(address, ROOMS_3, request(LONG), 1)).await;
        assert!(matches!(result, Err(PeerError::NotSent(_))), "{address}: {result:?}");
    }
}

#[tokio::test]
async fn without_time_nothing_is_sent() {
    let writers = FakeWriters::hanging();
    let server = Server::start(writers.services()).await;
    let result = plain_peers().run(&server.address, ROOMS_3, request(Duration::ZERO), 1).await;
    assert!(matches!(result, Err(PeerError::NotSent(_))), "{result:?}");
    assert!(writers.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_process_without_writers_has_done_nothing() {
    let server = Server::start(Services::default()).await;
    let result = plain_peers().run(&server.address, ROOMS_3, request(LONG), 1).await;
    assert!(matches!(result, Err(PeerError::NotSent(_))), "{result:?}");
}

#[tokio::test]
async fn a_process_that_dies_in_a_call_may_have_run_it() {
    let writers = FakeWriters::hanging();
    let mut server = Server::start(writers.services()).await;
    let peers = plain_peers();
    let address = server.address.clone();
    let mut call = std::pin::pin!(peers.run(&address, ROOMS_3, request(LONG), 1));
    tokio::select! {
        result = &mut call => panic!("{result:?}"),
        () = writers.wait_until_asked() => {}
    }
    server.die();
    let result = within("the end of the call", call).await;
    assert!(matches!(result, Err(PeerError::MaybeSent(_))), "{result:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let server = Server::start(FakeWriters::hanging().services()).await;
    let begun = Instant::now();
    let result = plain_peers().run(&server.address, ROOMS_3, request(Duration::from_millis(300)), 1).await;
    assert!(matches!(result, Err(PeerError::MaybeSent(_))), "{result:?}");
    assert!((300..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_process_that_comes_back_is_found_again() {
    let answer = PeerAnswer::Moved { owner: None };
    let services = FakeWriters::answering(answer.clone()).services();
    let mut server = Server::start(services.clone()).await;
    let peers = plain_peers();
    assert_eq!(peers.run(&server.address, ROOMS_3, request(LONG), 1).await, Ok(answer.clone()));
    server.die();
    let address = server.address.clone();
    // Each failure may also be the break of the old connection.
    let gone = async { while !matches!(run(&peers, &address).await, Err(PeerError::NotSent(_))) {} };
    within("a refused connection", gone).await;
    let at = address.strip_prefix("http://").unwrap().to_owned();
    let _server = Server::start_at(&at, plain(), services).await;
    assert_eq!(within("an answer", run(&peers, &address)).await, Ok(answer));
}

async fn run(peers: &impl Peers, address: &str) -> Result<PeerAnswer, PeerError> {
    peers.run(address, ROOMS_3, request(LONG), 1).await
}

#[tokio::test]
async fn a_call_under_way_is_answered_by_a_stopping_process() {
    let (release, released) = watch::channel(false);
    let writers = FakeWriters::new(move |_| {
        let mut released = released.clone();
        Box::pin(async move {
            released.wait_for(|released| *released).await.unwrap();
            PeerAnswer::Outcome(Outcome::Overloaded)
        })
    });
    let server = Server::start(writers.services()).await;
    let peers = plain_peers();
    let mut call = std::pin::pin!(peers.run(&server.address, ROOMS_3, request(LONG), 1));
    tokio::select! {
        result = &mut call => panic!("{result:?}"),
        () = writers.wait_until_asked() => {}
    }
    server.stop();
    // It takes no new ones; one that came before it noticed waits like the first.
    let refused = async {
        let short = || request(Duration::from_millis(200));
        while !matches!(
            plain_peers().run(&server.address, ROOMS_3, short(), 1).await,
            Err(PeerError::NotSent(_))
        ) {}
    };
    tokio::select! {
        result = &mut call => panic!("{result:?}"),
        () = within("a refused connection", refused) => {}
    }
    release.send_replace(true);
    assert_eq!(within("the answer", call).await, Ok(PeerAnswer::Outcome(Outcome::Overloaded)));
}

/// A way to the server that falls silent without closing, as a network or a stopped machine does.
#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up_before_the_deadline() {
    let writers = FakeWriters::hanging();
    let server = Server::start(writers.services()).await;
    let target = server.address.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (silence, silent) = watch::channel(false);
    let proxy = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(target).await.unwrap();
        let (mut near_read, mut near_write) = near.split();
        let (mut far_read, mut far_write) = far.split();
        let mut silent = silent.clone();
        tokio::select! {
            _ = copy(&mut near_read, &mut far_write) => {}
            _ = copy(&mut far_read, &mut near_write) => {}
            _ = silent.wait_for(|silent| *silent) => {}
        }
        far_write.flush().await.unwrap();
        std::future::pending::<()>().await;
    });
    let peers = plain_peers();
    let mut call = std::pin::pin!(peers.run(&address, ROOMS_3, request(LONG), 1));
    tokio::select! {
        result = &mut call => panic!("{result:?}"),
        () = writers.wait_until_asked() => {}
    }
    silence.send_replace(true);
    let begun = Instant::now();
    let result = within("the end of the call", call).await;
    assert!(matches!(result, Err(PeerError::MaybeSent(_))), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    proxy.abort();
}
