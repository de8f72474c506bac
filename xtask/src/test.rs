//! `cargo xtask test`: unit tests, then, as root, the tests that need a kernel and namespaces.

use std::{
    io::{BufRead as _, BufReader, Write as _, stdout},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    build::{self, Profile},
    ebpf, interrupt,
    needs::Scope,
    privilege, process, setup,
    tree::{OBJECT_VARIABLE, Tree},
};

/// Which tests to run; all without a choice.
#[derive(Args, Debug, Default)]
pub struct Selection {
    /// Unit, property and command line tests: neither root nor BPF
    #[arg(long)]
    unit: bool,
    /// The packet model and the XDP program in the kernel, packet by packet
    #[arg(long)]
    kernel: bool,
    /// Real traffic between network namespaces
    #[arg(long)]
    wire: bool,
    /// Run only tests whose name contains one of these
    filters: Vec<String>,
}

/// A part of the tests, and what came of it.
struct Finished {
    part: String,
    tally: Tally,
    passed: bool,
    time: Duration,
}

/// What the test programs said at their end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs the selected tests and ends with a summary; an error when one failed.
pub fn test(tree: &Tree, selection: &Selection) -> Result<()> {
    interrupt::notice()?;
    let everything = !(selection.unit || selection.kernel || selection.wire);
    let targets = [("host", selection.kernel), ("kernel", selection.kernel), ("wire", selection.wire)];
    let targets: Vec<_> = targets.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect();
    let with_root = everything || !targets.is_empty();

    // First, for it goes into every build below.
    if with_root {
        setup::ensure(Scope::Test)?;
        ebpf::build(tree)?;
    }
    let mut outcomes = Vec::new();
    if everything || selection.unit {
        outcomes.push(run("unit", &mut unit(tree), selection)?);
    }
    if with_root {
        let part = if everything { "firewall-tests".to_owned() } else { targets.join(", ") };
        outcomes.push(run(&format!("{part} (root)"), &mut as_root(tree, &targets)?, selection)?);
    }
    summarise(&outcomes, selection)
}

/// The tests of the default members.
fn unit(tree: &Tree) -> Command {
    let mut cargo = tree.cargo();
    cargo.args(["test", "--no-fail-fast"]);
    cargo
}

/// The tests of `firewall-tests`: built by the user, run as root. In the profile of the unit tests, so that both share
/// what is compiled; the workspace has the packet model and its tests optimised there.
fn as_root(tree: &Tree, targets: &[&str]) -> Result<Command> {
    let built = build::build(tree, Profile::Debug)?;
    let variables = [(OBJECT_VARIABLE, built.object.as_os_str()), ("PORTCULLIS_BIN", built.portcullis.as_os_str())];
    let mut cargo = tree.cargo();
    cargo.args(["test", "--no-fail-fast", "--package", "firewall-tests"]).envs(variables);
    for target in targets {
        cargo.args(["--test", target]);
    }
    if !privilege::is_root() {
        eprintln!("as root, through sudo: the programs of firewall-tests (they load XDP programs and make namespaces)");
        let words: Vec<_> = privilege::runner(&variables)?.iter().map(|word| format!("{word:?}")).collect();
        cargo.args(["--config", &format!("target.'cfg(all())'.runner=[{}]", words.join(","))]);
    }
    Ok(cargo)
}

fn run(part: &str, cargo: &mut Command, selection: &Selection) -> Result<Finished> {
    cargo.arg("--").args(&selection.filters);
    eprintln!("  $ {}", process::show(cargo));
    let start = Instant::now();
    let mut child =
        cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run `{}`", process::show(cargo)))?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what the tests print")?;
            tally.note(&line);
            writeln!(stdout(), "{line}").context("cannot print what the tests print")?;
        }
    }
    let status = child.wait().context("cannot wait for the tests")?;
    interrupt::check()?;
    // A part in which nothing ran has shown nothing.
    let passed = status.success() && (tally.passed > 0 || !selection.filters.is_empty());
    Ok(Finished { part: part.to_owned(), tally, passed, time: start.elapsed() })
}

fn summarise(outcomes: &[Finished], selection: &Selection) -> Result<()> {
    println!("\nsummary:");
    for Finished { part, tally: Tally { passed, failed, ignored }, passed: well, time } in outcomes {
        let word = if *well { "ok" } else { "FAILED" };
        println!(
            "  {part:<26} {word:<7} {passed} passed, {failed} failed, {ignored} ignored in {:.1} s",
            time.as_secs_f64()
        );
    }
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.passed).map(|outcome| outcome.part.as_str()).collect();
    if !failed.is_empty() {
        bail!("tests failed or none ran: {}", failed.join("; "));
    }
    if outcomes.iter().all(|outcome| outcome.tally.passed == 0) {
        bail!("no test matches {}", selection.filters.join(" "));
    }
    Ok(())
}

impl Tally {
    /// Adds up lines like `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s`.
    fn note(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for part in counts.split("; ") {
            match part.split_once(' ').map(|(number, word)| (number.parse().unwrap_or(0), word)) {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_test_programs_are_added_up() {
        let mut tally = Tally::default();
        tally.note("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s");
        tally.note("test rate::conforming ... ok");
        tally.note("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        assert_eq!(tally, Tally { passed: 14, failed: 1, ignored: 1 });
    }
}
