//! Syncs: pushes of any size. They are compared beside the controller, and carried out by it piece by piece between other changes.
//!
//! ```text
//! lines -> SyncSet -> compared with what is there, beside the controller: changes, harm, all entries after it
//!       -> parts in the journal -> promised: one record -> all entries exchanged -> into what filters, piece by piece -> answered
//! ```
//!
//! All or nothing: before the record nothing counts, on disk or in what filters; after it a start does the rest. Other changes of
//! entries meanwhile come before the sync: what they touched is compared again when it is promised. Entries are added before those
//! around them go, so that nothing is open between the two.

mod compare;
mod enforce;
mod set;
mod survey;
mod ticket;
mod undo;
mod write;

use std::{collections::BTreeSet, fmt, sync::Arc};

pub use self::{
    compare::{Comparison, SyncBase},
    set::{MAX_LINE, SyncCollector, SyncSet},
    survey::Survey,
    ticket::{CancelOnDrop, SyncTicket, SyncTurn, Syncs},
};
use self::{
    compare::{SyncAsked, SyncPlace},
    undo::Undoing,
};

use super::{
    Core,
    audit::{AskedChange, admit},
    footprint::FootprintTaker,
    forced::Forced,
    reply::{Reply, answer},
};
use crate::{
    clock::Now,
    control::{AddressAnswer, Caller, Pushed, Refusal, SyncStage},
    datapath::Filter,
    lists::{entry::Holding, pushed::Runtime},
    policy::{Name, Prefix},
    state::{audit::AuditWhat, disk::Disk},
    text::few::Few,
};

/// Entries that are looked at for one part in the journal.
const WRITTEN_AT_ONCE: usize = 1 << 13;

/// Where the answer goes.
pub type SyncReply = Reply<Result<Pushed, Refusal>>;

/// A sync that is under way.
pub(super) struct Underway {
    ticket: Arc<SyncTicket>,
    caller: Caller,
    asked: AskedChange,
    stage: SyncCourse,
    _turn: SyncTurn,
}

/// How far it is.
enum SyncCourse {
    /// It is compared, beside the controller.
    Comparing,
    /// It is carried out.
    Running(Box<Running>),
}

/// A sync that is carried out.
struct Running {
    comparison: Arc<Comparison>,
    result: SyncResult,
    reply: SyncReply,
    place: SyncPlace,
    step: SyncStep,
}

/// What it comes to.
struct SyncResult {
    pushed: Pushed,
    forced: Forced,
    footprint: FootprintTaker,
}

/// What is done with it now.
enum SyncStep {
    /// It is written to the journal, as the sync of this number; then these are all entries.
    Writing(u64, Runtime),
    /// It goes into what filters.
    Enforcing(Rest),
    /// What addresses meet now is found out.
    Answering(Few<AddressAnswer>),
}

/// What comes after the others.
#[derive(Default)]
struct Rest {
    /// Prefixes whose entries others have changed meanwhile, and those that go when what is inside them is there.
    late: BTreeSet<Prefix>,
    /// Entries that others have changed meanwhile.
    touched: BTreeSet<(Name, Holding)>,
    /// What filters gets fresh tables.
    is_at_once: bool,
}

/// What a sync is for.
#[derive(Clone, Copy, Debug)]
pub struct SyncKind {
    /// It only says what would happen.
    pub is_dry: bool,
    /// It takes back the push of this revision.
    pub undoes: Option<u64>,
}

/// What a sync is to be carried out with.
pub struct SyncOrder {
    /// What it changes.
    pub comparison: Arc<Comparison>,
    /// What that comes to.
    pub survey: Survey,
}

impl SyncOrder {
    /// What it would come to, when that is all that is asked for.
    pub fn preview(&self) -> Option<Pushed> {
        let Survey { pushed, shown, .. } = &self.survey;
        let Pushed { generation, revision, policy_generation, .. } = self.comparison.base.numbers;
        let numbered = Pushed { generation, revision, policy_generation, ..pushed.clone() };
        let is_dry = self.comparison.set.terms.dry_run;
        is_dry.then(|| Pushed { dry_run: true, changes: shown.first().to_vec(), ..numbered })
    }
}

