//! What a sync changes of the entries that are there, again and again in the same order, without a list of all changes.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    set::{RestoredEntry, SyncSet, WantedEntry, Wish},
    undo::Undoing,
};
use crate::{
    clock::{Now, reckoning::Reckoning},
    control::{Caller, Pushed, Refusal},
    controller::{
        Host,
        push::check::{self, CheckedPush, Whose, check_verb, unknown_list},
        scope::ScopeCheck,
    },
    lists::{
        change::Change,
        entry::{Holding, Layer},
        pushed::{Runtime, RuntimeEntry},
    },
    policy::{Name, Policy, Prefix},
    text::{
        problem::{Problem, Problems},
        shown::counted,
    },
};

/// What a sync is compared with: everything as it is in one moment.
pub struct SyncBase {
    pub(super) policy: Arc<Policy>,
    pub(super) pushed: Runtime,
    pub(super) own: Arc<BTreeSet<Prefix>>,
    pub(super) clock: Reckoning,
    pub(super) host: Arc<dyn Host>,
    /// The numbers of then.
    pub(super) numbers: Pushed,
    pub(super) now: Now,
    pub(super) asked: SyncAsked,
}

/// What is asked for, besides entries.
pub(super) struct SyncAsked {
    /// The push that is to be taken back.
    pub(super) undoing: Option<Undoing>,
    /// Who asks.
    pub(super) caller: Caller,
}

impl fmt::Debug for SyncBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncBase").field("numbers", &self.numbers).finish_non_exhaustive()
    }
}

/// A sync and what it is compared with.
pub struct Comparison {
    pub(super) base: SyncBase,
    pub(super) set: SyncSet,
    /// The push without its entries.
    pub(super) checked: CheckedPush,
    /// Lists of the sync, by their order in it.
    segments: Vec<Segment>,
    /// What entries become that were not there, by wish; `None`: nothing.
    fresh: Vec<Option<Arc<RuntimeEntry>>>,
}

/// What a sync says of one list.
struct Segment {
    name: Name,
    /// Index in the policy.
    index: usize,
    /// Number in the sync; `None` for a list that is emptied.
    number: Option<u16>,
    /// Where its entries begin, and end.
    begin: usize,
    end: usize,
    is_replaced: bool,
}

/// How far somebody has come with a [`Comparison`].
#[derive(Clone, Debug, Default)]
pub(super) struct SyncPlace {
    segment: usize,
    next: usize,
    /// The last entry of the list that was looked at.
    own: Option<Holding>,
}

