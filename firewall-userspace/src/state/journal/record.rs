//! What is in the frames of journals and snapshots.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Provisional,
    stored::{HeldChange, StoredChange, read, read_before, read_held, stored, timestamp},
};
use crate::{
    clock::deadline::Until,
    lists::{change::Change, entry::Holding, pushed::RuntimeEntry},
    policy::Name,
    state::{error::StoreError, frame},
};

/// Newest version of the payloads that this daemon reads and writes.
pub const VERSION: u8 = 4;

/// Version of the records that the first daemon knew. Those without entries are written like this still.
const FIRST: u8 = 1;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first one of a journal.
    Journal {
        /// Its number.
        number: u64,
        /// Octets of the journal before it that count.
        before: u64,
        /// When it was begun.
        at: Timestamp,
    },
    /// Changes of entries: all of them, or none.
    Changes {
        /// When; of entries of another era than that of then, when that [began](crate::clock::reckoning::Reckoning::marks).
        at: Timestamp,
        /// What.
        changes: Vec<Change>,
        /// They are of a daemon by which a prefix had one holder in each layer: each change is of whoever that was.
        of_sole: bool,
    },
    /// The clock was set back: whatever ends, ends by so many nanoseconds earlier.
    ClockBack {
        /// What it says since.
        at: Timestamp,
        /// By how much.
        by_ns: u64,
    },
    /// A push that is undone unless it is confirmed. In place of what was so before.
    Provisional {
        /// When.
        at: Timestamp,
        /// What it changes.
        changes: Vec<Change>,
        /// As for [`Changes`](Self::Changes).
        of_sole: bool,
        /// How it was before.
        provisional: Provisional,
    },
    /// Nothing is provisional any more.
    Decided {
        /// When.
        at: Timestamp,
        /// What puts things back; nothing when it was confirmed.
        changes: Vec<Change>,
        /// As for [`Changes`](Self::Changes).
        of_sole: bool,
    },
    /// A part of a sync, which does not count before [`Synced`](Self::Synced) does.
    Part {
        /// As for [`Changes`](Self::Changes).
        at: Timestamp,
        /// Number of the sync.
        sync: u64,
        /// What.
        changes: Vec<Change>,
    },
    /// All parts of a sync are true from here on, in their order.
    Synced {
        /// When.
        at: Timestamp,
        /// Number of the sync.
        sync: u64,
        /// How many parts it has.
        parts: u64,
    },
    /// The first one of a snapshot.
    Snapshot {
        /// The journal whose records come after it.
        number: u64,
        /// When it was taken.
        at: Timestamp,
    },
    /// The last one of a snapshot.
    End {
        /// Entries in it.
        entries: u64,
    },
}

/// Why a payload is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// It was written by a newer daemon.
    Newer(u8),
    /// It says nothing that a daemon of this version writes.
    Strange,
}

/// The form of a record on disk. Variants and fields are never changed: a new form has a new [`VERSION`].
#[derive(Deserialize, Serialize)]
enum Stored<'a> {
    Journal {
        number: u64,
        before: u64,
        at: i128,
    },
    Changes {
        at: i128,
        #[serde(borrow)]
        changes: Vec<StoredChange<'a>>,
    },
    ClockBack {
        at: i128,
        by_ns: u64,
    },
    Snapshot {
        number: u64,
        at: i128,
    },
    End {
        entries: u64,
    },
    // Version 2.
    #[serde(borrow)]
    Provisional(StoredProvisional<'a, StoredChange<'a>>),
    Decided {
        at: i128,
        #[serde(borrow)]
        changes: Vec<StoredChange<'a>>,
    },
    // Version 3.
    HeldChanges {
        at: i128,
        #[serde(borrow)]
        changes: Vec<HeldChange<'a>>,
    },
    #[serde(borrow)]
    HeldProvisional(StoredProvisional<'a, HeldChange<'a>>),
    HeldDecided {
        at: i128,
        #[serde(borrow)]
        changes: Vec<HeldChange<'a>>,
    },
    // Version 4.
    Part {
        at: i128,
        sync: u64,
        #[serde(borrow)]
        changes: Vec<HeldChange<'a>>,
    },
    Synced {
        at: i128,
        sync: u64,
        parts: u64,
    },
}

