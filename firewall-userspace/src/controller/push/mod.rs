//! Changes of layers by pushes: checked, kept, then carried out.
//!
//! In: pushes with their callers. Out: an answer for each. Whatever refuses a push, the lists, the disk and what filters are as
//! before; the inverse that [`Lists::apply`](crate::lists::Lists::apply) gave is what undoes it.

mod answers;
pub(super) mod check;
mod plan;
pub(super) mod undo;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub(super) use self::plan::repeated;
use self::{check::CheckedPush, plan::Plan};
use super::{
    Core,
    asked::confirm_within,
    footprint::NOT_REMEMBERED,
    forced::Forced,
    scope::ScopeCheck,
    sight::Sight,
    waiting::{Awaited, Waiting},
};
use crate::{
    clock::{
        Now,
        deadline::{Deadline, Until},
    },
    control::{Caller, Push, Pushed, Refusal},
    datapath::Filter,
    lists::{Applied, change::Change, pushed::RuntimeEntry},
    logging,
    policy::Prefix,
    preview::guard::Harm,
    state::{disk::Disk, journal::Provisional},
};

type PushAnswer = Result<Pushed, Refusal>;

/// A push that is in the lists and not in what filters yet.
struct Staged {
    /// Its place among the pushes.
    index: usize,
    caller: Caller,
    /// Who that is in person, as the client says.
    person: Option<String>,
    pushed: Pushed,
    applied: Applied,
    /// What it makes of the entries, in the order of the changes.
    after: Vec<Option<Arc<RuntimeEntry>>>,
    changes: Vec<Change>,
    forced: Forced,
}

impl Staged {
    fn new(
        index: usize,
        caller: Caller,
        person: Option<String>,
        (pushed, forced): (Pushed, Forced),
        applied: Applied,
        changes: Vec<Change>,
    ) -> Self {
        let after = changes.iter().map(|change| change.entry.clone()).collect();
        Self { index, caller, person, pushed, applied, after, changes, forced }
    }
}

/// What checking a push came to.
enum Checked {
    /// Nothing is to be done.
    Answered(Pushed),
    /// It is in the lists.
    Staged(Pushed, Applied, Vec<Change>, Forced),
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// Carries out pushes in their order; an answer for each. Each one is all or nothing; all are kept by one write before any
    /// is answered, but those that are to be confirmed each by one of its own.
    pub(super) fn push_all(&mut self, pushes: Vec<(Caller, Push)>, now: Now) -> Vec<PushAnswer> {
        let mut answers = Vec::with_capacity(pushes.len());
        let mut batch = Vec::new();
        for (caller, push) in pushes {
            // What is expected is held against what is in force, not against pushes of the same batch.
            if (push.confirm.is_none() || push.dry_run) && push.expect.is_none() {
                batch.push((caller, push));
                continue;
            }
            answers.extend(self.push_batch(std::mem::take(&mut batch), None, now));
            match self.admit_provisional(&push, now) {
                Ok(length) => answers.extend(self.push_batch(vec![(caller, push)], length, now)),
                Err(refusal) => answers.push(Err(refusal)),
            }
        }
        answers.extend(self.push_batch(batch, None, now));
        answers
    }

    /// How long a push waits that is to be confirmed, when nothing else does; `None` when it does not wait.
    fn admit_provisional(&self, push: &Push, now: Now) -> Result<Option<Duration>, Refusal> {
        match self.pending(now) {
            _ if push.confirm.is_some() && !push.dry_run && self.undoable.sync.is_some() => Err(Refusal::SyncUnderway),
            Some(pending) if push.confirm.is_some() && !push.dry_run => Err(Refusal::Pending(Box::new(pending))),
            _ => Ok(confirm_within(push.confirm.as_deref())?.filter(|_| !push.dry_run)),
        }
    }

    /// Carries out pushes; with a length of time there is one, and it waits so long for a confirmation.
    fn push_batch(&mut self, pushes: Vec<(Caller, Push)>, confirm: Option<Duration>, now: Now) -> Vec<PushAnswer> {
        let mut answers: BTreeMap<usize, PushAnswer> = BTreeMap::new();
        let mut staged: Vec<Staged> = Vec::new();
        let sight = Sight::of(pushes.iter().map(|(_, push)| push));
        for (index, (caller, push)) in pushes.into_iter().enumerate() {
            match self.stage(&caller, &push, &sight, now) {
                Ok(Checked::Staged(pushed, applied, changes, forced)) => {
                    staged.push(Staged::new(index, caller, push.person, (pushed, forced), applied, changes));
                }
                Ok(Checked::Answered(pushed)) => drop(answers.insert(index, Ok(pushed))),
                Err(refusal) => drop(answers.insert(index, Err(refusal))),
            }
        }
        let until = confirm.map(|length| Until::after(length, now));
        match self.carry_out_pushes(&mut staged, until, now) {
            Ok(()) => answers.extend(staged.into_iter().map(|one| {
                let (index, pushed) = self.acknowledge(one, until, now);
                (index, Ok(pushed))
            })),
            Err(refusal) => answers.extend(staged.into_iter().map(|one| (one.index, Err(refusal.clone())))),
        }
        answers.into_values().collect()
    }

