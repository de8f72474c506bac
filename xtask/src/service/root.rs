//! A Debian in a folder: made once for each suite and set of packages, and only read afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{process, tree::Tree};

/// What a server has that somebody protects: systemd as PID 1, something that listens, and the programs of a first look.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,passwd,iproute2,nginx-light,curl,procps";

/// The folder of a Debian of this suite, which is made when it is not there.
pub fn root(tree: &Tree, suite: &str) -> Result<PathBuf> {
    let folders = tree.target.join("service");
    let (root, making) = (folders.join(suite), folders.join(format!("{suite}.making")));
    let note = folders.join(format!("{suite}.packages"));
    if fs::read_to_string(&note).is_ok_and(|made_of| made_of == PACKAGES) && root.is_dir() {
        return Ok(root);
    }
    fs::create_dir_all(&folders).with_context(|| format!("cannot make {}", folders.display()))?;
    remove(&making)?;
    remove(&root)?;
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=apt", &format!("--include={PACKAGES}"), suite]).arg(&making);
    process::run_shown(&mut make)?;
    fs::rename(&making, &root).with_context(|| format!("cannot rename {}", making.display()))?;
    fs::write(&note, PACKAGES).with_context(|| format!("cannot write {}", note.display()))?;
    Ok(root)
}

/// Removes a folder, which need not be there.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