/// A push that waits, with changes of one form.
#[derive(Deserialize, Serialize)]
struct StoredProvisional<'a, C> {
    at: i128,
    changes: Vec<C>,
    generation: u64,
    owner: &'a str,
    until: i128,
    length_ms: u64,
    before: Vec<C>,
}

impl<C> StoredProvisional<'_, C> {
    /// It with its changes as they are read.
    fn record(self, changes: Vec<Change>, before: Vec<Change>, of_sole: bool) -> Option<Record> {
        let Self { at, generation, owner, until, length_ms, .. } = self;
        let until = Until { at: timestamp(until)?, length_ms };
        let provisional = Provisional::new(generation, owner.to_owned(), until, before);
        Some(Record::Provisional { at: timestamp(at)?, changes, of_sole, provisional })
    }
}

impl Record {
    /// A record of `changes`, each of one holder.
    pub fn of(at: Timestamp, changes: Vec<Change>) -> Self {
        Self::Changes { at, changes, of_sole: false }
    }

    /// When it was written; the epoch for the end of a snapshot.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Journal { at, .. }
            | Self::Changes { at, .. }
            | Self::ClockBack { at, .. }
            | Self::Provisional { at, .. }
            | Self::Decided { at, .. }
            | Self::Part { at, .. }
            | Self::Synced { at, .. }
            | Self::Snapshot { at, .. } => *at,
            Self::End { .. } => Timestamp::UNIX_EPOCH,
        }
    }

    /// Appends it to `into`, in a frame.
    ///
    /// # Errors
    /// When it is too large for a frame.
    pub fn push(&self, into: &mut Vec<u8>) -> Result<(), StoreError> {
        match self {
            Self::Changes { at, changes, .. } => push_changes(*at, changes.iter().map(Change::borrowed), into),
            Self::Journal { number, before, at } => {
                let at = at.as_nanosecond();
                push(&Stored::Journal { number: *number, before: *before, at }, into)
            }
            Self::ClockBack { at, by_ns } => push(&Stored::ClockBack { at: at.as_nanosecond(), by_ns: *by_ns }, into),
            Self::Provisional { at, changes, provisional, .. } => {
                let Provisional { generation, owner, until, .. } = provisional;
                let stored = StoredProvisional {
                    at: at.as_nanosecond(),
                    changes: stored(changes.iter().map(Change::borrowed)),
                    generation: *generation,
                    owner,
                    until: until.at.as_nanosecond(),
                    length_ms: until.length_ms,
                    before: stored(provisional.before()),
                };
                push(&Stored::HeldProvisional(stored), into)
            }
            Self::Decided { at, changes, .. } => {
                let changes = stored(changes.iter().map(Change::borrowed));
                push(&Stored::HeldDecided { at: at.as_nanosecond(), changes }, into)
            }
            Self::Part { at, sync, changes } => {
                let changes = stored(changes.iter().map(Change::borrowed));
                push(&Stored::Part { at: at.as_nanosecond(), sync: *sync, changes }, into)
            }
            Self::Synced { at, sync, parts } => {
                push(&Stored::Synced { at: at.as_nanosecond(), sync: *sync, parts: *parts }, into)
            }
            Self::Snapshot { number, at } => push(&Stored::Snapshot { number: *number, at: at.as_nanosecond() }, into),
            Self::End { entries } => push(&Stored::End { entries: *entries }, into),
        }
    }

    /// Reads the payload of a frame.
    ///
    /// # Errors
    /// When it is of another version, or says nothing.
    pub fn read(payload: &[u8]) -> Result<Self, RecordError> {
        let (version, rest) = payload.split_first().ok_or(RecordError::Strange)?;
        match *version {
            FIRST..=VERSION => {}
            newer if newer > VERSION => return Err(RecordError::Newer(newer)),
            _ => return Err(RecordError::Strange),
        }
        let (stored, rest) = postcard::take_from_bytes::<Stored<'_>>(rest).map_err(|_| RecordError::Strange)?;
        if rest.is_empty() { stored.record().ok_or(RecordError::Strange) } else { Err(RecordError::Strange) }
    }
}

