//! One process of the platform, and what a test, a benchmark or chaos does to it.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::guard::Guard;
use super::readiness;
use super::role::Role;
use crate::wait;

/// A process lets its requests and sockets finish, hands its partitions over, and then ends.
pub const STOP_DEADLINE: Duration = Duration::from_secs(30);
const KILL_DEADLINE: Duration = Duration::from_secs(10);
const LAST_WORDS: usize = 20;

/// How a process is started, now and whenever it is started again: always at the same addresses, with the same data.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The group's name and a number: `command-api-1`.
    pub name: String,
    pub roles: Vec<Role>,
    /// Where it serves HTTP.
    pub address: SocketAddr,
    /// Where the other processes reach it.
    pub internal_address: SocketAddr,
    pub program: PathBuf,
    pub environment: Vec<(String, String)>,
    /// Its current folder, with its data and its log.
    pub folder: PathBuf,
}

/// Ends, without being asked to first, when dropped; and is asked to when this process ends in whatever way.
pub struct Process {
    recipe: Recipe,
    guard: Arc<Guard>,
    child: Option<Child>,
}

impl Process {
    /// Starts it and returns at once.
    pub fn start(recipe: Recipe, guard: Arc<Guard>) -> Result<Self> {
        let mut process = Self { recipe, guard, child: None };
        process.start_again()?;
        Ok(process)
    }

    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    pub fn has(&self, role: Role) -> bool {
        self.recipe.roles.contains(&role)
    }

    /// Where it serves HTTP, its `/readyz` and `/metrics` included.
    pub fn address(&self) -> SocketAddr {
        self.recipe.address
    }

    pub fn internal_address(&self) -> SocketAddr {
        self.recipe.internal_address
    }

    /// `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Everything that it has said since the first start.
    pub fn log_file(&self) -> PathBuf {
        log_file(&self.recipe.folder)
    }

    /// Whether it has not ended, by itself or otherwise. A paused process runs.
    pub fn is_running(&mut self) -> Result<bool> {
        let Some(child) = &mut self.child else {
            return Ok(false);
        };
        let ended = child.try_wait()?.is_some();
        if ended {
            self.forget()?;
        }
        Ok(!ended)
    }

    /// Whether it says so itself.
    pub fn is_ready(&self) -> bool {
        readiness::is_ready(self.recipe.address)
    }

    /// Fails at once, with its last words, when it ends instead.
    pub fn wait_until_ready(&mut self, deadline: Duration) -> Result<()> {
        let what = format!("{} to be ready", self.name());
        let waited = wait::until(&what, deadline, || {
            if !self.is_running()? {
                bail!("{} has ended", self.name());
            }
            Ok(self.is_ready())
        });
        waited.map_err(|error| {
            let answer = readiness::ask(self.recipe.address).unwrap_or_default();
            anyhow!(
                "{error:#}. {answer}\nIts last words ({}):\n{}",
                self.log_file().display(),
                self.last_words()
            )
        })
    }

    /// Starts it after it has ended or been ended. It keeps its addresses and its data.
    pub fn start_again(&mut self) -> Result<()> {
        if self.is_running()? {
            bail!("{} runs already", self.name());
        }
        let Recipe { folder, name, .. } = &self.recipe;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let log = OpenOptions::new().create(true).append(true).open(log_file(folder))?;
        let child = self
            .operators_command()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C at the terminal is for this process, which stops the others in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let child = self.child.insert(child);
        self.guard.started(child.id())
    }

    /// At its next start, and from then on.
    pub fn set(&mut self, setting: &str, value: &str) {
        self.recipe.environment.push((setting.to_owned(), value.to_owned()));
    }

