//! The folder in the BPF file system where links and shared maps are pinned.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use firewall_common::abi::{ABI_VERSION, maps};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::DatapathError;
use crate::{control::attach_label, policy::AttachMode};

/// `DIR/v<ABI>`, locked as long as it lives: `maps/` and `links/` inside.
///
/// When it goes, maps and empty folders go with it, so that a start that was refused leaves nothing; links stay.
#[derive(Debug)]
pub struct PinFolder {
    base: PathBuf,
    folder: PathBuf,
    /// What is in the folder now may belong to somebody else.
    is_cleared: AtomicBool,
    _lock: Flock<File>,
}

impl PinFolder {
    /// Makes and locks the folder under `base`, which need not exist. Shared maps of a daemon that is gone are removed:
    /// counters and rate state start again; its links stay until they are adopted or removed.
    ///
    /// # Errors
    /// When `base` is not on a BPF file system, or another daemon has it.
    pub fn open(base: &Path) -> Result<Self, DatapathError> {
        let existing = base.ancestors().find(|folder| folder.exists()).unwrap_or(base);
        if !statfs(existing).is_ok_and(|status| status.filesystem_type() == BPF_FS_MAGIC) {
            return Err(DatapathError::NoBpffs { folder: base.to_owned() });
        }
        let folder = folder_under(base);
        for part in ["maps", "links"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(pin_error("create the folder", &path))?;
        }
        let handle = File::open(&folder).map_err(pin_error("open the folder", &folder))?;
        let lock = lock(handle, &folder, FlockArg::LockExclusiveNonblock)?;
        let pins = Self { base: base.to_owned(), folder, is_cleared: AtomicBool::new(false), _lock: lock };
        pins.remove_maps()?;
        Ok(pins)
    }

    /// Interfaces that have a pinned link under `base`; nothing is made or removed.
    ///
    /// # Errors
    /// When a daemon has the folder, so that nobody else may change it.
    pub fn look(base: &Path) -> Result<Vec<String>, DatapathError> {
        let folder = folder_under(base);
        let Ok(handle) = File::open(&folder) else { return Ok(Vec::new()) };
        let _lock = lock(handle, &folder, FlockArg::LockSharedNonblock)?;
        Ok(interfaces(&folder))
    }

    /// Where the shared map `name` is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.folder.join("maps").join(name)
    }

    /// Where the link of an interface is pinned: its name, `@` and the mode it is attached in.
    pub(super) fn link(&self, interface: &str, mode: AttachMode) -> PathBuf {
        self.folder.join("links").join(format!("{}@{}", escape(interface), attach_label(mode)))
    }

    /// The pinned link of an interface, and the mode it is attached in.
    pub(super) fn find_link(&self, interface: &str) -> Option<(PathBuf, AttachMode)> {
        let modes = [AttachMode::Native, AttachMode::Generic];
        modes.map(|mode| (self.link(interface, mode), mode)).into_iter().find(|(path, _)| path.exists())
    }

    /// Interfaces that have a pinned link.
    pub fn interfaces(&self) -> Vec<String> {
        interfaces(&self.folder)
    }

    /// Removes a link: the interface is not filtered any more once nobody holds it.
    pub(super) fn remove_link(&self, interface: &str) -> Result<(), DatapathError> {
        self.find_link(interface).map_or(Ok(()), |(path, _)| remove(&path))
    }

    /// Removes everything that is pinned, and the folders when they are empty.
    ///
    /// # Errors
    /// When a pin cannot be removed; the others are removed all the same.
    pub fn clear(&self) -> Result<(), DatapathError> {
        let links = self.interfaces().iter().map(|interface| self.remove_link(interface)).collect::<Vec<_>>();
        let maps = self.remove_maps();
        self.remove_empty_folders();
        self.is_cleared.store(true, Ordering::Relaxed);
        links.into_iter().collect::<Result<Vec<()>, _>>()?;
        maps
    }

    /// Another ABI version may live beside this one: folders that are not empty stay.
    fn remove_empty_folders(&self) {
        for folder in [self.folder.join("maps"), self.folder.join("links"), self.folder.clone(), self.base.clone()] {
            let _ = fs::remove_dir(folder);
        }
    }

    fn remove_maps(&self) -> Result<(), DatapathError> {
        maps::SHARED.iter().try_for_each(|name| remove(&self.map(name)))
    }
}

impl Drop for PinFolder {
    fn drop(&mut self) {
        if !self.is_cleared.load(Ordering::Relaxed) {
            // The next one to open the folder tries again.
            let _ = self.remove_maps();
            self.remove_empty_folders();
        }
    }
}

fn folder_under(base: &Path) -> PathBuf {
    base.join(format!("v{ABI_VERSION}"))
}

fn lock(handle: File, folder: &Path, how: FlockArg) -> Result<Flock<File>, DatapathError> {
    Flock::lock(handle, how).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => DatapathError::InUse { folder: folder.to_owned() },
        other => DatapathError::Pin { what: "lock the folder", path: folder.to_owned(), error: other.into() },
    })
}

fn interfaces(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder.join("links")) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter_map(|name| Some(unescape(name.rsplit_once('@')?.0))).collect();
    names.sort();
    names
}

/// Names on a BPF file system have no dots, those of interfaces may.
fn escape(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

fn unescape(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

fn remove(path: &Path) -> Result<(), DatapathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(pin_error("remove", path)(error)),
        _ => Ok(()),
    }
}

fn pin_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatapathError {
    move |error| DatapathError::Pin { what, path: path.to_owned(), error }
}
