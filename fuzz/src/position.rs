//! The positions and the wait in the query string of a query.

use std::time::Duration;

use roomlog_web::MinPositions;

pub fn run(query: &[u8]) -> bool {
    let Ok(query) = std::str::from_utf8(query) else { return false };
    let Ok(parsed) = MinPositions::parse(query) else { return false };
    assert!(parsed.positions.len() <= 32 && parsed.wait <= Duration::from_secs(30), "{parsed:?}");
    let given: Vec<&str> = query.split('&').filter_map(|pair| pair.strip_prefix("min_position=")).collect();
    let written: Vec<String> = parsed.positions.iter().map(ToString::to_string).collect();
    assert_eq!(written, given, "a position is written in one way, and none is left out");
    true
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "",
        "min_position=r3f-ffffffffffffffff",
        "limit=3&min_position=r1-2&min_position=a0-f&wait_ms=99999999",
        "wait_ms=18446744073709551616&cursor=00000000-0000-8000-8000-000000000000",
    ]
    .map(|query| query.as_bytes().to_vec())
    .to_vec()
}