impl fmt::Debug for SyncOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncOrder").field("pushed", &self.survey.pushed).finish_non_exhaustive()
    }
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// A sync begins: what it is compared with; that it does not is recorded.
    pub(super) fn open_recorded_sync(
        &mut self,
        caller: Caller,
        waiting: (Arc<SyncTicket>, SyncTurn),
        kind: SyncKind,
        now: Now,
    ) -> Result<SyncBase, Refusal> {
        let asked = || match kind.undoes {
            Some(revision) => AskedChange::of(AuditWhat::Undo, kind.is_dry, format!("of revision {revision}")),
            None => AskedChange::of(AuditWhat::Sync, kind.is_dry, ""),
        };
        let opened = self.open_sync((caller.clone(), asked()), waiting, kind, now);
        if let Err(refusal) = &opened {
            self.record::<Pushed>(&caller, &asked(), self.audit_point(), Err(refusal), now);
        }
        opened
    }

    /// A sync begins: what it is compared with. Changes of entries are watched from now on.
    fn open_sync(
        &mut self,
        (caller, asked): (Caller, AskedChange),
        (ticket, turn): (Arc<SyncTicket>, SyncTurn),
        kind: SyncKind,
        now: Now,
    ) -> Result<SyncBase, Refusal> {
        if !kind.is_dry {
            self.admit_recorded(&caller)?;
        }
        if let Some(pending) = self.pending(now).filter(|_| !kind.is_dry) {
            return Err(Refusal::Pending(Box::new(pending)));
        }
        if let Some(why) = self.keeper.refuses() {
            return Err(Refusal::NotKept { message: format!("syncs are refused: {why}") });
        }
        let undoing = match kind.undoes {
            Some(revision) => {
                let found = self.find_undoable(revision, now).map_err(|why| Refusal::NotUndoable { revision, why })?;
                Some(Undoing { summary: found.0.clone(), footprint: Arc::clone(found.1) })
            }
            None => None,
        };
        self.lists.watch();
        let by = caller.clone();
        self.undoable.sync = Some(Underway { ticket, caller, asked, stage: SyncCourse::Comparing, _turn: turn });
        Ok(SyncBase {
            policy: Arc::clone(&self.in_force.policy),
            pushed: self.lists.pushed().clone(),
            own: Arc::clone(self.lists.own()),
            clock: self.lists.clock().clone(),
            host: Arc::clone(&self.outer.host),
            numbers: self.numbered(Pushed::default()),
            now,
            asked: SyncAsked { undoing, caller: by },
        })
    }

    /// What was compared is to be carried out.
    pub(super) fn run_sync(&mut self, ticket: &Arc<SyncTicket>, order: SyncOrder, reply: SyncReply, now: Now) {
        let SyncOrder { comparison, survey: Survey { pushed, runtime, forced, footprint, .. } } = order;
        let Some(underway) = self.undoable.sync.as_mut().filter(|underway| Arc::ptr_eq(&underway.ticket, ticket))
        else {
            answer(reply, Err(Refusal::Cancelled));
            return;
        };
        if !pushed.changes_anything() && self.lists.touched().is_some_and(BTreeSet::is_empty) {
            self.lists.unwatch();
            let (result, step) = (SyncResult { pushed, forced, footprint }, SyncStep::Answering(Few::default()));
            let place = SyncPlace::default();
            underway.stage = SyncCourse::Running(Box::new(Running { comparison, result, reply, place, step }));
            return;
        }
        let admitted = admit(&self.outer.audit, &underway.caller);
        let not_kept = |error: crate::state::error::StoreError| Refusal::NotKept { message: error.to_string() };
        let number = match admitted.and_then(|()| self.keeper.begin_sync().map_err(not_kept)) {
            Ok(number) => number,
            Err(refusal) => {
                self.close_sync(ticket, Some(&refusal), now);
                return answer(reply, Err(refusal));
            }
        };
        ticket.begin(SyncStage::Writing, Some(comparison.len() as u64));
        let result = SyncResult { pushed, forced, footprint };
        let step = SyncStep::Writing(number, runtime);
        underway.stage =
            SyncCourse::Running(Box::new(Running { comparison, result, reply, place: SyncPlace::default(), step }));
    }

    /// Whether a piece of a sync can be carried out at once.
    pub(super) fn has_sync_to_do(&self) -> bool {
        let underway = self.undoable.sync.as_ref();
        underway.is_some_and(|one| matches!(one.stage, SyncCourse::Running(_)) || one.ticket.is_cancelled())
    }

    /// Carries out a piece of the sync that is under way.
    pub(super) fn step_sync(&mut self, now: Now) {
        self.forget_cancelled_sync(now);
        let Some(mut underway) = self.undoable.sync.take_if(|one| matches!(one.stage, SyncCourse::Running(_))) else {
            return;
        };
        let SyncCourse::Running(running) = std::mem::replace(&mut underway.stage, SyncCourse::Comparing) else {
            return;
        };
        let ticket = Arc::clone(&underway.ticket);
        let Running { comparison, mut result, reply, mut place, step } = *running;
        let was_writing = matches!(step, SyncStep::Writing(..));
        let next = match step {
            SyncStep::Writing(number, runtime) => {
                self.write_sync((&comparison, &mut result), &ticket, (number, runtime), &mut place, now)
            }
            SyncStep::Enforcing(rest) => self.enforce_sync(&comparison, &ticket, rest, &mut place, now),
            SyncStep::Answering(answers) if comparison.is_over(&place) => {
                let before = self.audit_point();
                let pushed = self.acknowledge_sync(&underway.caller, &comparison, result, &answers, now);
                self.record(&underway.caller, &underway.asked, before, Ok(&pushed), now);
                self.publish();
                answer(reply, Ok(pushed));
                self.keeper.take_snapshot(self.lists.pushed(), now);
                return;
            }
            SyncStep::Answering(answers) => Ok(self.answer_sync(&comparison, answers, &mut place)),
        };
        match next {
            Ok(mut step) => {
                if was_writing && let SyncStep::Enforcing(rest) = &mut step {
                    rest.is_at_once = self.are_many(result.footprint.counts().iter().sum());
                }
                underway.stage = SyncCourse::Running(Box::new(Running { comparison, result, reply, place, step }));
                self.undoable.sync = Some(underway);
            }
            Err(refusal) => {
                self.end_sync();
                self.record::<Pushed>(&underway.caller, &underway.asked, self.audit_point(), Err(&refusal), now);
                self.publish();
                answer(reply, Err(refusal));
            }
        }
    }

    /// Whether the entries of a sync are in the lists already, and the revision that it makes is not told yet.
    pub(super) fn is_sync_in_lists(&self) -> bool {
        let running = self.undoable.sync.as_ref().map(|underway| &underway.stage);
        let is_writing = |step: &SyncStep| matches!(step, SyncStep::Writing(..));
        matches!(running, Some(SyncCourse::Running(running)) if !is_writing(&running.step))
    }

    /// The daemon stops: what is promised is carried out, and nothing else is.
    pub(super) fn finish_sync(&mut self, now: Now) {
        if let Some(underway) = &self.undoable.sync {
            underway.ticket.cancel();
        }
        while self.has_sync_to_do() {
            self.step_sync(now);
        }
    }

    /// Nobody waits any more for a sync that is not promised.
    fn forget_cancelled_sync(&mut self, now: Now) {
        if let Some(underway) = self.undoable.sync.take_if(|underway| underway.ticket.is_cancelled()) {
            self.end_sync();
            let cancelled = Refusal::Cancelled;
            self.record::<Pushed>(&underway.caller, &underway.asked, self.audit_point(), Err(&cancelled), now);
            if let SyncCourse::Running(running) = underway.stage {
                answer(running.reply, Err(Refusal::Cancelled));
            }
        }
    }

    /// Nothing of the sync of `ticket` happens, because of `refusal`; without one it only said what it would come to.
    pub(super) fn close_sync(&mut self, ticket: &Arc<SyncTicket>, refusal: Option<&Refusal>, now: Now) {
        self.forget_cancelled_sync(now);
        ticket.cancel();
        if let Some(underway) = self.undoable.sync.take_if(|underway| Arc::ptr_eq(&underway.ticket, ticket)) {
            self.end_sync();
            if let Some(refusal) = refusal {
                self.record::<Pushed>(&underway.caller, &underway.asked, self.audit_point(), Err(refusal), now);
            }
        }
    }

    /// No sync is under way.
    fn end_sync(&mut self) {
        self.undoable.sync = None;
        self.keeper.end_sync();
        self.lists.unwatch();
    }
}
