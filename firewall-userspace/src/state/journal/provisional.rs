//! A push that is undone unless it is confirmed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    clock::deadline::Until,
    lists::{
        change::Change,
        entry::Layer,
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
    before: BTreeMap<(Name, Prefix, Layer), Option<RuntimeEntry>>,
}

impl Provisional {
    /// A push that found these entries.
    pub fn new(
        generation: u64,
        owner: String,
        until: Until,
        before: impl IntoIterator<Item = (Name, Prefix, Layer, Option<RuntimeEntry>)>,
    ) -> Self {
        let before = before.into_iter().map(|(list, prefix, layer, entry)| ((list, prefix, layer), entry)).collect();
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
    pub fn before(&self) -> impl Iterator<Item = (&Name, Prefix, Layer, Option<&RuntimeEntry>)> {
        self.before.iter().map(|((list, prefix, layer), entry)| (list, *prefix, *layer, entry.as_ref()))
    }

    /// A later push has changed this entry: it is not put back.
    pub(super) fn leave(&mut self, list: &Name, prefix: Prefix, layer: Layer) {
        self.before.remove(&(list.clone(), prefix, layer));
    }

    /// Everything that ends does so earlier.
    pub(super) fn bring_forward(&mut self, by_ns: u64) {
        self.before.values_mut().flatten().for_each(|entry| entry.bring_forward(by_ns));
    }

    /// What makes `runtime` what it was, without what is over by `now`.
    pub fn undo(&self, runtime: &Runtime, now: Timestamp) -> Vec<Change> {
        let lives = |entry: &&RuntimeEntry| entry.expires.is_none_or(|expires| expires > now);
        let change = |((list, prefix, layer), before): (&(Name, Prefix, Layer), &Option<RuntimeEntry>)| {
            let before = before.as_ref().filter(lives);
            let change = Change { list: list.clone(), prefix: *prefix, layer: *layer, entry: before.cloned() };
            (runtime.entry(list, *prefix, *layer) != before).then_some(change)
        };
        self.before.iter().filter_map(change).collect()
    }
}
