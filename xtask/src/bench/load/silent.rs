//! Members of a room who never do anything. They are imported: no password of theirs has to be hashed.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Plan;
use super::api::{self, Api};

const SOURCE: &str = "bench";
/// As many as an import takes at once.
const LINES_AT_ONCE: usize = 2_000;

/// Makes the room with so many members and answers its id. Anybody may join it.
pub async fn import_room(api: &mut Api, plan: &Plan, number: usize, members: usize) -> Result<String> {
    let file = plan.administrator_token_file.as_ref().context("no administrator's token for an import")?;
    let token = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut id = None;
    for first in (0..members).step_by(LINES_AT_ONCE) {
        let lines = lines(number, first, members.min(first + LINES_AT_ONCE));
        let batch = json!({ "room": format!("benchmark-{number}"), "lines": lines });
        let path = format!("/v1/imports/{SOURCE}/lines");
        let answer = api.command("POST", &path, Some(token.trim()), &batch).await?;
        id = Some(api::text(&answer, "room_id")?);
    }
    id.context("a room without members")
}

/// Each joins.
fn lines(room: usize, first: usize, end: usize) -> Vec<Value> {
    let line = |member: usize| {
        json!({
            "line": member + 1,
            "id": format!("{room}-{member}"),
            "time": "2026-01-01T00:00:00Z",
            "kind": "join",
            "author": format!("silent {room}-{member}"),
        })
    };
    (first..end).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_joins_by_a_line_of_its_own() {
        let lines = [lines(3, 0, 2_000), lines(3, 2_000, 2_001)].concat();
        assert_eq!(lines.len(), 2_001);
        assert!(lines.is_sorted_by(|one, next| one["line"].as_u64() < next["line"].as_u64()));
        assert_eq!(lines[2_000]["id"], "3-2000");
        assert_eq!(lines[2_000]["author"], "silent 3-2000");
    }
}
