//! The lock of a pin folder: one daemon has it at a time, or one command that changes what is in it.
//!
//! In: a folder that is this user's alone. Out: its lock, or who has it. The lock is taken on a folder inside that nobody else
//! could ever open, and on the folder itself, where builds before this one look for it.

use std::{
    collections::BTreeSet,
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
use crate::{datapath::holder::Holder, files::service_user};

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
        let inside = folder.join(LOCK);
        let inside = match inside.exists() {
            true => Some(lock(&inside, folder)?),
            false => None,
        };
        let outside = match lock(folder, folder) {
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

/// Nobody has the folder, as far as /proc/locks tells: a process of another PID namespace is not in it. Nothing is locked, because
/// a lock, however short, would refuse a daemon that starts meanwhile.
///
/// # Errors
/// When a process of this user has it.
pub(super) fn require_free(folder: &Path) -> Result<(), DatapathError> {
    let holders = match (holders(&folder.join(LOCK)), holders(folder)) {
        (none, outside) if none.is_empty() && !is_of_others(&outside) => outside,
        (inside, _) => inside,
    };
    if holders.is_empty() { Ok(()) } else { Err(DatapathError::InUse { folder: folder.to_owned(), holders }) }
}

/// A daemon that has the folder runs as its owner, which may be the user of the service, and lives. Where nobody is known, one may.
fn is_of_others(holders: &[Holder]) -> bool {
    is_of_none(holders, &[Some(geteuid().as_raw()), Some(0), service_user().or(Some(0))])
}

fn is_of_none(holders: &[Holder], users: &[Option<u32>]) -> bool {
    !holders.is_empty() && holders.iter().all(|holder| !users.contains(&holder.user))
}

/// Locks `path` on behalf of `folder`.
fn lock(path: &Path, folder: &Path) -> Result<Flock<File>, DatapathError> {
    let in_use = |holders| DatapathError::InUse { folder: folder.to_owned(), holders };
    let handle = File::open(path).map_err(pin_error("open the folder", path))?;
    let lock = Flock::lock(handle, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
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
    // A file that changes while it is read may tell a line twice.
    let processes: BTreeSet<u32> = locks.lines().filter_map(|line| holder_of(line, &file)).collect();
    processes.into_iter().map(Holder::of).collect()
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
    use std::thread;

    use super::{super::scratch::Scratch, *};

    #[test]
    fn the_holder_of_a_lock_is_told() {
        let line = "12: FLOCK  ADVISORY  WRITE 4711 00:1b:42 0 EOF";
        assert_eq!(holder_of(line, "00:1b:42"), Some(4711));
        assert_eq!(holder_of(line, "00:1b:43"), None);
        assert_eq!(holder_of("12: -> FLOCK  ADVISORY  WRITE 4712 00:1b:42 0 EOF", "00:1b:42"), None);
        let folder = Scratch::new("lock");
        let _lock = lock(folder.path(), folder.path()).unwrap();
        let Err(DatapathError::InUse { holders, .. }) = lock(folder.path(), folder.path()) else {
            panic!("it is locked");
        };
        assert_eq!(holders.iter().map(|holder| holder.process).collect::<Vec<_>>(), [std::process::id()]);
        assert!(!is_of_others(&holders));
    }

    #[test]
    fn who_only_looks_keeps_nobody_from_the_lock() {
        let folder = Scratch::new("look");
        let folder = folder.path();
        fs::create_dir(folder.join(LOCK)).unwrap();
        let refused = thread::scope(|scope| {
            let looks = scope.spawn(|| (0..500).for_each(|_| drop(require_free(folder))));
            let mut refused = 0;
            while !looks.is_finished() {
                refused += usize::from(Lock::exclusive(folder).is_err());
            }
            refused
        });
        assert_eq!(refused, 0);
        let lock = Lock::exclusive(folder).unwrap();
        let Err(DatapathError::InUse { folder: used, holders }) = require_free(folder) else {
            panic!("it is locked");
        };
        assert_eq!((used, holders.len(), holders[0].process), (folder.to_owned(), 1, std::process::id()));
        drop(lock);
        require_free(folder).unwrap();
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
        assert!(
            is_of_none(&[holder(Some(997))], &[Some(0)]) && !is_of_none(&[holder(Some(997))], &[Some(0), Some(997)])
        );
    }
}
