//! How long it takes until queries reflect what was accepted last.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::api::Api;
use super::{Scene, Target};

/// How long one query waits for its positions; it is repeated.
const WAIT_MS: u32 = 5_000;
/// A query takes 32 positions at most.
const POSITIONS_AT_ONCE: usize = 32;

/// Waits for every room's last message, in each projection. `None` where nothing is stored or nothing was accepted.
pub async fn catch_up(scene: &Scene) -> Result<Option<Duration>> {
    let started = Instant::now();
    let positions = scene.tally.borrow().last_positions.clone();
    let last: Vec<(usize, String)> =
        positions.into_iter().enumerate().filter_map(|(room, position)| Some((room, position?))).collect();
    if last.is_empty() || scene.plan.target != Target::Roomlog {
        return Ok(None);
    }
    for (number, chunk) in last.chunks(POSITIONS_AT_ONCE).enumerate() {
        let room = &scene.stage.rooms[chunk[0].0];
        let waited_for = query_string(chunk.iter().map(|(_, position)| position.as_str()));
        let mut api = Api::new(scene.plan.addresses.query(number));
        // The first reads `room_events`, the second `directory`.
        let token = &room.members[0];
        api.query(&format!("/v1/rooms/{}/messages?limit=1&{waited_for}", room.id), token).await?;
        api.query(&format!("/v1/rooms/{}?{waited_for}", room.id), token).await?;
    }
    Ok(Some(started.elapsed()))
}

fn query_string<'a>(positions: impl Iterator<Item = &'a str>) -> String {
    let positions = positions.map(|position| format!("&min_position={}", percent_encoded(position)));
    format!("wait_ms={WAIT_MS}{}", positions.collect::<String>())
}

/// As a value in a query string.
fn percent_encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_a_query_string() {
        assert_eq!(percent_encoded("rooms/3:17 a"), "rooms%2F3%3A17%20a");
        assert_eq!(percent_encoded("a-b_c.d~9"), "a-b_c.d~9");
        assert_eq!(query_string(["a/1", "b"].into_iter()), "wait_ms=5000&min_position=a%2F1&min_position=b");
    }
}
