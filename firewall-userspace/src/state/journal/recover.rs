//! From the files of a folder to what was pushed. Files are only read here.
//!
//! Base is the newest snapshot that is whole; the journals from its number on come after it. A newer one that is damaged is
//! skipped: the journals that it stands for are kept until the next but one is written.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;

use super::{
    Note, Provisional, mark,
    reckoned::Marks,
    record::{Record, RecordError, VERSION},
    snapshot::{Contents, SnapshotError, read_snapshot},
};
use crate::{
    lists::{
        alike::Alike,
        change::Change,
        entry::Holding,
        pushed::{Runtime, RuntimeEntry},
    },
    policy::Name,
    state::{
        disk::Disk,
        error::{Flaw, StoreError},
        frame,
    },
};

/// What the files say.
#[derive(Debug, Default)]
pub struct Found {
    /// Entries, also those whose time is over.
    pub runtime: Runtime,
    /// A push that waits for a confirmation.
    pub provisional: Option<Provisional>,
    /// The latest time that a record has, since the clock was last set back.
    pub latest: Option<Timestamp>,
    /// The clock was set back, or found to be behind, after what is known of the time was kept.
    pub is_turned: bool,
    /// Number of the snapshot that it began with.
    pub snapshot: Option<u64>,
    /// Octets of that snapshot.
    pub snapshot_octets: u64,
    /// The journal to go on with; `None` in a new folder.
    pub journal: Option<Journal>,
    /// What an operator should know.
    pub notes: Vec<Note>,
    /// The first of what could not be read, where the reader went on.
    pub loss: Option<StoreError>,
}

/// A journal and how much of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Its number.
    pub number: u64,
    /// Octets from its beginning.
    pub length: u64,
}

/// Whether to go on where something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Refuse.
    Strict,
    /// Keep all that can be read.
    Salvage,
    /// The same, also where files cannot be read at all, or only up to what a newer daemon wrote.
    Tolerant,
}

/// Name of a journal.
pub fn journal_name(number: u64) -> String {
    format!("journal-{number:010}")
}

/// Name of a snapshot.
pub fn snapshot_name(number: u64) -> String {
    format!("snapshot-{number:010}")
}

/// Numbers of the files whose names begin with `kind`.
pub fn numbers(names: &[String], kind: &str) -> Vec<u64> {
    let number = |name: &String| name.strip_prefix(kind)?.strip_prefix('-')?.parse().ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Reads everything.
///
/// # Errors
/// When something is lost that was acknowledged, or a newer daemon wrote it.
pub fn read<D: Disk>(disk: &D, care: Strictness, marks: Marks) -> Result<Found, StoreError> {
    let (found, alike) = (Found::default(), Alike::default());
    let mut reader = JournalReader { disk, care, marks, found, alike, parts: BTreeMap::new(), is_stopped: false };
    let names = match disk.names() {
        Ok(names) => names,
        Err(source) => {
            reader.lose(StoreError::Folder { path: disk.path(""), attempt: "read", source })?;
            Vec::new()
        }
    };
    let journals = numbers(&names, "journal");
    reader.snapshot(&numbers(&names, "snapshot"), journals.first().copied())?;
    reader.journals(&journals)?;
    reader.compare(mark::read(disk))?;
    Ok(reader.found)
}

/// Changes that come in parts at the same time: a sync, and what was put back meanwhile.
const MOST_IN_PARTS: usize = 2;

/// Changes of a sync with their times.
type SyncParts = Vec<(Timestamp, Vec<Change>)>;

struct JournalReader<'a, D> {
    disk: &'a D,
    care: Strictness,
    marks: Marks,
    found: Found,
    /// Entries of all records share what they have in common.
    alike: Alike,
    /// Parts that have come so far, by the number of what they are parts of.
    parts: BTreeMap<u64, SyncParts>,
    /// A newer daemon has written what comes now.
    is_stopped: bool,
}

