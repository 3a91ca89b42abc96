//! Checkpoints of the real binary, and what `roomlog verify` finds in a log that somebody worked on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{DEADLINE, Server, roomlog};
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(20);
/// Of the embedded log.
const PARTITIONS: [(&str, u32); 5] =
    [("accounts", 0), ("rooms", 0), ("rooms", 1), ("rooms", 2), ("rooms", 3)];

/// All checkpoints of a partition, a small page at a time.
async fn checkpoints(server: &Server, topic: &str, partition: u32) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let path =
            format!("/v1/audit/checkpoints?topic={topic}&partition={partition}&after_offset={after}&limit=2");
        let page = server.get(&path, "").await.ok();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_after_offset"].as_u64() {
            Some(next) => after = next,
            None => return all,
        }
    }
}

async fn keys(server: &Server) -> Vec<Value> {
    server.get("/v1/audit/keys", "").await.ok()["items"].as_array().unwrap().clone()
}

/// A platform that had something to sign, and what an auditor kept of it.
struct Audited {
    server: Server,
    /// The topic and number of the partition of the room.
    partition: u32,
    checkpoints: Vec<Value>,
    keys: Vec<Value>,
}

impl Audited {
    async fn new() -> Self {
        let server = Server::start_with(&[("ROOMLOG_CHECKPOINT_INTERVAL", "1")]).await;
        let ada = server.account("ada").await;
        let room = server.room(&ada, "Ledger").await;
        for round in 0..3 {
            server.send(&ada, &room, &format!("message {round}")).await;
            signed(&server, round + 1).await;
        }
        let mut server = server;
        server.stop().await;
        server.start_again().await;
        let mut kept = Vec::new();
        let mut most = (0, 0);
        for (topic, number) in PARTITIONS {
            let of_partition = checkpoints(&server, topic, number).await;
            if topic == "rooms" {
                most = most.max((of_partition.len(), number));
            }
            kept.extend(of_partition);
        }
        let keys = keys(&server).await;
        server.stop().await;
        Self { server, partition: most.1, checkpoints: kept, keys }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.server.data().join(name)
    }

    fn first_key(&self) -> &str {
        self.keys[0]["key"].as_str().unwrap()
    }

    /// Holds the log against what the auditor kept.
    async fn verify_kept(&self, checkpoints: &[Value], keys: &[Value], first_key: &str) -> (bool, String) {
        let lines: String = checkpoints.iter().map(|checkpoint| format!("{checkpoint}\n")).collect();
        let (of_checkpoints, of_keys) = (self.file("kept.jsonl"), self.file("kept-keys.json"));
        std::fs::write(&of_checkpoints, lines).unwrap();
        std::fs::write(&of_keys, json!({"items": keys}).to_string()).unwrap();
        let arguments = [
            "--checkpoints",
            of_checkpoints.to_str().unwrap(),
            "--keys",
            of_keys.to_str().unwrap(),
            "--first-key",
            first_key,
        ];
        verify(self.server.data(), &arguments).await
    }

    async fn verify(&self) -> (bool, String) {
        self.verify_kept(&self.checkpoints, &self.keys, self.first_key()).await
    }

    fn sql(&self, statement: &str) -> usize {
        let log = Connection::open(self.file("log.db")).unwrap();
        log.execute(&statement.replace("TABLE", &format!("rooms_{}", self.partition)), []).unwrap()
    }
}

/// Waits until some partition has so many checkpoints.
async fn signed(server: &Server, count: usize) {
    let until = Instant::now() + 2 * DEADLINE;
    loop {
        for (topic, number) in PARTITIONS {
            if checkpoints(server, topic, number).await.len() >= count {
                return;
            }
        }
        assert!(Instant::now() < until, "{count} checkpoints in time");
        sleep(POLL).await;
    }
}

