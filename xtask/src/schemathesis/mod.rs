//! The HTTP API by its own description: schemathesis makes requests from `docs/openapi.json`, good and bad ones, and
//! compares the answers of a real server with what the document says of them. The same requests each time.
//!
//! What is checked, and what is not, is in `schemathesis.toml` beside this file.

mod python;
mod scene;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::bench::{self, Kind};
use crate::platform::{self, Group, Platform, Spec};
use crate::{wait, workspace};

/// A run takes a minute; on a busy machine longer.
const DEADLINE: Duration = Duration::from_secs(400);
const SETTINGS: [(&str, &str); 2] =
    [("schemathesis.toml", include_str!("schemathesis.toml")), ("hooks.py", include_str!("hooks.py"))];

/// Tests this program with a fresh data folder.
pub fn run(roomlog: &Path) -> Result<()> {
    // Where programs are built there is room.
    let target = roomlog.parent().and_then(Path::parent).context("the program is in no target folder")?;
    let schemathesis = python::ensure(&target.join("schemathesis"))?;
    let folder = tempfile::Builder::new().prefix("roomlog-api-").tempdir_in(target)?;
    let spec = Spec {
        roomlog: roomlog.to_owned(),
        folder: folder.path().join("platform"),
        groups: Group::all_in_one(1),
        port: None,
        environment: bench::settings(Kind::Embedded, Vec::new(), 0, None),
        own_environment: BTreeMap::new(),
    };
    let mut platform = platform::start_without_proxy(&spec)?;
    let tested = test(&schemathesis, folder.path(), &platform);
    let is_alive = platform.processes_mut()[0].is_running()?;
    let complaints = complaints(&platform);
    platform.stop()?;
    tested?;
    if !is_alive {
        bail!("the server has ended");
    }
    if !complaints.is_empty() {
        bail!("the server said:\n{complaints}");
    }
    Ok(())
}

fn test(schemathesis: &Path, folder: &Path, platform: &Platform) -> Result<()> {
    let address = platform.processes()[0].address();
    let administrator = platform.administrator_token()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(scene::set(address, &administrator, folder))?;
    for (name, text) in SETTINGS {
        std::fs::write(folder.join(name), text)?;
    }

    let mut command = Command::new(schemathesis);
    command.args(["--config-file", "schemathesis.toml"]);
    command.arg("run").arg(workspace::root().join("docs/openapi.json"));
    command.args(["--url", &format!("http://{address}"), "--no-color"]);
    // What it leaves behind goes with the folder.
    command.current_dir(folder);
    command
        .env("ADMINISTRATOR_TOKEN", administrator)
        .env("LOGIN", scene::LOGIN)
        .env("PASSWORD", scene::PASSWORD);
    // Nobody who runs this wants requests to this server to go elsewhere.
    command.env("NO_PROXY", "127.0.0.1");
    let shown = workspace::show(&command);
    eprintln!("$ {shown}");
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {shown}"))?;
    let mut status = None;
    let waited = wait::until("schemathesis to end", DEADLINE, || {
        status = child.try_wait()?;
        Ok(status.is_some())
    });
    if waited.is_err() {
        child.kill()?;
    }
    waited?;
    match status {
        Some(status) if status.success() => Ok(()),
        _ => bail!("the server does not do what docs/openapi.json says: see above"),
    }
}

/// What no request should lead to, whatever it was answered.
fn complaints(platform: &Platform) -> String {
    let log = std::fs::read_to_string(platform.processes()[0].log_file()).unwrap_or_default();
    let loud = log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked"));
    loud.take(20).collect::<Vec<_>>().join("\n")
}
