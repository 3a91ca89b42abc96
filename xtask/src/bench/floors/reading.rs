//! Reading a partition that is in memory, on one core: judging records by the accept rule alone, and judging, decoding
//! and applying them as a writer does that replays. The key window is the writer's own and comes on top.

use std::time::Instant;

use anyhow::{Result, ensure};
use roomlog_domain::State;
use roomlog_eventlog::{
    Chain, Content, Follower, LogIdentity, LogRecord, Outcome, PartitionCounts, TopicPartition, Verdict,
};
use uuid::Uuid;

use super::plan::ReadingPlan;
use crate::bench::figures::Figures;
use crate::past::{Extent, Past};

pub fn run(plan: &ReadingPlan) -> Result<Figures> {
    let partition = TopicPartition::rooms(0);
    let partitions = PartitionCounts { accounts: 1, rooms: 1 };
    let identity = LogIdentity { log_id: Uuid::new_v4(), partitions };
    let start = Chain::new(partition, Some(identity));
    let extent = Extent { records: plan.records, from_ms: 0, to_ms: 86_400_000 };
    let past = Past::behind(&Follower::from_start(start.clone()), identity, extent);
    let records: Vec<LogRecord> = (0..)
        .zip(past)
        .map(|(offset, record)| {
            Ok(LogRecord { offset, value: record?.value, append_time_ms: 0, trace: None })
        })
        .collect::<Result<_>>()?;
    let mut figures = Figures::new();

    let mut chain = start.clone();
    let began = Instant::now();
    for record in &records {
        let is_accepted = !matches!(chain.accept(&record.value)?, Verdict::Skipped(_));
        ensure!(is_accepted, "the record at offset {} does not count", record.offset);
    }
    figures.insert("verified_per_s".to_owned(), records.len() as f64 / began.elapsed().as_secs_f64());

    let (mut follower, mut state, mut events) = (Follower::from_start(start), State::default(), 0);
    let began = Instant::now();
    for record in &records {
        if let Outcome::Accepted(accepted) = follower.follow(record)?
            && let Content::Command(command) = accepted.content
        {
            command.events.iter().for_each(|event| state.apply(event));
            events += command.events.len();
        }
    }
    figures.insert("replayed_events_per_s".to_owned(), events as f64 / began.elapsed().as_secs_f64());
    ensure!(follower.chain() == &chain && state.rooms.len() == 1, "the two ways of reading do not agree");
    Ok(figures)
}
