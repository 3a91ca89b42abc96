//! The platform under test.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::addresses::Addresses;
use super::kind::{Kind, Layout};
use super::load::ORDER_RESTART;
use super::parts::{Measured, Part};
use super::settings::Settings;
use crate::cluster::Running;
use crate::platform::{self, Group, Platform, READY_DEADLINE, Role, Spec};

pub struct Subject {
    platform: Platform,
}

/// Of a process's log, where it was worth a warning.
const LAST_WARNINGS: usize = 10;

impl Subject {
    /// Starts all processes with their data in `folder` and waits until they are ready.
    pub fn start(
        roomlog: &Path,
        kind: Kind,
        layout: Layout,
        environment: Settings,
        folder: &Path,
    ) -> Result<Self> {
        let spec = Spec {
            roomlog: roomlog.to_path_buf(),
            folder: folder.to_path_buf(),
            groups: match kind {
                Kind::Embedded | Kind::Kafka => Group::all_in_one(1),
                Kind::Distributed => Group::each_role(layout.instances),
            },
            port: None,
            environment,
            own_environment: BTreeMap::new(),
        };
        let through_proxy = kind == Kind::Distributed && layout.through_proxy;
        let start = if through_proxy { platform::start } else { platform::start_without_proxy };
        Ok(Self { platform: start(&spec)? })
    }

    pub fn addresses(&self) -> Addresses {
        let projectors = self.platform.addresses(Role::Projectors);
        if let Some(proxy) = self.platform.address() {
            return Addresses { projectors, ..Addresses::one(proxy) };
        }
        Addresses {
            commands: self.platform.addresses(Role::CommandApi),
            queries: self.platform.addresses(Role::QueryApi),
            streams: self.platform.addresses(Role::WsFanout),
            projectors,
        }
    }

    /// Its own processes, the proxy, and the servers that can be seen from here.
    pub fn measured(&self, servers: &[Running]) -> Vec<Measured> {
        let mut measured = Vec::new();
        for process in self.platform.processes() {
            if let Some(pid) = process.pid() {
                let part = Part::of_roles(|role| process.has(role));
                measured.push(Measured { part, name: process.name().to_owned(), pid });
            }
        }
        let mut add = |part: Part, pid: Option<u32>| {
            measured.extend(pid.map(|pid| Measured { part, name: part.id().to_owned(), pid }));
        };
        add(Part::Nginx, self.platform.proxy_pid());
        for server in servers {
            add(server.service.into(), server.pid);
        }
        measured
    }

    pub fn administrator_token_file(&self) -> &Path {
        self.platform.administrator_token_file()
    }

    /// What the load asks for.
    pub fn carry_out(&mut self, order: &str) -> Result<()> {
        if order != ORDER_RESTART {
            bail!("nobody knows how to {order}");
        }
        let mut processes = self.platform.processes_mut().iter_mut();
        let process = processes.find(|process| process.has(Role::WsFanout));
        let process = process.context("no process has sockets")?;
        process.kill()?;
        process.start_again()?;
        process.wait_until_ready(READY_DEADLINE)
    }

    /// What processes said that was worth a warning, and which have ended by themselves.
    pub fn complaints(&mut self) -> Vec<String> {
        let mut complaints = Vec::new();
        for process in self.platform.processes_mut() {
            let log = std::fs::read_to_string(process.log_file()).unwrap_or_default();
            complaints
                .extend(warnings(&log).map(|warnings| format!("{} warned, {warnings}", process.name())));
            if !matches!(process.is_running(), Ok(true)) {
                complaints.push(format!("{} HAS ENDED BY ITSELF", process.name()));
            }
        }
        complaints
    }

    pub fn stop(self) -> Result<()> {
        self.platform.stop()
    }
}

fn warnings(log: &str) -> Option<String> {
    let lines: Vec<_> = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    let last = &lines[lines.len().saturating_sub(LAST_WARNINGS)..];
    (!lines.is_empty()).then(|| format!("{} in all, the last:\n{}", lines.len(), last.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_are_worth_a_word() {
        assert_eq!(warnings("INFO fine\n"), None);
        let said = warnings(&"x WARN y\n".repeat(12)).unwrap();
        assert!(said.starts_with("12 in all") && said.lines().count() == 1 + LAST_WARNINGS, "{said}");
    }
}
