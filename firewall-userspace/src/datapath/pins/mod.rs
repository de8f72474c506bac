//! The folder in the BPF file system where links and shared maps are pinned.
//!
//! In: the folder that an operator names. Out: paths for links and maps, and what a daemon before this one has left. [`PinFolder`]
//! owns the folder as long as it lives, by a lock, and makes it and what is pinned in it anew when somebody removes it.

mod lock;
mod other;
mod restore;
#[cfg(test)]
mod scratch;
mod trust;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use firewall_common::abi::ABI_VERSION;

pub(super) use self::trust::root_of;
use self::{
    lock::{LOCK, Lock},
    other::OtherVersion,
    restore::Kept,
};
use super::{
    DatapathError, Distrust, link,
    link_path::{PinnedLink, parse_link},
};
use crate::{files::names_in, policy::AttachMode};

/// Where links and maps are pinned unless said otherwise.
pub const DEFAULT_PINS: &str = "/sys/fs/bpf/portcullis";
/// Variable of the environment that names another folder.
pub const PINS_VARIABLE: &str = "PORTCULLIS_PIN_DIRECTORY";

/// `DIR/v<ABI>`, locked as long as it lives: `maps/` and `links/` inside. So are the folders of other ABI versions, which
/// have the same form. All of them belong to the user that this process runs as, and nobody else may look into them.
///
/// When it goes and no link is left, maps and empty folders go with it, so that a start that was refused leaves nothing.
/// As long as there is a link, something filters, and what it counts stays.
#[derive(Debug)]
pub struct PinFolder {
    base: PathBuf,
    folder: PathBuf,
    replaces: bool,
    others: Vec<OtherVersion>,
    kept: Mutex<Kept>,
}

/// What is pinned in the folder of one ABI version, or was until now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The ABI version.
    pub version: u32,
    /// Links, as their names tell.
    pub links: Vec<PinnedLink>,
    /// Names of maps.
    pub maps: Vec<String>,
}

impl PinFolder {
    /// Makes and locks the folder under `base`, which need not exist. Links and maps that are in it stay until they are
    /// adopted or removed.
    ///
    /// # Errors
    /// When `base` is not on a BPF file system, another process has it, another user could change what is in it, or another
    /// ABI version has pins in it.
    pub fn open(base: &Path) -> Result<Self, DatapathError> {
        let mut pins = Self::open_replacing(base)?;
        match pins.others.iter().map(OtherVersion::pinned).find(|pinned| !pinned.is_empty()) {
            Some(Pinned { version, links, .. }) => {
                let interfaces = links.iter().map(PinnedLink::to_string).collect();
                Err(DatapathError::OtherVersion { folder: folder_of(base, version), version, interfaces })
            }
            None => {
                pins.replaces = false;
                Ok(pins)
            }
        }
    }

    /// The same, and what does not fit is replaced: maps that are not as this build declares them, and links and maps of
    /// other ABI versions.
    ///
    /// # Errors
    /// When `base` is not on a BPF file system, another process has it, or another user could change what is in it.
    pub fn open_replacing(base: &Path) -> Result<Self, DatapathError> {
        let folder = folder_of(base, ABI_VERSION);
        // Nothing is made in what is not believed.
        trust::make(base)?;
        trust::tighten_version(&folder, &PARTS)?;
        let others = other::lock_all(base)?;
        let kept = Mutex::new(Kept::claim(base, &folder)?);
        Ok(Self { base: base.to_owned(), folder, replaces: true, others, kept })
    }

    /// What is pinned under `base`, by ABI version; nothing is made or removed.
    ///
    /// # Errors
    /// When a daemon has the folder, so that nobody else may change it, or another user could.
    pub fn look(base: &Path) -> Result<Vec<Pinned>, DatapathError> {
        trust::look(base)?;
        let versions = other::versions(base);
        let look = |version| {
            let folder = folder_of(base, version);
            trust::look_version(&folder, &PARTS)?;
            lock::require_free(&folder)?;
            Ok::<_, DatapathError>(Pinned::read(version, &folder))
        };
        let pinned: Vec<Pinned> = versions.into_iter().map(look).collect::<Result<_, _>>()?;
        Ok(pinned.into_iter().filter(|pinned| !pinned.is_empty()).collect())
    }

    /// The links that are pinned under `base`, of all ABI versions.
    pub(super) fn links(base: &Path) -> Vec<PathBuf> {
        let folders = other::versions(base).into_iter().map(|version| (version, folder_of(base, version)));
        folders.flat_map(|(version, folder)| Pinned::read(version, &folder).link_paths(&folder)).collect()
    }

    /// Whether what does not fit is to be replaced.
    pub(super) fn replaces(&self) -> bool {
        self.replaces
    }

