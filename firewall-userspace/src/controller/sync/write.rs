//! A sync goes to the disk, is compared again with what others did meanwhile, and is promised.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Rest, SyncResult, SyncStep, WRITTEN_AT_ONCE,
    compare::{Comparison, SyncPlace},
    ticket::SyncTicket,
};
use crate::{
    clock::Now,
    control::{Refusal, SyncStage},
    controller::Core,
    datapath::Filter,
    lists::{change::Change, entry::Holding, pushed::Runtime},
    policy::Name,
    state::disk::Disk,
};

impl<F: Filter, D: Disk> Core<F, D> {
    /// Writes a part of it; after the last one it is promised, and all entries are exchanged.
    pub(super) fn write_sync(
        &mut self,
        (comparison, result): (&Comparison, &mut SyncResult),
        ticket: &SyncTicket,
        (number, runtime): (u64, Runtime),
        place: &mut SyncPlace,
        now: Now,
    ) -> Result<SyncStep, Refusal> {
        let not_kept = |error: crate::state::error::StoreError| Refusal::NotKept { message: error.to_string() };
        self.require_same(comparison)?;
        if !comparison.is_over(place) {
            let (changes, steps, _) = comparison.portion(place, WRITTEN_AT_ONCE);
            self.keeper.keep_part(now, number, changes).map_err(not_kept)?;
            ticket.advance(steps);
            return Ok(SyncStep::Writing(number, runtime));
        }
        let touched = self.lists.touched().cloned().unwrap_or_default();
        let (runtime, corrections) = self.compare_again(comparison, result, runtime, &touched);
        self.keeper.keep_part(now, number, corrections).map_err(not_kept)?;
        if !ticket.promise() {
            return Err(Refusal::Cancelled);
        }
        self.keeper.promise_sync(now, number).map_err(not_kept)?;
        self.lists.unwatch();
        self.lists.exchange(runtime);
        *place = SyncPlace::default();
        ticket.begin(SyncStage::Enforcing, Some(comparison.len() as u64));
        let late = touched.iter().map(|(_, holding)| holding.prefix).collect();
        Ok(SyncStep::Enforcing(Rest { late, touched, is_at_once: false }))
    }

    /// Refuses to go on where what it was compared with is gone.
    fn require_same(&self, comparison: &Comparison) -> Result<(), Refusal> {
        let what = if !Arc::ptr_eq(&comparison.base.policy, &self.in_force.policy) {
            "the policy"
        } else if self.lists.touched().is_none() {
            "the clock"
        } else {
            return Ok(());
        };
        Err(Refusal::Overtaken { what })
    }

    /// What becomes of entries that others have changed since: all entries with that, and how they are told. What they were before the
    /// sync is what others have left.
    fn compare_again(
        &self,
        comparison: &Comparison,
        result: &mut SyncResult,
        mut runtime: Runtime,
        touched: &BTreeSet<(Name, Holding)>,
    ) -> (Runtime, Vec<Change>) {
        let mut corrections = Vec::with_capacity(touched.len());
        let SyncResult { pushed, footprint, .. } = result;
        footprint.leave_out(touched);
        for (list, holding) in touched {
            let was = comparison.base.pushed.entry(list, holding);
            let known = self.lists.pushed().entry(list, holding);
            let (wanted, again) = (comparison.of_base(list, holding), comparison.of_now(list, holding, known));
            footprint.discount((list, holding, was, wanted.as_ref().map_or(was, Option::as_ref)));
            let entry = again.unwrap_or_else(|| known.cloned());
            footprint.add((list, holding, known, entry.as_ref()));
            runtime.set(list, holding, entry.clone());
            corrections.push(Change { list: list.clone(), holding: holding.clone(), entry });
        }
        comparison.keep_touched(touched, self.lists.pushed(), pushed);
        [pushed.added, pushed.refreshed, pushed.removed] = footprint.counts();
        (runtime, corrections)
    }
}
