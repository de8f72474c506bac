//! Entries that were pushed, each in its layer.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use immutable_chunkmap::{map::MapM, set::SetM};
use jiff::Timestamp;

use super::{
    alike::Alike,
    change::Change,
    entry::{Holding, Layer, Owner},
    seek::PairsFrom,
};
use crate::{
    clock::reckoning::{End, Turn, shifted},
    policy::{Name, Prefix},
};

/// An entry of a layer that is kept: of every layer but that of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuntimeEntry {
    /// Who added it in person, as the client says. For people.
    pub person: Option<Arc<str>>,
    /// For people.
    pub comment: Option<Arc<str>>,
    /// When it was first added.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Whose clock that is by: the [era](crate::clock::reckoning) in which it was written, 0 of a right clock.
    pub era: u32,
}

impl RuntimeEntry {
    /// When it ends, by which clock.
    pub fn end(&self) -> Option<End> {
        self.expires.map(|expires| (expires, self.era))
    }

    /// It ends by `by_ns` nanoseconds earlier, if it does at all.
    pub fn bring_forward(&mut self, by_ns: u64) {
        self.expires = self.expires.map(|expires| shifted(expires, -i128::from(by_ns)));
    }

    /// Whether it ends, and by another clock than that of `era`.
    pub fn is_of_another_era(&self, era: u32) -> bool {
        self.expires.is_some() && self.era != era
    }

    /// The same, by the clock of `era`.
    #[must_use]
    pub fn written_in(self, era: u32) -> Self {
        Self { era: if self.expires.is_some() { era } else { 0 }, ..self }
    }

    /// The clock is known better; whether that is about this entry.
    pub fn follow(&mut self, turn: &Turn, is_denied: bool) -> bool {
        let Some(end) = self.end().filter(|_| turn.changes(self.era)) else { return false };
        let (expires, era) = turn.end(end, is_denied);
        (self.expires, self.era) = (Some(expires), era);
        true
    }
}

/// Entries that were pushed, each in its layer. They outlive every reload, also of a list that is not configured for a while.
///
/// A clone shares all entries with what it was made of, and takes no time: readers and snapshots have one of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    lists: BTreeMap<Name, PushedList>,
}

/// Entries of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PushedList {
    entries: MapM<Holding, Arc<RuntimeEntry>>,
    /// By era; none is empty.
    expiries: BTreeMap<u32, SetM<(PackedTime, Holding)>>,
    counts: EntryCounts,
}

impl PushedList {
    fn len(&self) -> usize {
        self.counts.iter().flatten().sum::<u64>() as usize
    }

    fn add_end(&mut self, (at, era): End, holding: &Holding) {
        self.expiries.entry(era).or_default().insert_cow((at.into(), holding.clone()));
    }

    fn remove_end(&mut self, (at, era): End, holding: &Holding) {
        let Some(ends) = self.expiries.get_mut(&era) else { return };
        ends.remove_cow(&(at.into(), holding.clone()));
        if ends.len() == 0 {
            self.expiries.remove(&era);
        }
    }
}

/// A time in eight octets with an alignment of four: the upper and the lower half of its nanoseconds since 1970. Times before 1678 and
/// behind 2262 are taken for these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PackedTime(i32, u32);

impl From<Timestamp> for PackedTime {
    fn from(time: Timestamp) -> Self {
        let nanoseconds = time.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Self((nanoseconds >> 32) as i32, nanoseconds as u32)
    }
}

impl From<PackedTime> for Timestamp {
    fn from(PackedTime(upper, lower): PackedTime) -> Self {
        let nanoseconds = i64::from(upper) << 32 | i64::from(lower);
        Self::from_nanosecond(nanoseconds.into()).unwrap_or_default()
    }
}

/// How many entries there are, by layer (in the order of [`Layer::ALL`]) and family: IPv4, IPv6.
pub type EntryCounts = [[u64; 2]; Layer::ALL.len()];

impl Runtime {
    /// The entry of `list` that is held so.
    pub fn entry(&self, list: &Name, holding: &Holding) -> Option<&Arc<RuntimeEntry>> {
        self.lists.get(list)?.entries.get(holding)
    }

    /// The entries of `list` for exactly `prefix`, of all holders.
    pub fn at(&self, list: &Name, prefix: Prefix) -> impl Iterator<Item = (&Holding, &RuntimeEntry)> {
        let first = Holding { prefix, layer: Layer::Config, owner: Owner::default() };
        let of_list = self.lists.get(list).into_iter();
        let behind = of_list.flat_map(move |list| PairsFrom::new(&list.entries, Bound::Included(first.clone())));
        behind.take_while(move |(holding, _)| holding.prefix == prefix).map(|(holding, entry)| (holding, &**entry))
    }