/// Appends a record of changes to `into`, in a frame.
///
/// # Errors
/// When they are too many for a frame.
pub fn push_changes<'a>(
    at: Timestamp,
    changes: impl Iterator<Item = (&'a Name, &'a Holding, Option<&'a RuntimeEntry>)>,
    into: &mut Vec<u8>,
) -> Result<(), StoreError> {
    push(&Stored::HeldChanges { at: at.as_nanosecond(), changes: stored(changes) }, into)
}

fn push(stored: &Stored<'_>, into: &mut Vec<u8>) -> Result<(), StoreError> {
    let payload = postcard::to_extend(stored, vec![stored.version()]).map_err(|_| StoreError::TooLarge)?;
    if frame::push(into, &payload) { Ok(()) } else { Err(StoreError::TooLarge) }
}

impl Stored<'_> {
    fn version(&self) -> u8 {
        match self {
            Self::Part { .. } | Self::Synced { .. } => VERSION,
            Self::HeldChanges { .. } | Self::HeldProvisional(_) | Self::HeldDecided { .. } => 3,
            Self::Provisional(_) | Self::Decided { .. } => 2,
            _ => FIRST,
        }
    }

    fn record(self) -> Option<Record> {
        Some(match self {
            Self::Journal { number, before, at } => Record::Journal { number, before, at: timestamp(at)? },
            Self::Changes { at, changes } => {
                Record::Changes { at: timestamp(at)?, changes: read(&changes, "")?, of_sole: true }
            }
            Self::Provisional(stored) => {
                let (changes, before) = (read(&stored.changes, "")?, read_before(&stored.before, stored.owner)?);
                stored.record(changes, before, true)?
            }
            Self::Decided { at, changes } => {
                Record::Decided { at: timestamp(at)?, changes: read(&changes, "")?, of_sole: true }
            }
            Self::HeldChanges { at, changes } => {
                Record::Changes { at: timestamp(at)?, changes: read_held(&changes)?, of_sole: false }
            }
            Self::HeldProvisional(stored) => {
                let (changes, before) = (read_held(&stored.changes)?, read_held(&stored.before)?);
                stored.record(changes, before, false)?
            }
            Self::HeldDecided { at, changes } => {
                Record::Decided { at: timestamp(at)?, changes: read_held(&changes)?, of_sole: false }
            }
            Self::Part { at, sync, changes } => {
                Record::Part { at: timestamp(at)?, sync, changes: read_held(&changes)? }
            }
            Self::Synced { at, sync, parts } => Record::Synced { at: timestamp(at)?, sync, parts },
            Self::ClockBack { at, by_ns } => Record::ClockBack { at: timestamp(at)?, by_ns },
            Self::Snapshot { number, at } => Record::Snapshot { number, at: timestamp(at)? },
            Self::End { entries } => Record::End { entries },
        })
    }
}

/// Appends a record of `changes` as daemons wrote it by which a prefix had one holder in each layer; with who pushed and how it was
/// before, for a push that waits for a confirmation.
#[cfg(test)]
pub fn push_of_sole(at: Timestamp, changes: &[Change], waits: Option<(&str, &[Change], Until)>, into: &mut Vec<u8>) {
    let (at, changes) = (at.as_nanosecond(), changes.iter().map(StoredChange::of).collect());
    let record = match waits {
        None => Stored::Changes { at, changes },
        Some((owner, before, Until { at: until, length_ms })) => {
            let (until, before) = (until.as_nanosecond(), before.iter().map(StoredChange::of).collect());
            Stored::Provisional(StoredProvisional { at, changes, generation: 7, owner, until, length_ms, before })
        }
    };
    push(&record, into).unwrap();
}