/// One thing that a sync says.
pub(super) enum Said<'a> {
    /// Something of this entry.
    Wanted(&'a WantedEntry),
    /// That this one goes, by saying nothing of it in a list that is replaced.
    Gone(&'a Holding),
}

impl SyncBase {
    /// Refuses what is outside the scope of the caller. What a list that is replaced loses is found later.
    fn admit(&self, set: &SyncSet) -> Result<(), Refusal> {
        let Some(mut scope) = ScopeCheck::of(&self.asked.caller, &self.policy) else { return Ok(()) };
        scope.terms(&set.terms);
        set.undone.iter().for_each(|undone| scope.summary(&undone.summary));
        for (number, entry) in set.entries.iter().enumerate() {
            let list = set.lists.get(usize::from(entry.list)).map_or("", String::as_str);
            let wish = set.wishes.get(entry.wish as usize);
            let until = |end: Option<Timestamp>| {
                end.map(|end| end.duration_since(self.now.wall).try_into().unwrap_or(Duration::ZERO))
            };
            let pointer = |key: &str| format!("/add/{number}{key}");
            match wish {
                Some(Wish::There(ttl, _)) => scope.addition(list, Some(entry.prefix), *ttl, &pointer),
                Some(Wish::Restored(was)) => scope.addition(list, Some(entry.prefix), until(was.expires), &pointer),
                Some(Wish::Was(was)) => scope.addition(list, Some(entry.prefix), until(was.expires), &pointer),
                Some(Wish::Gone) | None => scope.removal(list, Some(entry.prefix), &pointer),
            }
            if let Some((layer, owner)) = set.holders.get(usize::from(entry.holder)) {
                scope.holder(*layer, owner, &pointer);
            }
        }
        scope.finish()
    }
}

impl Comparison {
    /// A sync on what there is.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] and [`Refusal::WrongVerb`].
    pub fn new(base: SyncBase, mut set: SyncSet) -> Result<Self, Refusal> {
        let policy = &base.policy;
        base.admit(&set)?;
        let mut checked = check::check(&set.terms, policy)?;
        let mut problems = Problems::default();
        let mut indexes = Vec::new();
        let mut counts = vec![0; set.lists.len()];
        for entry in &set.entries {
            counts.get_mut(usize::from(entry.list)).into_iter().for_each(|count| *count += 1);
        }
        for (name, count) in set.lists.iter().zip(counts) {
            let index = policy.list_named(name);
            if index.is_none() {
                problems.add("lists that do not exist", || Problem {
                    pointer: String::new(),
                    detail: format!("{}; {} it", unknown_list(policy, name), counted_name(count)),
                });
            }
            indexes.push(index);
        }
        if !problems.is_empty() {
            return Err(Refusal::Invalid(problems));
        }
        if let Some(verb) = set.terms.verb {
            let all: BTreeSet<usize> = indexes.iter().flatten().copied().collect();
            all.into_iter().try_for_each(|index| check_verb(policy, index, verb))?;
        }
        checked.repeated = set.repeated;
        let person: Option<Arc<str>> = set.terms.person.as_deref().map(Arc::from);
        let fresh = set.wishes.iter().map(|wish| fresh(&base, wish, person.as_ref())).collect();
        let segments = segments(policy, &set, &indexes, &checked);
        set.lists.clear();
        Ok(Self { base, set, checked, segments, fresh })
    }

    /// How many entries are looked at, at most.
    pub(super) fn len(&self) -> usize {
        let of = |segment: &Segment| {
            let own = if segment.is_replaced {
                self.base.pushed.counts(&segment.name).iter().flatten().sum::<u64>() as usize
            } else {
                0
            };
            segment.end - segment.begin + own
        };
        self.segments.iter().map(of).sum()
    }

    /// Looks at up to `most` more: `visit` gets each with its list and the index of that. `false`: there are no more. How many were
    /// looked at, and the last prefix.
    pub(super) fn walk(
        &self,
        place: &mut SyncPlace,
        most: usize,
        mut visit: impl FnMut(&Name, usize, Said<'_>),
    ) -> (usize, Option<Prefix>) {
        let (mut steps, mut last) = (0, None);
        while let Some(segment) = self.segments.get(place.segment) {
            place.next = place.next.max(segment.begin);
            let wanted = self.set.entries.get(place.next..segment.end).unwrap_or_default();
            let mut wanted = wanted.iter().peekable();
            let after = place.own.take();
            let own = segment.is_replaced.then(|| self.base.pushed.entries_behind(&segment.name, after.clone()));
            let mut own = own.into_iter().flatten().map(|(holding, _)| holding).peekable();
            place.own = after;
            loop {
                let is_wanted_next = match (wanted.peek(), own.peek()) {
                    (None, None) => break,
                    (Some(wanted), own) => own.is_none_or(|own| wanted.prefix <= own.prefix),
                    (None, Some(_)) => false,
                };
                if steps == most {
                    return (steps, last);
                }
                steps += 1;
                if is_wanted_next {
                    let Some(entry) = wanted.next() else { break };
                    place.next += 1;
                    last = Some(entry.prefix);
                    visit(&segment.name, segment.index, Said::Wanted(entry));
                } else if let Some(holding) = own.next() {
                    place.own = Some(holding.clone());
                    last = Some(holding.prefix);
                    if self.is_own(holding) && self.last_wanted(segment, place.next) != Some(holding.prefix) {
                        visit(&segment.name, segment.index, Said::Gone(holding));
                    }
                }
            }
            *place = SyncPlace { segment: place.segment + 1, next: segment.end, own: None };
        }
        (steps, last)
    }

    /// Whether everything was looked at.
    pub(super) fn is_over(&self, place: &SyncPlace) -> bool {
        place.segment >= self.segments.len()
    }

    /// The changes that come of up to `most` more entries; how many were looked at, and the last prefix.
    pub(super) fn portion(&self, place: &mut SyncPlace, most: usize) -> (Vec<Change>, usize, Option<Prefix>) {
        let mut changes = Vec::new();
        let (steps, last) = self.walk(place, most, |list, _, said| match said {
            Said::Wanted(entry) => self.changes_of(list, entry, &self.base.pushed, &mut changes),
            Said::Gone(holding) => {
                changes.push(Change { list: list.clone(), holding: holding.clone(), entry: None });
            }
        });
        (changes, steps, last)
    }

    /// The prefix of the entry before `next`.
    fn last_wanted(&self, segment: &Segment, next: usize) -> Option<Prefix> {
        let last = next.checked_sub(1).filter(|last| *last >= segment.begin)?;
        self.set.entries.get(last).map(|entry| entry.prefix)
    }

    /// Whether replacing a list is about this entry.
    fn is_own(&self, holding: &Holding) -> bool {
        self.set.holders.first().is_some_and(|(layer, owner)| (holding.layer, &holding.owner) == (*layer, owner))
    }

    fn wish(&self, entry: &WantedEntry) -> &Wish {
        self.set.wishes.get(entry.wish as usize).unwrap_or(&Wish::Gone)
    }

    /// Whether an entry is to be taken out.
    pub(super) fn is_removal(&self, entry: &WantedEntry) -> bool {
        *self.wish(entry) == Wish::Gone
    }

    fn holding(&self, entry: &WantedEntry) -> Option<Holding> {
        let (layer, owner) = self.set.holders.get(usize::from(entry.holder))?;
        Some(Holding { prefix: entry.prefix, layer: *layer, owner: owner.clone() })
    }

    /// What `entry` makes of `runtime`: nothing when it is so already.
    pub(super) fn changes_of(&self, list: &Name, entry: &WantedEntry, runtime: &Runtime, into: &mut Vec<Change>) {
        let Some(own) = self.holding(entry) else { return };
        if self.is_removal(entry) {
            let at = |holding: Holding| Change { list: list.clone(), holding, entry: None };
            match &self.checked.whose {
                Whose::Own => into.extend(runtime.entry(list, &own).map(|_| at(own))),
                whose => into.extend(removed_of_others(runtime, list, entry.prefix, whose).map(at)),
            }
            return;
        }
        let known = runtime.entry(list, &own);
        if let Some(new) = self.entry_of(entry, known) {
            into.push(Change { list: list.clone(), holding: own, entry: Some(new) });
        }
    }

    /// What an entry becomes that was `known` so; `None` when it stays as it is.
    fn entry_of(&self, entry: &WantedEntry, known: Option<&Arc<RuntimeEntry>>) -> Option<Arc<RuntimeEntry>> {
        let fresh = self.fresh.get(entry.wish as usize)?.as_ref()?;
        let Some(known) = known else { return Some(Arc::clone(fresh)) };
        match self.wish(entry) {
            Wish::Was(was) => return (known != was).then(|| Arc::clone(was)),
            // What is there stays, unless what is restored ends later.
            Wish::Restored(_) => return ends_later(fresh, known).then(|| Arc::clone(fresh)),
            Wish::Gone | Wish::There(..) => {}
        }
        if (known.end(), &known.comment) == (fresh.end(), &fresh.comment) {
            return None;
        }
        Some(Arc::new(RuntimeEntry { created: known.created, ..RuntimeEntry::clone(fresh) }))
    }

    /// What a sync makes of an entry that is `known` so now, and was so or otherwise when it was compared; `None` when it says nothing
    /// of it.
    pub(super) fn of_now(
        &self,
        list: &Name,
        holding: &Holding,
        known: Option<&Arc<RuntimeEntry>>,
    ) -> Option<Option<Arc<RuntimeEntry>>> {
        // What others have made of a push meanwhile stays.
        if self.set.undone.is_some() { None } else { self.made_of(list, holding, known) }
    }

    /// What it makes of an entry as that was when it was compared.
    pub(super) fn of_base(&self, list: &Name, holding: &Holding) -> Option<Option<Arc<RuntimeEntry>>> {
        self.made_of(list, holding, self.base.pushed.entry(list, holding))
    }

    fn made_of(
        &self,
        list: &Name,
        holding: &Holding,
        known: Option<&Arc<RuntimeEntry>>,
    ) -> Option<Option<Arc<RuntimeEntry>>> {
        let segment = self.segments.iter().find(|segment| segment.name == *list)?;
        let entries = self.set.entries.get(segment.begin..segment.end)?;
        let first = entries.partition_point(|entry| entry.prefix < holding.prefix);
        let its = entries.iter().skip(first).take_while(|entry| entry.prefix == holding.prefix);
        for entry in its {
            let is_its = self.holding(entry).as_ref() == Some(holding);
            match (self.is_removal(entry), &self.checked.whose) {
                (true, Whose::Own) if is_its => return Some(None),
                (true, whose) if *whose != Whose::Own && is_of(holding, whose) => return Some(None),
                (false, _) if is_its => {
                    return Some(self.entry_of(entry, known).or_else(|| known.cloned()));
                }
                _ => {}
            }
        }
        (segment.is_replaced && self.is_own(holding)).then_some(None)
    }

    /// Lists that are replaced, with how many entries of the caller they have.
    pub(super) fn replaced(&self) -> impl Iterator<Item = (&Name, usize)> {
        let replaced = self.segments.iter().filter(|segment| segment.is_replaced);
        replaced.map(|segment| {
            let own = self.base.pushed.entries(&segment.name).filter(|(holding, _)| self.is_own(holding));
            (&segment.name, own.count())
        })
    }

    /// Indexes of its lists.
    pub(super) fn lists(&self) -> impl Iterator<Item = usize> {
        self.segments.iter().map(|segment| segment.index)
    }

    /// Entries that an export had and whose time is over.
    pub(super) fn overdue(&self) -> usize {
        let is_over = |entry: &&WantedEntry| {
            !self.is_removal(entry) && self.fresh.get(entry.wish as usize).is_some_and(Option::is_none)
        };
        self.set.entries.iter().filter(is_over).count()
    }
}

/// The lists of a sync in its order, then those that it empties.
fn segments(policy: &Policy, set: &SyncSet, indexes: &[Option<usize>], checked: &CheckedPush) -> Vec<Segment> {
    let name_of = |index: usize| policy.lists.get(index).map(|list| list.name.clone());
    let said = indexes.iter().enumerate().filter_map(|(number, index)| {
        let (index, number) = ((*index)?, u16::try_from(number).ok()?);
        let begin = set.entries.partition_point(|entry| entry.list < number);
        let end = set.entries.partition_point(|entry| entry.list <= number);
        let is_replaced = checked.replace.contains(&index);
        Some(Segment { name: name_of(index)?, index, number: Some(number), begin, end, is_replaced })
    });
    let mut segments: Vec<Segment> = said.collect();
    let all = set.entries.len();
    for index in &checked.replace {
        if segments.iter().all(|segment| segment.index != *index) {
            let name = name_of(*index);
            segments.extend(name.map(|name| Segment {
                name,
                index: *index,
                number: None,
                begin: all,
                end: all,
                is_replaced: true,
            }));
        }
    }
    segments.sort_by_key(|segment| (segment.number.is_none(), segment.number));
    segments
}

/// What an entry becomes by `wish` that was not there before.
fn fresh(base: &SyncBase, wish: &Wish, person: Option<&Arc<str>>) -> Option<Arc<RuntimeEntry>> {
    let SyncBase { clock, now, .. } = base;
    let era_of = |expires: Option<Timestamp>| if expires.is_some() { clock.era() } else { 0 };
    Some(Arc::new(match wish {
        Wish::Gone => return None,
        Wish::Was(was) => return Some(Arc::clone(was)),
        Wish::There(ttl, comment) => {
            let expires = ttl.map(|ttl| clock.latest(*now).checked_add(ttl).unwrap_or(Timestamp::MAX));
            let (person, comment) = (person.cloned(), comment.clone());
            RuntimeEntry { person, comment, created: now.wall, expires, era: era_of(expires) }
        }
        Wish::Restored(RestoredEntry { person, comment, created, expires }) => {
            if expires.is_some_and(|expires| expires <= now.wall) {
                return None;
            }
            let (person, comment) = (person.clone(), comment.clone());
            RuntimeEntry { person, comment, created: *created, expires: *expires, era: era_of(*expires) }
        }
    }))
}

/// Whether one ends later than another one.
fn ends_later(one: &RuntimeEntry, other: &RuntimeEntry) -> bool {
    other.expires.is_some_and(|other| one.expires.is_none_or(|one| one > other))
}

fn is_of(holding: &Holding, whose: &Whose) -> bool {
    Layer::OF_PEOPLE.contains(&holding.layer)
        && match whose {
            Whose::Of(owner) => holding.owner == *owner,
            Whose::Own | Whose::Anybody => true,
        }
}

fn removed_of_others<'a>(
    runtime: &'a Runtime,
    list: &'a Name,
    prefix: Prefix,
    whose: &'a Whose,
) -> impl Iterator<Item = Holding> + 'a {
    runtime.at(list, prefix).map(|(holding, _)| holding).filter(|holding| is_of(holding, whose)).cloned()
}

fn counted_name(count: usize) -> String {
    if count == 1 { "1 entry names".to_owned() } else { format!("{} name", counted(count, "entry")) }
}
