//! What is promised goes into what filters, or is taken back, and is answered.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Rest, SyncResult, SyncStep, WRITTEN_AT_ONCE,
    compare::{Comparison, Said, SyncPlace},
    ticket::SyncTicket,
};
use crate::{
    clock::Now,
    control::{AddressAnswer, Caller, Pushed, Refusal},
    controller::{Core, footprint::NOT_REMEMBERED, prepare},
    datapath::Filter,
    lists::change::Change,
    policy::Prefix,
    state::disk::Disk,
    text::few::Few,
};

/// Entries that are looked at for one step of what filters: others wait for no longer than this takes.
const ENFORCED_AT_ONCE: usize = 1 << 12;

impl<F: Filter, D: Disk> Core<F, D> {
    /// Brings a piece of what filters in line with the entries.
    pub(super) fn enforce_sync(
        &mut self,
        comparison: &Comparison,
        ticket: &SyncTicket,
        mut rest: Rest,
        place: &mut SyncPlace,
        now: Now,
    ) -> Result<SyncStep, Refusal> {
        if rest.is_at_once {
            self.enforce_at_once().inspect_err(|_| self.take_sync_back(comparison, &rest, now))?;
            ticket.advance(comparison.len());
            return Ok(SyncStep::Answering(Few::default()));
        }
        if comparison.is_over(place) && rest.late.is_empty() {
            *place = SyncPlace::default();
            return Ok(SyncStep::Answering(Few::default()));
        }
        let portions = if comparison.is_over(place) {
            let behind = rest.late.iter().nth(ENFORCED_AT_ONCE).copied();
            let more = behind.map_or(BTreeSet::new(), |behind| rest.late.split_off(&behind));
            vec![std::mem::replace(&mut rest.late, more)]
        } else {
            let (changes, steps, last) = comparison.portion(place, ENFORCED_AT_ONCE);
            ticket.advance(steps);
            let is_late = |prefix: Prefix| last.is_none_or(|last| prefix.covers(last)) && !prefix.is_host();
            let (added, gone): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.entry.is_some());
            let (late, gone): (Vec<_>, Vec<_>) =
                gone.iter().map(|change| change.holding.prefix).partition(|prefix| is_late(*prefix));
            rest.late.extend(late);
            vec![added.iter().map(|change| change.holding.prefix).collect(), gone.into_iter().collect()]
        };
        for prefixes in portions {
            let moved = self.lists.bring_in_line(&self.in_force.policy, prefixes);
            if let Err(refusal) = self.enforce(&mut moved.keys().copied()) {
                self.take_sync_back(comparison, &rest, now);
                self.restore(moved.into_keys());
                return Err(refusal);
            }
            self.lists.refreshed(moved.keys());
        }
        Ok(SyncStep::Enforcing(rest))
    }

    /// Brings what filters in line with the entries, by fresh tables.
    fn enforce_at_once(&mut self) -> Result<(), Refusal> {
        let members = self.lists.members_with(&self.in_force.policy);
        prepare::require_room(members.len())?;
        let switched = self.filter.switch(&self.in_force.policy, &members);
        switched.map_err(|error| Refusal::Datapath { message: error.to_string() })?;
        self.lists.follow(members);
        Ok(())
    }

    /// The kernel has refused a promised sync: entries are what they were, but for those that others have changed.
    fn take_sync_back(&mut self, comparison: &Comparison, rest: &Rest, now: Now) {
        let mut place = SyncPlace::default();
        while !comparison.is_over(&place) {
            let (changes, ..) = comparison.portion(&mut place, WRITTEN_AT_ONCE);
            let pushed = self.lists.pushed();
            let is_as_left = |change: &Change| {
                let now = pushed.entry(&change.list, &change.holding);
                now == change.entry.as_ref() && !rest.touched.contains(&(change.list.clone(), change.holding.clone()))
            };
            let before = |change: Change| {
                let entry = comparison.base.pushed.entry(&change.list, &change.holding).cloned();
                Change { entry, ..change }
            };
            let inverse: Vec<Change> = changes.into_iter().filter(is_as_left).map(before).collect();
            let applied = self.lists.apply(&self.in_force.policy, inverse.clone());
            self.restore(applied.moved.into_keys());
            self.keeper.owe(now, inverse);
        }
    }

    /// Finds out what some more addresses meet now.
    pub(super) fn answer_sync(
        &self,
        comparison: &Comparison,
        mut answers: Few<AddressAnswer>,
        place: &mut SyncPlace,
    ) -> SyncStep {
        let policy = &self.in_force.policy;
        let same = Arc::ptr_eq(&comparison.base.policy, policy);
        comparison.walk(place, ENFORCED_AT_ONCE, |_, index, said| match said {
            _ if !same => {}
            Said::Wanted(entry) if comparison.is_removal(entry) => {
                self.answer_removal(index, entry.prefix, &mut answers);
            }
            Said::Wanted(entry) => self.answer_addition(index, entry.prefix, &mut answers),
            Said::Gone(holding) => self.answer_removal(index, holding.prefix, &mut answers),
        });
        SyncStep::Answering(answers)
    }

    /// The answer to a sync that is in force.
    pub(super) fn acknowledge_sync(
        &mut self,
        caller: &Caller,
        comparison: &Comparison,
        result: SyncResult,
        answers: &Few<AddressAnswer>,
        now: Now,
    ) -> Pushed {
        let SyncResult { mut pushed, forced, footprint } = result;
        forced.tell();
        (pushed.differing, pushed.answers) = (answers.len(), answers.first().to_vec());
        if pushed.changes_anything() {
            let (revision, way) = (self.in_force.advance(), caller.way.label());
            let Pushed { added, refreshed, removed, .. } = pushed;
            let person = comparison.set.terms.person.as_deref();
            tracing::info!(revision, added, refreshed, removed, owner = caller.name, person, way, "applied a sync");
            self.lists.count(footprint.tally());
            if !self.undoable.log.remember(revision, &caller.name, person, now, footprint) {
                pushed.notes.push(NOT_REMEMBERED.to_owned());
            }
            if let Some(undone) = comparison.undone() {
                self.undoable.log.undone(undone.summary.revision, revision);
                tracing::info!(revision, of = undone.summary.revision, kept = pushed.kept_count, "undid a push");
            }
        }
        self.numbered(pushed)
    }
}
