//! What a run came to: a line of JSON for each log and workload, and a table to read.

mod goals;
mod table;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::machine::Circumstances;
use super::runs::CaseResult;
pub use table::Report;

/// Whole in itself: lines of different runs may stand in one file.
#[derive(Serialize)]
struct Line<'a> {
    circumstances: &'a Circumstances,
    #[serde(flatten)]
    result: &'a CaseResult,
}

pub fn append_line(file: &Path, circumstances: &Circumstances, result: &CaseResult) -> Result<()> {
    let mut line = serde_json::to_string(&Line { circumstances, result })?;
    line.push('\n');
    // In one write, so that runs beside each other do not mix their lines.
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(line.as_bytes())?)
}
