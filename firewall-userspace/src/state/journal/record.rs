//! What is in the frames of journals and snapshots.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Provisional;
use crate::{
    clock::deadline::Until,
    lists::{change::Change, entry::Layer, pushed::RuntimeEntry},
    policy::{Name, Prefix},
    state::{error::StoreError, frame},
};

/// Newest version of the payloads that this daemon reads and writes.
pub const VERSION: u8 = 2;

/// Version of the records that the first daemon knew. They are written like this still, so that it can read a journal without
/// any of the newer ones.
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
        /// How it was before.
        provisional: Provisional,
    },
    /// Nothing is provisional any more.
    Decided {
        /// When.
        at: Timestamp,
        /// What puts things back; nothing when it was confirmed.
        changes: Vec<Change>,
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
    Provisional {
        at: i128,
        #[serde(borrow)]
        changes: Vec<StoredChange<'a>>,
        generation: u64,
        owner: &'a str,
        until: i128,
        length_ms: u64,
        #[serde(borrow)]
        before: Vec<StoredChange<'a>>,
    },
    Decided {
        at: i128,
        #[serde(borrow)]
        changes: Vec<StoredChange<'a>>,
    },
}

#[derive(Deserialize, Serialize)]
struct StoredChange<'a> {
    layer: StoredLayer,
    list: &'a str,
    address: IpAddr,
    length: u8,
    #[serde(borrow)]
    entry: Option<StoredEntry<'a>>,
}

/// Layers whose entries are kept here; that of the configuration is not.
#[derive(Deserialize, Serialize)]
enum StoredLayer {
    Runtime,
    Feed,
    Fleet,
    Ban,
}

#[derive(Deserialize, Serialize)]
struct StoredEntry<'a> {
    owner: &'a str,
    comment: Option<&'a str>,
    created: i128,
    expires: Option<i128>,
}

impl Record {
    /// When it was written; the epoch for the end of a snapshot.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Journal { at, .. }
            | Self::Changes { at, .. }
            | Self::ClockBack { at, .. }
            | Self::Provisional { at, .. }
            | Self::Decided { at, .. }
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
            Self::Changes { at, changes } => push_changes(*at, changes.iter().map(Change::borrowed), into),
            Self::Journal { number, before, at } => {
                let at = at.as_nanosecond();
                push(&Stored::Journal { number: *number, before: *before, at }, into)
            }
            Self::ClockBack { at, by_ns } => push(&Stored::ClockBack { at: at.as_nanosecond(), by_ns: *by_ns }, into),
            Self::Provisional { at, changes, provisional } => {
                let Provisional { generation, owner, until, .. } = provisional;
                let stored = Stored::Provisional {
                    at: at.as_nanosecond(),
                    changes: stored(changes.iter().map(Change::borrowed)),
                    generation: *generation,
                    owner,
                    until: until.at.as_nanosecond(),
                    length_ms: until.length_ms,
                    before: stored(provisional.before()),
                };
                push(&stored, into)
            }
            Self::Decided { at, changes } => {
                let changes = stored(changes.iter().map(Change::borrowed));
                push(&Stored::Decided { at: at.as_nanosecond(), changes }, into)
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
            FIRST | VERSION => {}
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
    changes: impl Iterator<Item = (&'a Name, Prefix, Layer, Option<&'a RuntimeEntry>)>,
    into: &mut Vec<u8>,
) -> Result<(), StoreError> {
    push(&Stored::Changes { at: at.as_nanosecond(), changes: stored(changes) }, into)
}

fn stored<'a>(
    changes: impl Iterator<Item = (&'a Name, Prefix, Layer, Option<&'a RuntimeEntry>)>,
) -> Vec<StoredChange<'a>> {
    let stored = |(list, prefix, layer, entry): (&'a Name, Prefix, Layer, Option<&'a RuntimeEntry>)| StoredChange {
        layer: layer.into(),
        list,
        address: prefix.address(),
        length: prefix.length(),
        entry: entry.map(|entry| StoredEntry {
            owner: &entry.owner,
            comment: entry.comment.as_deref(),
            created: entry.created.as_nanosecond(),
            expires: entry.expires.map(Timestamp::as_nanosecond),
        }),
    };
    changes.map(stored).collect()
}

fn push(stored: &Stored<'_>, into: &mut Vec<u8>) -> Result<(), StoreError> {
    let payload = postcard::to_extend(stored, vec![stored.version()]).map_err(|_| StoreError::TooLarge)?;
    if frame::push(into, &payload) { Ok(()) } else { Err(StoreError::TooLarge) }
}

impl Stored<'_> {
    fn version(&self) -> u8 {
        match self {
            Self::Provisional { .. } | Self::Decided { .. } => VERSION,
            _ => FIRST,
        }
    }

    fn record(self) -> Option<Record> {
        Some(match self {
            Self::Journal { number, before, at } => Record::Journal { number, before, at: timestamp(at)? },
            Self::Changes { at, changes } => Record::Changes { at: timestamp(at)?, changes: read(changes)? },
            Self::Provisional { at, changes, generation, owner, until, length_ms, before } => {
                let until = Until { at: timestamp(until)?, length_ms };
                let before = read(before)?.into_iter();
                let before = before.map(|change| (change.list, change.prefix, change.layer, change.entry));
                let provisional = Provisional::new(generation, owner.to_owned(), until, before);
                Record::Provisional { at: timestamp(at)?, changes: read(changes)?, provisional }
            }
            Self::Decided { at, changes } => Record::Decided { at: timestamp(at)?, changes: read(changes)? },
            Self::ClockBack { at, by_ns } => Record::ClockBack { at: timestamp(at)?, by_ns },
            Self::Snapshot { number, at } => Record::Snapshot { number, at: timestamp(at)? },
            Self::End { entries } => Record::End { entries },
        })
    }
}

fn read(changes: Vec<StoredChange<'_>>) -> Option<Vec<Change>> {
    changes.into_iter().map(StoredChange::change).collect()
}

impl StoredChange<'_> {
    fn change(self) -> Option<Change> {
        let layer = self.layer.into();
        let entry = match self.entry {
            None => None,
            Some(entry) => Some(RuntimeEntry {
                owner: entry.owner.to_owned(),
                comment: entry.comment.map(str::to_owned),
                created: timestamp(entry.created)?,
                expires: match entry.expires {
                    None => None,
                    Some(expires) => Some(timestamp(expires)?),
                },
                // Told by when it was written.
                era: 0,
            }),
        };
        let prefix = Prefix::new(self.address, self.length).ok()?;
        Some(Change { list: Name::parse(self.list).ok()?, prefix, layer, entry })
    }
}

impl From<Layer> for StoredLayer {
    fn from(layer: Layer) -> Self {
        match layer {
            // The configuration's own entries are not pushed.
            Layer::Config | Layer::Runtime => Self::Runtime,
            Layer::Feed => Self::Feed,
            Layer::Fleet => Self::Fleet,
            Layer::Ban => Self::Ban,
        }
    }
}

impl From<StoredLayer> for Layer {
    fn from(layer: StoredLayer) -> Self {
        match layer {
            StoredLayer::Runtime => Self::Runtime,
            StoredLayer::Feed => Self::Feed,
            StoredLayer::Fleet => Self::Fleet,
            StoredLayer::Ban => Self::Ban,
        }
    }
}

fn timestamp(nanoseconds: i128) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds).ok()
}