    /// Entries of `list`.
    pub fn entries(&self, list: &Name) -> impl Iterator<Item = (&Holding, &RuntimeEntry)> {
        self.entries_behind(list, None)
    }

    /// Entries of `list` behind `after`.
    pub fn entries_behind(
        &self,
        list: &Name,
        after: Option<Holding>,
    ) -> impl Iterator<Item = (&Holding, &RuntimeEntry)> {
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        let lists = self.lists.get(list).into_iter();
        lists
            .flat_map(move |list| PairsFrom::new(&list.entries, first.clone()))
            .map(|(holding, entry)| (holding, &**entry))
    }

    /// Every entry, by list, prefix, layer and owner.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Holding, &RuntimeEntry)> {
        self.lists
            .iter()
            .flat_map(|(name, list)| list.entries.into_iter().map(move |(holding, entry)| (name, holding, &**entry)))
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
        let ending: Vec<_> = self.ending().map(|(list, holding)| (list.clone(), holding.clone())).collect();
        let mut alike = Alike::default();
        for (list, holding) in ending {
            if let Some(mut entry) = self.entry(&list, &holding).cloned() {
                alike.change(&mut entry, |entry| entry.bring_forward(by_ns));
                self.insert(&list, &holding, entry);
            }
        }
    }

    /// Everything that ends does so by a right clock.
    pub fn forget_eras(&mut self) {
        let ending: Vec<_> = self.ending().map(|(list, holding)| (list.clone(), holding.clone())).collect();
        let mut alike = Alike::default();
        for (list, holding) in ending {
            if let Some(mut entry) = self.entry(&list, &holding).filter(|entry| entry.era != 0).cloned() {
                alike.change(&mut entry, |entry| entry.era = 0);
                self.insert(&list, &holding, entry);
            }
        }
    }

    /// Entries that end.
    pub fn ending(&self) -> impl Iterator<Item = (&Name, &Holding)> {
        self.lists.iter().flat_map(|(name, list)| {
            let ends = list.expiries.values().flat_map(|ends| ends.into_iter());
            ends.map(move |(_, holding)| (name, holding))
        })
    }

    /// What becomes of entries when the clock is known better: those that have to be written down, and the others.
    pub fn turned(&self, turn: &Turn, is_denied: impl Fn(&Name) -> bool) -> [Vec<Change>; 2] {
        let [mut told, mut others] = [Vec::new(), Vec::new()];
        let mut alike = Alike::default();
        for (name, list) in &self.lists {
            let is_denied = is_denied(name);
            for (era, ends) in list.expiries.iter().filter(|(era, _)| turn.changes(**era)) {
                let into = if turn.retells(*era) { &mut told } else { &mut others };
                for (_, holding) in ends {
                    let Some(entry) = list.entries.get(holding) else { continue };
                    let mut entry = RuntimeEntry::clone(entry);
                    if entry.follow(turn, is_denied) {
                        let entry = Some(alike.one(entry));
                        into.push(Change { list: name.clone(), holding: holding.clone(), entry });
                    }
                }
            }
        }
        [told, others]
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
    pub fn insert(&mut self, list: &Name, holding: &Holding, entry: Arc<RuntimeEntry>) -> Option<Arc<RuntimeEntry>> {
        let of_list = match self.lists.get_mut(list) {
            Some(of_list) => of_list,
            None => self.lists.entry(list.clone()).or_default(),
        };
        let new_end = entry.end();
        let old = of_list.entries.insert_cow(holding.clone(), entry);
        if old.is_none() {
            *count_of(&mut of_list.counts, holding.prefix, holding.layer) += 1;
        }
        let old_end = old.as_ref().and_then(|entry| entry.end());
        if old_end != new_end {
            old_end.into_iter().for_each(|end| of_list.remove_end(end, holding));
            new_end.into_iter().for_each(|end| of_list.add_end(end, holding));
        }
        old
    }

    /// Makes an entry what it is to be, or removes it; the one before.
    pub fn set(
        &mut self,
        list: &Name,
        holding: &Holding,
        entry: Option<Arc<RuntimeEntry>>,
    ) -> Option<Arc<RuntimeEntry>> {
        match entry {
            Some(entry) => self.insert(list, holding, entry),
            None => self.remove(list, holding),
        }
    }

    /// Removes an entry.
    pub fn remove(&mut self, list: &Name, holding: &Holding) -> Option<Arc<RuntimeEntry>> {
        let of_list = self.lists.get_mut(list)?;
        let old = of_list.entries.remove_cow(holding)?;
        *count_of(&mut of_list.counts, holding.prefix, holding.layer) -= 1;
        old.end().into_iter().for_each(|end| of_list.remove_end(end, holding));
        if of_list.len() == 0 {
            self.lists.remove(list);
        }
        Some(old)
    }

    /// The first end of each list and era.
    pub fn next_ends(&self) -> impl Iterator<Item = (&Name, End)> {
        self.lists.iter().flat_map(|(name, list)| {
            let first = list.expiries.iter().filter_map(|(era, ends)| Some((ends.into_iter().next()?.0.into(), *era)));
            first.map(move |end| (name, end))
        })
    }

    /// Entries whose ends are not behind what `over` says of their list and era.
    pub fn expired(&self, over: impl Fn(&Name, u32) -> Timestamp) -> Vec<(Name, Holding)> {
        let mut ended = Vec::new();
        for (name, list) in &self.lists {
            for (era, ends) in &list.expiries {
                let over = PackedTime::from(over(name, *era));
                let over = ends.into_iter().take_while(|(at, ..)| *at <= over);
                ended.extend(over.map(|(_, holding)| (name.clone(), holding.clone())));
            }
        }
        ended
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

    fn entry(expires: Option<i64>) -> Arc<RuntimeEntry> {
        let at = |second| Timestamp::from_second(second).unwrap();
        Arc::new(RuntimeEntry { person: None, comment: None, created: at(0), expires: expires.map(at), era: 0 })
    }

    fn held_by(owner: &str) -> Holding {
        Holding { prefix: "192.0.2.1".parse().unwrap(), layer: Layer::Runtime, owner: owner.into() }
    }

    fn expired(runtime: &Runtime, second: i64) -> Vec<(Name, Holding)> {
        runtime.expired(|_, _| Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn packed_times_are_in_order_and_exact() {
        let nanoseconds = [i64::MIN, -1, 0, 1, 1 << 32, (1 << 32) - 1, 1_800_000_000_123_456_789, i64::MAX];
        let mut all: Vec<Timestamp> = nanoseconds
            .into_iter()
            .map(|nanoseconds| Timestamp::from_nanosecond(nanoseconds.into()).unwrap())
            .collect();
        all.sort_unstable();
        let packed: Vec<PackedTime> = all.iter().copied().map(PackedTime::from).collect();
        assert!(packed.is_sorted());
        assert_eq!(packed.into_iter().map(Timestamp::from).collect::<Vec<_>>(), all);
        assert!(Timestamp::from(PackedTime::from(Timestamp::MAX)) < Timestamp::MAX, "after 2262");
    }

    #[test]
    fn adding_again_replaces_the_expiry() {
        let (mut runtime, list, holding) = (Runtime::default(), Name::parse("a").unwrap(), held_by("root"));
        runtime.insert(&list, &holding, entry(Some(10)));
        runtime.insert(&list, &holding, entry(Some(20)));
        assert_eq!(expired(&runtime, 15), []);
        assert_eq!(expired(&runtime, 20), [(list.clone(), holding.clone())]);
        runtime.insert(&list, &holding, entry(None));
        assert_eq!(runtime.next_ends().count(), 0);
    }

    #[test]
    fn a_refresh_with_the_same_expiry_keeps_it() {
        let (mut runtime, list, holding) = (Runtime::default(), Name::parse("a").unwrap(), held_by("root"));
        runtime.insert(&list, &holding, entry(Some(10)));
        runtime.insert(&list, &holding, entry(Some(10)));
        assert_eq!(runtime.next_ends().collect::<Vec<_>>(), [(&list, (Timestamp::from_second(10).unwrap(), 0))]);
        assert!(runtime.remove(&list, &holding).is_some());
        assert_eq!(runtime.next_ends().count(), 0);
    }

    #[test]
    fn holders_of_a_prefix_have_an_entry_each() {
        let (mut runtime, list) = (Runtime::default(), Name::parse("a").unwrap());
        let (root, agent) = (held_by("root"), held_by("agent"));
        let beside = Holding { prefix: "192.0.2.2".parse().unwrap(), ..held_by("agent") };
        let ban = Holding { layer: Layer::Ban, ..held_by("zeek") };
        for (holding, expires) in [(&root, Some(10)), (&agent, Some(20)), (&ban, None), (&beside, None)] {
            assert_eq!(runtime.insert(&list, holding, entry(expires)), None);
        }
        let at: Vec<_> = runtime.at(&list, root.prefix).map(|(holding, _)| holding.clone()).collect();
        assert_eq!(at, [agent.clone(), root.clone(), ban]);
        assert_eq!((runtime.len(), runtime.counts(&list)[1], runtime.counts(&list)[4]), (4, [3, 0], [1, 0]));
        assert_eq!(expired(&runtime, 10), [(list.clone(), root.clone())]);
        assert_eq!(runtime.remove(&list, &root), Some(entry(Some(10))));
        assert_eq!(runtime.entry(&list, &agent), Some(&entry(Some(20))));
    }
}
