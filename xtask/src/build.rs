//! `cargo xtask build`: the eBPF object, then the binary that carries it.

use std::path::PathBuf;

use anyhow::Result;

use crate::{ebpf, process, tree::Tree};

/// Cargo profile of the binary. The object is always optimised: the verifier would refuse it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What operators run.
    Release,
    /// Quick to build.
    Debug,
}

/// What was built.
pub struct Built {
    /// The eBPF object.
    pub object: PathBuf,
    /// The binary, with the object inside.
    pub portcullis: PathBuf,
}

/// Builds both. The caller has checked that the toolchain is there.
pub fn build(tree: &Tree, profile: Profile) -> Result<Built> {
    let object = ebpf::build(tree)?;
    let mut cargo = tree.cargo();
    cargo.args(["build", "--package", "firewall-userspace", "--bin", "portcullis"]);
    let folder = match profile {
        Profile::Release => {
            cargo.arg("--release");
            "release"
        }
        Profile::Debug => "debug",
    };
    process::run(&mut cargo)?;
    Ok(Built { object, portcullis: tree.target.join(folder).join("portcullis") })
}
