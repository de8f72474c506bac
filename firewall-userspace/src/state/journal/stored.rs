//! The form of changes on disk. Fields are never changed: a new form has a new [`VERSION`](super::record::VERSION).

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    lists::{
        alike::Alike,
        change::Change,
        entry::{Holding, Layer, Owner},
        pushed::RuntimeEntry,
    },
    policy::{Name, Prefix},
};

/// A change of versions 1 and 2: of whoever holds the prefix in the layer.
#[derive(Deserialize, Serialize)]
pub struct StoredChange<'a> {
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
pub struct HeldChange<'a> {
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

/// The form of these changes.
pub fn stored<'a>(
    changes: impl Iterator<Item = (&'a Name, &'a Holding, Option<&'a RuntimeEntry>)>,
) -> Vec<HeldChange<'a>> {
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

/// What changes of one record share: what is written several times is there once.
#[derive(Default)]
struct InCommon<'a> {
    texts: HashMap<&'a str, Arc<str>>,
    /// The list and the owner of the last change.
    list: Option<Name>,
    owner: Option<(&'a str, Owner)>,
    entries: Alike,
}

impl<'a> InCommon<'a> {
    fn text(&mut self, text: &'a str) -> Arc<str> {
        Arc::clone(self.texts.entry(text).or_insert_with(|| text.into()))
    }

    fn owner(&mut self, name: &'a str) -> Owner {
        match &self.owner {
            Some((known, owner)) if *known == name => owner.clone(),
            _ => self.owner.insert((name, Owner::from(name))).1.clone(),
        }
    }

    fn list(&mut self, name: &str) -> Option<Name> {
        match &self.list {
            Some(list) if **list == *name => {}
            _ => self.list = Some(Name::parse(name).ok()?),
        }
        self.list.clone()
    }
}

/// The changes of a daemon by which a prefix had one holder in each layer; `owner` is for those that do not say whose they are.
pub fn read<'a>(changes: &[StoredChange<'a>], owner: &'a str) -> Option<Vec<Change>> {
    let mut common = InCommon::default();
    changes.iter().map(|change| change.change(owner, &mut common)).collect()
}

/// How entries were before a push of `owner`, by such a daemon: what it added was its own, and whoever held it before has it again.
pub fn read_before<'a>(before: &[StoredChange<'a>], owner: &'a str) -> Option<Vec<Change>> {
    let mut common = InCommon::default();
    let mut all = Vec::with_capacity(before.len());
    for change in before {
        let known = change.change(owner, &mut common)?;
        let holding = Holding { owner: common.owner(owner), ..known.holding.clone() };
        all.push(Change { holding, entry: None, ..known.clone() });
        all.push(known);
    }
    Some(all)
}

/// The changes of a daemon that knows several holders; `None` when one says nothing.
pub fn read_held<'a>(changes: &[HeldChange<'a>]) -> Option<Vec<Change>> {
    let mut common = InCommon::default();
    changes.iter().map(|change| change.change(&mut common)).collect()
}

impl<'a> StoredChange<'a> {
    fn change(&self, owner: &'a str, common: &mut InCommon<'a>) -> Option<Change> {
        let entry = self.entry.as_ref();
        let held = entry.map(|entry| HeldEntry {
            person: None,
            comment: entry.comment,
            created: entry.created,
            expires: entry.expires,
        });
        let owner = entry.map_or(owner, |entry| entry.owner);
        change_of(self.list, (self.address, self.length), self.layer.into(), owner, held.as_ref(), common)
    }
}

impl<'a> HeldChange<'a> {
    fn change(&self, common: &mut InCommon<'a>) -> Option<Change> {
        let prefix = (self.address, self.length);
        change_of(self.list, prefix, self.layer.into(), self.owner, self.entry.as_ref(), common)
    }
}

fn change_of<'a>(
    list: &str,
    (address, length): (IpAddr, u8),
    layer: Layer,
    owner: &'a str,
    entry: Option<&HeldEntry<'a>>,
    common: &mut InCommon<'a>,
) -> Option<Change> {
    let prefix = Prefix::new(address, length).ok()?;
    let holding = Holding { prefix, layer, owner: common.owner(owner) };
    let entry = match entry {
        None => None,
        Some(entry) => {
            let entry = RuntimeEntry {
                person: entry.person.map(|person| common.text(person)),
                comment: entry.comment.map(|comment| common.text(comment)),
                created: timestamp(entry.created)?,
                expires: match entry.expires {
                    None => None,
                    Some(expires) => Some(timestamp(expires)?),
                },
                // Told by when it was written.
                era: 0,
            };
            Some(common.entries.one(entry))
        }
    };
    Some(Change { list: common.list(list)?, holding, entry })
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

/// A time as it is kept; `None` when there is no such time.
pub fn timestamp(nanoseconds: i128) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds).ok()
}

#[cfg(test)]
impl<'a> StoredChange<'a> {
    /// What such a daemon wrote of a change.
    pub fn of(Change { list, holding, entry }: &'a Change) -> Self {
        StoredChange {
            layer: holding.layer.into(),
            list,
            address: holding.prefix.address(),
            length: holding.prefix.length(),
            entry: entry.as_ref().map(|entry| StoredEntry {
                owner: &holding.owner,
                comment: entry.comment.as_deref(),
                created: entry.created.as_nanosecond(),
                expires: entry.expires.map(Timestamp::as_nanosecond),
            }),
        }
    }
}