    /// Where the shared map `name` is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.reachable().join("maps").join(name)
    }

    /// Where the maps of a live program are pinned for a moment.
    pub(super) fn borrowed(&self) -> PathBuf {
        self.folder.join(BORROWED)
    }

    /// Where the link of a device is pinned; with its `index` where the name is another device's now.
    pub(super) fn link(&self, interface: &str, index: Option<u32>, mode: AttachMode) -> PathBuf {
        PinnedLink { interface: interface.to_owned(), index, mode }.path_in(&self.folder)
    }

    /// Links in the folder.
    pub(super) fn own_links(&self) -> Vec<PathBuf> {
        Pinned::read(ABI_VERSION, &self.folder).link_paths(&self.folder)
    }

    /// The links that a daemon before this one left, of this ABI version and of others, and where they are.
    pub(super) fn left_links(&self) -> Vec<(PathBuf, PinnedLink)> {
        let own = (ABI_VERSION, &self.folder);
        let folders = std::iter::once(own).chain(self.others.iter().map(|other| (other.version(), other.folder())));
        let left = folders.flat_map(|(version, folder)| {
            let links = Pinned::read(version, folder).links.into_iter();
            links.map(move |link| (link.path_in(folder), link))
        });
        left.collect()
    }

    /// Removes what other ABI versions have pinned; what it was.
    ///
    /// # Errors
    /// When a pin cannot be removed; the others are removed all the same.
    pub fn clear_others(&self) -> Result<Vec<Pinned>, DatapathError> {
        let removed: Vec<_> = self.others.iter().map(OtherVersion::clear).collect();
        removed.into_iter().collect()
    }

    /// Removes everything that is pinned, of all ABI versions, and the folders; what it was.
    ///
    /// # Errors
    /// When a pin cannot be removed; the others are removed all the same.
    pub fn clear(&self) -> Result<Vec<Pinned>, DatapathError> {
        let own = Pinned::read(ABI_VERSION, &self.folder);
        let cleared = own.remove(&self.folder);
        let others = self.clear_others();
        let _ = fs::remove_dir(&self.base);
        cleared?;
        let mut removed = others?;
        removed.push(own);
        removed.retain(|pinned| !pinned.is_empty());
        removed.sort_by_key(|pinned| pinned.version);
        Ok(removed)
    }

    /// Removes all maps: counters and rate state start again.
    pub(super) fn remove_maps(&self) -> Result<(), DatapathError> {
        let Pinned { version, maps, .. } = Pinned::read(ABI_VERSION, &self.folder);
        Pinned { version, links: Vec::new(), maps }.remove_files(&self.folder)
    }
}

impl Drop for PinFolder {
    fn drop(&mut self) {
        let own = Pinned::read(ABI_VERSION, &self.folder);
        if own.links.is_empty() && self.is_ours() {
            // The next one to open the folder tries again.
            let _ = own.remove(&self.folder);
            let _ = fs::remove_dir(&self.base);
        }
    }
}

impl Pinned {
    /// What is in a folder now.
    fn read(version: u32, folder: &Path) -> Self {
        let mut links: Vec<_> = names_in(&folder.join("links")).iter().filter_map(|name| parse_link(name)).collect();
        links.sort();
        let mut maps = names_in(&folder.join("maps"));
        maps.sort();
        Self { version, links, maps }
    }

    /// Where its links are, in its folder.
    fn link_paths(&self, folder: &Path) -> Vec<PathBuf> {
        self.links.iter().map(|link| link.path_in(folder)).collect()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.maps.is_empty()
    }

    /// Removes it, links first, and the folders when they are empty then.
    fn remove(&self, folder: &Path) -> Result<(), DatapathError> {
        let removed = self.remove_files(folder);
        // Of a daemon that was killed at a bad moment.
        let borrowed = folder.join(BORROWED);
        for name in names_in(&borrowed) {
            let _ = fs::remove_file(borrowed.join(name));
        }
        for folder in [folder.join("maps"), folder.join("links"), borrowed, folder.join(LOCK), folder.to_owned()] {
            let _ = fs::remove_dir(folder);
        }
        removed
    }

    fn remove_files(&self, folder: &Path) -> Result<(), DatapathError> {
        let links = self.link_paths(folder);
        for link in &links {
            // One that is gone with its interface has nothing to detach; the pin goes all the same.
            let _ = link::detach(link);
        }
        let maps = self.maps.iter().map(|name| folder.join("maps").join(name));
        let removed: Vec<_> = links.into_iter().chain(maps).map(|path| remove(&path)).collect();
        removed.into_iter().collect()
    }
}

fn folder_of(base: &Path, version: u32) -> PathBuf {
    base.join(format!("v{version}"))
}

/// Folder of maps that are pinned for a moment.
const BORROWED: &str = "borrowed";
/// Folders in that of one ABI version.
const PARTS: [&str; 4] = ["maps", "links", BORROWED, LOCK];

pub(super) fn remove(path: &Path) -> Result<(), DatapathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(pin_error("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn pin_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatapathError {
    move |error| DatapathError::Pin { what, path: path.to_owned(), error }
}
