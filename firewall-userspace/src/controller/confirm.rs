//! What waits for a confirmation, and what happens when none comes.

use std::time::Duration;

use jiff::Timestamp;

use super::{State, members, policy::confirm_within, prepare::Candidate};
use crate::{
    clock::{Now, deadline::Deadline},
    control::{Confirm, Confirmed, Generations, Pending, PendingChange, Push, Refusal},
    lists::{change::Change, pushed::Runtime},
    policy::Policy,
    state::history::{Care, Content, Generation, How, Standing, start::policy_of},
};

/// A generation that waits for a confirmation.
pub(super) struct Waiting {
    deadline: Deadline,
    /// What comes back; `None` when it has to be read first.
    previous: Option<Policy>,
    /// That it could not be brought back was said.
    is_told: bool,
}

impl Waiting {
    pub(super) fn new(deadline: Deadline, previous: impl Into<Option<Policy>>) -> Self {
        Self { deadline, previous: previous.into(), is_told: false }
    }
}

/// Between two attempts to bring back a policy that cannot be brought back.
const RETRY: Duration = Duration::from_secs(1);

impl State {
    /// How long until something is undone by itself.
    pub(super) fn time_until_deadline(&self) -> Option<Duration> {
        let now = Now::read();
        let policy = self.waiting.as_ref().map(|waiting| match waiting.deadline.left(now) {
            Duration::ZERO if waiting.is_told => RETRY,
            left => left,
        });
        let push = self.push_deadline.map(|deadline| match deadline.left(now) {
            Duration::ZERO if self.is_push_told => RETRY,
            left => left,
        });
        policy.into_iter().chain(push).min()
    }

    /// The policy that waits for a confirmation.
    pub(super) fn pending_policy(&self) -> Option<Pending> {
        let (kept, waiting) = (self.history.pending()?, self.waiting.as_ref()?);
        let now = Now::read();
        let left = waiting.deadline.left(now);
        Some(Pending {
            change: PendingChange::Policy,
            generation: kept.generation,
            previous: Some(kept.previous),
            entries: None,
            owner: self.history.generation(kept.generation).map(|one| one.owner.clone()).unwrap_or_default(),
            deadline: now.wall.checked_add(left).unwrap_or(Timestamp::MAX),
            seconds_left: left.as_millis().div_ceil(1000) as u64,
        })
    }

    /// The push that waits for a confirmation.
    pub(super) fn pending_push(&self) -> Option<Pending> {
        let (provisional, deadline) = (self.store.provisional()?, self.push_deadline?);
        let now = Now::read();
        let left = deadline.left(now);
        Some(Pending {
            change: PendingChange::Push,
            generation: provisional.generation,
            previous: None,
            entries: Some(provisional.len()),
            owner: provisional.owner.clone(),
            deadline: now.wall.checked_add(left).unwrap_or(Timestamp::MAX),
            seconds_left: left.as_millis().div_ceil(1000) as u64,
        })
    }

    /// What waits for a confirmation: one thing at a time.
    pub(super) fn pending(&self) -> Option<Pending> {
        self.pending_policy().or_else(|| self.pending_push())
    }

    /// How long a push that is to be confirmed may wait, when nothing else does.
    pub(super) fn admit_provisional(&self, push: &Push) -> Result<Option<Duration>, Refusal> {
        match self.pending() {
            Some(pending) => Err(Refusal::Pending(Box::new(pending))),
            None => confirm_within(push.confirm.as_deref()),
        }
    }

    pub(super) fn generations(&self) -> Generations {
        Generations {
            schema: "portcullis.history/v1".into(),
            active: self.history.active().map(|active| active.number),
            pending: self.pending(),
            generations: self.history.generations().to_vec(),
        }
    }

