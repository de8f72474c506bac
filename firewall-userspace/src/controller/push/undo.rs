//! Taking a push back: what it has changed, and nobody since, becomes what it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    Checked, PushAnswer, Staged,
    check::{self, CheckedAddition, CheckedPush, Whose},
    plan::Plan,
};
use crate::{
    clock::{Now, deadline::Until},
    control::{Caller, EntryChange, EntryChangeKind, KeptEntry, NotUndoable, Push, PushSummary, Pushed, Refusal, Undo},
    controller::{Core, footprint::Footprint, scope::ScopeCheck, sight::Sight},
    datapath::Filter,
    lists::{
        change::Change,
        entry::{Holding, Layer},
        pushed::RuntimeEntry,
    },
    policy::{Name, Policy},
    state::disk::Disk,
    text::{few::Few, problem::Problems},
};

impl<F: Filter, D: Disk> Core<F, D> {
    /// Takes a push back. That is a change as a push is: guards are asked, it is kept before it filters, and it can be taken back.
    pub(in crate::controller) fn undo(&mut self, caller: &Caller, undo: &Undo, now: Now) -> PushAnswer {
        self.expect_lists(undo.expect)?;
        let push = Push { person: undo.person.clone(), ..Push::default() }.on(undo.terms());
        check::check_person(push.person.as_deref())?;
        let confirm = self.admit_provisional(&push, now)?;
        let revision = undo.revision;
        let plan = self.plan_undo(revision, now).map_err(|why| Refusal::NotUndoable { revision, why })?;
        if let Some(mut scope) = ScopeCheck::of(caller, &self.in_force.policy) {
            scope.terms(&push);
            plan.pushed.undone.iter().for_each(|summary| scope.summary(summary));
            scope.changes(&plan.changes, now.wall)?;
        }
        self.admit_eras(&plan.changes, confirm.is_some())?;
        let checked = checked(&self.in_force.policy, &plan.changes);
        let sight = Sight::about(plan.changes.iter().map(|change| change.holding.prefix));
        let (pushed, applied, changes, forced) = match self.try_out(&checked, &push, plan, Vec::new(), &sight)? {
            Checked::Answered(pushed) => return Ok(pushed),
            Checked::Staged(pushed, applied, changes, forced) => (pushed, applied, changes, forced),
        };
        let until = confirm.map(|length| Until::after(length, now));
        let mut staged = [Staged::new(0, caller.clone(), push.person, (pushed, forced), applied, changes)];
        self.carry_out_pushes(&mut staged, until, now)?;
        let [staged] = staged;
        let (_, pushed) = self.acknowledge(staged, until, now);
        if pushed.changes_anything() {
            self.undoable.log.undone(revision, pushed.revision);
            tracing::info!(revision = pushed.revision, of = revision, kept = pushed.kept_count, "undid a push");
        }
        Ok(pushed)
    }

    /// A push that can be taken back, and what it has changed.
    pub(in crate::controller) fn find_undoable(
        &self,
        revision: u64,
        now: Now,
    ) -> Result<(&PushSummary, &Arc<Footprint>), NotUndoable> {
        if let Some(pending) = self.pending(now).filter(|_| self.undoable.log.waits(revision)) {
            return Err(NotUndoable::Waits(Box::new(pending)));
        }
        self.undoable.log.find(revision, self.in_force.revision())
    }

    /// What makes the entries of a push what they were, and which stay.
    fn plan_undo(&self, revision: u64, now: Now) -> Result<Plan, NotUndoable> {
        let (summary, footprint) = self.find_undoable(revision, now)?;
        let pushed = Pushed { undone: Some(summary.clone()), ..Pushed::default() };
        let mut plan = Plan { pushed, changes: Vec::with_capacity(footprint.len()), shown: Few::default() };
        let earliest = self.lists.clock().earliest(now);
        let mut kept = Few::default();
        for (list, holding, before, after) in footprint.entries() {
            let live = self.lists.pushed().entry(list, &holding);
            let Fate { back, why } = fate([before, after], live, earliest);
            if let Some(why) = why {
                kept.add("entries", || told(list, &holding, why));
            }
            if let Some(back) = back {
                plan.put_back(list, holding, live, back);
            }
        }
        plan.pushed.kept_count = kept.len();
        plan.pushed.kept = kept.first().to_vec();
        Ok(plan)
    }

