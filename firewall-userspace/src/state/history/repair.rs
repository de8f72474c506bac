//! A way on for an operator whose kept generations are damaged.

use super::{Care, History, HistoryError, NAME, file};
use crate::state::{disk::Disk, error::StoreError};

/// How the names of files end that were set aside.
const SET_ASIDE: &str = ".damaged";

/// Why there was no repair.
pub enum RepairError {
    /// The file cannot be read, or is of a newer daemon.
    History(HistoryError),
    /// The disk refuses.
    Store(StoreError),
}

impl std::fmt::Display for RepairError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::History(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

/// Sets aside what is damaged; the names of those files. Where the live generation is among them, the next start uses the
/// configuration file.
///
/// # Errors
/// When the disk refuses, or a newer daemon was here.
pub fn repair<D: Disk>(disk: &D) -> Result<Vec<String>, RepairError> {
    let mut history = match History::open(disk.clone(), usize::MAX) {
        Ok(history) => history,
        Err(HistoryError::Damaged { .. }) => {
            set_aside(disk, NAME).map_err(RepairError::Store)?;
            return Ok(vec![NAME.to_owned()]);
        }
        Err(error) => return Err(RepairError::History(error)),
    };
    let is_bad =
        |number: &u64| matches!(history.bundle(*number), Err(HistoryError::Damaged { .. } | HistoryError::Gone { .. }));
    let bad: Vec<u64> = history.document.bundles().into_iter().filter(is_bad).collect();
    if bad.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = bad.iter().map(|number| file::bundle_name(*number)).collect();
    for name in &names {
        set_aside(disk, name).map_err(RepairError::Store)?;
    }
    let forgotten = history.change(None, Care::Must, |document| {
        document.generations.retain(|generation| !bad.contains(&generation.bundle));
        let is_there = |number: &u64| document.generations.iter().any(|generation| generation.number == *number);
        document.active = document.active.filter(is_there);
        document.read = document.read.filter(|read| !bad.contains(read));
        let is_whole = |pending: &super::Provision| is_there(&pending.previous) && is_there(&pending.generation);
        document.pending = document.pending.take().filter(is_whole);
    });
    forgotten.map_err(RepairError::Store)?;
    Ok(names)
}

fn set_aside<D: Disk>(disk: &D, name: &str) -> Result<(), StoreError> {
    let fail = |source| StoreError::Write { path: disk.path(name), attempt: "rename", source };
    match disk.rename(name, &format!("{name}{SET_ASIDE}")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.and_then(|()| disk.sync()).map_err(fail),
    }
}
