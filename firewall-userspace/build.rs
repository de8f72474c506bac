//! Embeds the eBPF object that `cargo xtask build` made, or nothing for builds without a BPF toolchain, and names what the binary is
//! made of. Nothing of it depends on the time or on the machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "build/decide.rs"]
mod decide;

fn main() {
    println!("cargo::rerun-if-env-changed=PORTCULLIS_EBPF_OBJECT");
    println!("cargo::rerun-if-env-changed=PORTCULLIS_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/decide.rs");
    let profile = env::var("PROFILE").unwrap_or_default();
    name_sources(&profile);
    name_compiler();
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let path = env::var_os("PORTCULLIS_EBPF_OBJECT").map(PathBuf::from);
    if let Some(warning) = decide::warning(&profile, path.is_some()) {
        println!("cargo::warning={warning}");
    }
    let object = path.map_or_else(Vec::new, |path| {
        println!("cargo::rerun-if-changed={}", path.display());
        fs::read(&path).unwrap_or_else(|error| {
            println!("cargo::error=cannot read the eBPF object {}: {error}", path.display());
            Vec::new()
        })
    });
    if let Err(error) = fs::write(folder.join("firewall.bpf.o"), object) {
        println!("cargo::error=cannot write to {}: {error}", folder.display());
    }
}

/// Tells the crate which revision its sources are of.
fn name_sources(profile: &str) {
    let said = env::var("PORTCULLIS_REVISION").ok();
    let repository = || decide::reads_repository(profile).then(of_repository).flatten();
    match decide::revision(said.as_deref(), repository) {
        Ok(revision) => println!("cargo::rustc-env=PORTCULLIS_BUILT_FROM={revision}"),
        Err(error) => println!("cargo::error={error}"),
    }
}

/// Tells the crate what compiles it.
fn name_compiler() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = output(Command::new(rustc).arg("--version")).filter(|said| said.lines().count() == 1);
    println!("cargo::rustc-env=PORTCULLIS_BUILT_BY={}", said.as_deref().unwrap_or(decide::UNKNOWN));
}

/// The commit that the sources are checked out at; `None` where they are in no repository of their own.
fn of_repository() -> Option<String> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).parent()?.to_owned();
    if !root.join(".git").exists() {
        return None;
    }
    let git = |arguments: &[&str]| output(Command::new("git").arg("-C").arg(&root).arg("rev-parse").args(arguments));
    // Each commit, checkout and reset appends a line to this file.
    let log = root.join(git(&["--git-path", "logs/HEAD"])?);
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&["--verify", "HEAD"])
}

/// What a command writes when it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
