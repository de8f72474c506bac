//! `cargo xtask bench`: builds what is compared, measures as root, and reports as the user who asked.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    build::{self, Profile},
    ebpf,
    needs::Scope,
    privilege, process, setup,
    tree::Tree,
};

/// What is measured, and what becomes of it.
#[derive(Args, Debug)]
pub struct Options {
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Show what changed since the JSON in this file
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Few rounds, and no list longer than 100,000 prefixes: for trying, not for quoting
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name: `v4/unlisted/1M`, `limited`, `wire`, `load`, `kept`, `memory`,
    /// `push`, `readers`, `sizes`
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Entries of one sync of `sizes`, instead of two million
    #[arg(long, value_name = "N")]
    entries: Option<usize>,
}

/// Measures and reports. A whole run also writes `docs/performance.md` and its plot.
pub fn bench(tree: &Tree, options: &Options) -> Result<()> {
    setup::ensure(Scope::Bench)?;
    let reference = ebpf::build_reference(tree)?;
    let built = build::build(tree, Profile::Release)?;
    process::run(tree.cargo().args(["build", "--release", "--package", "firewall-bench"]))?;
    let program = tree.target.join("release").join("firewall-bench");

    let results = tree.target.join("bench").join("results.json");
    measure(&program, options, &reference, &built, &results)?;

    let mut report = Command::new(&program);
    report.arg("report").arg(&results);
    if options.json {
        report.arg("--json");
    }
    if let Some(earlier) = &options.compare {
        report.arg("--compare").arg(earlier);
    }
    if !options.quick && options.only.is_empty() && options.entries.is_none() {
        report.arg("--write").arg(tree.root.join("docs"));
    }
    process::run(&mut report)
}

/// Runs the part that needs root; its results go through us, so that the file is the user's.
fn measure(program: &Path, options: &Options, reference: &Path, built: &build::Built, results: &Path) -> Result<()> {
    let folder = results.parent().context("the results have no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = File::create(results).with_context(|| format!("cannot create {}", results.display()))?;
    let mut binary = OsString::from("PORTCULLIS_BIN=");
    binary.push(&built.portcullis);
    let mut arguments: Vec<OsString> =
        vec![binary, program.into(), "measure".into(), "--reference".into(), reference.into()];
    if options.quick {
        arguments.push("--quick".into());
    }
    if let Some(entries) = options.entries {
        arguments.extend(["--entries".into(), entries.to_string().into()]);
    }
    for name in &options.only {
        arguments.extend(["--only".into(), name.into()]);
    }
    if !privilege::is_root() {
        eprintln!("as root, through sudo: measuring (it loads XDP programs and makes namespaces)");
    }
    let mut command = privilege::as_root("env")?;
    command.args(&arguments).stdout(Stdio::from(file));
    process::run(&mut command)
}
