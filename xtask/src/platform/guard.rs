//! Processes end with the one that started them, however that one ends.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// A small shell that is told which processes run. When this process's end of its pipe closes, it asks those that are
/// left to end. A paused one would not hear that, so it is woken as well.
const SCRIPT: &str = r#"
running=' '
while read -r change pid; do
    case "$change" in
        started) running="$running$pid " ;;
        ended) running="${running%% $pid *} ${running#* $pid }" ;;
    esac
done
for pid in $running; do
    kill -TERM "$pid"
    kill -CONT "$pid"
done
"#;

pub struct Guard {
    shell: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    pub fn start() -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT])
            // A Ctrl-C at the terminal is for this process, not for the guard.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the shell that guards the processes")?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Self { shell, pipe })
    }

    /// This process has been started.
    pub fn started(&self, pid: u32) -> Result<()> {
        self.tell("started", pid)
    }

    /// It has ended and been waited for: its id may soon be that of another.
    pub fn ended(&self, pid: u32) -> Result<()> {
        self.tell("ended", pid)
    }

    fn tell(&self, change: &str, pid: u32) -> Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = pipe.as_mut().context("the guard is gone")?;
        writeln!(pipe, "{change} {pid}").context("the guard is gone")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn what_still_runs_ends_with_the_guard() {
        let guard = Guard::start().unwrap();
        let (mut first, mut second, mut third) = (sleeper(), sleeper(), sleeper());
        for sleeper in [&first, &second, &third] {
            guard.started(sleeper.id()).unwrap();
        }
        guard.ended(second.id()).unwrap();
        drop(guard);
        first.wait().unwrap();
        third.wait().unwrap();
        assert!(second.try_wait().unwrap().is_none(), "it was said to have ended");
        second.kill().unwrap();
        second.wait().unwrap();
    }
}
