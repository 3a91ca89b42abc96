//! What a client is told whose command finds the partition's queue full. That the writer refuses it is
//! among the writer's own tests.

use axum::response::IntoResponse;
use roomlog_command_api::service::{generate_key, problem};
use roomlog_command_api::writer::request::Outcome;

#[test]
fn a_full_queue_is_answered_with_the_time_to_wait() {
    let overloaded = problem(&Outcome::Overloaded, generate_key());
    assert_eq!((overloaded.code.as_str(), overloaded.idempotency_key.as_ref()), ("overloaded", None));
    let response = overloaded.into_response();
    assert_eq!(response.status().as_u16(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
}
