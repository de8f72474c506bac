//! Where things lie: the workspace and what is built from it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// Where `firewall-userspace/build.rs` and the tests find the object.
pub const OBJECT_VARIABLE: &str = "PORTCULLIS_EBPF_OBJECT";

/// The workspace and its target folder.
pub struct Tree {
    /// Folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
}

impl Tree {
    /// The tree this program was built from. Cargo put it into `<target>/<profile>/`.
    pub fn find() -> Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.parent().context("the xtask package lies in no workspace")?.to_owned();
        let program = env::current_exe().context("cannot tell the path of the running xtask")?;
        let target = program.ancestors().nth(2).context("xtask was not built by cargo")?.to_owned();
        Ok(Self { root, target })
    }

    /// The eBPF object, ready to be embedded or loaded.
    pub fn object(&self) -> PathBuf {
        self.bpf_target().join("firewall.o")
    }

    /// The eBPF object of the reference program.
    pub fn reference_object(&self) -> PathBuf {
        self.bpf_target().join("reference.o")
    }

    /// Target folder of the eBPF build: its cargo must not wait for ours.
    pub fn bpf_target(&self) -> PathBuf {
        self.target.join("bpf")
    }

    /// The cargo that runs us, in the root of the workspace, without what it told us about the xtask package. With the
    /// eBPF object once there is one: a build without it would compile the userspace half anew.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
                .iter()
                .any(|start| name.starts_with(start))
            {
                command.env_remove(&*name);
            }
        }
        command.env_remove("LD_LIBRARY_PATH");
        if self.object().exists() {
            command.env(OBJECT_VARIABLE, self.object());
        }
        command
    }
}
