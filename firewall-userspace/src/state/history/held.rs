//! What a history holds on to, so that it can be written anew when somebody else has removed it from the folder.

use std::{collections::BTreeSet, io, time::Duration};

use super::{NAME, file};
use crate::{
    clock::Now,
    config::Bundle,
    state::{
        disk::{Disk, DiskFile as _},
        whole,
    },
};

/// Files that are held open, and the folder as it was.
pub struct HeldGenerations<D: Disk> {
    files: Vec<(u64, D::File)>,
    /// The folder in which everything was written last.
    folder: D,
    remakes: u64,
    /// Configurations that were removed and cannot be read by anything that is held.
    unrecoverable: BTreeSet<u64>,
    /// Time since boot before which nobody looks again.
    look: Duration,
}

/// Between two looks at what is on disk.
const LOOK: Duration = Duration::from_secs(2);

impl<D: Disk> HeldGenerations<D> {
    /// Nothing yet, of what is in `disk`.
    pub fn new(disk: &D) -> Self {
        let (files, unrecoverable) = (Vec::new(), BTreeSet::new());
        Self { files, folder: disk.pinned(), remakes: disk.remakes(), unrecoverable, look: Duration::ZERO }
    }

    /// Everything has been written: holds on to the configurations that are `needed`.
    pub fn hold(&mut self, disk: &D, needed: BTreeSet<u64>) {
        if self.is_elsewhere(disk) {
            (self.folder, self.remakes) = (disk.pinned(), disk.remakes());
        }
        self.files.retain(|(number, _)| needed.contains(number));
        for number in needed {
            if self.files.iter().all(|(held, _)| *held != number)
                && let Ok(file) = disk.hold(&file::bundle_name(number))
            {
                self.files.push((number, file));
            }
        }
    }

    /// Whether it is time to look what is on disk.
    pub fn is_due(&mut self, now: Now) -> bool {
        let is_due = now.boot >= self.look;
        if is_due {
            self.look = now.boot.saturating_add(LOOK);
        }
        is_due
    }

    /// Whether the folder is another one than that in which everything was written last.
    pub fn is_elsewhere(&self, disk: &D) -> bool {
        disk.remakes() != self.remakes
    }

    /// Which of the `needed` configurations are not on disk, but for those that are known to be lost for good; `None` when nothing
    /// is missing, or nobody can tell.
    pub fn lost(&mut self, disk: &D, needed: &BTreeSet<u64>) -> Option<Vec<u64>> {
        let names = disk.names().ok()?;
        let is_there = |number: &u64| names.contains(&file::bundle_name(*number));
        // Somebody may have brought it back.
        self.unrecoverable.retain(|number| !is_there(number));
        let lost = needed.difference(&self.unrecoverable).copied().filter(|number| !is_there(number));
        let lost: Vec<u64> = lost.collect();
        let is_whole = lost.is_empty() && names.iter().any(|name| name == NAME) && !self.is_elsewhere(disk);
        (!is_whole).then_some(lost)
    }

    /// A configuration that was removed; `None` when it cannot be read by what is held, and is lost for good.
    ///
    /// # Errors
    /// When the disk does not answer: then it may be read later.
    pub fn bundle(&mut self, number: u64) -> io::Result<Option<Bundle>> {
        let held = self.files.iter_mut().find(|(held, _)| *held == number);
        let contents = held.map(|(_, file)| file.contents()).filter(|contents| !is_refused(contents));
        let octets = contents.unwrap_or_else(|| self.folder.read(&file::bundle_name(number)));
        let bundle = match octets {
            Ok(octets) => whole::parse(&octets),
            octets if is_refused(&octets) => None,
            Err(error) => return Err(error),
        };
        if bundle.is_none() {
            self.unrecoverable.insert(number);
        }
        Ok(bundle)
    }
}

/// Whether it will not be read later either.
fn is_refused(read: &io::Result<Vec<u8>>) -> bool {
    read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::TimedOut)
}
