//! Writing down all entries, so that the journals before are not needed any more.

use jiff::Timestamp;

use super::{
    Provisional,
    reckoned::Marks,
    record::{Record, RecordError, push_changes},
    recover::{journal_name, numbers, snapshot_name},
};
use crate::{
    lists::{
        alike::Alike,
        pushed::{Runtime, RuntimeEntry},
    },
    state::{
        disk::{Disk, DiskFile as _},
        error::{Flaw, StoreError},
        frame,
    },
};

/// The one name that a snapshot has while it is written.
pub const UNFINISHED: &str = "snapshot.tmp";

/// Entries of one record.
const PORTION: usize = 4096;

/// A snapshot that is to be written, on whichever thread.
pub struct Job<D> {
    pub(super) disk: D,
    pub(super) number: u64,
    pub(super) at: Timestamp,
    /// When entries of each era are said to be written.
    pub(super) marks: Vec<Timestamp>,
    pub(super) runtime: Runtime,
    pub(super) provisional: Option<Provisional>,
    /// Files of a smaller number are not needed once it is written.
    pub(super) keep: u64,
}

/// A snapshot that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its number.
    pub number: u64,
    /// Its size.
    pub octets: u64,
}

impl<D: Disk> Job<D> {
    /// Writes it: it is there under its name as a whole, or not at all. Files that are not needed any more are removed.
    ///
    /// # Errors
    /// When the disk refuses. The journals are still there then.
    pub fn run(self) -> Result<Written, StoreError> {
        let name = snapshot_name(self.number);
        let octets = self.write().map_err(|source| match source {
            JobFailure::Io(source) => {
                // What is left of it takes room that is short, maybe; the next one would use the same name.
                let _ = self.disk.remove(UNFINISHED);
                StoreError::Write { path: self.disk.path(&name), attempt: "write the snapshot", source }
            }
            JobFailure::Store(error) => error,
        })?;
        self.clean();
        Ok(Written { number: self.number, octets })
    }

    fn write(&self) -> Result<u64, JobFailure> {
        let mut file = self.disk.create(UNFINISHED)?;
        let mut octets = 0;
        let mut buffer = Vec::new();
        Record::Snapshot { number: self.number, at: self.at }.push(&mut buffer)?;
        for (era, mark) in self.marks.iter().enumerate() {
            let its = self.runtime.iter().filter(|(_, _, entry)| entry.era as usize == era);
            let mut entries = its.peekable();
            while entries.peek().is_some() {
                let portion = entries.by_ref().take(PORTION);
                let portion = portion.map(|(list, holding, entry)| (list, holding, Some(entry)));
                push_changes(*mark, portion, &mut buffer)?;
                file.append(&buffer)?;
                octets += buffer.len() as u64;
                buffer.clear();
            }
        }
        if let Some(provisional) = self.provisional.clone() {
            Record::Provisional { at: self.at, changes: Vec::new(), of_sole: false, provisional }.push(&mut buffer)?;
        }
        Record::End { entries: self.runtime.len() as u64 }.push(&mut buffer)?;
        file.append(&buffer)?;
        octets += buffer.len() as u64;
        file.sync()?;
        self.disk.rename(UNFINISHED, &snapshot_name(self.number))?;
        self.disk.sync()?;
        Ok(octets)
    }

    /// Removes what is older than the snapshot before this one. What cannot be removed is tried again next time.
    fn clean(&self) {
        let Ok(names) = self.disk.names() else { return };
        for (kind, name) in [("snapshot", snapshot_name as fn(u64) -> String), ("journal", journal_name)] {
            for number in numbers(&names, kind).into_iter().filter(|number| *number < self.keep) {
                let _ = self.disk.remove(&name(number));
            }
        }
    }
}

/// Why a snapshot was not read.
pub enum SnapshotError {
    /// A newer daemon wrote it.
    Newer(u8),
    /// It is not whole.
    Flaw(Flaw),
}

/// What is in a snapshot.
pub struct Contents {
    /// All entries.
    pub runtime: Runtime,
    /// A push that waits for a confirmation.
    pub provisional: Option<Provisional>,
    /// When it was taken.
    pub at: Timestamp,
}

/// All of a snapshot, or nothing.
///
/// # Errors
/// When it is not whole, or of another version.
pub fn read_snapshot(octets: &[u8], number: u64, marks: &Marks) -> Result<Contents, SnapshotError> {
    let mut runtime = Runtime::default();
    let mut alike = Alike::default();
    let mut waits = None;
    let mut began = None;
    let mut offset = 0;
    while offset < octets.len() {
        let flaw = match frame::next(octets, offset) {
            None => Flaw::Truncated,
            Some(_) => Flaw::Damaged(offset as u64),
        };
        let (payload, next) = frame::at(octets, offset).ok_or(SnapshotError::Flaw(flaw))?;
        let damaged = SnapshotError::Flaw(Flaw::Damaged(offset as u64));
        match (Record::read(payload), began) {
            (Ok(Record::Snapshot { number: own, at }), None) if own == number => began = Some(at),
            (Ok(Record::Changes { at, changes, .. }), Some(_)) => {
                let era = marks.era_of(at);
                for change in changes {
                    if let Some(entry) = change.entry {
                        let entry = alike.one(RuntimeEntry::clone(&entry).written_in(era));
                        runtime.insert(&change.list, &change.holding, entry);
                    }
                }
            }
            (Ok(Record::Provisional { provisional, .. }), Some(_)) => waits = Some(provisional),
            (Ok(Record::End { entries }), Some(at)) if entries == runtime.len() as u64 && next == octets.len() => {
                return Ok(Contents { runtime, provisional: waits, at });
            }
            (Err(RecordError::Newer(version)), _) => return Err(SnapshotError::Newer(version)),
            _ => return Err(damaged),
        }
        offset = next;
    }
    Err(SnapshotError::Flaw(Flaw::Truncated))
}

enum JobFailure {
    Io(std::io::Error),
    Store(StoreError),
}

impl From<std::io::Error> for JobFailure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreError> for JobFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
