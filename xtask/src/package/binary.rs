//! Builds the binary of the package: with the list of its crates inside, without a path of this machine, stripped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    build::{self, Built, Profile},
    ebpf, process,
    tree::Tree,
};

/// What the folders of this machine are called in the binary: what `file!()` and the lines of the XDP program say.
const ROOT: &str = "/usr/src/portcullis";
const REGISTRY: &str = "/usr/share/cargo/registry";

/// Sections that no program reads. Those of the object in the binary are data, and stay.
const STRIP: [&str; 3] = ["--strip-all", "--remove-section=.comment", "--remove-section=.note"];

/// What was built.
pub struct Binary {
    /// The XDP program.
    pub object: PathBuf,
    /// The stripped binary.
    pub stripped: PathBuf,
    /// Whether it has the list of its crates.
    pub is_auditable: bool,
}

/// Optimised, the same octets wherever the workspace lies. `tree` has a target folder for nothing else.
pub fn release(tree: &Tree, stripped: &Path) -> Result<Binary> {
    let remapped = remapped(tree)?;
    let object = ebpf::build_remapped(tree, &remapped)?;
    let mut cargo = auditable(tree);
    // Debug information would be stripped anyway. The encoded form takes folders with spaces, and wins over `RUSTFLAGS`.
    cargo.arg("--release").env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped.join("\x1f")).env_remove("CARGO_INCREMENTAL");
    process::run(&mut cargo)?;
    strip(&tree.target.join("release/portcullis"), stripped)?;
    Ok(Binary { object, stripped: stripped.to_owned(), is_auditable: true })
}

/// The binary that the tests run, with nothing built anew: to try the package out, not to hand on.
pub fn debug(tree: &Tree, stripped: &Path) -> Result<Binary> {
    let Built { object, portcullis } = build::build(tree, Profile::Debug)?;
    strip(&portcullis, stripped)?;
    Ok(Binary { object, stripped: stripped.to_owned(), is_auditable: false })
}

fn auditable(tree: &Tree) -> Command {
    let mut cargo = tree.cargo();
    cargo.env("CARGO_TARGET_DIR", &tree.target).env(crate::tree::OBJECT_VARIABLE, tree.object());
    cargo.args(["auditable", "build", "--locked", "--package", "firewall-userspace", "--bin", "portcullis"]);
    cargo
}

fn strip(built: &Path, stripped: &Path) -> Result<()> {
    process::run(Command::new("strip").args(STRIP).arg("-o").arg(stripped).arg(built))
}

/// Names for the folders of this machine that compilers write down. The last that fits is taken.
fn remapped(tree: &Tree) -> Result<Vec<String>> {
    let mut pairs = vec![(tree.root.clone(), ROOT.to_owned()), (tree.target.clone(), format!("{ROOT}/target"))];
    pairs.extend(registries()?.into_iter().map(|registry| (registry, REGISTRY.to_owned())));
    Ok(pairs.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect())
}

/// Where cargo unpacks crates: one folder for each registry, with a hash in its name.
fn registries() -> Result<Vec<PathBuf>> {
    let sources = process::cargo_home()?.join("registry/src");
    let entries = fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))?;
    let mut registries = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    registries.sort();
    Ok(registries)
}
