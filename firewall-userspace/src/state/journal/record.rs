//! What is in the frames of journals and snapshots.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Provisional;
use crate::{
    clock::deadline::Until,
    lists::{
        change::Change,
        entry::{Holding, Layer, Owner},
        pushed::RuntimeEntry,
    },
    policy::{Name, Prefix},
    state::{error::StoreError, frame},
};

/// Newest version of the payloads that this daemon reads and writes.
pub const VERSION: u8 = 3;

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
    // Version 3.
    HeldChanges {
        at: i128,
        #[serde(borrow)]
        changes: Vec<HeldChange<'a>>,
    },
    HeldProvisional {
        at: i128,
        #[serde(borrow)]
        changes: Vec<HeldChange<'a>>,
        generation: u64,
        owner: &'a str,
        until: i128,
        length_ms: u64,
        #[serde(borrow)]
        before: Vec<HeldChange<'a>>,
    },
    HeldDecided {
        at: i128,
        #[serde(borrow)]
        changes: Vec<HeldChange<'a>>,
    },
}

/// A change of versions 1 and 2: of whoever holds the prefix in the layer.
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
#[derive(Clone, Copy, Deserialize, Serialize)]
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

/// A change of version 3: of one holder.
#[derive(Deserialize, Serialize)]
struct HeldChange<'a> {
    layer: StoredLayer,
    list: &'a str,
    address: IpAddr,
    length: u8,
    owner: &'a str,
    #[serde(borrow)]
    entry: Option<HeldEntry<'a>>,
}

#[derive(Deserialize, Serialize)]
struct HeldEntry<'a> {
    person: Option<&'a str>,
    comment: Option<&'a str>,
    created: i128,
    expires: Option<i128>,
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
                let stored = Stored::HeldProvisional {
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
            Self::Decided { at, changes, .. } => {
                let changes = stored(changes.iter().map(Change::borrowed));
                push(&Stored::HeldDecided { at: at.as_nanosecond(), changes }, into)
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

fn stored<'a>(changes: impl Iterator<Item = (&'a Name, &'a Holding, Option<&'a RuntimeEntry>)>) -> Vec<HeldChange<'a>> {
    let stored = |(list, holding, entry): (&'a Name, &'a Holding, Option<&'a RuntimeEntry>)| HeldChange {
        layer: holding.layer.into(),
        list,
        address: holding.prefix.address(),
        length: holding.prefix.length(),
        owner: &holding.owner,
        entry: entry.map(|entry| HeldEntry {
            person: entry.person.as_deref(),
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
            Self::HeldChanges { .. } | Self::HeldProvisional { .. } | Self::HeldDecided { .. } => VERSION,
            Self::Provisional { .. } | Self::Decided { .. } => 2,
            _ => FIRST,
        }
    }

    fn record(self) -> Option<Record> {
        Some(match self {
            Self::Journal { number, before, at } => Record::Journal { number, before, at: timestamp(at)? },
            Self::Changes { at, changes } => {
                Record::Changes { at: timestamp(at)?, changes: read(&changes, "")?, of_sole: true }
            }
            Self::Provisional { at, changes, generation, owner, until, length_ms, before } => {
                let until = Until { at: timestamp(until)?, length_ms };
                let before = read_before(&before, owner)?;
                let provisional = Provisional::new(generation, owner.to_owned(), until, before);
                Record::Provisional { at: timestamp(at)?, changes: read(&changes, "")?, of_sole: true, provisional }
            }
            Self::Decided { at, changes } => {
                Record::Decided { at: timestamp(at)?, changes: read(&changes, "")?, of_sole: true }
            }
            Self::HeldChanges { at, changes } => {
                Record::Changes { at: timestamp(at)?, changes: read_held(&changes)?, of_sole: false }
            }
            Self::HeldProvisional { at, changes, generation, owner, until, length_ms, before } => {
                let until = Until { at: timestamp(until)?, length_ms };
                let provisional = Provisional::new(generation, owner.to_owned(), until, read_held(&before)?);
                Record::Provisional { at: timestamp(at)?, changes: read_held(&changes)?, of_sole: false, provisional }
            }
            Self::HeldDecided { at, changes } => {
                Record::Decided { at: timestamp(at)?, changes: read_held(&changes)?, of_sole: false }
            }
            Self::ClockBack { at, by_ns } => Record::ClockBack { at: timestamp(at)?, by_ns },
            Self::Snapshot { number, at } => Record::Snapshot { number, at: timestamp(at)? },
            Self::End { entries } => Record::End { entries },
        })
    }
}

