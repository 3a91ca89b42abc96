//! The steps of `cargo xtask test`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Options;
use super::report::Report;
use crate::cluster::{self, Cluster, Instance, Wanted, packages};
use crate::{fuzz, platform, schemathesis, workspace};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Step {
    /// rustfmt
    Format,
    /// clippy, warnings denied
    Clippy,
    /// The documents build without warnings
    Docs,
    /// The proxy's configuration
    Proxy,
    /// Every test of the workspace, with servers of their own
    Tests,
    /// Requests made from docs/openapi.json, at a real server
    Api,
    /// A short run of `cargo xtask fuzz`, of the same inputs each time
    Fuzz,
    /// Short runs of `cargo xtask chaos` with fixed seeds
    Chaos,
}

/// In the order of what they cost.
pub const ALL: [Step; 8] =
    [Step::Format, Step::Proxy, Step::Clippy, Step::Docs, Step::Tests, Step::Api, Step::Fuzz, Step::Chaos];

impl Step {
    pub fn run(self, options: &Options, report: &mut Report) {
        match self {
            Self::Format => {
                report.time("format", check_format);
            }
            Self::Proxy if options.without_servers => {
                report.skip("proxy", "--without-servers: nginx has not looked at its configuration");
            }
            Self::Proxy => {
                report.time("proxy", platform::check_proxy);
            }
            Self::Clippy => {
                report.time("clippy", run_clippy);
            }
            Self::Docs => {
                report.time("docs", build_docs);
            }
            Self::Tests => run_tests(options, report),
            Self::Api => {
                report.time("api", || schemathesis::run(&built("roomlog")?));
            }
            Self::Fuzz => {
                report.time("fuzz", fuzz::run_briefly);
            }
            Self::Chaos => run_chaos(options, report),
        }
    }
}

fn check_format() -> Result<()> {
    require_component("fmt", "rustfmt")?;
    run(workspace::cargo().args(["fmt", "--all", "--check"])).context("`cargo fmt --all` puts it right")
}

fn run_clippy() -> Result<()> {
    require_component("clippy", "clippy")?;
    let mut clippy = workspace::cargo();
    clippy.args(["clippy", "--workspace", "--all-targets"]);
    run(clippy.args(["--", "-D", "warnings"]))
}

fn build_docs() -> Result<()> {
    let mut docs = workspace::cargo();
    docs.args(["doc", "--workspace", "--no-deps"]);
    run(docs.env("RUSTDOCFLAGS", "-D warnings"))
}

fn run_tests(options: &Options, report: &mut Report) {
    // Built first: a server that waits for the compiler only takes memory.
    let mut build = test_command(options);
    build.arg("--no-run");
    if report.time("build tests", || run(&mut build)).is_none() {
        report.skip("tests", "they do not build");
        return;
    }

    let servers = if options.without_servers {
        report.skip("servers", "--without-servers: tests that need one did not run");
        None
    } else {
        report.time("start servers", start_servers)
    };
    if options.fail_fast && report.has_failed() {
        return;
    }
    report.time("tests", || run(&mut with_servers(test_command(options), servers.as_ref())?));
    if let Some(servers) = servers {
        report.time("stop servers", || servers.stop());
    }
}

/// A run of each profile, of about a minute. The seeds are fixed: a change is judged by the change alone.
fn run_chaos(options: &Options, report: &mut Report) {
    report.time("chaos embedded", || chaos("embedded", 11, 9));
    if options.without_servers {
        report.skip("chaos distributed", "--without-servers: no faults of the distributed platform");
    } else {
        report.time("chaos distributed", || chaos("distributed", 11, 6));
    }
}

fn chaos(profile: &str, seed: u64, faults: usize) -> Result<()> {
    let roomlog = built("roomlog")?;
    let mut chaos = Command::new(built("xtask")?);
    chaos.args(["chaos", "--profile", profile, "--seed", &seed.to_string(), "--faults", &faults.to_string()]);
    run(chaos.arg("--roomlog").arg(roomlog))
}

/// A program that the tests have built; alone it would be built anew, with the features that it asks for.
fn built(program: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(program);
    if !path.exists() {
        bail!("there is no {}: run the step `tests` first", path.display());
    }
    Ok(path)
}

fn test_command(options: &Options) -> Command {
    let mut test = workspace::cargo();
    test.args(["test", "--workspace"]);
    if !options.fail_fast {
        test.arg("--no-fail-fast");
    }
    test
}

fn start_servers() -> Result<Cluster> {
    packages::ensure_nginx()?;
    let servers = cluster::ensure_up(&Instance::ephemeral("test"), &Wanted::all(true))
        .context("--without-servers runs the other tests")?;
    for server in &servers.servers {
        eprintln!("the tests' own {} is up at {}", server.service, server.address());
    }
    Ok(servers)
}

/// For this package's tests of the proxy.
const REQUIRE_NGINX: &str = "ROOMLOG_TEST_REQUIRE_NGINX";

/// Tests that need a server look at `ROOMLOG_TEST_…` and skip themselves without it; `ROOMLOG_TEST_REQUIRE_…` makes a skip
/// a failure. What the caller's environment says about other servers is not meant for this run.
fn with_servers(mut test: Command, servers: Option<&Cluster>) -> Result<Command> {
    test.env_remove(REQUIRE_NGINX);
    for name in cluster::FOR_TESTS {
        test.env_remove(name);
    }
    if let Some(servers) = servers {
        test.envs(servers.test_environment()?).env(REQUIRE_NGINX, "1");
    }
    Ok(test)
}

fn require_component(subcommand: &str, component: &str) -> Result<()> {
    let mut version = workspace::cargo();
    version.args([subcommand, "--version"]);
    if workspace::run_quietly(&mut version).is_err() {
        bail!("{component} is not installed: rustup component add {component}");
    }
    Ok(())
}

/// Runs a command, its output going where this process's goes.
fn run(command: &mut Command) -> Result<()> {
    let shown = workspace::show(command);
    eprintln!("$ {shown}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}
