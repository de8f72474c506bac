//! What a push has changed, in few octets an entry: what each was before, and as what the push left it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    lists::{
        entry::{Holding, Layer, Owner},
        pushed::RuntimeEntry,
        tally::{EntryTally, Happening},
    },
    policy::{Name, Prefix},
};

/// What a push is answered that is too large to be remembered.
pub(super) const NOT_REMEMBERED: &str = "the push is so large that `portcullis undo` will not know what it changed";

/// Most octets of all that is remembered.
pub(super) const MOST_OCTETS: usize = 128 << 20;

/// One entry that a push has changed: its list, who holds it, what it was, and what the push made of it.
pub(super) type Touched<'a> = (&'a Name, &'a Holding, Option<&'a Arc<RuntimeEntry>>, Option<&'a Arc<RuntimeEntry>>);

/// The same of what was taken.
type Left<'a> = (&'a Name, Holding, Option<&'a Arc<RuntimeEntry>>, Option<&'a Arc<RuntimeEntry>>);

/// What a push has changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Footprint {
    pub(super) lists: Vec<Name>,
    pub(super) holders: Vec<(Layer, Owner)>,
    /// Each with the place of its list: the ends of denied entries follow the clock in another way.
    pub(super) values: Vec<(u16, Arc<RuntimeEntry>)>,
    entries: Vec<Footmark>,
    pub(super) octets: usize,
}

/// What a push has changed of one entry: places in the tables of its [`Footprint`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Footmark {
    pub(super) prefix: Prefix,
    pub(super) list: u16,
    pub(super) holder: u16,
    pub(super) before: u32,
    after: u32,
}

/// The place of what is not there.
const NONE: u32 = u32::MAX;

/// Octets of a value, without its texts: it may be in memory for this alone.
const VALUE: usize = size_of::<(u16, Arc<RuntimeEntry>)>() + 2 * size_of::<usize>() + size_of::<RuntimeEntry>();

impl Default for FootprintTaker {
    fn default() -> Self {
        Self::new(MOST_OCTETS, 0)
    }
}

impl Footprint {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every entry, with what it was, and as what the push left it.
    pub(super) fn entries(&self) -> impl Iterator<Item = Left<'_>> {
        self.marks().map(|(_, entry)| entry)
    }

    /// The same with what that is made of.
    pub(super) fn marks(&self) -> impl Iterator<Item = (&Footmark, Left<'_>)> {
        let value = |place: u32| self.values.get(usize::try_from(place).ok()?).map(|(_, value)| value);
        self.entries.iter().filter_map(move |mark| {
            let Footmark { prefix, list, holder, before, after } = mark;
            let (layer, owner) = self.holders.get(usize::from(*holder))?.clone();
            let holding = Holding { prefix: *prefix, layer, owner };
            Some((mark, (self.lists.get(usize::from(*list))?, holding, value(*before), value(*after))))
        })
    }
}

/// A footprint that is being taken.
pub(super) struct FootprintTaker {
    footprint: Footprint,
    holders: HashMap<(Layer, Owner), u16>,
    values: HashMap<(u16, Arc<RuntimeEntry>), u32>,
    /// The places of the values that came last: of what was, and of what is.
    last: [usize; 2],
    tally: EntryTally,
    most_octets: usize,
    is_too_large: bool,
}

impl FootprintTaker {
    /// Takes at most so many octets, of about so many entries.
    pub(super) fn new(most_octets: usize, entries: usize) -> Self {
        let is_too_large = entries > most_octets / size_of::<Footmark>();
        let entries = Vec::with_capacity(if is_too_large { 0 } else { entries });
        Self {
            footprint: Footprint { entries, ..Footprint::default() },
            holders: HashMap::new(),
            values: HashMap::new(),
            last: [0; 2],
            tally: EntryTally::default(),
            most_octets,
            is_too_large,
        }
    }

    /// What a push has made of one entry.
    pub(super) fn add(&mut self, (list, holding, before, after): Touched<'_>) {
        let what = Happening::between(before.map(Arc::as_ref), after.map(Arc::as_ref));
        let Some(what) = what else { return };
        self.tally.count(list, holding.layer, what);
        let Some(list) = self.list(list) else { return self.give_up() };
        if self.is_too_large {
            return;
        }
        let places = self.holder(holding).zip(self.value(0, list, before)).zip(self.value(1, list, after));
        let Some(((holder, before), after)) = places else { return self.give_up() };
        self.footprint.entries.push(Footmark { prefix: holding.prefix, list, holder, before, after });
        self.footprint.octets += size_of::<Footmark>();
        if self.footprint.octets > self.most_octets {
            self.give_up();
        }
    }