async fn verify(data: &Path, arguments: &[&str]) -> (bool, String) {
    let output: Output =
        roomlog().arg("verify").args(arguments).env("ROOMLOG_DATA", data).output().await.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[track_caller]
fn found(verdict: (bool, String), what: &str) {
    let (sound, said) = verdict;
    assert!(!sound && said.contains(what), "{what}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_is_verified_beside_a_running_server_and_offered_to_everybody() {
    let mut server = Server::start_with(&[("ROOMLOG_CHECKPOINT_INTERVAL", "1")]).await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Ledger").await;
    server.send(&ada, &room, "one").await;
    signed(&server, 1).await;
    let (sound, said) = verify(server.data(), &[]).await;
    assert!(sound && said.contains("records/s") && said.contains("taken on trust"), "{said}");
    assert!(!said.contains("There is no checkpoint"), "{said}");

    let first = keys(&server).await[0]["key"].as_str().unwrap().to_owned();
    let rotated = roomlog().args(["keys", "audit", "rotate"]).env("ROOMLOG_DATA", server.data()).output();
    assert!(rotated.await.unwrap().status.success());
    let published = keys(&server).await;
    assert_eq!(published.len(), 2);
    assert_eq!((&published[1]["signer"], &published[0]["key"]), (&json!(first), &json!(first)));
    let listed =
        roomlog().args(["keys", "audit", "list", "--json"]).env("ROOMLOG_DATA", server.data()).output();
    let listed = String::from_utf8(listed.await.unwrap().stdout).unwrap();
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed, published);

    // Started again, it signs with the new key, and says at its end where it stood.
    server.stop().await;
    server.start_again().await;
    server.send(&ada, &room, "two").await;
    server.stop().await;
    let (sound, said) = verify(server.data(), &["--first-key", &first, "--json"]).await;
    assert!(sound, "{said}");
    let mut partitions = 0;
    for line in said.lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["tail"], &line["findings"]), (&json!(0), &json!([])), "{line}");
        partitions += 1;
    }
    assert_eq!(partitions, PARTITIONS.len());
    server.start_again().await;
    let mut signers = Vec::new();
    for (topic, number) in PARTITIONS {
        signers.extend(checkpoints(&server, topic, number).await.into_iter().map(|of| of["key"].clone()));
    }
    assert!(signers.contains(&published[0]["key"]) && signers.contains(&published[1]["key"]));

    // Anybody may keep a copy, and caches may too.
    let page = server.get("/v1/audit/checkpoints?topic=rooms&partition=0", "").await;
    assert_eq!(page.headers["cache-control"], "public, max-age=60");
    assert!(page.headers.contains_key("etag"));
    let unknown = server.get("/v1/audit/checkpoints?topic=rooms&partition=4000", "").await.ok();
    assert_eq!(unknown, json!({"items": [], "next_after_offset": null}));
    for query in ["topic=rooms", "topic=members&partition=0", "topic=rooms&partition=0&limit=0"] {
        server.get(&format!("/v1/audit/checkpoints?{query}"), "").await.problem(400, "invalid_query");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_somebody_worked_on_is_found() {
    let audited = Audited::new().await;
    let (sound, said) = audited.verify().await;
    assert!(sound, "{said}");
    let first_key = audited.first_key();
    let whole = std::fs::read(audited.file("log.db")).unwrap();

    // One byte of a record that was signed.
    assert_eq!(
        audited.sql("UPDATE TABLE SET value = CAST(substr(value, 1, length(value) - 1) || x'A5' AS BLOB) WHERE offset = 2"),
        1
    );
    found(audited.verify().await, "are not those that were signed");
    std::fs::write(audited.file("log.db"), &whole).unwrap();

    // Its tail is gone.
    let last = audited.sql("DELETE FROM TABLE WHERE offset >= 3");
    assert!(last > 0);
    found(audited.verify().await, "it was cut off");
    let (sound, said) = audited.verify_kept(&[], &audited.keys, first_key).await;
    assert!(sound && said.contains("There is no checkpoint"), "nothing else could know: {said}");
    std::fs::write(audited.file("log.db"), &whole).unwrap();

    // Checkpoints and keys that somebody worked on.
    let mut changed = audited.checkpoints.clone();
    changed[0]["next_offset"] = json!(1);
    found(audited.verify_kept(&changed, &audited.keys, first_key).await, "its signature is not of its key");
    let mut foreign = audited.checkpoints.clone();
    foreign[0]["log_id"] = json!("01990000-0000-7000-8000-000000000001");
    found(audited.verify_kept(&foreign, &audited.keys, first_key).await, "is of another log");
    let mut elsewhere = audited.checkpoints.clone();
    elsewhere[0]["partition"] = json!(77);
    found(audited.verify_kept(&elsewhere, &audited.keys, first_key).await, "which this log does not have");
    let mut unlike = audited.keys.clone();
    unlike[0]["number"] = json!(2);
    found(
        audited.verify_kept(&audited.checkpoints, &unlike, first_key).await,
        "chain of audit keys is broken",
    );
    let other = "ab".repeat(32);
    found(audited.verify_kept(&audited.checkpoints, &audited.keys, &other).await, "the first audit key is");

    // Another platform: its keys are well-formed, and none of this one's.
    let stranger = Audited::new().await;
    let verdict = audited.verify_kept(&audited.checkpoints, &stranger.keys, stranger.first_key()).await;
    found(verdict, "is none of the audit keys");
    let verdict = audited.verify_kept(&stranger.checkpoints, &stranger.keys, stranger.first_key()).await;
    found(verdict, "is of another log");
    let stranger_log = stranger.checkpoints[0]["log_id"].as_str().unwrap();
    found(verify(audited.server.data(), &["--log-id", stranger_log]).await, "this is the log");
    let (sound, said) = audited.verify().await;
    assert!(sound, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_may_be_in_a_file_of_the_operators() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.json");
    let setting = ("ROOMLOG_AUDIT_KEY_FILE", file.to_str().unwrap());
    let data = folder.path().join("data");
    let missing = roomlog().env("ROOMLOG_DATA", &data).env(setting.0, setting.1).output().await.unwrap();
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(!missing.status.success() && said.contains("there is no audit key in"), "{said}");
    let made = roomlog()
        .args(["keys", "audit", "rotate"])
        .env("ROOMLOG_DATA", &data)
        .env(setting.0, setting.1)
        .output()
        .await
        .unwrap();
    assert!(made.status.success());

    let server = Server::start_with(&[setting, ("ROOMLOG_CHECKPOINT_INTERVAL", "1")]).await;
    signed(&server, 1).await;
    let published = keys(&server).await;
    let in_file: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(in_file["keys"], json!(published));
    let secrets = Connection::open(server.data().join("secrets.db")).unwrap();
    let stored: u64 = secrets
        .query_row("SELECT count(*) FROM platform_key WHERE name LIKE 'audit%'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_kafka_is_verified_while_the_platform_runs() {
    let Some(brokers) = support::kafka() else { return };
    let mut settings = support::on_kafka(&brokers);
    settings.push(("ROOMLOG_CHECKPOINT_INTERVAL".to_owned(), "1".to_owned()));
    let borrowed: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let server = Server::start_with(&borrowed).await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Ledger").await;
    server.send(&ada, &room, "one").await;
    signed(&server, 1).await;
    let verify = |prefix: Option<&str>| {
        let mut command = roomlog();
        command.arg("verify").env("ROOMLOG_DATA", server.data()).envs(settings.clone());
        command.envs(prefix.map(|prefix| ("ROOMLOG_KAFKA_TOPIC_PREFIX", prefix)));
        command
    };
    let output = verify(None).output().await.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("checkpoints agree"), "{said}");
    // A mistyped name makes no topics.
    let output = verify(Some("mistyped-")).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("there is no topic mistyped-accounts"), "{said}");
}
