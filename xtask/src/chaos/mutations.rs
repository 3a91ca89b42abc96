//! `--all-mutations`: the platform with one promise broken at a time. A run that finds nothing wrong has not looked.

use std::process::ExitCode;

use anyhow::Result;

use super::fault::Fault;
use super::run::{Length, Plan};
use super::world::Profile;
use crate::build;

struct Mutation {
    /// As in `ROOMLOG_CHAOS_MUTATION`.
    name: &'static str,
    breaks: &'static str,
    profile: Profile,
    faults: fn() -> Vec<Fault>,
}

const ALL: [Mutation; 7] = [
    Mutation {
        name: "chain_check",
        breaks: "a record counts wherever it stands",
        profile: Profile::Embedded,
        faults: || vec![Fault::Doubled { partition: 0 }; 2],
    },
    Mutation {
        name: "key_window",
        breaks: "a repeated key is a new command",
        profile: Profile::Embedded,
        faults: || vec![restart()],
    },
    Mutation {
        name: "resume",
        breaks: "a stream goes on one event too late",
        profile: Profile::Embedded,
        faults: || vec![restart()],
    },
    Mutation {
        name: "cursor",
        breaks: "a cursor is stored before its rows",
        profile: Profile::Embedded,
        faults: || vec![kill(); 4],
    },
    Mutation {
        name: "authorization",
        breaks: "whoever was a member goes on receiving",
        profile: Profile::Embedded,
        faults: || vec![restart(); 3],
    },
    Mutation {
        name: "checkpoint",
        breaks: "a checkpoint covers one offset more than was read",
        profile: Profile::Embedded,
        faults: || vec![restart()],
    },
    Mutation {
        name: "read_back",
        breaks: "a command is acknowledged when it was appended",
        profile: Profile::Distributed,
        faults: || {
            (1..=3)
                .cycle()
                .take(6)
                .map(|n| Fault::Pause { process: format!("command-api-{n}"), millis: 6_000 })
                .collect()
        },
    },
];

fn kill() -> Fault {
    Fault::Kill { process: "all-1".to_owned(), down: 0 }
}

fn restart() -> Fault {
    Fault::Stop { process: "all-1".to_owned() }
}

/// Fails if one of them goes unnoticed.
pub fn run(seed: u64, profile: build::Profile) -> Result<ExitCode> {
    let roomlog = build::build_with("roomlog", profile, &["chaos-mutations"])?;
    // The next build of the ordinary program would put it in this one's place.
    let mutated = roomlog.with_file_name("roomlog-mutated");
    std::fs::copy(&roomlog, &mutated)?;
    let mut rows = Vec::new();
    for mutation in ALL {
        eprintln!("\n==> {}: {}", mutation.name, mutation.breaks);
        let plan = Plan {
            profile: mutation.profile,
            seed,
            length: Length::These((mutation.faults)()),
            only: String::new(),
            roomlog: mutated.clone(),
            settings: vec![("ROOMLOG_CHAOS_MUTATION".to_owned(), mutation.name.to_owned())],
            conversation: None,
        };
        let outcomes = super::carry_out(plan)?;
        let mut invariants: Vec<_> =
            outcomes.violations.iter().map(|violation| violation.invariant).collect();
        invariants.sort_unstable();
        invariants.dedup();
        rows.push((mutation, invariants));
    }
    println!("\n{:<14} {:<48} noticed by", "mutation", "breaks");
    for (mutation, invariants) in &rows {
        let noticed = if invariants.is_empty() { "NOTHING".to_owned() } else { format!("{invariants:?}") };
        println!("{:<14} {:<48} {noticed}", mutation.name, mutation.breaks);
    }
    let all = rows.iter().all(|(_, invariants)| !invariants.is_empty());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