    /// The program with this process's settings: for an operator's command, whose arguments are to follow.
    pub fn operators_command(&self) -> Command {
        let Recipe { program, environment, folder, .. } = &self.recipe;
        let mut command = Command::new(program);
        // Settings of the person who runs this reach it through the specification alone.
        for (setting, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROOMLOG_"))
        {
            command.env_remove(setting);
        }
        command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            // A `roomlog.toml` in this process's folder is not meant for it.
            .current_dir(folder);
        command
    }

    /// SIGTERM, and returns at once.
    pub fn ask_to_end(&mut self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGTERM, and waits until it has ended. Killed if it does not.
    pub fn terminate(&mut self) -> Result<()> {
        if self.is_running()? {
            self.ask_to_end()?;
        }
        self.wait_until_ended(STOP_DEADLINE)
    }

    /// Killed if it has not ended by then.
    pub fn wait_until_ended(&mut self, deadline: Duration) -> Result<()> {
        let what = format!("{} to end", self.name());
        if wait::until(&what, deadline, || Ok(!self.is_running()?)).is_ok() {
            return Ok(());
        }
        eprintln!("warning: {} does not end when asked to; killing it", self.name());
        self.kill().map(drop)
    }

    /// SIGKILL, and waits until it has ended. Answers how it ended, `None` if it did not run.
    pub fn kill(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        child.kill()?;
        let mut status = None;
        wait::until("a killed process to end", KILL_DEADLINE, || {
            status = child.try_wait()?;
            Ok(status.is_some())
        })?;
        self.forget()?;
        Ok(status)
    }

    /// SIGSTOP: it keeps its memory, connections and ports, and does nothing.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        let Some(child) = &self.child else {
            bail!("{} does not run", self.name());
        };
        kill_process(Pid::from_child(child), signal)
            .with_context(|| format!("cannot send {signal:?} to {}", self.name()))
    }

    fn forget(&mut self) -> Result<()> {
        match self.child.take() {
            Some(child) => self.guard.ended(child.id()),
            None => Ok(()),
        }
    }

    /// The end of what it has said.
    pub fn last_words(&self) -> String {
        let log = std::fs::read(self.log_file()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("warning: cannot end {}: {error:#}", self.name());
        }
    }
}

pub fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("output.log")
}

#[cfg(test)]
mod tests {
    use super::super::ports;
    use super::*;

    /// `script` stands in for the platform's program.
    fn process(folder: &Path, script: &str) -> Process {
        let program = folder.join("program");
        // Written by another process: a file that this one, which has many threads that start others, has had open for
        // writing may be busy.
        let written = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod +x \"$0\""])
            .arg(&program)
            .arg(script)
            .status()
            .unwrap();
        assert!(written.success());
        let recipe = Recipe {
            name: "all-1".to_owned(),
            roles: Role::ALL.to_vec(),
            address: ports::free_address().unwrap(),
            internal_address: ports::free_address().unwrap(),
            program,
            environment: vec![("GREETING".to_owned(), "hello".to_owned())],
            folder: folder.join("all-1"),
        };
        Process::start(recipe, Arc::new(Guard::start().unwrap())).unwrap()
    }

    fn said(process: &Process, what: &str) {
        wait::until(what, STOP_DEADLINE, || Ok(process.last_words().contains(what))).unwrap();
    }

    #[test]
    fn a_killed_process_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = process(folder.path(), "echo \"$GREETING $$\"; exec sleep 60");
        let first = process.pid().unwrap();
        said(&process, &format!("hello {first}"));
        assert!(process.is_running().unwrap() && process.start_again().is_err());

        assert!(process.kill().unwrap().is_some());
        assert!(!process.is_running().unwrap() && process.pid().is_none());
        assert_eq!(process.kill().unwrap(), None);
        assert!(process.ask_to_end().is_err() && process.terminate().is_ok());

        process.start_again().unwrap();
        said(&process, &format!("hello {}", process.pid().unwrap()));
        assert_ne!(process.pid(), Some(first));
    }

    #[test]
    fn a_paused_process_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut process =
            process(folder.path(), "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
        said(&process, "up");
        process.pause().unwrap();
        process.ask_to_end().unwrap();
        assert!(process.is_running().unwrap());
        process.resume().unwrap();
        process.wait_until_ended(STOP_DEADLINE).unwrap();
        said(&process, "bye");
    }

    #[test]
    fn one_that_ends_instead_of_becoming_ready_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = process(folder.path(), "echo 'no such log'; exit 1");
        let error = process.wait_until_ready(STOP_DEADLINE).unwrap_err().to_string();
        assert!(error.contains("all-1 has ended") && error.contains("no such log"), "{error}");
    }
}
