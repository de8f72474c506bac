//! Everything there is to know about compiling for BPF. Nothing elsewhere depends on which compiler is used.
//!
//! Rustup's stable toolchain has no `core` for BPF. Two that can compile it are known here:
//! - a nightly with `rust-src`, which builds `core` itself: the ecosystem's usual way, used where it exists;
//! - Debian's `rustc-web`, a stable compiler with a prebuilt `core` for BPF: what `cargo xtask setup` installs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    missing::{Install, Missing},
    process::{self, find_program},
    tree::Tree,
};

const PACKAGE: &str = "firewall-ebpf";
const BINARY: &str = "firewall";

const TARGET: &str = if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// `--btf`: the maps and the line information of the verifier's log are BTF. `v3` has compare-exchange.
/// Packets are not aligned and x86 and arm64 do not mind: without the feature every field is put together from octets.
/// Rustc passes the cpu on to bpf-linker, which refuses to be told twice.
const RUSTFLAGS: [&str; 4] =
    ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3", "-Ctarget-feature=+allows-misaligned-mem-access"];

/// Crates that use unstable features on a stable compiler: inline assembly for BPF. Naming them keeps the rest
/// stable, and unlike `1` does not make aya's build scripts ask for build-std.
const UNSTABLE_CRATES: &str = "aya_ebpf,aya_log_ebpf,firewall,firewall_common";

/// `rust-version` of the workspace.
const OLDEST_RUSTC: (u32, u32) = (1, 95);

/// bpf-linker reads bitcode of its own LLVM and of older ones.
const LLVM: u32 = 22;
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const LINKER_VERSION: &str = "0.13.0";
const OLDEST_LINKER: (u32, u32) = (0, 13);

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_PACKAGES: [(&str, &str); 3] = [
    ("rustc-web", "compiles the XDP program (rustup's stable has no BPF target)"),
    ("cargo-web", "the cargo that belongs to that compiler"),
    ("libstd-rust-web-dev-bpf", "the core library for BPF"),
];
const DEBIAN_CLIPPY: (&str, &str) = ("rust-web-clippy", "checks the XDP program as it is compiled for BPF");
const LLVM_PACKAGE: (&str, &str) = ("llvm-22-dev", "bpf-linker is built against it");

/// A compiler that can build for BPF.
#[derive(Debug)]
pub enum Compiler {
    /// A nightly of rustup with `rust-src`.
    Nightly {
        /// Its name, as rustup knows it.
        name: String,
    },
    /// Debian's, with a prebuilt `core`.
    Debian,
}

impl std::fmt::Display for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nightly { name } => write!(f, "rustup's {name} with rust-src (builds core itself)"),
            Self::Debian => write!(f, "Debian's {DEBIAN_RUSTC} (prebuilt core)"),
        }
    }
}

/// The compiler to use, and why the better ones were passed over. `None` when there is none.
pub fn compiler() -> (Option<Compiler>, Vec<String>) {
    let mut passed_over = Vec::new();
    for name in nightlies() {
        match nightly_is_usable(&name) {
            Ok(()) => return (Some(Compiler::Nightly { name }), passed_over),
            Err(why) => passed_over.push(format!("{name}: {why}")),
        }
    }
    match debian_is_usable() {
        Ok(()) => (Some(Compiler::Debian), passed_over),
        Err(why) => {
            passed_over.push(format!("{DEBIAN_RUSTC}: {why}"));
            (None, passed_over)
        }
    }
}

/// The linker for BPF, or what is wrong with it.
pub fn linker() -> Result<PathBuf, String> {
    let path = find_program("bpf-linker").ok_or("bpf-linker is not installed")?;
    let said = process::output(Command::new(&path).arg("--version")).map_err(|error| format!("{error:#}"))?;
    let version = said.split_whitespace().last().and_then(version);
    match version {
        Some(version) if version >= OLDEST_LINKER => Ok(path),
        _ => Err(format!("{} is `{said}`, {LINKER_VERSION} is needed", path.display())),
    }
}

/// What has to be installed before the eBPF object can be built.
pub fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    if compiler().0.is_none() {
        missing.extend(DEBIAN_PACKAGES.iter().map(package));
    }
    if linker().is_err() {
        if !Path::new(LLVM_PREFIX).join("bin/llvm-config").exists() {
            missing.push(package(&LLVM_PACKAGE));
        }
        // Without the prefix its build script takes whatever `llvm-config` comes first on the PATH.
        let command = format!(
            "env LLVM_PREFIX={LLVM_PREFIX} cargo install bpf-linker --version {LINKER_VERSION} --locked --force \
             --no-default-features --features llvm-{LLVM}"
        );
        missing.push(Missing {
            name: format!("bpf-linker {LINKER_VERSION}"),
            why: "links the XDP program".to_owned(),
            install: Install::command(&command),
        });
    }
    missing
}

