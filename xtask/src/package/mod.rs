//! `cargo xtask package`: the Debian package, with what is handed out beside it.
//!
//! In: the workspace at a commit. Out: `package/out/` in the target folder: the package, its list of components (SBOM) and
//! `SHA256SUMS`. cargo-deb puts the archive together from `[package.metadata.deb]`; what it lays hands on is made here.

mod binary;
mod changelog;
mod copyright;
mod crates;
mod inspect;
mod licences;
mod moment;
mod sbom;
mod stage;
mod twice;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::{
    moment::Moment,
    stage::{Identity, Stage},
    twice::Elsewhere,
};
use crate::{needs::Scope, process, setup, tree::Tree};

/// How to make it.
#[derive(Args, Debug, Default)]
pub struct Making {
    /// Build the binary quickly: to try the package, not to hand it on
    #[arg(long, conflicts_with = "twice")]
    pub debug: bool,
    /// Make it a second time in another folder, and compare octet for octet
    #[arg(long)]
    pub twice: bool,
}

/// Makes the package and prints the paths of what is handed out.
///
/// # Errors
/// When something cannot be built, the binary is not as it has to be, lintian objects, or the second package is another one.
pub fn package(tree: &Tree, options: &Making) -> Result<()> {
    setup::check(Scope::Package)?;
    // First, for it may refuse.
    let elsewhere = options.twice.then(|| Elsewhere::clone(tree)).transpose()?;
    let made = make(tree, options.debug)?;
    lint(&made.out.join(&made.names[0]))?;
    if let Some(elsewhere) = &elsewhere {
        let again = make(&elsewhere.tree, false)?;
        if again.names != made.names {
            bail!("two builds of one commit differ: {:?} and {:?}", made.names, again.names);
        }
        twice::compare(&made.out, &again.out, &made.names)?;
        eprintln!("package: two builds in two folders are the same, octet for octet");
    }
    for name in &made.names {
        println!("{}", made.out.join(name).display());
    }
    Ok(())
}

/// The package with a binary that was built quickly: to be tried.
///
/// # Errors
/// Those of [`package`].
pub fn quickly(tree: &Tree) -> Result<PathBuf> {
    setup::check(Scope::Package)?;
    let made = make(tree, true)?;
    let package = made.out.join(&made.names[0]);
    lint(&package)?;
    Ok(package)
}

/// What was made: the package first.
struct Made {
    out: PathBuf,
    names: Vec<String>,
}

fn make(tree: &Tree, debug: bool) -> Result<Made> {
    let folder = tree.target.join("package");
    let out = folder.join("out");
    let stage = Stage::empty(&folder)?;
    let moment = Moment::of_commit(tree)?;
    let binary = if debug {
        binary::debug(tree, &stage.binary())?
    } else {
        // Its flags would make everything else be built anew, and the other way round.
        binary::release(&Tree { root: tree.root.clone(), target: folder.clone() }, &stage.binary())?
    };
    let home = process::cargo_home()?;
    let paths: [&Path; 3] = [&tree.root, &tree.target, &home];
    inspect::inspect(&binary, if debug { &[] } else { &paths })?;
    let maintainer = maintainer(tree)?;
    stage.fill(
        tree,
        &binary,
        &Identity { version: env!("CARGO_PKG_VERSION"), maintainer: &maintainer, moment: &moment },
    )?;
    let deb = archive(tree, &stage, &moment, &out)?;
    let sbom = deb.replace(".deb", ".cdx.json");
    let copied = out.join(&sbom);
    fs::copy(stage.sbom(), &copied).with_context(|| format!("cannot write {}", copied.display()))?;
    let sums = process::output(Command::new("sha256sum").args([&deb, &sbom]).current_dir(&out))?;
    let path = out.join(SUMS);
    fs::write(&path, sums + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Made { out, names: vec![deb, sbom, SUMS.to_owned()] })
}

const SUMS: &str = "SHA256SUMS";

/// Runs cargo-deb over what is laid out, and returns the name of the package.
fn archive(tree: &Tree, stage: &Stage, moment: &Moment, out: &Path) -> Result<String> {
    let cannot = || format!("cannot make the folder {} anew", out.display());
    if out.exists() {
        fs::remove_dir_all(out).with_context(cannot)?;
    }
    fs::create_dir_all(out).with_context(cannot)?;
    let mut cargo = tree.cargo();
    cargo.args([
        "deb",
        "--quiet",
        "--no-build",
        "--no-strip",
        "--locked",
        "--package",
        "firewall-userspace",
        "--output",
    ]);
    cargo.arg(out).env("CARGO_TARGET_DIR", &stage.target).env(moment::VARIABLE, moment.seconds().to_string());
    process::run(&mut cargo)?;
    let names = fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    let names = names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
    match &names[..] {
        [name] if name.starts_with("portcullis_") && name.ends_with(".deb") => Ok(name.clone()),
        _ => bail!("cargo-deb made {names:?} in place of one package"),
    }
}

/// Whoever `[package.metadata.deb]` names.
fn maintainer(tree: &Tree) -> Result<String> {
    let manifest = tree.root.join("firewall-userspace/Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let found = text.lines().find_map(|line| line.strip_prefix("maintainer = \"")?.strip_suffix('"'));
    found.map(str::to_owned).with_context(|| format!("{} names no maintainer", manifest.display()))
}

/// Debian's own checks. Whatever they say of errors and warnings fails.
fn lint(package: &Path) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--allow-root", "--no-cfg"]).arg(package);
    lintian.current_dir(env::temp_dir());
    process::run_shown(&mut lintian)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::find().unwrap()
    }

    #[test]
    fn the_conffile_configures_nothing_and_never_changes() {
        let path = tree().root.join("packaging/portcullis.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
        let said = process::output(Command::new("sha256sum").arg(&path)).unwrap();
        let sum = said.split_whitespace().next().unwrap();
        // Whoever has edited the file is asked at an upgrade that brings another one, and an unattended upgrade leaves the package
        // unconfigured. Before the first release it may change.
        assert_eq!(sum, "aa7cb3102dadd5f9b1c0145847909a7a99c7c29cca12bee2b3d63f2fecefc41d");
    }

    #[test]
    fn the_maintainer_scripts_are_shell_that_stops_at_errors() {
        for name in ["postinst", "prerm", "postrm"] {
            let path = tree().root.join("packaging/scripts").join(name);
            process::output(Command::new("sh").arg("-n").arg(&path)).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{name}");
        }
    }
}
