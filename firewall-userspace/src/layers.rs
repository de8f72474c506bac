//! The entries of all lists by the layer that owns them. A change of one layer never touches another.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    clock,
    control::{Entry, Layer},
    members::{Member, Timed},
    policy::{List, Name, Policy, Prefix, compile::bit},
};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    lists: BTreeMap<Name, BTreeMap<(Prefix, Layer), RuntimeEntry>>,
    expiries: BTreeSet<(Timestamp, Name, Prefix, Layer)>,
}

impl Runtime {
    /// The entry of `list` for exactly `prefix` in `layer`.
    pub fn entry(&self, list: &Name, prefix: Prefix, layer: Layer) -> Option<&RuntimeEntry> {
        self.lists.get(list)?.get(&(prefix, layer))
    }

    /// The entries of `list` for exactly `prefix`, of all layers.
    pub fn at(&self, list: &Name, prefix: Prefix) -> impl Iterator<Item = (Layer, &RuntimeEntry)> {
        let all = (prefix, Layer::FIRST)..=(prefix, Layer::LAST);
        let entries = self.lists.get(list).into_iter();
        entries.flat_map(move |entries| entries.range(all.clone())).map(|((_, layer), entry)| (*layer, entry))
    }

    /// Entries of `list`.
    pub fn entries(&self, list: &Name) -> impl Iterator<Item = (Prefix, Layer, &RuntimeEntry)> {
        self.lists.get(list).into_iter().flatten().map(|((prefix, layer), entry)| (*prefix, *layer, entry))
    }

    /// Entries of `list` behind `after`.
    fn entries_behind(
        &self,
        list: &Name,
        after: Option<(Prefix, Layer)>,
    ) -> impl Iterator<Item = (Prefix, Layer, &RuntimeEntry)> {
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.lists.get(list).into_iter();
        entries
            .flat_map(move |entries| entries.range((first, Bound::Unbounded)))
            .map(|((prefix, layer), entry)| (*prefix, *layer, entry))
    }

    /// Every entry, by list, prefix and layer.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Prefix, Layer, &RuntimeEntry)> {
        let of = |(list, entries)| {
            let entries: std::collections::btree_map::Iter<'_, (Prefix, Layer), RuntimeEntry> = BTreeMap::iter(entries);
            entries.map(move |((prefix, layer), entry)| (list, *prefix, *layer, entry))
        };
        self.lists.iter().flat_map(of)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.lists.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Everything that ends does so by `by_ns` nanoseconds earlier.
    pub fn bring_forward(&mut self, by_ns: u64) {
        self.expiries.clear();
        for (list, entries) in &mut self.lists {
            for ((prefix, layer), entry) in entries {
                entry.bring_forward(by_ns);
                self.expiries.extend(entry.expires.map(|earlier| (earlier, list.clone(), *prefix, *layer)));
            }
        }
    }

    /// Lists that have entries.
    pub fn lists(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.lists.iter().map(|(name, entries)| (name, entries.len()))
    }

    /// Adds or replaces an entry; the one before.
    pub fn insert(&mut self, list: &Name, prefix: Prefix, layer: Layer, entry: RuntimeEntry) -> Option<RuntimeEntry> {
        if let Some(expires) = entry.expires {
            self.expiries.insert((expires, list.clone(), prefix, layer));
        }
        let new_expiry = entry.expires;
        let old = self.lists.entry(list.clone()).or_default().insert((prefix, layer), entry);
        if let Some(expires) = old.as_ref().and_then(|entry| entry.expires).filter(|old| Some(*old) != new_expiry) {
            self.expiries.remove(&(expires, list.clone(), prefix, layer));
        }
        old
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
        let entries = self.lists.get_mut(list)?;
        let old = entries.remove(&(prefix, layer))?;
        if entries.is_empty() {
            self.lists.remove(list);
        }
        if let Some(expires) = old.expires {
            self.expiries.remove(&(expires, list.clone(), prefix, layer));
        }
        Some(old)
    }

    /// When the next entry ends.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(expires, ..)| *expires)
    }

    /// Entries that have ended at `now`.
    pub fn expired(&self, now: Timestamp) -> Vec<(Name, Prefix, Layer)> {
        let ended = self.expiries.iter().take_while(|(expires, ..)| *expires <= now);
        ended.map(|(_, list, prefix, layer)| (list.clone(), *prefix, *layer)).collect()
    }
}

/// Which layers hold `prefix` in the list at `index` of `policy`.
pub fn layers_of(policy: &Policy, runtime: &Runtime, index: usize, prefix: Prefix) -> Vec<Layer> {
    let Some(list) = policy.lists.get(index) else { return Vec::new() };
    let mut layers = Vec::new();
    if list.entries.binary_search(&prefix).is_ok() {
        layers.push(Layer::Config);
    }
    layers.extend(runtime.at(&list.name, prefix).map(|(layer, _)| layer));
    layers
}