    /// Keeps what is staged and makes it filter: all of it, or nothing.
    fn carry_out_pushes(&mut self, staged: &mut [Staged], until: Option<Until>, now: Now) -> Result<(), Refusal> {
        let changes = all_changes(staged);
        let waited = self.keeper.provisional().cloned();
        let provisional = until.zip(staged.first()).filter(|_| !changes.is_empty()).map(|(until, one)| {
            let before = one.applied.inverse.iter().cloned();
            Provisional::new(self.in_force.next(), one.caller.name.clone(), until, before)
        });
        let waits = provisional.is_some();
        if let Err(error) = self.keeper.keep(now, changes, provisional) {
            if logging::admits("pushes that were refused because they cannot be kept") {
                tracing::error!(%error, "refused pushes that cannot be kept");
            }
            self.undo_staged(staged);
            return Err(Refusal::NotKept { message: error.to_string() });
        }
        let moved: BTreeSet<Prefix> = staged.iter().flat_map(|one| one.applied.moved.keys().copied()).collect();
        if let Err(refusal) = self.enforce(&mut moved.iter().copied()) {
            let undone = self.undo_staged(staged);
            self.restore(moved);
            self.keeper.take_back(now, undone, waited);
            return Err(refusal);
        }
        self.lists.refreshed(&moved);
        if let Some(until) = until.filter(|_| waits) {
            self.undoable.waiting = Some(Waiting::new(Awaited::Push, Deadline::resume(until, now)));
        }
        Ok(())
    }

    /// Takes what is staged out of the lists, the last one first; the changes that did it.
    fn undo_staged(&mut self, staged: &mut [Staged]) -> Vec<Change> {
        let inverse: Vec<Change> =
            staged.iter_mut().rev().flat_map(|one| std::mem::take(&mut one.applied.inverse)).collect();
        self.lists.apply(&self.in_force.policy, inverse.clone());
        inverse
    }

    /// The answer to a push that is in force, and its place.
    fn acknowledge(&mut self, staged: Staged, until: Option<Until>, now: Now) -> (usize, Pushed) {
        let Staged { index, caller, person, mut pushed, applied, after, forced, .. } = staged;
        forced.tell();
        if pushed.changes_anything() {
            let (revision, way) = (self.in_force.advance(), caller.way.label());
            let Pushed { added, refreshed, removed, .. } = pushed;
            tracing::info!(revision, added, refreshed, removed, owner = caller.name, person, way, "applied a push");
            self.lists.count(&applied.tally(&after));
            // The inverse, the last change first, has what was.
            let changes = applied.inverse.iter().rev().zip(&after);
            let changes = changes.map(|(was, is)| (&was.list, &was.holding, was.entry.as_ref(), is.as_ref()));
            if !self.undoable.log.record(revision, &caller.name, person.as_deref(), now, changes) {
                pushed.notes.push(NOT_REMEMBERED.to_owned());
            }
        }
        let pending = until.and_then(|_| self.pending(now));
        if pending.is_some() && pushed.changes_anything() {
            self.undoable.log.wait(self.in_force.revision());
        }
        (index, Pushed { pending, ..self.numbered(pushed) })
    }

    /// An answer with the numbers of now.
    pub(super) fn numbered(&self, pushed: Pushed) -> Pushed {
        let revision = self.in_force.revision();
        Pushed { generation: revision, revision, policy_generation: self.policy_generation(), ..pushed }
    }

    /// Checks a push and puts it into the lists; what filters comes later.
    fn stage(&mut self, caller: &Caller, push: &Push, sight: &Sight, now: Now) -> Result<Checked, Refusal> {
        self.expect_lists(push.expect)?;
        confirm_within(push.confirm.as_deref())?;
        if !push.dry_run {
            self.admit_recorded(caller)?;
        }
        let scope = || ScopeCheck::of(caller, &self.in_force.policy);
        scope().map_or(Ok(()), |scope| scope.push(push))?;
        let mut checked = check::check(push, &self.in_force.policy)?;
        let shrunk = checked.replace_lists(&self.in_force.policy, self.lists.pushed(), &caller.name);
        let plan = Plan::of(self, &checked, caller, push.person.as_deref(), now);
        // What a list that is replaced loses stands in no request.
        let gone = plan.changes.iter().filter(|change| change.entry.is_none());
        scope().map_or(Ok(()), |scope| scope.changes(gone, now.wall))?;
        self.try_out(&checked, push, plan, shrunk, sight)
    }

    /// Puts what is planned into the lists, and takes it out again when it is a dry run or something speaks against it.
    fn try_out(
        &mut self,
        checked: &CheckedPush,
        push: &Push,
        plan: Plan,
        shrunk: Vec<Harm>,
        sight: &Sight,
    ) -> Result<Checked, Refusal> {
        let (mut pushed, changes) = (plan.pushed, plan.changes);
        let applied = self.lists.apply(&self.in_force.policy, changes.clone());
        self.answer_addresses(checked, &mut pushed);
        let admitted = self.admit(checked, push, &applied, shrunk, sight);
        let admitted = admitted.map(|(notes, forced)| {
            pushed.notes.extend(notes);
            forced
        });
        match admitted {
            Ok(forced) if !push.dry_run => Ok(Checked::Staged(pushed, applied, changes, forced)),
            admitted => {
                self.lists.apply(&self.in_force.policy, applied.inverse);
                let answer = Pushed { dry_run: true, changes: plan.shown.first().to_vec(), ..self.numbered(pushed) };
                admitted.map(|_| Checked::Answered(answer))
            }
        }
    }
}

/// The changes of all that is staged, in their order. Those of a large push are not copied.
fn all_changes(staged: &mut [Staged]) -> Vec<Change> {
    let mut all = Vec::new();
    for one in staged {
        match all.is_empty() {
            true => all = std::mem::take(&mut one.changes),
            false => all.append(&mut one.changes),
        }
    }
    all
}
