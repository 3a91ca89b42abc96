//! A process that starts before the log answers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use support::{kafka, on_kafka, roomlog};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The library itself waits some ten seconds for an answer.
const PATIENCE: Duration = Duration::from_secs(90);

fn serving(data: &TempDir, settings: &[(String, String)]) -> Command {
    let mut command = roomlog();
    command
        .env("ROOMLOG_LISTEN", "127.0.0.1:0")
        .env("ROOMLOG_DATA", data.path())
        .envs(settings.iter().cloned())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn said(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, wanted: &str) {
    let saying = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(wanted) {
                return;
            }
        }
        panic!("the process ended without saying: {wanted}");
    };
    timeout(PATIENCE, saying).await.unwrap_or_else(|_| panic!("in time: {wanted}"));
}

async fn is_alive(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_none()
}

#[tokio::test]
async fn a_process_waits_for_a_log_that_does_not_answer_yet() {
    let Some(brokers) = kafka() else { return };
    let data = TempDir::new().unwrap();
    // Nobody listens there now.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut child = serving(&data, &on_kafka(&address.to_string())).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    said(&mut errors, "the log does not answer: the start waits for it").await;
    assert!(is_alive(&mut child).await);

    // A way to the brokers; from there they say themselves where they are.
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = TcpStream::connect(&brokers).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    tokio::spawn(async move { while let Ok(Some(_)) = errors.next_line().await {} });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    said(&mut lines, "listening on").await;
    child.kill().await.unwrap();
}

#[tokio::test]
async fn an_operators_command_does_not_wait() {
    let data = TempDir::new().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut listing = serving(&data, &on_kafka(&address.to_string()));
    let listed = timeout(PATIENCE, listing.args(["projections", "list"]).output()).await;
    let output = listed.expect("it gives up in time").unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no connection to Kafka"), "{said}");
}
