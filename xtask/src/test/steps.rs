//! The steps of `cargo xtask test`.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Options;
use super::report::Report;
use crate::cluster::{self, Instance, KafkaCluster};
use crate::workspace;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Step {
    /// rustfmt
    Format,
    /// clippy, warnings denied
    Clippy,
    /// The documents build without warnings
    Docs,
    /// Every test of the workspace, with a Kafka of their own
    Tests,
}

/// In the order of what they cost.
pub const ALL: [Step; 4] = [Step::Format, Step::Clippy, Step::Docs, Step::Tests];

impl Step {
    pub fn run(self, options: &Options, report: &mut Report) {
        match self {
            Self::Format => {
                report.time("format", check_format);
            }
            Self::Clippy => {
                report.time("clippy", run_clippy);
            }
            Self::Docs => {
                report.time("docs", build_docs);
            }
            Self::Tests => run_tests(options, report),
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
    // Built first: a broker that waits for the compiler only takes its memory.
    let mut build = test_command(options);
    build.arg("--no-run");
    if report.time("build tests", || run(&mut build)).is_none() {
        report.skip("tests", "they do not build");
        return;
    }

    let kafka = if options.no_kafka {
        report.skip("kafka", "--no-kafka: tests that need Kafka did not run");
        None
    } else {
        report.time("start kafka", start_kafka)
    };
    if options.fail_fast && report.has_failed() {
        return;
    }
    report.time("tests", || run(&mut with_kafka(test_command(options), kafka.as_ref())));
    if let Some(kafka) = kafka {
        report.time("stop kafka", || kafka.stop());
    }
}

fn test_command(options: &Options) -> Command {
    let mut test = workspace::cargo();
    test.args(["test", "--workspace"]);
    if !options.fail_fast {
        test.arg("--no-fail-fast");
    }
    test
}

fn start_kafka() -> Result<KafkaCluster> {
    let kafka =
        cluster::ensure_up(&Instance::ephemeral("test"), None).context("--no-kafka runs the other tests")?;
    eprintln!("the tests' own Kafka is up at {}", kafka.brokers);
    Ok(kafka)
}

/// Tests that need Kafka look at `ROOMLOG_TEST_KAFKA` and skip themselves without it; `ROOMLOG_TEST_REQUIRE_KAFKA`
/// makes a skip a failure.
fn with_kafka(mut test: Command, kafka: Option<&KafkaCluster>) -> Command {
    match kafka {
        Some(kafka) => {
            test.env("ROOMLOG_TEST_KAFKA", &kafka.brokers);
            test.env("ROOMLOG_TEST_REQUIRE_KAFKA", "1");
        }
        None => {
            test.env_remove("ROOMLOG_TEST_KAFKA");
            test.env_remove("ROOMLOG_TEST_REQUIRE_KAFKA");
        }
    }
    test
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
