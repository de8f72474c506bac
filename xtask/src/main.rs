//! `cargo xtask`: sets up, builds, shows and tests Portcullis. Start with [`needs`] for what a machine must have and
//! [`ebpf`] for how the XDP program is compiled.

mod bench;
mod build;
mod ci;
mod demo;
mod doctor;
mod ebpf;
mod house;
mod interrupt;
mod kernels;
mod lab;
mod missing;
mod needs;
mod paced;
mod package;
mod packages;
mod privilege;
mod process;
mod report;
mod service;
mod setup;
mod test;
mod tree;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;

use crate::{build::Profile, interrupt::Interrupted, needs::Scope, privilege::Told, tree::Tree};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Set up, build, show and test Portcullis")]
enum Task {
    /// Install what this machine lacks, telling what and why
    Setup {
        /// What the machine is wanted for; each includes those before it
        #[arg(long = "for", value_enum, default_value = "test")]
        scope: Scope,
    },
    /// Build the XDP program and the binary that carries it
    Build {
        /// Build the binary quickly instead of optimised
        #[arg(long, conflicts_with = "release")]
        debug: bool,
        /// Optimise the binary (the default)
        #[arg(long)]
        release: bool,
    },
    /// Show whether this machine can build, run and test Portcullis
    Doctor,
    /// Show Portcullis at work between network namespaces, step by step
    Demo {
        /// The binary, when it is built already
        #[arg(long, hide = true)]
        built: Option<PathBuf>,
    },
    /// Leave the demo's network up for you to try things
    Lab {
        /// The binary, when it is built already
        #[arg(long, hide = true)]
        built: Option<PathBuf>,
    },
    /// Run all tests: unit tests, then kernel and wire tests as root
    Test(test::Selection),
    /// Measure the packet path against bare XDP, the reference program, nftables and ipset
    Bench(bench::Options),
    /// Print what the program costs the kernel's verifier, against what docs/limits.md promises
    Verify,
    /// Boot Debian's kernels in emulated machines and run the XDP program on them
    Kernels(kernels::Choice),
    /// Install the package on a Debian that boots in namespaces, and see it live there until it is removed
    Service(service::Trial),
    /// Make the Debian package, its list of components and SHA256SUMS
    Package(package::Making),
    /// Hold the sources against the rules of docs/architecture.md and CONTRIBUTING.md
    House {
        /// Show all violations, however many there are
        #[arg(long)]
        all: bool,
        /// Another workspace than the one this was built from
        #[arg(long, hide = true)]
        tree: Option<PathBuf>,
    },
    /// Check everything that must hold before a change lands
    Ci,
    /// What setup runs through sudo
    #[command(hide = true)]
    InstallAsRoot {
        packages: Vec<String>,
        #[arg(long = "service")]
        services: Vec<String>,
        #[arg(long)]
        mount_bpffs: bool,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted");
            ExitCode::from(130) // as a shell says it of SIGINT
        }
        Err(error) if error.is::<Told>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let tree = Tree::find()?;
    match task {
        Task::Setup { scope } => setup::setup(scope),
        Task::Build { debug, release: _ } => {
            setup::check(Scope::Build)?;
            let built = build::build(&tree, if debug { Profile::Debug } else { Profile::Release })?;
            println!("{}\n{}", built.object.display(), built.portcullis.display());
            Ok(())
        }
        Task::Doctor => doctor::doctor(),
        Task::Demo { built } => demo::demo(&tree, built),
        Task::Lab { built } => lab::keep_open(&tree, built),
        Task::Test(selection) => test::test(&tree, &selection),
        Task::Bench(options) => bench::bench(&tree, &options),
        Task::Verify => verify::verify(&tree),
        Task::Kernels(choice) => kernels::kernels(&tree, &choice),
        Task::Service(options) => service::service(&tree, &options),
        Task::Package(options) => package::package(&tree, &options),
        Task::House { all, tree: other } => house::house(other.as_ref().unwrap_or(&tree.root), all),
        Task::Ci => ci::ci(&tree),
        Task::InstallAsRoot { packages, services, mount_bpffs } => packages::install(&packages, &services, mount_bpffs),
    }
}