    /// An entry that was taken so is [left out](Self::leave_out): it does not count.
    pub(super) fn discount(&mut self, (list, holding, before, after): Touched<'_>) {
        if let Some(what) = Happening::between(before.map(Arc::as_ref), after.map(Arc::as_ref)) {
            self.tally.discount(list, holding.layer, what);
        }
    }

    /// Added, refreshed, removed.
    pub(super) fn counts(&self) -> [usize; 3] {
        let count = |what| usize::try_from(self.tally.all(what)).unwrap_or(usize::MAX);
        [Happening::Added, Happening::Refreshed, Happening::Removed].map(count)
    }

    /// The same by list and layer.
    pub(super) fn tally(&self) -> &EntryTally {
        &self.tally
    }

    /// Nothing of these entries: somebody else has changed them meanwhile. They count on until they are
    /// [discounted](Self::discount).
    pub(super) fn leave_out(&mut self, touched: &BTreeSet<(Name, Holding)>) {
        let prefixes: BTreeSet<Prefix> = touched.iter().map(|(_, holding)| holding.prefix).collect();
        let Footprint { entries, lists, holders, .. } = &mut self.footprint;
        entries.retain(|Footmark { prefix, list, holder, .. }| {
            let key = || {
                let (layer, owner) = holders.get(usize::from(*holder))?.clone();
                Some((lists.get(usize::from(*list))?.clone(), Holding { prefix: *prefix, layer, owner }))
            };
            !prefixes.contains(prefix) || key().is_none_or(|key| !touched.contains(&key))
        });
    }

    /// Keeps only counting.
    fn give_up(&mut self) {
        self.is_too_large = true;
        (self.holders, self.values) = (HashMap::new(), HashMap::new());
        self.footprint = Footprint { lists: std::mem::take(&mut self.footprint.lists), ..Footprint::default() };
    }

    fn list(&mut self, name: &Name) -> Option<u16> {
        let lists = &mut self.footprint.lists;
        let known = lists.iter().rposition(|known| known == name);
        let place = known.unwrap_or_else(|| {
            lists.push(name.clone());
            lists.len() - 1
        });
        u16::try_from(place).ok()
    }

    fn holder(&mut self, holding: &Holding) -> Option<u16> {
        let holders = &mut self.footprint.holders;
        if let Some((layer, owner)) = holders.last()
            && (layer, owner) == (&holding.layer, &holding.owner)
        {
            return u16::try_from(holders.len() - 1).ok();
        }
        let holder = (holding.layer, holding.owner.clone());
        if let Some(known) = self.holders.get(&holder) {
            return Some(*known);
        }
        let place = u16::try_from(holders.len()).ok()?;
        self.footprint.octets += size_of::<(Layer, Owner)>() + holding.owner.len();
        holders.push(holder.clone());
        self.holders.insert(holder, place);
        Some(place)
    }

    /// Of entries that come one after the other most have the same value.
    fn value(&mut self, which: usize, list: u16, entry: Option<&Arc<RuntimeEntry>>) -> Option<u32> {
        let Some(entry) = entry else { return Some(NONE) };
        let values = &mut self.footprint.values;
        let last = self.last.get_mut(which)?;
        if values.get(*last).is_some_and(|(of, known)| *of == list && known == entry) {
            return u32::try_from(*last).ok();
        }
        let value = (list, entry.clone());
        let place = match self.values.get(&value) {
            Some(known) => *known,
            None => {
                let place = u32::try_from(values.len()).ok().filter(|place| *place != NONE)?;
                let texts = [&entry.person, &entry.comment].into_iter().flatten().map(|text| text.len());
                self.footprint.octets += VALUE + texts.sum::<usize>();
                values.push(value.clone());
                self.values.insert(value, place);
                place
            }
        };
        *last = usize::try_from(place).ok()?;
        Some(place)
    }

    /// The lists, and what was taken, unless it is too large.
    pub(super) fn finish(self) -> (Vec<Name>, Option<Footprint>) {
        let mut footprint = self.footprint;
        let lists = footprint.lists.clone();
        footprint.values.shrink_to_fit();
        footprint.entries.shrink_to_fit();
        (lists, (!self.is_too_large).then_some(footprint))
    }
}
