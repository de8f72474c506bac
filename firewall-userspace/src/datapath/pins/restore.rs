//! What is pinned stays pinned while the folder is owned: the folder, its lock and the shared maps are made anew when they are gone.

use std::{
    fs::{self, File},
    io, mem,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::{MutexGuard, PoisonError},
};

use super::{DatapathError, LOCK, Lock, PARTS, PinFolder, pin_error, trust};
use crate::{datapath::object, files::names_in};

/// What keeps a folder: its lock, and the shared maps that are pinned in it.
#[derive(Debug)]
pub(super) struct Kept {
    _lock: Lock,
    /// The folder as it was when it was locked, wherever it is now.
    handle: File,
    maps: Vec<KeptMap>,
}

#[derive(Debug)]
struct KeptMap {
    name: String,
    descriptor: OwnedFd,
    id: u32,
}

impl Kept {
    /// Makes the folder under `base`, which need not exist, and locks it.
    ///
    /// # Errors
    /// When there is no BPF file system, another process has the folder, or another user could change what is in it.
    pub(super) fn claim(base: &Path, folder: &Path) -> Result<Self, DatapathError> {
        trust::make(base)?;
        trust::tighten_version(folder, &PARTS)?;
        trust::make_in(folder, &["maps", "links", LOCK])?;
        let lock = Lock::exclusive(folder)?;
        let handle = File::open(folder).map_err(pin_error("open the folder", folder))?;
        Ok(Self { _lock: lock, handle, maps: Vec::new() })
    }
}

impl PinFolder {
    /// Holds every map that is pinned now, so that its pin can be made anew.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(in crate::datapath) fn hold_maps(&self) -> Result<(), DatapathError> {
        let folder = self.folder.join("maps");
        let mut maps = Vec::new();
        for name in names_in(&folder) {
            let path = folder.join(&name);
            let descriptor = object::open(&path).map_err(pin_error("open the pinned map", &path))?;
            let look = || Ok::<_, io::Error>((object::kind(descriptor.as_fd())?, object::info(descriptor.as_fd())?.id));
            let (kind, id) = look().map_err(pin_error("look at the pinned map", &path))?;
            if kind == object::MAP {
                maps.push(KeptMap { name, descriptor, id });
            }
        }
        self.kept().maps = maps;
        Ok(())
    }

    /// Makes the folder and the pins of maps that are held anew where they are gone; how many pins there were not.
    ///
    /// # Errors
    /// When there is no BPF file system, another process has the folder or could change it, or a pin cannot be made.
    pub(in crate::datapath) fn restore(&self) -> Result<u64, DatapathError> {
        let mut kept = self.kept();
        if is_at(&kept.handle, &self.folder) {
            trust::make_in(&self.folder, &["maps", "links", LOCK])?;
        } else {
            let fresh = Kept::claim(&self.base, &self.folder)?;
            let maps = mem::take(&mut kept.maps);
            *kept = Kept { maps, ..fresh };
        }
        let mut restored = 0;
        for KeptMap { name, descriptor, id } in &kept.maps {
            let path = self.folder.join("maps").join(name);
            if !object::is(&path, object::MAP, *id) {
                super::remove(&path)?;
                object::pin(descriptor.as_fd(), &path).map_err(pin_error("pin a map to", &path))?;
                restored += 1;
            }
        }
        Ok(restored)
    }

    /// Makes sure that a program that is loaded now takes the maps that are held, and no new ones.
    ///
    /// # Errors
    /// When they are pinned nowhere, and cannot be.
    pub(in crate::datapath) fn require_maps(&self) -> Result<(), DatapathError> {
        let Err(error) = self.restore() else { return Ok(()) };
        let folder = self.reachable().join("maps");
        let has_all = self.kept().maps.iter().all(|map| object::is(&folder.join(&map.name), object::MAP, map.id));
        if has_all { Ok(()) } else { Err(error) }
    }

    /// Where the pins of maps are now. A file system that somebody has unmounted is still there for who has a folder of it open.
    pub(super) fn reachable(&self) -> PathBuf {
        let kept = self.kept();
        if is_at(&kept.handle, &self.folder) || kept.maps.is_empty() {
            return self.folder.clone();
        }
        PathBuf::from(format!("/proc/self/fd/{}", kept.handle.as_raw_fd()))
    }

    /// Whether the folder is there, and ours.
    pub(super) fn is_ours(&self) -> bool {
        is_at(&self.kept().handle, &self.folder)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `folder` is what is open as `handle`.
fn is_at(handle: &File, folder: &Path) -> bool {
    let (Ok(open), Ok(there)) = (handle.metadata(), fs::metadata(folder)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}
