//! Folders of other ABI versions.

use std::path::{Path, PathBuf};

use firewall_common::abi::ABI_VERSION;

use super::{DatapathError, Lock, PARTS, Pinned, folder_of, trust};
use crate::files::names_in;

/// The folder of another ABI version, locked: its daemon does not run.
#[derive(Debug)]
pub(super) struct OtherVersion {
    version: u32,
    folder: PathBuf,
    _lock: Lock,
}

impl OtherVersion {
    pub(super) fn version(&self) -> u32 {
        self.version
    }

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
        trust::tighten_version(&folder, &PARTS)?;
        let lock = Lock::exclusive(&folder)?;
        Ok(OtherVersion { version, folder, _lock: lock })
    };
    others.map(open).collect()
}
