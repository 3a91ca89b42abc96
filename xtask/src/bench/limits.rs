//! How many files a process may open.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::what::What;

/// For connections that senders open, and for the files of a server.
const FURTHER_FILES: u64 = 5_000;

/// Raises this process's limit as far as is needed, for the processes that it starts: beyond what is set for it where it
/// has the right to, as root often has.
pub fn allow_open_files(all: &[What], quick: bool) -> Result<()> {
    let sockets = all.iter().map(|what| what.workload(quick).sockets()).max().unwrap_or_default();
    let needed = sockets as u64 + FURTHER_FILES;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|maximum| maximum < needed) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: Some(needed) });
        ensure!(
            raised.is_ok(),
            "a process may open {} files here; {needed} are needed: raise `ulimit -Hn`",
            maximum.unwrap_or(u64::MAX)
        );
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("cannot raise the limit of open files")
}
