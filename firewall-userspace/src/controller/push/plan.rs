//! What a push changes of the entries that are there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::check::{CheckedAddition, CheckedPush, Whose};
use crate::{
    clock::{Now, reckoning::Reckoning},
    control::{Caller, EntryChange, EntryChangeKind, Pushed},
    controller::Core,
    datapath::Filter,
    lists::{
        alike::Alike,
        change::Change,
        entry::{Holding, Layer, Owner},
        pushed::{Runtime, RuntimeEntry},
    },
    policy::{Name, Prefix},
    state::{disk::Disk, journal::Provisional},
    text::few::Few,
};

/// What a push changes.
pub(super) struct Plan {
    /// How much of it.
    pub(super) pushed: Pushed,
    /// Every change.
    pub(super) changes: Vec<Change>,
    /// The first of them, as they are shown.
    pub(super) shown: Few<EntryChange>,
}

impl Plan {
    /// What `checked` changes when `caller` pushes it at `now`.
    pub(super) fn of<F: Filter, D: Disk>(
        core: &Core<F, D>,
        checked: &CheckedPush,
        caller: &Caller,
        person: Option<&str>,
        now: Now,
    ) -> Self {
        let clock = core.lists.clock();
        let mut planner = Planner {
            runtime: core.lists.pushed(),
            holder: (checked.layer, Owner::from(&*caller.name)),
            waits: core.keeper.provisional(),
            parts: Parts { person: person.map(Arc::from), comments: BTreeMap::new(), alike: Alike::default() },
            clock,
            now,
            plan: Self { pushed: Pushed::default(), changes: Vec::new(), shown: Few::default() },
        };
        planner.plan.changes.reserve(checked.add.len() + checked.remove.len());
        planner.plan.pushed.unchanged = checked.repeated;
        let lists = &core.in_force.policy.lists;
        for addition in &checked.add {
            if let Some(list) = lists.get(addition.list) {
                planner.add(&list.name, addition);
            }
        }
        for (index, prefix) in &checked.remove {
            if let Some(list) = lists.get(*index) {
                planner.remove(&list.name, *prefix, &checked.whose);
            }
        }
        let mut plan = planner.plan;
        if checked.repeated > 0 {
            plan.pushed.notes.push(format!("{}: the longest time to live counts", repeated(checked.repeated)));
        }
        let lists_added: BTreeSet<usize> = checked.add.iter().map(|add| add.list).collect();
        for index in lists_added {
            if let Some(list) = lists.get(index).filter(|_| !core.in_force.policy.uses_list(index)) {
                plan.pushed.notes.push(format!("no service uses the list `{}`", list.name));
            }
        }
        plan
    }
}

/// Words for prefixes that stand in a push more than once.
pub(in crate::controller) fn repeated(count: usize) -> String {
    match count {
        1 => "1 prefix stands in the push once more".to_owned(),
        count => format!("{count} times a prefix stands in the push once more"),
    }
}

/// What entries of a push share.
struct Parts<'a> {
    person: Option<Arc<str>>,
    comments: BTreeMap<&'a str, Arc<str>>,
    /// Those that are alike are one.
    alike: Alike,
}

/// Finds out what becomes of each entry.
struct Planner<'a> {
    runtime: &'a Runtime,
    /// Who pushes.
    holder: (Layer, Owner),
    /// A push that may still be undone.
    waits: Option<&'a Provisional>,
    parts: Parts<'a>,
    clock: &'a Reckoning,
    now: Now,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn add(&mut self, list: &Name, addition: &'a CheckedAddition) {
        let holding = self.own(addition.prefix);
        let known = self.runtime.entry(list, &holding);
        let comment = addition
            .comment
            .as_deref()
            .map(|comment| Arc::clone(self.parts.comments.entry(comment).or_insert_with(|| Arc::from(comment))));
        let entry = self.parts.alike.one(RuntimeEntry {
            person: self.parts.person.clone(),
            comment,
            created: known.map_or(self.now.wall, |entry| entry.created),
            expires: addition.ttl.map(|ttl| self.clock.latest(self.now).checked_add(ttl).unwrap_or(Timestamp::MAX)),
            era: if addition.ttl.is_some() { self.clock.era() } else { 0 },
        });
        let kind = match known {
            None => EntryChangeKind::Added,
            Some(known) if (known.end(), &known.comment) == (entry.end(), &entry.comment) => {
                self.plan.pushed.unchanged += 1;
                // What is asked for again stays when a push is undone that asked for it before.
                if self.waits.is_some_and(|waits| waits.has(list, &holding)) {
                    self.plan.changes.push(Change { list: list.clone(), holding, entry: Some(entry) });
                }
                return;
            }
            Some(_) => EntryChangeKind::Refreshed,
        };
        self.change(list, holding, Some(entry), kind);
    }

    /// How the one who pushes holds `prefix`.
    fn own(&self, prefix: Prefix) -> Holding {
        let (layer, owner) = self.holder.clone();
        Holding { prefix, layer, owner }
    }

    fn remove(&mut self, list: &Name, prefix: Prefix, whose: &Whose) {
        let own = self.own(prefix);
        let held: Vec<Holding> = match whose {
            Whose::Own => self.runtime.entry(list, &own).map(|_| own).into_iter().collect(),
            Whose::Of(_) | Whose::Anybody => {
                let is_meant = |one: &Holding| match whose {
                    Whose::Of(owner) => one.owner == *owner,
                    _ => true,
                };
                let at = self.runtime.at(list, prefix).map(|(one, _)| one);
                at.filter(|one| Layer::OF_PEOPLE.contains(&one.layer) && is_meant(one)).cloned().collect()
            }
        };
        if held.is_empty() {
            self.plan.pushed.unchanged += 1;
        }
        for holding in held {
            self.change(list, holding, None, EntryChangeKind::Removed);
        }
    }

    fn change(&mut self, list: &Name, holding: Holding, entry: Option<Arc<RuntimeEntry>>, change: EntryChangeKind) {
        let (count, kind) = match change {
            EntryChangeKind::Added => (&mut self.plan.pushed.added, "added"),
            EntryChangeKind::Refreshed => (&mut self.plan.pushed.refreshed, "refreshed"),
            EntryChangeKind::Removed => (&mut self.plan.pushed.removed, "removed"),
        };
        *count += 1;
        self.plan.shown.add(kind, || EntryChange { list: list.to_string(), prefix: holding.prefix, change });
        self.plan.changes.push(Change { list: list.clone(), holding, entry });
    }
}