/// What `prefix` is in by itself, over all layers.
pub fn member_of(policy: &Policy, runtime: &Runtime, own: &BTreeSet<Prefix>, prefix: Prefix) -> Member {
    let mut member =
        Member { own: own.contains(&prefix), management: policy.management.contains(&prefix), ..Member::default() };
    for (index, list) in policy.lists.iter().enumerate() {
        if list.entries.binary_search(&prefix).is_ok() {
            member.lists |= bit(index);
        }
        for (_, entry) in runtime.at(&list.name, prefix) {
            member = member.union(&pushed_member(index, entry));
        }
    }
    member
}

/// Every prefix that is in something, over all layers; a prefix may come several times.
pub fn all_members<'a>(
    policy: &'a Policy,
    runtime: &'a Runtime,
    own: &'a BTreeSet<Prefix>,
) -> impl Iterator<Item = (Prefix, Member)> + 'a {
    let in_lists = policy.lists.iter().enumerate().flat_map(|(index, list)| {
        let member = Member { lists: bit(index), ..Member::default() };
        let pushed = runtime.entries(&list.name).map(move |(prefix, _, entry)| (prefix, pushed_member(index, entry)));
        list.entries.iter().map(move |prefix| (*prefix, member.clone())).chain(pushed)
    });
    let management = Member { management: true, ..Member::default() };
    let ours = Member { own: true, ..Member::default() };
    in_lists
        .chain(policy.management.iter().map(move |prefix| (*prefix, management.clone())))
        .chain(own.iter().map(move |prefix| (*prefix, ours.clone())))
}

/// What a pushed entry of the list at `index` puts its prefix in.
fn pushed_member(index: usize, entry: &RuntimeEntry) -> Member {
    match entry.expires {
        None => Member { lists: bit(index), ..Member::default() },
        Some(expires) => Member { timed: Timed::until(clock::boot_second(expires), bit(index)), ..Member::default() },
    }
}

/// The entries of one list for exactly `prefix`.
pub fn entries_at<'a>(
    list: &'a List,
    runtime: &'a Runtime,
    loaded: Timestamp,
    prefix: Prefix,
) -> impl Iterator<Item = Entry> + 'a {
    let configured = list.entries.binary_search(&prefix).is_ok();
    let configured = configured.then(|| configured_entry(list, prefix, loaded));
    let pushed = runtime.at(&list.name, prefix).map(move |(layer, entry)| pushed_entry(list, prefix, layer, entry));
    configured.into_iter().chain(pushed)
}

fn configured_entry(list: &List, prefix: Prefix, loaded: Timestamp) -> Entry {
    Entry {
        list: list.name.to_string(),
        prefix: prefix.to_string(),
        layer: Layer::Config,
        owner: "config".into(),
        comment: None,
        created: loaded,
        expires: None,
    }
}

fn pushed_entry(list: &List, prefix: Prefix, layer: Layer, entry: &RuntimeEntry) -> Entry {
    Entry {
        list: list.name.to_string(),
        prefix: prefix.to_string(),
        layer,
        owner: entry.owner.clone(),
        comment: entry.comment.clone(),
        created: entry.created,
        expires: entry.expires,
    }
}

/// The entries of one list behind `after`, ordered by prefix, then layer.
pub fn entries_of<'a>(
    list: &'a List,
    runtime: &'a Runtime,
    loaded: Timestamp,
    after: Option<(Prefix, Layer)>,
) -> impl Iterator<Item = Entry> + 'a {
    let first = after.map_or(0, |(after, _)| list.entries.partition_point(|prefix| *prefix <= after));
    let mut configured = list.entries.iter().skip(first).copied().peekable();
    let mut pushed = runtime.entries_behind(&list.name, after).peekable();
    std::iter::from_fn(move || {
        let is_configured_next = match (configured.peek(), pushed.peek()) {
            (Some(configured), Some((pushed, ..))) => configured <= pushed,
            (configured, _) => configured.is_some(),
        };
        if is_configured_next {
            return configured.next().map(|prefix| configured_entry(list, prefix, loaded));
        }
        pushed.next().map(|(prefix, layer, entry)| pushed_entry(list, prefix, layer, entry))
    })
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
    fn pages_of_any_length_have_every_entry_once_and_in_order() {
        let prefix = |number: usize| format!("192.0.2.{number}").parse::<Prefix>().unwrap();
        let list = List { name: Name::parse("a").unwrap(), entries: (0..20).step_by(2).map(prefix).collect() };
        let mut runtime = Runtime::default();
        for number in (0..20).step_by(3) {
            runtime.insert(&list.name, prefix(number), Layer::Runtime, entry(None));
        }
        for number in (0..20).step_by(6) {
            runtime.insert(&list.name, prefix(number), Layer::Ban, entry(None));
        }
        let all: Vec<Entry> = entries_of(&list, &runtime, Timestamp::UNIX_EPOCH, None).collect();
        let key = |entry: &Entry| (entry.prefix.parse::<Prefix>().unwrap(), entry.layer);
        assert_eq!(all.len(), 21);
        assert!(all.is_sorted_by_key(key));
        for length in 1..=21 {
            let mut pages: Vec<Entry> = Vec::new();
            loop {
                let after = pages.last().map(key);
                let page: Vec<_> = entries_of(&list, &runtime, Timestamp::UNIX_EPOCH, after).take(length).collect();
                if page.is_empty() {
                    break;
                }
                pages.extend(page);
            }
            assert_eq!(pages, all, "{length}");
        }
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
