//! Entries that were pushed, each in its layer.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use immutable_chunkmap::{map::MapM, set::SetM};
use jiff::{SignedDuration, Timestamp};

use super::entry::Layer;
use crate::policy::{Name, Prefix};

/// An entry of a layer that is kept: of every layer but that of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEntry {
    /// Who added it.
    pub owner: String,
    /// For people.
    pub comment: Option<String>,
    /// When it was first added.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

impl RuntimeEntry {
    /// It ends by `by_ns` nanoseconds earlier, if it does at all.
    pub fn bring_forward(&mut self, by_ns: u64) {
        let by = SignedDuration::from_nanos_i128(i128::from(by_ns));
        self.expires = self.expires.map(|expires| expires.checked_sub(by).unwrap_or(Timestamp::MIN));
    }
}

/// Entries that were pushed, each in its layer. They outlive every reload, also of a list that is not configured for a while.
///
/// A clone shares all entries with what it was made of, and takes no time: readers and snapshots have one of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    lists: BTreeMap<Name, PushedList>,
    expiries: SetM<(Timestamp, Name, Prefix, Layer)>,
}

/// Entries of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PushedList {
    entries: MapM<(Prefix, Layer), Arc<RuntimeEntry>>,
    counts: EntryCounts,
}

impl PushedList {
    fn len(&self) -> usize {
        self.counts.iter().flatten().sum::<u64>() as usize
    }
}

/// How many entries there are, by layer (in the order of [`Layer::ALL`]) and family: IPv4, IPv6.
pub type EntryCounts = [[u64; 2]; Layer::ALL.len()];

impl Runtime {
    /// The entry of `list` for exactly `prefix` in `layer`.
    pub fn entry(&self, list: &Name, prefix: Prefix, layer: Layer) -> Option<&RuntimeEntry> {
        self.lists.get(list)?.entries.get(&(prefix, layer)).map(|entry| &**entry)
    }

    /// The entries of `list` for exactly `prefix`, of all layers.
    pub fn at(&self, list: &Name, prefix: Prefix) -> impl Iterator<Item = (Layer, &RuntimeEntry)> {
        // A look-up each: a range costs more than all of them.
        let list = self.lists.get(list);
        Layer::ALL.into_iter().filter_map(move |layer| Some((layer, &**list?.entries.get(&(prefix, layer))?)))
    }

    /// Entries of `list`.
    pub fn entries(&self, list: &Name) -> impl Iterator<Item = (Prefix, Layer, &RuntimeEntry)> {
        self.entries_behind(list, None)
    }

    /// Entries of `list` behind `after`.
    pub fn entries_behind(
        &self,
        list: &Name,
        after: Option<(Prefix, Layer)>,
    ) -> impl Iterator<Item = (Prefix, Layer, &RuntimeEntry)> {
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        let lists = self.lists.get(list).into_iter();
        lists
            .flat_map(move |list| list.entries.range((first, Bound::Unbounded)))
            .map(|((prefix, layer), entry)| (*prefix, *layer, &**entry))
    }

