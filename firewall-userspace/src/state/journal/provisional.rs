//! A push that is undone unless it is confirmed.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    clock::{deadline::Until, reckoning::Turn},
    lists::{
        alike::Alike,
        change::Change,
        entry::{Holding, Layer, Owner},
        pushed::{Runtime, RuntimeEntry},
    },
    policy::{Name, Prefix},
};

/// What a push that waits for a confirmation has changed, as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisional {
    /// Generation that the push made.
    pub generation: u64,
    /// Who pushed.
    pub owner: String,
    /// When it is undone.
    pub until: Until,
    before: BTreeMap<(Name, Holding), Option<Arc<RuntimeEntry>>>,
}

impl Provisional {
    /// A push that found these entries.
    pub fn new(generation: u64, owner: String, until: Until, before: impl IntoIterator<Item = Change>) -> Self {
        let before = before.into_iter().map(|Change { list, holding, entry }| ((list, holding), entry)).collect();
        Self { generation, owner, until, before }
    }

    /// How many entries it would put back.
    pub fn len(&self) -> usize {
        self.before.len()
    }

    /// Whether it would put back none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// The entries as they were.
    pub fn before(&self) -> impl Iterator<Item = (&Name, &Holding, Option<&RuntimeEntry>)> {
        self.before.iter().map(|((list, holding), entry)| (list, holding, entry.as_deref()))
    }

    /// Whether it would put this entry back, or take it out.
    pub fn has(&self, list: &Name, holding: &Holding) -> bool {
        self.before.contains_key(&(list.clone(), holding.clone()))
    }

    /// A later push has changed this entry: it is not put back.
    pub(super) fn leave(&mut self, list: &Name, holding: &Holding) {
        self.before.remove(&(list.clone(), holding.clone()));
    }

    /// The same for all holders in a layer.
    pub(super) fn leave_all(&mut self, list: &Name, prefix: Prefix, layer: Layer) {
        let first = (list.clone(), Holding { prefix, layer, owner: Owner::default() });
        let behind = self.before.range(first..).map(|(key, _)| key);
        let its = behind.take_while(|(of, holding)| of == list && (holding.prefix, holding.layer) == (prefix, layer));
        for key in its.cloned().collect::<Vec<_>>() {
            self.before.remove(&key);
        }
    }

    /// Finds out whose clocks the ends of entries are by, from `runtime` as the push found it, or from what was kept of it before.
    pub(super) fn recognise(&mut self, runtime: &Runtime, earlier: Option<&Self>) {
        let mut alike = Alike::default();
        if let Some(earlier) = earlier.filter(|earlier| earlier.generation == self.generation) {
            for (key, before) in &mut self.before {
                let known = earlier.before.get(key).and_then(|known| known.as_ref());
                let both = before.iter_mut().zip(known);
                both.for_each(|(before, known)| alike.change(before, |before| before.era = known.era));
            }
            return;
        }
        for ((list, holding), before) in &mut self.before {
            let known = runtime.entry(list, holding);
            if let Some((before, known)) =
                before.as_mut().zip(known).filter(|(one, known)| one.expires == known.expires)
            {
                alike.change(before, |before| before.era = known.era);
            }
        }
    }

    /// The clock is known better.
    pub(super) fn follow(&mut self, turn: &Turn, is_denied: impl Fn(&Name) -> bool) {
        let mut alike = Alike::default();
        for ((list, ..), before) in &mut self.before {
            let is_denied = is_denied(list);
            before.iter_mut().for_each(|entry| {
                alike.change(entry, |entry| {
                    entry.follow(turn, is_denied);
                });
            });
        }
    }

    /// Everything that ends does so earlier.
    pub(super) fn bring_forward(&mut self, by_ns: u64) {
        let mut alike = Alike::default();
        let entries = self.before.values_mut().flatten();
        entries.for_each(|entry| alike.change(entry, |entry| entry.bring_forward(by_ns)));
    }

    /// Everything that ends does so by a right clock.
    pub(super) fn forget_eras(&mut self) {
        let mut alike = Alike::default();
        let entries = self.before.values_mut().flatten().filter(|entry| entry.era != 0);
        entries.for_each(|entry| alike.change(entry, |entry| entry.era = 0));
    }

    /// What makes `runtime` what it was, without what is over by `now`, the earliest time that can be believed.
    pub fn undo(&self, runtime: &Runtime, now: Timestamp) -> Vec<Change> {
        let lives = |entry: &&Arc<RuntimeEntry>| entry.expires.is_none_or(|expires| expires > now);
        let change = |((list, holding), before): (&(Name, Holding), &Option<Arc<RuntimeEntry>>)| {
            let before = before.as_ref().filter(lives);
            let change = Change { list: list.clone(), holding: holding.clone(), entry: before.cloned() };
            (runtime.entry(list, holding) != before).then_some(change)
        };
        self.before.iter().filter_map(change).collect()
    }
}
