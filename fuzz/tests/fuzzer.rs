//! The fuzzer, of one target: `cargo xtask fuzz` builds it with coverage and runs it.
//!
//! `ROOMLOG_FUZZ_TARGET` names the target; without it, all are listed. `ROOMLOG_FUZZ_SEEDS` is a folder for its seeds.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it by a name of the linker's")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a fuzzer that cannot go on has failed")]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use roomlog_fuzz::{TARGETS, Target, target};

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

/// Before libFuzzer reads its folders.
fn choose() -> &'static Target {
    let Ok(name) = std::env::var("ROOMLOG_FUZZ_TARGET") else {
        for target in TARGETS {
            println!("{} {} {}", target.name, target.max_len, target.inputs);
        }
        std::process::exit(0)
    };
    let chosen = target(&name).expect("a target of this name");
    if let Ok(folder) = std::env::var("ROOMLOG_FUZZ_SEEDS") {
        for (number, seed) in (chosen.seeds)().iter().enumerate() {
            std::fs::write(Path::new(&folder).join(format!("seed-{number}")), seed)
                .expect("a folder to write to");
        }
    }
    chosen
}

fuzz_target!(
    init: {
        CHOSEN.get_or_init(choose);
    },
    |input: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            (target.run)(input);
        }
    }
);