    /// Every entry, by list, prefix and layer.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Prefix, Layer, &RuntimeEntry)> {
        self.lists.iter().flat_map(|(name, list)| {
            list.entries.into_iter().map(move |((prefix, layer), entry)| (name, *prefix, *layer, &**entry))
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.lists.values().map(|list| list.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Everything that ends does so by `by_ns` nanoseconds earlier.
    pub fn bring_forward(&mut self, by_ns: u64) {
        let ending: Vec<_> = self.expiries.into_iter().cloned().collect();
        for (_, list, prefix, layer) in ending {
            if let Some(mut entry) = self.entry(&list, prefix, layer).cloned() {
                entry.bring_forward(by_ns);
                self.insert(&list, prefix, layer, entry);
            }
        }
    }

    /// Lists that have entries.
    pub fn lists(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.lists.iter().map(|(name, list)| (name, list.len()))
    }

    /// How many entries a list has.
    pub fn counts(&self, list: &Name) -> EntryCounts {
        self.lists.get(list).map_or_else(EntryCounts::default, |list| list.counts)
    }

    /// Adds or replaces an entry; the one before.
    pub fn insert(&mut self, list: &Name, prefix: Prefix, layer: Layer, entry: RuntimeEntry) -> Option<RuntimeEntry> {
        let of_list = match self.lists.get_mut(list) {
            Some(of_list) => of_list,
            None => self.lists.entry(list.clone()).or_default(),
        };
        let new_expiry = entry.expires;
        let old = of_list.entries.insert_cow((prefix, layer), Arc::new(entry));
        if old.is_none() {
            *count_of(&mut of_list.counts, prefix, layer) += 1;
        }
        let old_expiry = old.as_ref().and_then(|entry| entry.expires);
        if old_expiry != new_expiry {
            if let Some(expires) = old_expiry {
                self.expiries.remove_cow(&(expires, list.clone(), prefix, layer));
            }
            if let Some(expires) = new_expiry {
                self.expiries.insert_cow((expires, list.clone(), prefix, layer));
            }
        }
        old.map(Arc::unwrap_or_clone)
    }

    /// Makes an entry what it is to be, or removes it; the one before.
    pub fn set(
        &mut self,
        list: &Name,
        prefix: Prefix,
        layer: Layer,
        entry: Option<RuntimeEntry>,
    ) -> Option<RuntimeEntry> {
        match entry {
            Some(entry) => self.insert(list, prefix, layer, entry),
            None => self.remove(list, prefix, layer),
        }
    }

    /// Removes an entry.
    pub fn remove(&mut self, list: &Name, prefix: Prefix, layer: Layer) -> Option<RuntimeEntry> {
        let of_list = self.lists.get_mut(list)?;
        let old = of_list.entries.remove_cow(&(prefix, layer))?;
        *count_of(&mut of_list.counts, prefix, layer) -= 1;
        if of_list.len() == 0 {
            self.lists.remove(list);
        }
        if let Some(expires) = old.expires {
            self.expiries.remove_cow(&(expires, list.clone(), prefix, layer));
        }
        Some(Arc::unwrap_or_clone(old))
    }

    /// When the next entry ends.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.into_iter().next().map(|(expires, ..)| *expires)
    }

    /// Entries that have ended at `now`.
    pub fn expired(&self, now: Timestamp) -> Vec<(Name, Prefix, Layer)> {
        let ended = self.expiries.into_iter().take_while(|(expires, ..)| *expires <= now);
        ended.map(|(_, list, prefix, layer)| (list.clone(), *prefix, *layer)).collect()
    }
}

/// The count of this layer and the family of `prefix`.
pub fn count_of(counts: &mut EntryCounts, prefix: Prefix, layer: Layer) -> &mut u64 {
    let [config, runtime, feed, fleet, ban] = counts;
    let [v4, v6] = match layer {
        Layer::Config => config,
        Layer::Runtime => runtime,
        Layer::Feed => feed,
        Layer::Fleet => fleet,
        Layer::Ban => ban,
    };
    if prefix.address().is_ipv4() { v4 } else { v6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(expires: Option<i64>) -> RuntimeEntry {
        let at = |second| Timestamp::from_second(second).unwrap();
        RuntimeEntry { owner: "uid:0".into(), comment: None, created: at(0), expires: expires.map(at) }
    }

    #[test]
    fn adding_again_replaces_the_expiry() {
        let (mut runtime, list, prefix) = (Runtime::default(), Name::parse("a").unwrap(), "192.0.2.1".parse().unwrap());
        runtime.insert(&list, prefix, Layer::Runtime, entry(Some(10)));
        runtime.insert(&list, prefix, Layer::Runtime, entry(Some(20)));
        assert_eq!(runtime.expired(Timestamp::from_second(15).unwrap()), []);
        assert_eq!(runtime.expired(Timestamp::from_second(20).unwrap()), [(list.clone(), prefix, Layer::Runtime)]);
        runtime.insert(&list, prefix, Layer::Runtime, entry(None));
        assert_eq!(runtime.next_expiry(), None);
    }

    #[test]
    fn a_refresh_with_the_same_expiry_keeps_it() {
        let (mut runtime, list, prefix) = (Runtime::default(), Name::parse("a").unwrap(), "192.0.2.1".parse().unwrap());
        runtime.insert(&list, prefix, Layer::Runtime, entry(Some(10)));
        runtime.insert(&list, prefix, Layer::Runtime, entry(Some(10)));
        assert_eq!(runtime.next_expiry(), Some(Timestamp::from_second(10).unwrap()));
        assert!(runtime.remove(&list, prefix, Layer::Runtime).is_some());
        assert_eq!(runtime.next_expiry(), None);
    }
}