impl<D: Disk> JournalReader<'_, D> {
    /// Reads the newest snapshot that is whole.
    fn snapshot(&mut self, numbers: &[u64], first_journal: Option<u64>) -> Result<(), StoreError> {
        let mut newest = None;
        for number in numbers.iter().rev() {
            let path = self.disk.path(&snapshot_name(*number));
            let Some(octets) = self.file(&snapshot_name(*number))? else { continue };
            match read_snapshot(&octets, *number, &self.marks) {
                Ok(Contents { runtime, provisional, at }) => {
                    self.found.runtime = runtime;
                    self.found.provisional = provisional;
                    self.found.latest = Some(at);
                    self.found.snapshot = Some(*number);
                    self.found.snapshot_octets = octets.len() as u64;
                    return Ok(());
                }
                Err(SnapshotError::Newer(version)) => {
                    self.lose(StoreError::Newer { path, version, known: VERSION })?;
                }
                Err(SnapshotError::Flaw(flaw)) => {
                    newest.get_or_insert((path.clone(), flaw));
                    self.found.notes.push(Note::SkippedSnapshot { path, flaw });
                }
            }
        }
        // Without a snapshot the journals have to be there from the first one on.
        let (path, flaw) = match (first_journal, newest) {
            (Some(1), _) | (None, None) => return Ok(()),
            (_, Some(newest)) => newest,
            (Some(first), None) => (self.disk.path(&snapshot_name(first)), Flaw::Missing),
        };
        self.lose(StoreError::NoSnapshot { path, flaw })
    }

    /// Replays the journals that come after the snapshot.
    fn journals(&mut self, numbers: &[u64]) -> Result<(), StoreError> {
        let first = self.found.snapshot.unwrap_or(1);
        let after: Vec<u64> = numbers.iter().copied().filter(|number| *number >= first).collect();
        let Some(last) = after.last().copied() else {
            // Also when there is nothing at all: a new folder.
            if let Some(number) = self.found.snapshot {
                self.lose(StoreError::Missing { path: self.disk.path(&journal_name(number)) })?;
            }
            return Ok(());
        };
        let mut files = BTreeMap::new();
        for number in first..=last {
            if after.contains(&number) {
                files.extend(self.file(&journal_name(number))?.map(|octets| (number, octets)));
            } else {
                self.lose(StoreError::Missing { path: self.disk.path(&journal_name(number)) })?;
            }
        }
        // A journal that was never begun holds nothing that was acknowledged: the one before goes on.
        let begun = match files.get(&last) {
            Some(octets) if last > first && is_unbegun(octets) => last - 1,
            _ => last,
        };
        for (number, octets) in files.range(..=begun) {
            let next = files.get(&(number + 1)).filter(|_| *number < begun);
            let end = next.and_then(|next| counted_before(next));
            if !self.is_stopped {
                self.replay(*number, octets, end)?;
            }
        }
        Ok(())
    }

    /// Misses what a daemon has left that was stopped, and noted how long its journal was.
    fn compare(&mut self, stopped: Option<Journal>) -> Result<(), StoreError> {
        let Some(Journal { number, length }) = stopped.filter(|_| !self.is_stopped) else { return Ok(()) };
        let path = self.disk.path(&journal_name(number));
        match self.found.journal {
            Some(found) if found.number > number || found.number == number && found.length >= length => Ok(()),
            Some(found) if found.number == number => self.lose(StoreError::Cut { path, found: found.length, length }),
            _ => self.lose(StoreError::Missing { path }),
        }
    }

    /// Replays one journal: all of its first `end` octets, or what of it is whole when it is the last one.
    fn replay(&mut self, number: u64, octets: &[u8], end: Option<u64>) -> Result<(), StoreError> {
        let path = self.disk.path(&journal_name(number));
        let end = end.and_then(|end| usize::try_from(end).ok());
        let damaged = |offset: usize| StoreError::Damaged {
            path: path.clone(),
            offset: offset as u64,
            length: octets.len() as u64,
        };
        let counted = octets.get(..end.unwrap_or(octets.len()));
        let octets = match counted {
            Some(counted) => counted,
            None => {
                self.lose(damaged(octets.len()))?;
                octets
            }
        };
        let mut offset = 0;
        while offset < octets.len() {
            let record = match frame::at(octets, offset) {
                Some((payload, next)) => Record::read(payload).map(|record| (record, next)),
                None => Err(RecordError::Strange),
            };
            match record {
                Ok((record, next)) if (offset == 0) == matches!(record, Record::Journal { .. }) => {
                    self.apply(record, (number, offset as u64), octets.len() as u64, &path)?;
                    offset = next;
                }
                Err(RecordError::Newer(version)) => {
                    self.is_stopped = true;
                    return self.lose(StoreError::Newer { path, version, known: VERSION });
                }
                _ => {
                    let next = frame::next(octets, offset);
                    let is_torn = next.is_none() && end.is_none() && frame::at(octets, offset).is_none() && offset > 0;
                    if is_torn {
                        let octets = (octets.len() - offset) as u64;
                        self.found.notes.push(Note::TornTail { path: path.clone(), octets });
                        break;
                    }
                    if offset > 0 || next.is_some() {
                        self.lose(damaged(offset))?;
                    }
                    match next {
                        Some(next) => offset = next,
                        None => break,
                    }
                }
            }
        }
        // Power may have been lost while the first journal was begun: nothing was acknowledged yet. The others are begun before
        // the snapshot that goes with them is written.
        if offset == 0 && (number > 1 || end.is_some()) {
            self.lose(damaged(0))?;
        }
        self.found.journal = Some(Journal { number, length: offset as u64 });
        Ok(())
    }

    /// Takes a record at a place, the number of its journal and the octets before it, of a journal of this `length`.
    fn apply(&mut self, record: Record, place: (u64, u64), length: u64, path: &Path) -> Result<(), StoreError> {
        match record {
            Record::Journal { number: own, .. } if own == place.0 => {}
            Record::Changes { at, changes, of_sole } => {
                self.leave(&changes, at, of_sole);
                self.change(at, changes, of_sole);
            }
            Record::Provisional { at, changes, of_sole, mut provisional } => {
                provisional.recognise(&self.found.runtime, self.found.provisional.as_ref());
                self.change(at, changes, of_sole);
                self.found.provisional = Some(provisional);
            }
            Record::Decided { at, changes, of_sole } => {
                self.change(at, changes, of_sole);
                self.found.provisional = None;
            }
            Record::Part { at, sync, changes } => {
                self.parts.entry(sync).or_default().push((at, changes));
                if self.parts.len() > MOST_IN_PARTS {
                    // Given up: what came after it began later.
                    self.parts.pop_first();
                }
            }
            Record::Synced { at, sync, parts } => {
                let there = self.parts.remove(&sync).unwrap_or_default();
                if there.len() as u64 != parts {
                    // What can be read of it counts all the same, where the reader goes on.
                    self.lose(StoreError::Damaged { path: path.to_owned(), offset: place.1, length })?;
                }
                for (at, changes) in there {
                    self.leave(&changes, at, false);
                    self.change(at, changes, false);
                }
                self.found.latest = self.found.latest.max(Some(at));
            }
            Record::ClockBack { at, by_ns } => {
                self.found.runtime.bring_forward(by_ns);
                // It is written when a clock is right: all ends are by that since then. Records before it may have later times than
                // those of an era that began after it.
                self.found.runtime.forget_eras();
                if let Some(provisional) = &mut self.found.provisional {
                    provisional.bring_forward(by_ns);
                    provisional.forget_eras();
                }
                self.found.latest = Some(at);
                if self.marks.are_before(place) {
                    self.marks = Marks::default();
                    self.found.is_turned = true;
                }
            }
            // A file of another name or kind has got here.
            Record::Journal { .. } | Record::Snapshot { .. } | Record::End { .. } => {
                self.lose(StoreError::Missing { path: path.to_owned() })?;
            }
        }
        Ok(())
    }

    fn change(&mut self, at: Timestamp, changes: Vec<Change>, of_sole: bool) {
        let era = self.marks.era_of(at);
        for Change { list, holding, entry } in changes {
            let entry = entry.map(|entry| self.alike.one(RuntimeEntry::clone(&entry).written_in(era)));
            if of_sole {
                for other in self.others(&list, &holding) {
                    self.found.runtime.remove(&list, &other);
                }
            }
            self.found.runtime.set(&list, &holding, entry);
        }
        self.found.latest = self.found.latest.max(Some(at));
    }

    /// What a push has changed since is not put back; what has ended by itself is.
    fn leave(&mut self, changes: &[Change], at: Timestamp, of_sole: bool) {
        let Some(provisional) = &mut self.found.provisional else { return };
        for Change { list, holding, entry } in changes {
            let before = match self.found.runtime.entry(list, holding) {
                None if of_sole => in_layer(&self.found.runtime, list, holding).next().map(|(_, entry)| entry),
                before => before.map(|entry| &**entry),
            };
            let has_ended = before.and_then(|before| before.expires).is_some_and(|expires| expires <= at);
            match (entry.is_some() || !has_ended, of_sole) {
                (true, true) => provisional.leave_all(list, holding.prefix, holding.layer),
                (true, false) => provisional.leave(list, holding),
                (false, _) => {}
            }
        }
    }

    /// The other holders of a prefix in its layer.
    fn others(&self, list: &Name, holding: &Holding) -> Vec<Holding> {
        let all = in_layer(&self.found.runtime, list, holding).map(|(one, _)| one);
        all.filter(|one| *one != holding).cloned().collect()
    }

    /// What is in a file; `None` when that is lost.
    fn file(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.disk.read(name) {
            Ok(octets) => Ok(Some(octets)),
            Err(source) => self.lose(StoreError::Read { path: self.disk.path(name), source }).map(|()| None),
        }
    }

    /// Refuses, or goes on without what is lost.
    fn lose(&mut self, error: StoreError) -> Result<(), StoreError> {
        if self.care == Strictness::Strict {
            return Err(error);
        }
        let (path, why) = match &error {
            StoreError::Damaged { path, offset, .. } => (path, format!("damaged at octet {offset}")),
            StoreError::Cut { path, found, length } => (path, format!("{length} octets, {found} of which are left")),
            StoreError::Missing { path } => (path, "gone, or no journal".to_owned()),
            StoreError::NoSnapshot { path, flaw } => (path, flaw.to_string()),
            _ if self.care == Strictness::Salvage => return Err(error),
            StoreError::Newer { path, version, .. } => (path, format!("of format {version}, which is newer")),
            StoreError::Read { path, source } | StoreError::Folder { path, source, .. } => (path, source.to_string()),
            _ => return Err(error),
        };
        self.found.notes.push(Note::Lost { path: path.clone(), why });
        self.found.loss.get_or_insert(error);
        Ok(())
    }
}

/// All holders of the prefix of `holding` in its layer.
fn in_layer<'a>(
    runtime: &'a Runtime,
    list: &Name,
    holding: &Holding,
) -> impl Iterator<Item = (&'a Holding, &'a RuntimeEntry)> {
    let layer = holding.layer;
    runtime.at(list, holding.prefix).filter(move |(one, _)| one.layer == layer)
}

/// Whether a journal has no record at all, because power was lost while it was begun.
fn is_unbegun(octets: &[u8]) -> bool {
    frame::at(octets, 0).is_none() && frame::next(octets, 0).is_none()
}

/// How much of the journal before this one counts.
fn counted_before(octets: &[u8]) -> Option<u64> {
    match Record::read(frame::at(octets, 0)?.0) {
        Ok(Record::Journal { before, .. }) => Some(before),
        _ => None,
    }
}
