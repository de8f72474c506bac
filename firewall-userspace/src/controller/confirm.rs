//! What happens to a change that waits for a confirmation: it is confirmed, or undone in time.

use super::{
    Core,
    forced::Forced,
    prepare::Candidate,
    scope::admit_confirmation,
    waiting::{Awaited, Outstanding},
};
use crate::{
    clock::Now,
    control::{Caller, Confirm, Confirmed, Pending, PendingChange, Refusal},
    datapath::Filter,
    state::{
        disk::Disk,
        history::{Care, Content, Generation, How, Standing, start::policy_of},
    },
};

impl<F: Filter, D: Disk> Core<F, D> {
    /// Whether a push waits for a confirmation.
    pub(super) fn waits_for_push(&self) -> bool {
        self.undoable.waiting.as_ref().is_some_and(|waiting| matches!(waiting.what, Awaited::Push))
    }

    /// What waits for a confirmation, as it stands at `now`.
    pub(super) fn pending(&self, now: Now) -> Option<Pending> {
        self.outstanding().map(|outstanding| outstanding.at(now))
    }

    /// What waits for a confirmation: one thing at a time.
    pub(super) fn outstanding(&self) -> Option<Outstanding> {
        let waiting = self.undoable.waiting.as_ref()?;
        let (change, generation, previous, entries, owner) = match waiting.what {
            Awaited::Policy(_) => {
                let kept = self.history.pending()?;
                let owner = self.history.generation(kept.generation).map(|one| one.owner.clone());
                let owner = owner.unwrap_or_default();
                (PendingChange::Policy, kept.generation, Some(kept.previous), None, owner)
            }
            Awaited::Push => {
                let push = self.keeper.provisional()?;
                (PendingChange::Push, push.generation, None, Some(push.len()), push.owner.clone())
            }
        };
        let (deadline, until) = (waiting.deadline, jiff::Timestamp::MAX);
        let pending = Pending { change, generation, previous, entries, owner, deadline: until, seconds_left: u64::MAX };
        Some(Outstanding { deadline, pending })
    }

    /// Keeps what waits for a confirmation.
    pub(super) fn confirm(&mut self, caller: &Caller, confirm: Confirm, now: Now) -> Result<Confirmed, Refusal> {
        let Some(confirmed) = self.pending(now) else { return Err(self.nothing_pending()) };
        admit_confirmation(caller, &confirmed)?;
        if let Some(wanted) = confirm.generation.filter(|wanted| *wanted != confirmed.generation) {
            let why = format!("number {wanted} does not, {} does", confirmed.name());
            return Err(Refusal::NothingPending { why: Some(why) });
        }
        if confirm.dry_run {
            return Ok(Confirmed { confirmed, dry_run: true });
        }
        let kept = match confirmed.change {
            PendingChange::Policy => self.history.confirm(&caller.name),
            PendingChange::Push => self.keeper.confirm(now),
        };
        kept.map_err(|error| Refusal::NotKept { message: error.to_string() })?;
        self.undoable.waiting = None;
        self.undoable.log.confirmed();
        tracing::info!(owner = caller.name, way = caller.way.label(), "{} was confirmed", confirmed.name());
        Ok(Confirmed { confirmed, dry_run: false })
    }

    fn nothing_pending(&self) -> Refusal {
        let undone = |last: &&Generation| last.how == How::AutomaticRollback;
        let why = self.history.active().filter(undone).map(|last| {
            let gone = last.of.map_or_else(String::new, |of| format!(" generation {of} came back as"));
            format!("nobody confirmed the last one in time, and{gone} generation {} at {:.0}", last.number, last.at)
        });
        Refusal::NothingPending { why }
    }

