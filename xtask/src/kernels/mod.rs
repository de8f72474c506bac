//! `cargo xtask kernels`: variants of the program on the kernels that Debian ships, each in an emulated machine of
//! its own. What runs in there is `tests/src/guest/`.

mod archive;
mod fetch;
mod initramfs;
mod machine;
mod mirrors;
mod modules;
mod report;

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::{Args, ValueEnum};

use self::{fetch::Kernel, report::Outcome};
use crate::{
    ebpf, interrupt,
    needs::Scope,
    process, setup,
    tree::{OBJECT_VARIABLE, Tree},
};

/// Which kernels; all without a choice.
#[derive(Args, Debug, Default)]
pub struct Choice {
    /// Boot only this kernel; may be given several times
    #[arg(long = "kernel", value_enum)]
    series: Vec<Series>,
    /// Look for newer kernels of each series than those fetched before
    #[arg(long)]
    refresh: bool,
    /// Load every combination of what a policy can be: hundreds of variants, each of which takes seconds
    #[arg(long)]
    all: bool,
}

/// A line of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Series {
    /// Debian 11's: older than the floor, to be refused
    #[value(name = "5.10")]
    Refused,
    /// Debian 12's: the floor
    #[value(name = "6.1")]
    Floor,
    /// Debian 13's
    #[value(name = "6.12")]
    Stable,
    /// The newest that Debian has for a stable release
    Newest,
}

impl Series {
    fn name(self) -> &'static str {
        match self {
            Self::Refused => "5.10",
            Self::Floor => "6.1",
            Self::Stable => "6.12",
            Self::Newest => "newest",
        }
    }
}

/// Fetches and boots the kernels, side by side; an error when one fails.
pub fn kernels(tree: &Tree, choice: &Choice) -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "cannot boot Debian's kernels: they are fetched and emulated for x86-64 only"
    );
    interrupt::notice()?;
    setup::ensure(Scope::Kernels)?;
    let wanted: Vec<Series> = match &*choice.series {
        [] => Series::value_variants().to_vec(),
        some => Series::value_variants().iter().copied().filter(|series| some.contains(series)).collect(),
    };
    let folder = tree.target.join("kernels");
    let kernels = fetch::fetch(&folder, &wanted, choice.refresh)?;
    let guest = guest(tree, &folder)?;
    let start = Instant::now();
    let outcomes = boot_all(&folder, &kernels, &guest, choice.all)?;
    report::summarise(&outcomes, start.elapsed())
}

/// Builds what runs in the machines: in the profile of the tests, with whose parts it shares everything.
fn guest(tree: &Tree, folder: &Path) -> Result<PathBuf> {
    let object = ebpf::build(tree)?;
    let mut cargo = tree.cargo();
    cargo.args(["build", "--package", "firewall-tests", "--bin", "guest"]).env(OBJECT_VARIABLE, object);
    process::run(&mut cargo)?;
    let guest = folder.join("guest");
    let built = tree.target.join("debug/guest");
    // What is left out of debug information need not be unpacked by an emulated CPU.
    process::run(Command::new("strip").arg("-o").arg(&guest).arg(&built))?;
    Ok(guest)
}

/// All at once: each machine keeps one CPU busy most of the time.
fn boot_all(folder: &Path, kernels: &[Kernel], guest: &Path, all: bool) -> Result<Vec<Outcome>> {
    thread::scope(|scope| {
        let machines: Vec<_> =
            kernels.iter().map(|kernel| scope.spawn(move || boot(folder, kernel, guest, all))).collect();
        let ended = machines.into_iter().map(|machine| machine.join());
        ended.map(|outcome| outcome.map_err(|_| anyhow!("the thread of a machine panicked"))?).collect()
    })
}

fn boot(folder: &Path, kernel: &Kernel, guest: &Path, all: bool) -> Result<Outcome> {
    let name = kernel.series.name();
    let image = folder.join(format!("{name}.initramfs"));
    initramfs::write(&image, kernel, guest).with_context(|| format!("cannot prepare the machine for {name}"))?;
    let log = folder.join(format!("{name}.console"));
    machine::boot(kernel, &image, &log, all)
}
