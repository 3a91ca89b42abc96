//! Processes that a benchmark starts, and that end with it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{wait, workspace};

/// In front of a line that a task prints while it runs.
const ORDER: &str = "order: ";

/// Runs this program's hidden task `task` with a plan, and answers what it printed.
pub fn run<T: DeserializeOwned>(xtask: &Path, task: &[&str], plan: &impl Serialize) -> Result<T> {
    run_with_orders(xtask, task, plan, |order| bail!("nobody carries out `{order}`"))
}

/// The same of a task that gives orders, each of which is carried out while it goes on. One that fails ends it.
pub fn run_with_orders<T: DeserializeOwned>(
    xtask: &Path,
    task: &[&str],
    plan: &impl Serialize,
    mut carry_out: impl FnMut(&str) -> Result<()>,
) -> Result<T> {
    let mut command = Command::new(xtask);
    command.args(task).arg(serde_json::to_string(plan)?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut process = command.spawn().context("cannot start a part of the benchmark")?;
    let what = task.join(" ");
    let answer = match process.stdout.take() {
        Some(output) => follow(BufReader::new(output), &mut carry_out),
        None => Err(anyhow!("its output is not piped")),
    };
    if answer.is_err() {
        process.kill()?;
    }
    let status = process.wait()?;
    let answer = answer.with_context(|| what.clone())?;
    if !status.success() {
        bail!("{what}: {status}");
    }
    serde_json::from_str(&answer).with_context(|| format!("{what}: no figures"))
}

/// Carries out every order and answers the last line that is none.
fn follow(output: impl BufRead, carry_out: &mut impl FnMut(&str) -> Result<()>) -> Result<String> {
    let mut answer = String::new();
    for line in output.lines() {
        let line = line?;
        match line.strip_prefix(ORDER) {
            Some(order) => carry_out(order)?,
            None => answer = line,
        }
    }
    Ok(answer)
}

/// What such a task asks for while it runs.
pub fn order(what: &str) -> Result<()> {
    print(&format!("{ORDER}{what}"))
}

/// What it ends with.
pub fn answer(figures: &impl Serialize) -> Result<()> {
    print(&serde_json::to_string(figures)?)
}

fn print(line: &str) -> Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("nobody reads the figures any more")
}

/// A running server. Ends when dropped, and when this process ends in whatever way.
pub struct Server {
    what: String,
    process: Child,
    /// Waits for this process's end of a pipe to close, and then ends the server.
    guard: Child,
}

/// A server lets its requests and sockets finish.
const STOP_DEADLINE: Duration = Duration::from_secs(25);
const KILL_DEADLINE: Duration = Duration::from_secs(10);

impl Server {
    /// Standard input is this process's to choose: it stays with the child where it is piped.
    pub fn start(command: &mut Command) -> Result<Self> {
        let what = workspace::show(command);
        let mut process = command.spawn().with_context(|| format!("cannot start {what}"))?;
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill \"$0\""])
            .arg(process.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { what, process, guard }),
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(error).context("cannot start the shell that guards the server")
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Its first line, where its output is piped.
    pub fn first_line(&mut self) -> Result<String> {
        let output = self.process.stdout.take().context("the output is not piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.is_empty() {
            bail!("{} has ended", self.what);
        }
        Ok(line.trim().to_owned())
    }

    /// Asks it to end, and ends it if it does not.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        // First, so that it cannot hit another process of the same id.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        if self.has_ended()? {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let what = format!("{} to end", self.what);
        if wait::until(&what, STOP_DEADLINE, || Ok(self.process.try_wait()?.is_some())).is_ok() {
            return Ok(());
        }
        eprintln!("warning: {} does not end when asked to; killing it", self.what);
        self.process.kill()?;
        wait::until(&what, KILL_DEADLINE, || Ok(self.process.try_wait()?.is_some()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("warning: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_carried_out_before_the_answer() {
        let mut orders = Vec::new();
        let mut keep = |order: &str| {
            orders.push(order.to_owned());
            Ok(())
        };
        let answer = follow("order: restart\norder: x\n[1]\n".as_bytes(), &mut keep).unwrap();
        assert_eq!((answer.as_str(), orders), ("[1]", vec!["restart".to_owned(), "x".to_owned()]));
        let mut refuse = |_: &str| bail!("no");
        assert!(follow("order: restart\n[1]\n".as_bytes(), &mut refuse).is_err());
    }

    #[test]
    fn a_server_ends_when_asked() {
        let mut sleeper = Command::new("sleep");
        let mut server = Server::start(sleeper.arg("60")).unwrap();
        assert!(!server.has_ended().unwrap());
        server.stop().unwrap();
    }

    #[test]
    fn what_a_server_says_first_can_be_read() {
        let mut shell = Command::new("sh");
        let mut server =
            Server::start(shell.args(["-c", "echo hello; exec sleep 60"]).stdout(Stdio::piped())).unwrap();
        assert_eq!(server.first_line().unwrap(), "hello");
        let mut silent = Command::new("true");
        assert!(Server::start(silent.stdout(Stdio::piped())).unwrap().first_line().is_err());
    }
}
