//! A small disk of its own that can be frozen: whoever writes to it waits, and cannot be ended, until it is thawed.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, umount2};

use crate::{
    netns::output,
    trial::{Trial, disk_place},
};

/// Octets of the disk; what nobody writes takes no room.
const SIZE: u64 = 2 << 30;

/// Freezes the file system `$1`, says so, and thaws it when standard input ends: with whoever holds the other end, however
/// that ends.
const HOLD: &str = "trap '' HUP INT TERM
    fsfreeze --freeze \"$1\" && echo frozen
    cat > /dev/null
    fsfreeze --unfreeze \"$1\"";

/// An ext4 file system in a file, in the folder of a test; unmounted when this goes.
#[derive(Debug)]
pub struct FreezableDisk {
    path: PathBuf,
}

/// A disk that is frozen; it is thawed when this goes.
#[derive(Debug)]
pub struct Frozen<'a> {
    disk: &'a FreezableDisk,
    holder: Child,
    /// Open for as long as the disk is to be frozen.
    held: Option<ChildStdin>,
}

impl FreezableDisk {
    /// Makes one and mounts it.
    ///
    /// # Errors
    /// When this is not root, or the kernel has no loop device or no ext4.
    pub fn mount(trial: &Trial) -> Result<Self> {
        let image = trial.folder().join("disk.ext4");
        let file = File::create(&image).with_context(|| format!("cannot create {}", image.display()))?;
        file.set_len(SIZE).with_context(|| format!("cannot set the length of {}", image.display()))?;
        output(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "nodiscard"]).arg(&image))?;
        let path = disk_place(trial.folder());
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        // The kernel gives the loop device back when the disk is unmounted.
        output(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&path))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes every write to it wait from now on. To be dropped before whatever waits for those writes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn freeze(&self) -> Result<Frozen<'_>> {
        let mut command = Command::new("sh");
        command.args(["-c", HOLD, "sh"]).arg(&self.path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().context("cannot run sh")?;
        let (held, said) = (holder.stdin.take(), holder.stdout.take());
        let frozen = Frozen { disk: self, holder, held };
        let mut line = String::new();
        BufReader::new(said.context("sh has no output")?).read_line(&mut line).context("cannot read what sh says")?;
        ensure!(line == "frozen\n", "cannot freeze {}", self.path.display());
        Ok(frozen)
    }
}

impl Frozen<'_> {
    /// Lets writes go on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn thaw(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.held.take());
        let status = self.holder.wait().context("cannot wait for what holds the disk")?;
        ensure!(status.success(), "cannot thaw {}: {status}", self.disk.path.display());
        Ok(())
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if self.held.is_some()
            && let Err(error) = self.end()
        {
            println!("{error:#}");
        }
    }
}

impl Drop for FreezableDisk {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            println!("cannot unmount {}: {error}", self.path.display());
        }
    }
}
