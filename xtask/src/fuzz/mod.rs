//! `cargo xtask fuzz`: what takes bytes from strangers, under a fuzzer that is guided by coverage (libFuzzer).
//!
//! The targets are the package `fuzz`. They are built with the compiler that everything is built with, next to what the
//! tests have built: only this workspace's packages are compiled again, with coverage.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::workspace;

const WRAPPER: &str = "xtask/src/fuzz/rustc.sh";
/// The targets need next to nothing: what takes more was made to by its input.
const MEMORY_MIB: u32 = 1024;
/// For one input, which takes microseconds.
const LONGEST_SECONDS: u32 = 10;

#[derive(clap::Args)]
pub struct Options {
    /// These targets alone
    targets: Vec<String>,
    /// For each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Fixes what is tried, as far as the machine is as fast [default: another one each time]
    #[arg(long)]
    seed: Option<u32>,
}

/// How long a target is tried.
#[derive(Clone, Copy)]
enum Length {
    Seconds(u64),
    /// As many inputs as the target says, whatever the machine: the same ones each time.
    Inputs,
}

/// As a person runs it. Inputs that reached something new are kept and the next run goes on from them.
pub fn run(options: &Options) -> Result<ExitCode> {
    let fuzzer = Fuzzer::build()?;
    let kept = workspace::root().join("target/fuzz");
    for target in fuzzer.targets(&options.targets)? {
        fuzzer.try_target(&target, &kept, Length::Seconds(options.seconds), options.seed.unwrap_or(0))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// In continuous integration: the same inputs each time, from the seeds alone.
pub fn run_briefly() -> Result<()> {
    let fuzzer = Fuzzer::build()?;
    let folder = tempfile::tempdir()?;
    for target in fuzzer.targets(&[])? {
        fuzzer.try_target(&target, folder.path(), Length::Inputs, 1)?;
    }
    Ok(())
}

struct Fuzzer(PathBuf);

struct Target {
    name: String,
    max_len: u64,
    inputs: u64,
}

impl FromStr for Target {
    type Err = anyhow::Error;

    /// As the fuzzer lists it.
    fn from_str(line: &str) -> Result<Self> {
        let mut words = line.split(' ');
        let mut word = || words.next().with_context(|| format!("no target: {line}"));
        Ok(Self { name: word()?.to_owned(), max_len: word()?.parse()?, inputs: word()?.parse()? })
    }
}

impl Fuzzer {
    fn build() -> Result<Self> {
        let root = workspace::root();
        let mut command = workspace::cargo();
        // As the tests are built, so that nothing but this workspace is built again.
        command.args([
            "test",
            "--workspace",
            "--no-run",
            "--test",
            "fuzzer",
            "--features",
            "roomlog-fuzz/libfuzzer",
        ]);
        command.args(["--message-format", "json-render-diagnostics"]);
        command.env("RUSTC_WORKSPACE_WRAPPER", root.join(WRAPPER));
        let shown = workspace::show(&command);
        eprintln!("$ {shown}");
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("{shown}: {}", output.status);
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        build::executable(&messages).map(Self).with_context(|| format!("{shown} built no fuzzer"))
    }

    /// All, or those that are wanted.
    fn targets(&self, wanted: &[String]) -> Result<Vec<Target>> {
        let listed = workspace::run_quietly(Command::new(&self.0).env_remove("ROOMLOG_FUZZ_TARGET"))?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut targets = listed.lines().map(str::parse).collect::<Result<Vec<Target>>>()?;
        targets.retain(|target| wanted.is_empty() || wanted.contains(&target.name));
        if let Some(unknown) =
            wanted.iter().find(|wanted| targets.iter().all(|target| target.name != **wanted))
        {
            bail!("no target is called {unknown}; these are there:\n{listed}");
        }
        Ok(targets)
    }

    fn try_target(&self, target: &Target, folder: &Path, length: Length, seed: u32) -> Result<()> {
        let Target { name, max_len, inputs } = target;
        let corpus = folder.join(name);
        let found = workspace::root().join("target/fuzz-found");
        for folder in [&corpus, &found] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let mut fuzzer = Command::new(&self.0);
        fuzzer.env("ROOMLOG_FUZZ_TARGET", name).env("ROOMLOG_FUZZ_SEEDS", &corpus);
        fuzzer.arg(&corpus).arg(format!("-seed={seed}"));
        fuzzer.arg(match length {
            Length::Seconds(seconds) => format!("-max_total_time={seconds}"),
            Length::Inputs => format!("-runs={inputs}"),
        });
        fuzzer.arg(format!("-max_len={max_len}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
        fuzzer.arg(format!("-timeout={LONGEST_SECONDS}"));
        fuzzer.arg(format!("-artifact_prefix={}/{name}-", found.display()));
        fuzzer.args(["-verbosity=0", "-print_final_stats=1"]);
        eprintln!("\nfuzzing {name}");
        let status = fuzzer.stdin(Stdio::null()).status().context("cannot start the fuzzer")?;
        if !status.success() {
            bail!(
                "{name}: an input that breaks a promise is in {}; mend it, and keep the input in fuzz/regressions/{name}",
                found.display()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_listed_one_a_line() {
        let target: Target = "client_frame 2048 300000".parse().unwrap();
        assert_eq!((target.name.as_str(), target.max_len, target.inputs), ("client_frame", 2048, 300_000));
        assert!("client_frame 2048".parse::<Target>().is_err() && "".parse::<Target>().is_err());
    }
}