/// What has to be installed before [`clippy`] runs, besides [`missing`].
pub fn missing_for_clippy() -> Vec<Missing> {
    match compiler().0 {
        Some(Compiler::Nightly { name }) => {
            let probe = Command::new("rustup").args(["run", &name, "cargo-clippy", "--version"]).output();
            if probe.is_ok_and(|output| output.status.success()) {
                return Vec::new();
            }
            vec![Missing {
                name: format!("clippy for {name}"),
                why: DEBIAN_CLIPPY.1.to_owned(),
                install: Install::command(&format!("rustup component add clippy --toolchain {name}")),
            }]
        }
        _ if Path::new("/usr/bin/clippy-driver").exists() => Vec::new(),
        _ => vec![package(&DEBIAN_CLIPPY)],
    }
}

/// Where neither apt nor a nightly is at hand.
pub const OTHER_SYSTEMS: &str = "on a system without Debian's packages: `rustup toolchain install nightly --component rust-src`, \
    then `cargo install bpf-linker --locked`";

/// What can be built of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// What Portcullis runs.
    Product,
    /// The same with the kernel's own maps, for benchmarks and tests to compare with.
    Reference,
}

/// Builds the object into [`Tree::object`], and leaves the file alone when nothing changed.
pub fn build(tree: &Tree) -> Result<PathBuf> {
    build_variant(tree, Variant::Product, &[])
}

/// The same with other names for the folders of this machine (`--remap-path-prefix=...`): the lines of the verifier's log say
/// where they stand.
pub fn build_remapped(tree: &Tree, names: &[String]) -> Result<PathBuf> {
    build_variant(tree, Variant::Product, names)
}

/// Builds the object of the reference program into [`Tree::reference_object`].
pub fn build_reference(tree: &Tree) -> Result<PathBuf> {
    build_variant(tree, Variant::Reference, &[])
}

fn build_variant(tree: &Tree, variant: Variant, flags: &[String]) -> Result<PathBuf> {
    process::run(&mut cargo(tree, "build", variant, flags)?)?;
    let built = variant.target(tree).join(TARGET).join("release").join(BINARY);
    let object = variant.object(tree);
    let new = fs::read(&built).with_context(|| format!("cannot read the linked program {}", built.display()))?;
    if fs::read(&object).is_ok_and(|old| old == new) {
        return Ok(object);
    }
    let unfinished = object.with_extension("o.new");
    fs::write(&unfinished, new).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, &object).with_context(|| format!("cannot replace {}", object.display()))?;
    Ok(object)
}

/// Lints the programs as they are compiled for BPF.
pub fn clippy(tree: &Tree) -> Result<()> {
    let variants = [Variant::Product, Variant::Reference];
    variants
        .into_iter()
        .try_for_each(|variant| process::run_shown(cargo(tree, "clippy", variant, &[])?.args(["--", "-Dwarnings"])))
}

impl Variant {
    /// Each has a target folder, so that neither build undoes the other.
    fn target(self, tree: &Tree) -> PathBuf {
        match self {
            Self::Product => tree.bpf_target(),
            Self::Reference => tree.bpf_target().join("reference"),
        }
    }

    fn object(self, tree: &Tree) -> PathBuf {
        match self {
            Self::Product => tree.object(),
            Self::Reference => tree.reference_object(),
        }
    }
}

