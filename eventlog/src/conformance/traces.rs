//! A record's trace reaches its readers.

use super::*;
use crate::trace::{TRACEPARENT, TraceContext, read_traces};

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

pub async fn a_sampled_trace_comes_back_with_its_record(backend: &impl Backend) {
    // For the whole process: other cases' records have no such header.
    read_traces();
    let log = backend.open().await;
    let mut end = 0;
    for headers in [
        vec![],
        vec![("type", "a".to_owned()), (TRACEPARENT, SAMPLED.to_owned())],
        vec![(TRACEPARENT, UNSAMPLED.to_owned())],
        vec![(TRACEPARENT, "of another kind".to_owned())],
        vec![("type", format!("not its {TRACEPARENT}"))],
    ] {
        let record = NewRecord { headers, ..record("x") };
        let appended = within("an append", log.append(ROOMS_0, record)).await.expect("appended");
        end = appended.offset + 1;
    }
    let expected = [None, TraceContext::parse(SAMPLED.as_bytes()), None, None, None];
    let traces = |records: Vec<LogRecord>| records.into_iter().map(|record| record.trace).collect::<Vec<_>>();
    assert_eq!(traces(read(&log, ROOMS_0, 0, end).await), expected);
    drop(log);
    let log = backend.open().await;
    assert_eq!(traces(read(&log, ROOMS_0, 0, end).await), expected, "after a restart");
}
