//! Folders of other ABI versions.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use firewall_common::abi::ABI_VERSION;
use nix::fcntl::{Flock, FlockArg};

use super::{DatapathError, Pinned, folder_of, lock, names_in, pin_error};

/// The folder of another ABI version, locked: its daemon does not run.
#[derive(Debug)]
pub(super) struct OtherVersion {
    version: u32,
    folder: PathBuf,
    _lock: Flock<File>,
}

impl OtherVersion {
    pub(super) fn folder(&self) -> &PathBuf {
        &self.folder
    }

    pub(super) fn pinned(&self) -> Pinned {
        Pinned::read(self.version, &self.folder)
    }

    /// Removes everything; what it was.
    pub(super) fn clear(&self) -> Result<Pinned, DatapathError> {
        let pinned = self.pinned();
        pinned.remove(&self.folder).map(|()| pinned)
    }
}

/// ABI versions that have a folder under `base`.
pub(super) fn versions(base: &Path) -> Vec<u32> {
    let names = names_in(base);
    let mut versions: Vec<u32> = names.iter().filter_map(|name| name.strip_prefix('v')?.parse().ok()).collect();
    versions.sort_unstable();
    versions
}

/// Locks the folders of all versions but ours.
pub(super) fn lock_all(base: &Path) -> Result<Vec<OtherVersion>, DatapathError> {
    let others = versions(base).into_iter().filter(|version| *version != ABI_VERSION);
    let open = |version| {
        let folder = folder_of(base, version);
        let handle = File::open(&folder).map_err(pin_error("open the folder", &folder))?;
        let lock = lock(handle, &folder, FlockArg::LockExclusiveNonblock)?;
        Ok(OtherVersion { version, folder, _lock: lock })
    };
    others.map(open).collect()
}
