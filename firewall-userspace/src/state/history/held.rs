//! What a history holds on to, so that it can be written anew when somebody else has removed it from the folder.

use std::{collections::BTreeSet, time::Duration};

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
    /// Time since boot before which nobody looks again.
    look: Duration,
}

/// Between two looks at what is on disk.
const LOOK: Duration = Duration::from_secs(2);

impl<D: Disk> HeldGenerations<D> {
    /// Nothing yet, of what is in `disk`.
    pub fn new(disk: &D) -> Self {
        Self { files: Vec::new(), folder: disk.pinned(), remakes: disk.remakes(), look: Duration::ZERO }
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

    /// Which of the `needed` configurations are not on disk; `None` when nothing is missing, or nobody can tell.
    pub fn lost(&self, disk: &D, needed: &BTreeSet<u64>) -> Option<Vec<u64>> {
        let names = disk.names().ok()?;
        let lost: Vec<u64> =
            needed.iter().copied().filter(|number| !names.contains(&file::bundle_name(*number))).collect();
        let is_whole = lost.is_empty() && names.iter().any(|name| name == NAME) && !self.is_elsewhere(disk);
        (!is_whole).then_some(lost)
    }

    /// A configuration that was removed, if it can be read by what is held.
    pub fn bundle(&mut self, number: u64) -> Option<Bundle> {
        let held = self.files.iter_mut().find(|(held, _)| *held == number);
        let octets = held.and_then(|(_, file)| file.contents().ok());
        let octets = octets.or_else(|| self.folder.read(&file::bundle_name(number)).ok())?;
        whole::parse(&octets)
    }
}
