//! Taking a push of very many entries back, as a sync does: what the push has changed, and nobody since, becomes what it was.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    compare::{Comparison, SyncBase},
    set::{SyncSet, WantedEntry, Wish},
};
use crate::{
    control::{KeptEntry, Push, PushSummary, Pushed, Refusal, Undo},
    controller::{
        footprint::{Footmark, Footprint},
        push::{
            check::check_person,
            undo::{self, Fate},
        },
    },
    lists::{entry::Holding, pushed::Runtime},
    policy::Name,
    text::few::Few,
};

/// A push and what it has changed.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Undoing {
    pub(in crate::controller) summary: PushSummary,
    pub(in crate::controller) footprint: Arc<Footprint>,
}

/// What is told of a push that is taken back.
#[derive(Debug)]
pub(in crate::controller) struct Undone {
    pub(in crate::controller) summary: PushSummary,
    /// Entries that stay as they are.
    pub(in crate::controller) kept: Few<KeptEntry>,
}

impl SyncSet {
    /// What takes back the push that `base` knows for that.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub fn undoing(base: &mut SyncBase, undo: &Undo) -> Result<Self, Refusal> {
        check_person(undo.person.as_deref())?;
        let terms = Push { person: undo.person.clone(), ..Push::default() }.on(undo.terms());
        let mut set = Self {
            terms,
            lists: Vec::new(),
            holders: Vec::new(),
            wishes: Vec::new(),
            entries: Vec::new(),
            repeated: 0,
            undone: None,
        };
        let Some(Undoing { summary, footprint }) = base.asked.undoing.take() else { return Ok(set) };
        set.lists = footprint.lists.iter().map(Name::to_string).collect();
        set.holders.clone_from(&footprint.holders);
        set.wishes = footprint.values.iter().map(|(_, value)| Wish::Was(Arc::clone(value))).collect();
        let gone = set.wishes.len() as u32;
        set.wishes.push(Wish::Gone);
        let earliest = base.clock.earliest(base.now);
        let mut kept = Few::default();
        for (Footmark { prefix, list, holder, before, .. }, (name, holding, was, left)) in footprint.marks() {
            let live = base.pushed.entry(name, &holding);
            let Fate { back, why } = undo::fate([was, left], live, earliest);
            if let Some(why) = why {
                kept.add("entries", || undo::told(name, &holding, why));
            }
            if let Some(back) = back {
                let wish = if back.is_some() { *before } else { gone };
                set.entries.push(WantedEntry { list: *list, prefix: *prefix, holder: *holder, wish });
            }
        }
        set.entries.sort_unstable();
        set.undone = Some(Box::new(Undone { summary, kept }));
        Ok(set)
    }
}

impl Comparison {
    /// The push that is taken back, and what stays of it.
    pub(super) fn undone(&self) -> Option<&Undone> {
        self.set.undone.as_deref()
    }

    /// What others have `touched` of a push while it is taken back stays as they left it, in `live`, and is named.
    pub(super) fn keep_touched(&self, touched: &BTreeSet<(Name, Holding)>, live: &Runtime, pushed: &mut Pushed) {
        let Some(Undone { kept, .. }) = self.undone() else { return };
        let mut kept = kept.clone();
        for (list, holding) in touched {
            let was = self.base.pushed.entry(list, holding);
            if self.of_base(list, holding).is_none_or(|wanted| wanted.as_ref() == was) {
                continue;
            }
            let live = live.entry(list, holding);
            kept.add("entries", || undo::told(list, holding, undo::why_kept(live, was, self.base.now.wall)));
        }
        (pushed.kept_count, pushed.kept) = (kept.len(), kept.first().to_vec());
    }
}