    pub(super) fn confirm(&mut self, confirm: Confirm) -> Result<Confirmed, Refusal> {
        let Some(confirmed) = self.pending() else { return Err(self.nothing_pending()) };
        if confirm.dry_run {
            return Ok(Confirmed { confirmed, dry_run: true });
        }
        let kept = match confirmed.change {
            PendingChange::Policy => self.history.decide(Standing::Confirmed, Care::Must),
            PendingChange::Push => self.store.decide(Timestamp::now()),
        };
        if let Err(error) = kept {
            self.snapshots.counters.failures += 1;
            return Err(Refusal::NotKept { message: error.to_string() });
        }
        match confirmed.change {
            PendingChange::Policy => self.waiting = None,
            PendingChange::Push => self.push_deadline = None,
        }
        tracing::info!("{} was confirmed", confirmed.name());
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

    /// Brings back what was before a generation that nobody has confirmed in time.
    pub(super) fn undo_overdue(&mut self) {
        if self.push_deadline.is_some_and(|deadline| deadline.left(Now::read()).is_zero()) {
            match self.undo_push() {
                Ok(generation) => {
                    self.automatic_rollbacks += 1;
                    tracing::warn!("nobody confirmed the push of generation {generation} in time: it was undone");
                }
                Err(error) if !std::mem::replace(&mut self.is_push_told, true) => {
                    tracing::error!("cannot undo the push that was not confirmed; trying again: {error}");
                }
                Err(_) => {}
            }
        }
        self.undo_overdue_policy();
    }

    /// Makes what the push that waits for a confirmation has changed what it was; the generation of that push.
    pub(super) fn undo_push(&mut self) -> Result<u64, Refusal> {
        let Some(provisional) = self.store.provisional().cloned() else { return Err(self.nothing_pending()) };
        let now = Timestamp::now();
        let changes = provisional.undo(&self.runtime, now);
        let put = |runtime: &mut Runtime, Change { list, prefix, layer, entry }: Change| Change {
            entry: runtime.set(&list, prefix, layer, entry),
            list,
            prefix,
            layer,
        };
        let before: Vec<Change> = changes.iter().cloned().map(|change| put(&mut self.runtime, change)).collect();
        if let Err(refusal) = self.write_members(&changes.iter().map(|change| change.prefix).collect()) {
            before.into_iter().for_each(|change| drop(put(&mut self.runtime, change)));
            return Err(refusal);
        }
        self.number += 1;
        self.store.owe_decision(now, changes);
        self.settle();
        (self.push_deadline, self.is_push_told) = (None, false);
        Ok(provisional.generation)
    }

    /// The same for a policy.
    fn undo_overdue_policy(&mut self) {
        let is_overdue = |waiting: &&Waiting| waiting.deadline.left(Now::read()).is_zero();
        if self.waiting.as_ref().is_none_or(|waiting| !is_overdue(&waiting)) {
            return;
        }
        match self.bring_back() {
            Ok(()) => self.waiting = None,
            Err(error) => {
                if let Some(waiting) = self.waiting.as_mut().filter(|waiting| !waiting.is_told) {
                    waiting.is_told = true;
                    tracing::error!("cannot bring back the policy that was not to change; trying again: {error}");
                }
            }
        }
    }

    fn bring_back(&mut self) -> Result<(), String> {
        let pending = self.history.pending().cloned().ok_or("nothing waits for a confirmation")?;
        let previous = self.history.generation(pending.previous).cloned().ok_or("it is not kept")?;
        let policy = match self.waiting.as_ref().and_then(|waiting| waiting.previous.clone()) {
            Some(policy) => policy,
            None => policy_of(&self.history, &previous)?,
        };
        let members = members(&policy, &self.runtime, &self.own);
        let summary = self.difference(&policy).changes();
        self.switch_to(Candidate { policy, members }).map_err(|error| error.to_string())?;
        self.number += 1;
        self.loaded = Timestamp::now();
        tracing::warn!(
            generation = self.number,
            of = previous.number,
            "nobody confirmed generation {} in time: generation {} is back",
            pending.generation,
            previous.number
        );
        self.note_return(previous, summary);
        Ok(())
    }

    /// Keeps that `previous` has come back by itself.
    pub(super) fn note_return(&mut self, previous: Generation, summary: String) {
        let Generation { number: of, mode, source, bundle, .. } = previous;
        let generation = Generation {
            number: self.number,
            at: Timestamp::now(),
            owner: "daemon".into(),
            how: How::AutomaticRollback,
            of: Some(of),
            source,
            summary,
            standing: Standing::Confirmed,
            mode,
            bundle,
        };
        self.automatic_rollbacks += 1;
        if let Err(error) = self.history.record(generation, Content::Of(of), false, None, Care::Owe) {
            self.snapshots.counters.failures += 1;
            tracing::error!(%error, "cannot keep that a policy was rolled back; trying again");
        }
        self.history.clean();
        if self.history.differs_from_file() {
            tracing::warn!(
                config = %self.config.display(),
                "the configuration file says something else than this generation\nhint: correct it before `portcullis reload`, which reads it"
            );
        }
    }

    /// Writes generations that could not be written.
    pub(super) fn settle_history(&mut self) {
        if self.history.is_owing() && self.history.settle().is_ok() {
            tracing::info!("kept the generations of the policy that could not be kept before");
        }
    }
}
