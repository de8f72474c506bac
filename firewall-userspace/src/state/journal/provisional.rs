//! A push that is undone unless it is confirmed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    clock::{deadline::Until, reckoning::Turn},
    lists::{
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
    before: BTreeMap<(Name, Holding), Option<RuntimeEntry>>,
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
        self.before.iter().map(|((list, holding), entry)| (list, holding, entry.as_ref()))
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
        if let Some(earlier) = earlier.filter(|earlier| earlier.generation == self.generation) {
            for (key, before) in &mut self.before {
                let known = earlier.before.get(key).and_then(|known| known.as_ref());
                before.iter_mut().zip(known).for_each(|(before, known)| before.era = known.era);
            }
            return;
        }
        for ((list, holding), before) in &mut self.before {
            let known = runtime.entry(list, holding);
            if let Some((before, known)) =
                before.as_mut().zip(known).filter(|(one, known)| one.expires == known.expires)
            {
                before.era = known.era;
            }
        }
    }

    /// The clock is known better.
    pub(super) fn follow(&mut self, turn: &Turn, is_denied: impl Fn(&Name) -> bool) {
        for ((list, ..), before) in &mut self.before {
            before.iter_mut().for_each(|entry| {
                entry.follow(turn, is_denied(list));
            });
        }
    }

    /// Everything that ends does so earlier.
    pub(super) fn bring_forward(&mut self, by_ns: u64) {
        self.before.values_mut().flatten().for_each(|entry| entry.bring_forward(by_ns));
    }

    /// What makes `runtime` what it was, without what is over by `now`, the earliest time that can be believed.
    pub fn undo(&self, runtime: &Runtime, now: Timestamp) -> Vec<Change> {
        let lives = |entry: &&RuntimeEntry| entry.expires.is_none_or(|expires| expires > now);
        let change = |((list, holding), before): (&(Name, Holding), &Option<RuntimeEntry>)| {
            let before = before.as_ref().filter(lives);
            let change = Change { list: list.clone(), holding: holding.clone(), entry: before.cloned() };
            (runtime.entry(list, holding) != before).then_some(change)
        };
        self.before.iter().filter_map(change).collect()
    }
}