    /// The journal tells the ends of entries that another clock was about in records of their own, which do not wait for a
    /// confirmation.
    fn admit_eras(&self, changes: &[Change], waits: bool) -> Result<(), Refusal> {
        let era = self.lists.clock().era();
        let is_of_another = |change: &Change| change.entry.as_ref().is_some_and(|entry| entry.is_of_another_era(era));
        if waits && changes.iter().any(is_of_another) {
            let detail = "entries would come back whose ends are by another clock than that of now, which is in doubt; \
                          without a confirmation they can";
            return Err(Refusal::Invalid(Problems::one("/confirm", detail)));
        }
        Ok(())
    }
}

impl Plan {
    /// Makes an entry what it was.
    fn put_back(
        &mut self,
        list: &Name,
        holding: Holding,
        live: Option<&Arc<RuntimeEntry>>,
        back: Option<&Arc<RuntimeEntry>>,
    ) {
        let (kind, change, count) = match (live, back) {
            (None, None) => return,
            (None, Some(_)) => ("added", EntryChangeKind::Added, &mut self.pushed.added),
            (Some(_), Some(_)) => ("refreshed", EntryChangeKind::Refreshed, &mut self.pushed.refreshed),
            (Some(_), None) => ("removed", EntryChangeKind::Removed, &mut self.pushed.removed),
        };
        *count += 1;
        self.shown.add(kind, || EntryChange { list: list.to_string(), prefix: holding.prefix, change });
        self.changes.push(Change { list: list.clone(), holding, entry: back.cloned() });
    }
}

/// What becomes of an entry of a push that is taken back.
pub(in crate::controller) struct Fate<'a> {
    /// What it is made; `None`: it stays as it is.
    pub(in crate::controller) back: Option<Option<&'a Arc<RuntimeEntry>>>,
    /// Why that is not what it was.
    pub(in crate::controller) why: Option<&'static str>,
}

/// What becomes of an entry that is `live` now, of which a push has made `after` from `before`.
pub(in crate::controller) fn fate<'a>(
    [before, after]: [Option<&'a Arc<RuntimeEntry>>; 2],
    live: Option<&Arc<RuntimeEntry>>,
    now: Timestamp,
) -> Fate<'a> {
    if live != after {
        return Fate { back: None, why: Some(why_kept(live, after, now)) };
    }
    let back = before.filter(|entry| entry.expires.is_none_or(|expires| expires > now));
    let is_over = back.is_none() && before.is_some();
    Fate { back: Some(back), why: is_over.then_some("does not come back: its time is over") }
}

/// An entry that stays as it is.
pub(in crate::controller) fn told(list: &Name, Holding { prefix, layer, owner }: &Holding, detail: &str) -> KeptEntry {
    let (list, owner, detail) = (list.to_string(), owner.to_string(), detail.to_owned());
    KeptEntry { list, prefix: *prefix, layer: *layer, owner, detail }
}

/// Why an entry is left alone that is not what the push made of it.
pub(in crate::controller) fn why_kept(
    live: Option<&Arc<RuntimeEntry>>,
    after: Option<&Arc<RuntimeEntry>>,
    now: Timestamp,
) -> &'static str {
    match (live, after) {
        (None, Some(after)) if after.expires.is_some_and(|expires| expires <= now) => "stays out: it has ended since",
        (None, _) => "stays out: it was removed, or has ended, since",
        (Some(_), None) => "stays: it was added again since",
        (Some(_), Some(_)) => "stays as it is: it was pushed again since",
    }
}

/// The same changes, as a push would ask for them: each prefix of a list once. Lists that are not configured now are nobody's.
fn checked(policy: &Policy, changes: &[Change]) -> CheckedPush {
    let indexes: BTreeMap<&Name, usize> =
        policy.lists.iter().enumerate().map(|(index, list)| (&list.name, index)).collect();
    let (mut add, mut remove) = (BTreeSet::new(), BTreeSet::new());
    for Change { list, holding, entry } in changes {
        if let Some(index) = indexes.get(list) {
            let into = if entry.is_some() { &mut add } else { &mut remove };
            into.insert((*index, holding.prefix));
        }
    }
    let addition = |(list, prefix)| CheckedAddition { list, prefix, ttl: None, comment: None };
    CheckedPush {
        add: add.into_iter().map(addition).collect(),
        remove: remove.into_iter().collect(),
        layer: Layer::Runtime,
        whose: Whose::Own,
        replace: BTreeSet::new(),
        repeated: 0,
    }
}
