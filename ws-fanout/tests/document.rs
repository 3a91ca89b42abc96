//! `docs/asyncapi.yaml` says what the code does.

use roomlog_schemas::Event;
use roomlog_ws_fanout::{CloseReason, Options, protocol};

const DOCUMENT: &str = include_str!("../../docs/asyncapi.yaml");

/// What lies below a line, by its indentation.
fn below(heading: &str) -> Vec<&'static str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = DOCUMENT.lines().skip_while(|line| *line != heading);
    let depth = indent(lines.next().unwrap_or_else(|| panic!("no {heading:?}")));
    lines.take_while(|line| line.is_empty() || indent(line) > depth).collect()
}

/// The names at this depth below a line.
fn names(heading: &str, depth: usize) -> Vec<&'static str> {
    below(heading)
        .into_iter()
        .filter(|line| line.len() > depth && line.len() - line.trim_start().len() == depth)
        .filter_map(|line| line.trim().split_once(':').map(|(name, _)| name))
        .collect()
}

#[test]
fn every_message_is_described_and_no_other() {
    let types: Vec<&str> = protocol::FROM_CLIENT.into_iter().chain(protocol::TO_CLIENT).collect();
    assert_eq!(names("  messages:", 4), types);
    assert_eq!(names("    messages:", 6), types);
    for kind in types {
        assert!(DOCUMENT.contains(&format!("type: {{ const: {kind} }}")), "{kind}");
        let lines = below(&format!("    {kind}:"));
        assert!(lines.iter().any(|line| line.trim() == "examples:"), "{kind} has an example");
    }
    let operation = |name: &str| -> Vec<&str> {
        below(&format!("  {name}:"))
            .into_iter()
            .filter_map(|line| line.split_once("/channels/stream/messages/")?.1.split('\'').next())
            .collect()
    };
    assert_eq!(operation("fromClient"), protocol::FROM_CLIENT);
    assert_eq!(operation("toClient"), protocol::TO_CLIENT);
}

#[test]
fn every_close_code_is_in_the_table_and_no_other() {
    let table: Vec<u16> = DOCUMENT
        .lines()
        .skip_while(|line| line.trim() != "## Close codes")
        .filter_map(|line| line.trim().strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(table, CloseReason::ALL.map(CloseReason::code));
}

#[test]
fn every_error_code_is_described_and_no_other() {
    let codes: Vec<&str> =
        below("            enum:").into_iter().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    assert_eq!(codes, protocol::ERROR_CODES);
    for code in codes {
        assert!(DOCUMENT.contains(&format!("`{code}`")), "{code} has its close code");
    }
}

#[test]
fn every_event_of_a_timeline_is_described() {
    let has_timeline = |name: &str| !name.starts_with("account_") && name != "session_ended";
    for name in Event::NAMES.iter().filter(|name| has_timeline(name)) {
        assert!(DOCUMENT.contains(&format!("- title: {name}")), "{name}");
    }
}

#[test]
fn every_answer_before_the_upgrade_is_described() {
    for source in [include_str!("../src/upgrade.rs"), include_str!("../src/opening.rs")] {
        let codes = source.split('"').skip(1).step_by(2).filter(|text| {
            text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        for code in codes.filter(|code| *code != "access_token") {
            assert!(DOCUMENT.contains(&format!("`{code}`")), "{code}");
        }
    }
}

#[test]
fn the_limits_are_those_of_the_options() {
    let options = Options::default();
    let number = |text: String| assert!(DOCUMENT.contains(&text), "{text}");
    number(format!("may have {} KiB", options.max_client_frame / 1024));
    number(format!("maxProperties: {}", options.max_since_rooms));
    number(format!("`id` {} bytes; {}", protocol::MAX_COMMAND_ID, options.max_commands));
    number(format!("{} KiB may wait", options.queue_bytes / 1024));
    number(format!("within {} seconds is closed", options.slow_limit.as_secs()));
    number(format!("within {} seconds. `since`", options.start_timeout.as_secs()));
    number(format!("heard nothing for {}", options.idle_timeout.as_secs()));
}