fn cargo(tree: &Tree, verb: &str, variant: Variant, flags: &[String]) -> Result<Command> {
    let (compiler, passed_over) = compiler();
    let compiler = compiler.with_context(|| {
        format!("no compiler for BPF: {}\nhint: `cargo xtask setup --for build`", passed_over.join("; "))
    })?;
    let linker = linker().map_err(|why| anyhow::anyhow!("{why}\nhint: `cargo xtask setup --for build`"))?;
    let mut command = match &compiler {
        Compiler::Nightly { name } => {
            let mut command = Command::new("rustup");
            command.args(["run", name, "cargo", verb, "-Zbuild-std=core"]);
            command
        }
        Compiler::Debian => {
            let mut command = Command::new(DEBIAN_CARGO);
            command.arg(verb);
            command
        }
    };
    command.current_dir(&tree.root);
    // The cargo that runs us says which compiler and which package it is about: neither holds for the inner one.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let kept = ["CARGO_HOME", "CARGO_TERM_COLOR", "CARGO_NET_OFFLINE"].contains(&&*name);
        if !kept
            && ["CARGO", "RUST", "LD_LIBRARY_PATH"].iter().any(|start| name.starts_with(start))
            && !name.starts_with("RUSTUP_HOME")
        {
            command.env_remove(&*name);
        }
    }
    if let Compiler::Debian = compiler {
        command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", UNSTABLE_CRATES).env("PATH", debian_first());
    }
    command.args(["--release", "--package", PACKAGE, "--bin", BINARY, "--target", TARGET, "--target-dir"]);
    command.arg(variant.target(tree));
    if variant == Variant::Reference {
        command.args(["--features", "reference"]);
    }
    let flags: Vec<&str> = RUSTFLAGS.into_iter().chain(flags.iter().map(String::as_str)).collect();
    command.args(["--config", &format!("target.{TARGET}.linker={:?}", linker.display().to_string())]);
    command.args(["--config", &format!("target.{TARGET}.rustflags={flags:?}")]);
    Ok(command)
}

/// `cargo clippy` looks for its driver on the PATH, where rustup's stands first.
fn debian_first() -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths([PathBuf::from("/usr/bin")].into_iter().chain(env::split_paths(&path))).unwrap_or(path)
}

fn nightlies() -> Vec<String> {
    let list = process::output(Command::new("rustup").args(["toolchain", "list", "--quiet"])).unwrap_or_default();
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
        .map(str::to_owned)
        .collect()
}

fn nightly_is_usable(name: &str) -> Result<(), String> {
    let rustc = |arguments: &[&str]| {
        process::output(Command::new("rustup").args(["run", name, "rustc"]).args(arguments))
            .map_err(|error| format!("{error:#}"))
    };
    let sysroot = rustc(&["--print", "sysroot"])?;
    if !Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").exists() {
        return Err("has no rust-src".to_owned());
    }
    fits(&rustc(&["-vV"])?)
}

fn debian_is_usable() -> Result<(), String> {
    if !Path::new(DEBIAN_RUSTC).exists() || !Path::new(DEBIAN_CARGO).exists() {
        return Err("not installed".to_owned());
    }
    let rustc = |arguments: &[&str]| {
        process::output(Command::new(DEBIAN_RUSTC).env_remove("LD_LIBRARY_PATH").args(arguments))
            .map_err(|error| format!("{error:#}"))
    };
    let folder = Path::new(&rustc(&["--print", "sysroot"])?).join("lib/rustlib").join(TARGET).join("lib");
    let is_core = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("libcore-");
    if !fs::read_dir(&folder).is_ok_and(|entries| entries.flatten().any(is_core)) {
        return Err(format!("has no core for {TARGET}"));
    }
    fits(&rustc(&["-vV"])?)
}

/// Whether a compiler that says this of itself can compile the program for our linker.
fn fits(said: &str) -> Result<(), String> {
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let release = field("release:");
    if version(release).is_none_or(|release| release < OLDEST_RUSTC) {
        return Err(format!("is {release}, {}.{} is needed", OLDEST_RUSTC.0, OLDEST_RUSTC.1));
    }
    let llvm = field("LLVM version:");
    if version(llvm).is_none_or(|(major, _)| major > LLVM) {
        return Err(format!("has LLVM {llvm}, bpf-linker reads up to {LLVM}"));
    }
    Ok(())
}

/// Major and minor of `1.97.0-nightly`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn package(&(name, why): &(&str, &str)) -> Missing {
    Missing { name: name.to_owned(), why: why.to_owned(), install: Install::Apt { service: None } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(release: &str, llvm: &str) -> String {
        format!(
            "rustc {release}\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: {release}\nLLVM version: {llvm}"
        )
    }

    #[test]
    fn compiler_with_a_newer_llvm_than_the_linker_is_refused() {
        assert_eq!(fits(&said("1.97.0-nightly", "22.1.4")), Ok(()));
        assert!(fits(&said("1.99.0-nightly", "23.0.0")).is_err_and(|why| why.contains("LLVM 23.0.0")));
    }

    #[test]
    fn compiler_older_than_the_workspace_is_refused() {
        assert!(fits(&said("1.85.0", "19.1.7")).is_err_and(|why| why == "is 1.85.0, 1.95 is needed"));
        assert!(fits("").is_err());
    }
}
