//! A server as a process of ours: known by its command line, ended by signals.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::server::Server;
use crate::{wait, workspace};

/// A server closes its data in a few seconds at most; past this it hangs.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// From a process's creation to its program's first instruction.
const EXEC_DEADLINE: Duration = Duration::from_secs(1);

const LAST_WORDS: usize = 25;

/// Starts the server and answers its process id at once. The command line must hold the server's mark.
pub fn spawn(server: &Server, command: &mut Command) -> Result<u32> {
    let log = File::create(server.log_file())
        .with_context(|| format!("cannot write {}", server.log_file().display()))?;
    let process = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C at the terminal is not for the server.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", workspace::show(command)))?;
    Ok(process.id())
}

/// Whether this process is the server. Process ids are used again, so the number alone says nothing.
pub fn is_server(pid: u32, server: &Server) -> bool {
    command_line(pid).contains(&server.mark())
}

/// Ends the server: it closes its data properly, unless that is not needed any more (`in_haste`).
pub fn stop(pid: u32, server: &Server, in_haste: bool) -> Result<()> {
    let ended = || Ok(!is_server(pid, server));
    let what = format!("the {server} (process {pid}) to end");
    let kindly = if in_haste { server.service.end_signal() } else { server.service.stop_signal() };
    for (name, deadline) in [(kindly, STOP_DEADLINE), ("KILL", KILL_DEADLINE)] {
        if is_server(pid, server) {
            signal(name, pid)?;
        }
        if wait::until(&what, deadline, ended).is_ok() {
            return Ok(());
        }
    }
    wait::until(&what, Duration::ZERO, ended)
}

/// SIGKILL, whatever the server would lose by it; waits until it has ended.
pub fn kill(pid: u32, server: &Server) -> Result<()> {
    if is_server(pid, server) {
        signal("KILL", pid)?;
    }
    wait::until(&format!("the {server} (process {pid}) to end"), KILL_DEADLINE, || {
        Ok(!is_server(pid, server))
    })
}

pub fn last_words(server: &Server) -> String {
    let log = std::fs::read(server.log_file()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

/// Empty for a process that does not exist or has ended and only waits to be noticed.
fn command_line(pid: u32) -> String {
    let proc = Path::new("/proc");
    if !proc.join("self").exists() {
        let mut ps = Command::new("ps");
        ps.args(["-ww", "-o", "command=", "-p", &pid.to_string()]);
        return workspace::run_quietly(&mut ps)
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
    }
    let process = proc.join(pid.to_string());
    let mut line = Vec::new();
    // A process that has just been started has no command line for a moment; one that keeps none is the kernel's.
    let _ = wait::until("a command line", EXEC_DEADLINE, || {
        line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        Ok(!line.is_empty() || !is_alive(&process))
    });
    String::from_utf8_lossy(&line).into_owned()
}

/// Whether any process that can be seen has this as its current folder.
pub fn works_in(folder: &Path) -> bool {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let mut processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.any(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
}

/// Whether the process behind this folder of `/proc` has not ended.
fn is_alive(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The state follows the program's name, which stands in parentheses and may hold some itself.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn signal(signal: &str, pid: u32) -> Result<()> {
    // The shell's own `kill`: a minimal system has no other.
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid.to_string()]);
    workspace::run_quietly(&mut kill)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::instance::Instance;
    use super::super::service::Service;
    use super::*;

    #[test]
    fn another_process_is_not_the_server() {
        let dev: Instance = "dev".parse().unwrap();
        assert!(!command_line(std::process::id()).is_empty());
        assert!(!is_server(std::process::id(), &Server::new(&dev, Service::Kafka)));
    }

    #[test]
    fn who_works_in_a_folder_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(!works_in(folder));
        let mut process = Command::new("sh")
            .args(["-c", "read -r _"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(works_in(folder) || !Path::new("/proc").exists());
        drop(process.stdin.take());
        process.wait().unwrap();
        assert!(!works_in(folder));
    }

    #[test]
    fn a_server_is_known_from_its_first_moment_to_its_last() {
        let instance = Instance::ephemeral("unit");
        let server = Server::new(&instance, Service::Kafka);
        let mut process = Command::new("sh")
            .args(["-c", "read -r _", &server.mark()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(is_server(process.id(), &server));
        assert!(!is_server(process.id(), &Server::new(&instance, Service::Cql)));
        stop(process.id(), &server, false).unwrap();
        assert!(!is_server(process.id(), &server));
        process.wait().unwrap();
        assert!(!is_server(process.id(), &server));
    }
}
