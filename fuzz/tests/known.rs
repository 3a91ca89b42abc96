//! What is known of each target: its seeds are what it reads, and what was found once is found no more.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use roomlog_fuzz::TARGETS;

#[test]
fn seeds_are_read_and_fit() {
    for target in TARGETS {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            assert!((target.run)(seed), "{} {number}", target.name);
            assert!(seed.len() <= target.max_len, "{} {number}", target.name);
        }
    }
}

#[test]
fn what_is_no_input_is_refused() {
    for target in TARGETS {
        assert!(!(target.run)(&[0x80; 64]), "{}", target.name);
    }
}

#[test]
fn what_was_found_is_mended() {
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for folder in std::fs::read_dir(regressions).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let name = folder.file_name().into_string().unwrap();
        let target = roomlog_fuzz::target(&name).unwrap_or_else(|| panic!("no target is called {name}"));
        for input in std::fs::read_dir(folder.path()).unwrap() {
            let input = input.unwrap().path();
            eprintln!("{}", input.display());
            (target.run)(&std::fs::read(input).unwrap());
        }
    }
}
