//! A way on for an operator whose state folder is damaged.

use jiff::Timestamp;

use super::{
    Note, mark, reckoned,
    record::Record,
    recover::{self, Found, Strictness, journal_name, numbers, snapshot_name},
    snapshot::Job,
};
use crate::state::{
    disk::{Disk, DiskFile as _},
    error::StoreError,
};

/// What came of a repair.
#[derive(Debug)]
pub struct Repaired {
    /// Entries that are kept.
    pub entries: usize,
    /// What was lost, and what else there is to say.
    pub notes: Vec<Note>,
    /// Names that damaged files have now; empty when nothing was damaged, and nothing was changed then.
    pub set_aside: Vec<String>,
}

/// How the names of files end that were set aside.
const SET_ASIDE: &str = ".damaged";

/// Keeps all that can be read, as a new snapshot; every file that was there is set aside under another name. Changes that
/// cannot be read are lost, those after them are not: an entry may be there that was removed.
///
/// # Errors
/// When the disk refuses, or a newer daemon was here.
pub fn salvage<D: Disk>(disk: &D, now: Timestamp) -> Result<Repaired, StoreError> {
    let kept = reckoned::read(disk);
    let found = recover::read(disk, Strictness::Salvage, reckoned::Marks::new(kept.as_ref(), now.into()))?;
    let entries = found.runtime.len();
    if !found.notes.iter().any(|note| matches!(note, Note::Lost { .. } | Note::SkippedSnapshot { .. })) {
        return Ok(Repaired { entries, notes: found.notes, set_aside: Vec::new() });
    }
    let folder = |source| StoreError::Folder { path: disk.path(""), attempt: "read", source };
    let names = disk.names().map_err(folder)?;
    let files = |kind, name: fn(u64) -> String| numbers(&names, kind).into_iter().map(name).collect::<Vec<_>>();
    let (snapshots, journals) = (files("snapshot", snapshot_name), files("journal", journal_name));
    let last = numbers(&names, "snapshot").into_iter().chain(numbers(&names, "journal")).max().unwrap_or(0);

    // The new journal and snapshot are whole before anything that was there is touched.
    let number = last + 1;
    let at = found.latest.unwrap_or(now).max(now);
    let marks = kept.map_or_else(|| vec![at], |kept| kept.marks());
    let Found { runtime, provisional, notes, .. } = found;
    let job = Job { disk: disk.clone(), number, at, marks, runtime, provisional, keep: 0 };
    if let Err(error) = begin(disk, number, now).and_then(|()| job.run()) {
        // The next attempt would take them for what was kept.
        let _ = disk.remove(&snapshot_name(number)).and_then(|()| disk.remove(&journal_name(number)));
        return Err(error);
    }
    mark::remove(disk).map_err(folder)?;
    let mut set_aside = Vec::new();
    for name in snapshots.into_iter().chain(journals) {
        let aside = format!("{name}{SET_ASIDE}");
        let fail = |source| StoreError::Write { path: disk.path(&name), attempt: "rename", source };
        disk.rename(&name, &aside).map_err(fail)?;
        set_aside.push(aside);
    }
    disk.sync().map_err(folder)?;
    Ok(Repaired { entries, notes, set_aside })
}

fn begin<D: Disk>(disk: &D, number: u64, at: Timestamp) -> Result<(), StoreError> {
    let mut head = Vec::new();
    // Until the snapshot is there, no journal before this one passes for whole.
    Record::Journal { number, before: u64::MAX, at }.push(&mut head)?;
    let write = || {
        let mut file = disk.create(&journal_name(number))?;
        file.append(&head)?;
        file.sync()?;
        disk.sync()
    };
    write().map_err(|source| StoreError::Write { path: disk.path(&journal_name(number)), attempt: "begin", source })
}