    /// Undoes what nobody has confirmed in time; whether it did.
    pub(super) fn undo_overdue(&mut self, now: Now) -> bool {
        let Some(waiting) = self.undoable.waiting.as_ref().filter(|waiting| waiting.left(now).is_zero()) else {
            return false;
        };
        // Nothing else is due: what is undone is kept with all the patience that there is.
        self.keeper.be_back_in(None);
        let before = self.audit_point();
        let undone = match waiting.what {
            Awaited::Push => self.undo_push(now).map(|revision| {
                self.in_force.count_automatic_rollback();
                tracing::warn!("nobody confirmed the push of revision {revision} in time: it was undone");
                let words = format!("nobody confirmed the push of revision {revision} in time: it was undone");
                self.record_automatic(words, Some(before), now);
            }),
            Awaited::Policy(_) => self.bring_back(now),
        };
        if let Err(error) = &undone
            && let Some(waiting) = &mut self.undoable.waiting
            && waiting.failed(now)
        {
            tracing::error!("cannot undo what was not confirmed; trying again: {error}");
        }
        undone.is_ok()
    }

    /// Makes what the push that waits for a confirmation has changed what it was; the revision of that push.
    pub(super) fn undo_push(&mut self, now: Now) -> Result<u64, Refusal> {
        let Some(push) = self.keeper.provisional() else { return Err(self.nothing_pending()) };
        let (revision, changes) = (push.generation, push.undo(self.lists.pushed(), self.lists.clock().earliest(now)));
        let applied = self.change(changes.clone())?;
        self.lists.count(&applied.tally(changes.iter().map(|change| &change.entry)));
        self.undoable.log.lapsed(self.in_force.advance());
        self.keeper.owe_decision(now, changes);
        self.undoable.waiting = None;
        Ok(revision)
    }

    /// Brings back what was in force before the policy that waits for a confirmation.
    fn bring_back(&mut self, now: Now) -> Result<(), Refusal> {
        let fail = |message: String| Refusal::NotKept { message };
        let none = || fail("nothing waits for a confirmation".into());
        let pending = self.history.pending().cloned().ok_or_else(none)?;
        let gone = || fail(format!("generation {} is not kept", pending.previous));
        let previous = self.history.generation(pending.previous).cloned().ok_or_else(gone)?;
        let policy = match self.undoable.waiting.as_ref().map(|waiting| &waiting.what) {
            Some(Awaited::Policy(Some(policy))) => policy.clone(),
            _ => policy_of(&self.history, &previous).map_err(fail)?.into(),
        };
        let members = self.lists.members_with(&policy);
        let summary = self.difference(&policy).changes();
        self.switch_to(Candidate { policy, members, forced: Forced::default() }, now)?;
        self.undoable.waiting = None;
        tracing::warn!(
            generation = self.in_force.revision(),
            of = previous.number,
            "nobody confirmed generation {} in time: generation {} is back",
            pending.generation,
            previous.number
        );
        self.note_return(previous, summary, now);
        Ok(())
    }

    /// Keeps that `previous` has come back by itself.
    pub(super) fn note_return(&mut self, previous: Generation, summary: String, now: Now) {
        let Generation { number: of, mode, temporary, source, bundle, .. } = previous;
        let words = format!("generation {of} is back, as nobody confirmed the one after it: {summary}");
        let generation = Generation {
            how: How::AutomaticRollback,
            of: Some(of),
            source,
            summary,
            standing: Standing::Confirmed,
            mode,
            temporary,
            bundle,
            ..Generation::new(self.in_force.revision(), now.wall, &Caller::daemon().name)
        };
        self.in_force.count_automatic_rollback();
        if let Err(error) = self.history.record(generation, Content::Of(of), false, None, Care::Owe) {
            tracing::error!(%error, "cannot keep that a policy was rolled back; trying again");
        }
        self.record_automatic(words, None, now);
        self.history.clean();
        if self.history.differs_from_file() {
            tracing::warn!(
                config = %self.in_force.config.display(),
                "the configuration file says something else than this generation\nhint: correct it before `portcullis reload`, which reads it"
            );
        }
    }
}
