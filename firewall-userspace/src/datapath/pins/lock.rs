//! The lock of a pin folder: one daemon has it at a time, or one command that changes what is in it.
//!
//! In: a folder that is this user's alone. Out: its lock, or who has it. The lock is taken on a folder inside that nobody else
//! could ever open, and on the folder itself, where builds before this one look for it.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::stat::{major, minor},
    unistd::geteuid,
};

use super::{DatapathError, pin_error};
use crate::datapath::holder::Holder;

/// The folder inside that is locked.
pub(super) const LOCK: &str = "lock";

/// The lock of a folder, as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _inside: Option<Flock<File>>,
    _folder: Option<Flock<File>>,
}

impl Lock {
    /// Nobody else has the folder. Folders that builds before this one made have no folder inside to lock.
    ///
    /// # Errors
    /// When a process of this user has it.
    pub(super) fn exclusive(folder: &Path) -> Result<Self, DatapathError> {
        Self::take(folder, FlockArg::LockExclusiveNonblock)
    }

    /// Nobody has the folder to change it; nothing is made.
    ///
    /// # Errors
    /// When a process of this user has it.
    pub(super) fn shared(folder: &Path) -> Result<Self, DatapathError> {
        Self::take(folder, FlockArg::LockSharedNonblock)
    }

    fn take(folder: &Path, how: FlockArg) -> Result<Self, DatapathError> {
        let inside = folder.join(LOCK);
        let inside = match inside.exists() {
            true => Some(lock(&inside, folder, how)?),
            false => None,
        };
        let outside = match lock(folder, folder, how) {
            // Builds before this one let everybody open it.
            Err(DatapathError::InUse { holders, .. }) if is_of_others(&holders) => {
                let processes: Vec<String> = holders.iter().map(Holder::to_string).collect();
                tracing::warn!(
                    folder = %folder.display(),
                    "is locked by a process of another user, which does not count: {}",
                    processes.join(", ")
                );
                None
            }
            other => Some(other?),
        };
        Ok(Self { _inside: inside, _folder: outside })
    }
}

/// A daemon that has the folder runs as its owner and lives. Where nobody is known, one may.
fn is_of_others(holders: &[Holder]) -> bool {
    let us = geteuid().as_raw();
    !holders.is_empty() && holders.iter().all(|holder| holder.user != Some(us) && holder.user != Some(0))
}

/// Locks `path` on behalf of `folder`.
fn lock(path: &Path, folder: &Path, how: FlockArg) -> Result<Flock<File>, DatapathError> {
    let in_use = |holders| DatapathError::InUse { folder: folder.to_owned(), holders };
    let handle = File::open(path).map_err(pin_error("open the folder", path))?;
    let lock = Flock::lock(handle, how).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => in_use(holders(path)),
        other => DatapathError::Pin { what: "lock the folder", path: path.to_owned(), error: other.into() },
    })?;
    // Whoever had it may have removed it in between.
    let is_there = fs::symlink_metadata(path).is_ok_and(|now| lock.metadata().is_ok_and(|had| had.ino() == now.ino()));
    if is_there { Ok(lock) } else { Err(in_use(Vec::new())) }
}

/// Who has locked a file, as far as /proc/locks tells (proc_locks(5)).
fn holders(path: &Path) -> Vec<Holder> {
    let Ok(facts) = fs::symlink_metadata(path) else { return Vec::new() };
    let file = format!("{:02x}:{:02x}:{}", major(facts.dev()), minor(facts.dev()), facts.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().filter_map(|line| holder_of(line, &file)).map(Holder::of).collect()
}

/// Process of a line such as `1: FLOCK  ADVISORY  WRITE 4711 00:1b:42 0 EOF`, if it is a lock of `file`.
fn holder_of(line: &str, file: &str) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    // Who waits for a lock stands behind an arrow.
    match words.as_slice() {
        [_, "FLOCK", _, _, process, locked, ..] if *locked == file => process.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scratch::Scratch, *};

    #[test]
    fn the_holder_of_a_lock_is_told() {
        let line = "12: FLOCK  ADVISORY  WRITE 4711 00:1b:42 0 EOF";
        assert_eq!(holder_of(line, "00:1b:42"), Some(4711));
        assert_eq!(holder_of(line, "00:1b:43"), None);
        assert_eq!(holder_of("12: -> FLOCK  ADVISORY  WRITE 4712 00:1b:42 0 EOF", "00:1b:42"), None);
        let folder = Scratch::new("lock");
        let _lock = lock(folder.path(), folder.path(), FlockArg::LockExclusiveNonblock).unwrap();
        let Err(DatapathError::InUse { holders, .. }) =
            lock(folder.path(), folder.path(), FlockArg::LockSharedNonblock)
        else {
            panic!("it is locked");
        };
        assert_eq!(holders.iter().map(|holder| holder.process).collect::<Vec<_>>(), [std::process::id()]);
        assert!(!is_of_others(&holders));
    }

    #[test]
    fn only_a_process_of_the_owner_or_of_root_counts() {
        let holder = |user| Holder { process: 4711, name: "x".into(), user };
        let us = geteuid().as_raw();
        assert!(is_of_others(&[holder(Some(4_000_000))]));
        // Who locked it and ended has left it to somebody who is no daemon of ours.
        assert!(is_of_others(&[holder(None)]));
        assert!(!is_of_others(&[holder(Some(4_000_000)), holder(Some(us))]));
        assert!(!is_of_others(&[]), "nobody tells");
    }
}
