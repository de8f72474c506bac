//! `cargo xtask service`: the package on a Debian of its own, under a real systemd, from its installation to its removal.
//!
//! In: a package. Out: steps, each with what was expected and what was seen. The machine is a folder of Debian with namespaces of its
//! own, one of which is its network; all of it is removed at the end, and nothing of the host is touched.

mod machine;
mod network;
mod root;
mod steps;
mod traffic;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::{
    machine::{Machine, Said},
    network::Wires,
};
use crate::{
    interrupt,
    needs::Scope,
    package, privilege,
    report::{Report, Seen},
    setup,
    tree::Tree,
};

/// Which Debian, and which package.
#[derive(Args, Debug)]
pub struct Trial {
    /// The release of Debian
    #[arg(long, default_value = SUITE)]
    pub suite: String,
    /// The package; without it one is made, with a binary that is built quickly
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,
}

/// What is tried without a choice.
const SUITE: &str = "bookworm";

impl Default for Trial {
    fn default() -> Self {
        Self { suite: SUITE.into(), package: None }
    }
}

/// A machine with its wires and the package that it is to have.
struct Bench {
    machine: Machine,
    wires: Wires,
    package: PathBuf,
    /// Where packages are made that differ from it.
    scratch: PathBuf,
}

/// Takes every step; an error when one differs from what was expected.
pub fn service(tree: &Tree, options: &Trial) -> Result<()> {
    setup::check(Scope::Ci)?;
    if !privilege::is_root() {
        bail!("namespaces, mounts and XDP need root\nhint: run `cargo xtask service` as root");
    }
    interrupt::notice()?;
    let package = match &options.package {
        Some(package) => package.canonicalize().with_context(|| format!("cannot read {}", package.display()))?,
        None => package::quickly(tree)?,
    };
    let root = root::root(tree, &options.suite)?;
    let scratch = tree.target.join("service").join(format!("run-{}", std::process::id()));
    let wires = Wires::make()?;
    let mut machine = Machine::new(&root, scratch.clone(), wires.server.path())?;
    machine.boot()?;
    let mut bench = Bench { machine, wires, package, scratch };
    let mut report = Report::default();
    let result = steps::all(&mut bench, &mut report);
    if (report.differs() || result.is_err())
        && let Ok(Said { text, .. }) = bench.machine.run("journalctl --boot --no-pager --lines 80 --unit 'portcullis*'")
    {
        eprintln!("the journal of portcullis ends with\n{text}");
    }
    result?;
    report.conclude(&format!("service on {}", options.suite))
}

impl Bench {
    /// A step whose end is told by `take` in words; an error in them is a step that differs.
    fn step(
        &mut self,
        report: &mut Report,
        what: &str,
        expected: &str,
        take: impl FnOnce(&mut Self) -> Result<String, anyhow::Error>,
    ) -> Result<()> {
        report.step(what, expected, || take(self).map(|seen| Seen { seen, as_expected: true }))
    }
}

/// What has to be so in a step; the words say what was seen instead.
fn require(is_so: bool, seen: impl FnOnce() -> String) -> Result<()> {
    if is_so { Ok(()) } else { bail!("{}", seen()) }
}
