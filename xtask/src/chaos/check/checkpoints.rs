//! Every signed checkpoint names the head that the log has there, under a key of an unbroken chain.
//!
//! Written from the documented form, not with the platform's code.

use std::collections::BTreeSet;

use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

use super::{Invariant, Violation};
use crate::chaos::history::{Archive, History};

const CHECKPOINT: [&str; 10] =
    ["form", "log_id", "topic", "partition", "next_offset", "epoch", "claim_id", "head", "time", "key"];
const KEY: [&str; 5] = ["form", "number", "key", "signer", "time"];

pub fn check(history: &History) -> Vec<Violation> {
    let Some(archive) = &history.archive else { return Vec::new() };
    let mut violations = Vec::new();
    let mut violate = |what: String| violations.push(Violation::new(Invariant::Chain, what));
    if let Some(broken) = broken_key(archive) {
        violate(format!("the chain of audit keys is broken at {broken}"));
    }
    if archive.checkpoints.is_empty() && !history.log.records.is_empty() {
        violate("there are records and no checkpoint".to_owned());
    }
    let keys: BTreeSet<&str> = archive.keys.iter().filter_map(|key| key["key"].as_str()).collect();
    for checkpoint in &archive.checkpoints {
        if let Some(what) = wrong(history, &keys, checkpoint) {
            violate(format!("{what}: {checkpoint}"));
        }
    }
    violations
}

/// The first key that the one before it did not sign.
fn broken_key(archive: &Archive) -> Option<&Value> {
    let mut signer = archive.keys.first()?["key"].as_str();
    for (number, key) in (1_u64..).zip(&archive.keys) {
        let follows = key["number"].as_u64() == Some(number) && key["signer"].as_str() == signer;
        if !follows || !is_signed(key, &KEY, signer.unwrap_or_default()) {
            return Some(key);
        }
        signer = key["key"].as_str();
    }
    None
}

fn wrong(history: &History, keys: &BTreeSet<&str>, checkpoint: &Value) -> Option<String> {
    let text = |field: &str| checkpoint[field].as_str().unwrap_or_default();
    if !keys.contains(text("key")) {
        return Some("a checkpoint of an unknown key".to_owned());
    }
    if !is_signed(checkpoint, &CHECKPOINT, text("key")) {
        return Some("a checkpoint whose signature is wrong".to_owned());
    }
    if history.log.log_id.is_none_or(|log_id| log_id.to_string() != text("log_id")) {
        return Some("a checkpoint of another log".to_owned());
    }
    let partition = format!("{}/{}", text("topic"), checkpoint["partition"]);
    let next_offset = checkpoint["next_offset"].as_u64().unwrap_or(u64::MAX);
    let heads = history.log.heads.get(&partition)?;
    // A partition's first head is of no record.
    let expected = heads.range(..=next_offset).next_back().map(|(_, head)| head.as_str());
    let is_on_the_chain = expected.is_none_or(|expected| expected == text("head"));
    (!is_on_the_chain).then(|| format!("a checkpoint where the log has {expected:?}"))
}

/// Whether these fields, a line each, are what the key signed.
fn is_signed(value: &Value, fields: &[&str], key: &str) -> bool {
    let line = |field: &&str| match &value[*field] {
        Value::String(text) => format!("{text}\n"),
        other => format!("{other}\n"),
    };
    let text: String = fields.iter().map(line).collect();
    let signature = value["signature"].as_str().and_then(bytes::<64>);
    let key = bytes::<32>(key).and_then(|key| VerifyingKey::from_bytes(&key).ok());
    match (key, signature) {
        (Some(key), Some(signature)) => {
            key.verify_strict(text.as_bytes(), &Signature::from_bytes(&signature)).is_ok()
        }
        _ => false,
    }
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let byte = |place: usize| u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..N).map(byte).collect();
    bytes.filter(|_| digits.len() == 2 * N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use serde_json::json;
    use uuid::Uuid;

    use super::super::testing::{Story, broken};
    use super::*;

    const LOG: Uuid = Uuid::from_u128(7);

    fn digits(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn secret(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn public(n: u8) -> String {
        digits(secret(n).verifying_key().as_bytes())
    }

    fn signed(mut value: Value, fields: &[&str], by: u8) -> Value {
        let text: String = fields
            .iter()
            .map(|field| value[*field].as_str().map_or(value[*field].to_string(), str::to_owned) + "\n")
            .collect();
        value["signature"] = digits(&secret(by).sign(text.as_bytes()).to_bytes()).into();
        value
    }

    fn key(number: u64, key: u8, signer: u8) -> Value {
        let value = json!({
            "form": "roomlog audit key v1", "number": number, "key": public(key), "signer": public(signer),
            "time": "2026-12-01T00:00:00.000Z",
        });
        signed(value, &KEY, signer)
    }

    fn checkpoint(next_offset: u64, head: &str, key: u8) -> Value {
        let value = json!({
            "form": "roomlog checkpoint v1", "log_id": LOG, "topic": "rooms", "partition": 0, "next_offset": next_offset,
            "epoch": 1, "claim_id": Uuid::from_u128(3), "head": head, "time": "2026-12-01T00:00:00.000Z",
            "key": public(key),
        });
        signed(value, &CHECKPOINT, key)
    }

    fn history(keys: Vec<Value>, checkpoints: Vec<Value>) -> History {
        let mut history = Story::new().history;
        history.log.log_id = Some(LOG);
        let heads = [(1, "a"), (5, "b"), (7, "c")].map(|(offset, head)| (offset, head.to_owned()));
        history.log.heads.insert("rooms/0".to_owned(), heads.into());
        history.archive = Some(Archive { keys, checkpoints });
        history
    }

    #[test]
    fn checkpoints_on_the_chain_are_right() {
        let keys = vec![key(1, 1, 1), key(2, 2, 1)];
        let checkpoints = vec![checkpoint(1, "a", 1), checkpoint(6, "b", 1), checkpoint(9, "c", 2)];
        assert!(check(&history(keys, checkpoints)).is_empty());
    }

    #[test]
    fn what_is_wrong_is_caught() {
        let good = || vec![key(1, 1, 1), key(2, 2, 1)];
        let mut tampered = checkpoint(6, "b", 1);
        tampered["next_offset"] = 7.into();
        let mut foreign = checkpoint(6, "b", 1);
        foreign["log_id"] = Uuid::from_u128(8).to_string().into();
        for (keys, checkpoints) in [
            (good(), vec![]),
            (good(), vec![checkpoint(6, "c", 1)]),
            (good(), vec![checkpoint(6, "b", 3)]),
            (good(), vec![tampered]),
            (good(), vec![signed(foreign, &CHECKPOINT, 1)]),
            (vec![key(1, 1, 1), key(2, 2, 3)], vec![checkpoint(6, "b", 1)]),
            (vec![key(1, 1, 1), key(3, 2, 1)], vec![checkpoint(6, "b", 1)]),
            (vec![], vec![checkpoint(6, "b", 1)]),
        ] {
            let history = history(keys, checkpoints);
            assert!(broken(&check(&history), Invariant::Chain), "{:?}", history.archive);
        }
    }
}