/// Names and comments of one record: what is written several times is there once.
#[derive(Default)]
struct Texts<'a>(HashMap<&'a str, Arc<str>>);

impl<'a> Texts<'a> {
    fn text(&mut self, text: &'a str) -> Arc<str> {
        Arc::clone(self.0.entry(text).or_insert_with(|| text.into()))
    }
}

/// The changes of a daemon by which a prefix had one holder in each layer; `owner` is for those that do not say whose they are.
fn read<'a>(changes: &[StoredChange<'a>], owner: &'a str) -> Option<Vec<Change>> {
    let mut texts = Texts::default();
    changes.iter().map(|change| change.change(owner, &mut texts)).collect()
}

/// How entries were before a push of `owner`, by such a daemon: what it added was its own, and whoever held it before has it again.
fn read_before<'a>(before: &[StoredChange<'a>], owner: &'a str) -> Option<Vec<Change>> {
    let mut texts = Texts::default();
    let mut all = Vec::with_capacity(before.len());
    for change in before {
        let known = change.change(owner, &mut texts)?;
        let holding = Holding { owner: Owner::from(texts.text(owner)), ..known.holding.clone() };
        all.push(Change { holding, entry: None, ..known.clone() });
        all.push(known);
    }
    Some(all)
}

fn read_held<'a>(changes: &[HeldChange<'a>]) -> Option<Vec<Change>> {
    let mut texts = Texts::default();
    changes.iter().map(|change| change.change(&mut texts)).collect()
}

impl<'a> StoredChange<'a> {
    fn change(&self, owner: &'a str, texts: &mut Texts<'a>) -> Option<Change> {
        let entry = self.entry.as_ref();
        let held = entry.map(|entry| HeldEntry {
            person: None,
            comment: entry.comment,
            created: entry.created,
            expires: entry.expires,
        });
        let owner = entry.map_or(owner, |entry| entry.owner);
        change_of(self.list, (self.address, self.length), self.layer.into(), owner, held.as_ref(), texts)
    }
}

impl<'a> HeldChange<'a> {
    fn change(&self, texts: &mut Texts<'a>) -> Option<Change> {
        let prefix = (self.address, self.length);
        change_of(self.list, prefix, self.layer.into(), self.owner, self.entry.as_ref(), texts)
    }
}

fn change_of<'a>(
    list: &str,
    (address, length): (IpAddr, u8),
    layer: Layer,
    owner: &'a str,
    entry: Option<&HeldEntry<'a>>,
    texts: &mut Texts<'a>,
) -> Option<Change> {
    let prefix = Prefix::new(address, length).ok()?;
    let holding = Holding { prefix, layer, owner: Owner::from(texts.text(owner)) };
    let entry = match entry {
        None => None,
        Some(entry) => Some(RuntimeEntry {
            person: entry.person.map(|person| texts.text(person)),
            comment: entry.comment.map(|comment| texts.text(comment)),
            created: timestamp(entry.created)?,
            expires: match entry.expires {
                None => None,
                Some(expires) => Some(timestamp(expires)?),
            },
            // Told by when it was written.
            era: 0,
        }),
    };
    Some(Change { list: Name::parse(list).ok()?, holding, entry })
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

/// Appends a record of `changes` as daemons wrote it by which a prefix had one holder in each layer; with who pushed and how it was
/// before, for a push that waits for a confirmation.
#[cfg(test)]
pub fn push_of_sole(at: Timestamp, changes: &[Change], waits: Option<(&str, &[Change], Until)>, into: &mut Vec<u8>) {
    let stored = |change: &Change| StoredChange {
        layer: change.holding.layer.into(),
        list: change.list.to_string().leak(),
        address: change.holding.prefix.address(),
        length: change.holding.prefix.length(),
        entry: change.entry.as_ref().map(|entry| StoredEntry {
            owner: change.holding.owner.to_string().leak(),
            comment: None,
            created: entry.created.as_nanosecond(),
            expires: entry.expires.map(Timestamp::as_nanosecond),
        }),
    };
    let (at, changes) = (at.as_nanosecond(), changes.iter().map(stored).collect());
    let record = match waits {
        None => Stored::Changes { at, changes },
        Some((owner, before, Until { at: until, length_ms })) => {
            let (until, before) = (until.as_nanosecond(), before.iter().map(stored).collect());
            Stored::Provisional { at, changes, generation: 7, owner, until, length_ms, before }
        }
    };
    push(&record, into).unwrap();
}
