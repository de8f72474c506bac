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
        // With the features that the tests ask for, so that nothing is compiled twice.
        Profile::Debug => {
            cargo.args(["--package", "firewall-tests"]);
            "debug"
        }
    };
    process::run(&mut cargo)?;
    Ok(Built { object, portcullis: tree.target.join(folder).join("portcullis") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The crates that a choice of packages compiles for the target, with their features.
    fn compiled(arguments: &[&str]) -> BTreeSet<String> {
        let mut cargo = Tree::find().unwrap().cargo();
        cargo
            .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p} {f}", "--edges"])
            .args(arguments);
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.replace(" (*)", "")).collect()
    }

    #[test]
    fn what_derives_code_is_compiled_in_one_way() {
        // Cargo leaves debug information out of what only build scripts and derived code need, unless the profile says otherwise.
        let manifest = std::fs::read_to_string(Tree::find().unwrap().root.join("Cargo.toml")).unwrap();
        let debug = "debug = \"line-tables-only\"\n";
        for profile in ["[profile.dev]\n", "[profile.dev.build-override]\n"] {
            assert!(manifest.contains(&format!("{profile}{debug}")), "{profile}");
        }
    }

    #[test]
    fn what_the_tests_need_is_compiled_once() {
        let unit = compiled(&["normal,dev"]);
        assert!(unit.len() > 100, "{unit:?}");
        for arguments in [
            &["normal", "--package", "firewall-userspace", "--package", "firewall-tests"][..],
            &["normal,dev", "--package", "firewall-tests"],
        ] {
            let again: Vec<_> = compiled(arguments).into_iter().filter(|one| !unit.contains(one)).collect();
            let others = again.iter().filter(|one| !one.starts_with("firewall-tests "));
            assert_eq!(others.collect::<Vec<_>>(), [""; 0], "{arguments:?}");
        }
    }
}
