//! File systems of a test's own: a small disk, for what only happens to small disks, and one for pins.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::trial::{Trial, disk_place, pins_place};

/// A file system in memory, in the folder of a test; unmounted when this goes.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one of this size, such as `256k`.
    ///
    /// # Errors
    /// When this is not root.
    pub fn mount(trial: &Trial, size: &str) -> Result<Self> {
        let path = disk_place(trial.folder());
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let options = format!("size={size},mode=700");
        mount(Some("pct"), &path, Some("tmpfs"), MsFlags::empty(), Some(&*options))
            .with_context(|| format!("cannot mount a tmpfs at {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses or takes writes from now on. No file may be open for writing.
    ///
    /// # Errors
    /// When one is.
    pub fn set_read_only(&self, is_read_only: bool) -> Result<()> {
        let flags = if is_read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        mount(None::<&str>, &self.path, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>)
            .with_context(|| format!("cannot remount {}", self.path.display()))
    }

    /// Fills it to the last octet; the file to remove when that is enough.
    ///
    /// # Errors
    /// When it cannot be written at all.
    pub fn fill(&self) -> Result<PathBuf> {
        let path = self.path.join("filler");
        let mut file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(path)
    }
}

/// A BPF file system in the folder of a test; unmounted when this goes.
#[derive(Debug)]
pub struct PinMount {
    path: PathBuf,
}

impl PinMount {
    /// Mounts one whose root has this mode, such as `700`.
    ///
    /// # Errors
    /// When this is not root.
    pub fn mount(trial: &Trial, mode: &str) -> Result<Self> {
        let path = pins_place(trial.folder());
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        mount_pins(&path, mode)?;
        Ok(Self { path })
    }

    /// Mounts a fresh one at the same place.
    ///
    /// # Errors
    /// When this is not root.
    pub fn mount_again(&self) -> Result<()> {
        mount_pins(&self.path, "700")
    }

    /// Unmounts it under whoever uses it.
    ///
    /// # Errors
    /// When it is not mounted.
    pub fn unmount(&self) -> Result<()> {
        umount2(&self.path, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {}", self.path.display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn mount_pins(path: &Path, mode: &str) -> Result<()> {
    let options = format!("mode={mode}");
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), Some(&*options))
        .with_context(|| format!("cannot mount a BPF file system at {}", path.display()))
}

impl Drop for PinMount {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            println!("cannot unmount {}: {error}", self.path.display());
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            println!("cannot unmount {}: {error}", self.path.display());
        }
    }
}
