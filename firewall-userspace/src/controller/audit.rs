//! Every change that somebody asks for, and what came of it, is told to the audit log; nothing changes when that cannot be written.

use std::collections::BTreeSet;

use super::Core;
use crate::{
    clock::Now,
    control::{Caller, Condition, Confirmed, Push, Pushed, Refusal, Reloaded},
    datapath::Filter,
    state::{
        audit::{AuditEvent, AuditHandle, AuditPoint, AuditView, AuditWhat, OK},
        disk::Disk,
    },
    text::shown::grouped,
};

/// A change that is asked for.
pub(super) struct AskedChange {
    what: AuditWhat,
    /// It only says what would happen: that is no change.
    is_dry: bool,
    /// It in short.
    words: String,
}

/// Lists and prefixes of a push that are named.
const NAMED: usize = 4;

impl AskedChange {
    pub(super) fn of(what: AuditWhat, is_dry: bool, words: impl Into<String>) -> Self {
        Self { what, is_dry, words: words.into() }
    }

    /// A push.
    pub(super) fn push(push: &Push) -> Self {
        let added = push.add.iter().map(|one| (&*one.list, &*one.prefix));
        let removed = push.remove.iter().map(|one| (&*one.list, &*one.prefix));
        let lists: BTreeSet<&str> = added.clone().chain(removed.clone()).map(|(list, _)| list).take(1000).collect();
        let lists: Vec<&str> = lists.into_iter().chain(push.replace.iter().map(String::as_str)).take(NAMED).collect();
        let prefixes = added.map(|(_, prefix)| ("+", prefix)).chain(removed.map(|(_, prefix)| ("-", prefix)));
        let prefixes: Vec<String> = prefixes.take(NAMED).map(|(sign, prefix)| format!("{sign}{prefix}")).collect();
        let mut words = format!("in {}: {}", lists.join(", "), prefixes.join(" "));
        if let Some(more @ 1..) = (push.add.len() + push.remove.len()).checked_sub(NAMED) {
            words.push_str(&format!(" and {} more", grouped(more)));
        }
        if let Some(person) = &push.person {
            words.push_str(&format!("; for {person}"));
        }
        Self::of(AuditWhat::Push, push.dry_run, words)
    }

    /// What of it goes to the log, of what `result` says came of it.
    fn event(
        &self,
        caller: &Caller,
        [before, after]: [AuditPoint; 2],
        result: Result<String, &Refusal>,
        now: Now,
    ) -> AuditEvent {
        let (result, done) = match result {
            Ok(done) => (OK, done),
            Err(refusal) => (refusal.code(), String::new()),
        };
        let summary = match (&*done, &*self.words) {
            (done, "") => done.to_owned(),
            ("", asked) => asked.to_owned(),
            (done, asked) => format!("{done} {asked}"),
        };
        AuditEvent {
            at: now.wall,
            who: caller.name.clone(),
            method: caller.method(),
            peer: caller.peer(),
            what: self.what,
            summary,
            before: Some(before),
            after: Some(after),
            result: result.into(),
        }
    }
}

/// The answer to a change, in short.
pub(super) trait ToldInAudit {
    /// What was done.
    fn told(&self) -> String;

    /// The numbers after it.
    fn point(&self) -> Option<AuditPoint> {
        None
    }
}

impl ToldInAudit for Pushed {
    fn told(&self) -> String {
        let Self { added, refreshed, removed, .. } = self;
        let waits = if self.pending.is_some() { ", to be confirmed," } else { "" };
        format!("+{added} -{removed} ~{refreshed}{waits}")
    }

    fn point(&self) -> Option<AuditPoint> {
        Some(AuditPoint { revision: self.revision, generation: self.policy_generation })
    }
}

impl ToldInAudit for Reloaded {
    fn told(&self) -> String {
        let waits = if self.pending.is_some() { "to be confirmed: " } else { "" };
        let undone = if self.push_undone { "the push that waited was undone" } else { "" };
        format!("{waits}{undone}{}", self.summary)
    }
}

impl ToldInAudit for Confirmed {
    fn told(&self) -> String {
        self.confirmed.name()
    }
}

/// Whether `caller` may change something now: whoever can, by other ways, change what they like is not kept from it here.
///
/// # Errors
/// [`Refusal::NotAudited`].
pub(super) fn admit(audit: &AuditHandle, caller: &Caller) -> Result<(), Refusal> {
    audit.admit().or_else(|why| if caller.may_go_unrecorded() { Ok(()) } else { Err(Refusal::NotAudited { why }) })
}

/// The same of a daemon without a policy; that it is not admitted is recorded.
pub(super) fn admit_idle(audit: &AuditHandle, asked: (&Caller, &AskedChange), now: Now) -> Result<(), Refusal> {
    admit(audit, asked.0).inspect_err(|refusal| record_idle::<Reloaded>(audit, asked, Err(refusal), now))
}

/// Records what a daemon without a policy did, or did not.
pub(super) fn record_idle<T: ToldInAudit>(
    audit: &AuditHandle,
    (caller, asked): (&Caller, &AskedChange),
    result: Result<&T, &Refusal>,
    now: Now,
) {
    let none = AuditPoint { revision: 0, generation: 0 };
    let after = result.ok().and_then(T::point).unwrap_or(none);
    record(audit, vec![asked.event(caller, [none, after], result.map(T::told), now)]);
}

/// Records `events`; what was refused because it could not be recorded is summed up, or it would keep the rest from memory.
fn record(audit: &AuditHandle, events: Vec<AuditEvent>) {
    let (refused, events): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.result == NOT_AUDITED);
    refused.into_iter().for_each(|event| audit.note_failure(event));
    if !events.is_empty() {
        audit.record(events);
    }
}

/// Notes that `caller` wanted the sync `number` cancelled, and whether it was.
pub(super) fn note_cancel(audit: &AuditHandle, caller: &Caller, number: u64, is_cancelled: bool, now: Now) {
    let asked = AskedChange::of(AuditWhat::Cancel, false, format!("sync {number}"));
    let none = AuditPoint { revision: 0, generation: 0 };
    let event = asked.event(caller, [none; 2], Ok(String::new()), now);
    let result = if is_cancelled { OK } else { "too_late" };
    audit.note(AuditEvent { before: None, after: None, result: result.into(), ..event });
}

/// What is not as it should be with the log.
pub(super) fn conditions(audit: &AuditHandle) -> impl Iterator<Item = Condition> {
    let AuditView { refusing, damaged, .. } = audit.view();
    let condition = |code: &str, message| Condition { code: code.into(), blocks: false, message };
    let refusing = refusing.map(|why| {
        let message =
            format!("changes are refused, but those of root on this host, because they cannot be recorded: {why}");
        condition(Condition::AUDIT_REFUSED, message)
    });
    let damaged = damaged.map(|why| {
        let message =
            format!("the audit log was not as it was left when this daemon started: {why} (`portcullis audit verify`)");
        condition(Condition::AUDIT_DAMAGED, message)
    });
    refusing.into_iter().chain(damaged)
}

/// [`Refusal::code`] of [`Refusal::NotAudited`].
const NOT_AUDITED: &str = "not_audited";

impl<F: Filter, D: Disk> Core<F, D> {
    /// The numbers of now.
    pub(super) fn audit_point(&self) -> AuditPoint {
        AuditPoint { revision: self.in_force.revision(), generation: self.policy_generation() }
    }

    /// Whether `caller` may change something now.
    pub(super) fn admit_recorded(&self, caller: &Caller) -> Result<(), Refusal> {
        admit(&self.outer.audit, caller)
    }

    /// Makes a change that `caller` asks for, where it can be recorded, and records what came of it.
    pub(super) fn recorded<T: ToldInAudit>(
        &mut self,
        caller: &Caller,
        asked: &AskedChange,
        now: Now,
        change: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if asked.is_dry {
            return change(self);
        }
        let before = self.audit_point();
        let result = self.admit_recorded(caller).and_then(|()| change(self));
        self.record(caller, asked, before, result.as_ref(), now);
        result
    }

    /// Records what came of a change; before it the numbers were `before`.
    pub(super) fn record<T: ToldInAudit>(
        &self,
        caller: &Caller,
        asked: &AskedChange,
        before: AuditPoint,
        result: Result<&T, &Refusal>,
        now: Now,
    ) {
        if !asked.is_dry {
            let event = asked.event(caller, [before, self.audit_point()], result.map(T::told), now);
            record(&self.outer.audit, vec![event]);
        }
    }

    /// Records what came of pushes, which were made one after the other, by one write.
    pub(super) fn record_pushes(
        &self,
        asked: &[(Caller, AskedChange)],
        before: AuditPoint,
        results: &[Result<Pushed, Refusal>],
        now: Now,
    ) {
        let mut before = before;
        let changes = asked.iter().zip(results).filter(|((_, asked), _)| !asked.is_dry);
        let events = changes.map(|((caller, asked), result)| {
            let after = result.as_ref().ok().and_then(ToldInAudit::point).unwrap_or(before);
            // One that changes nothing was answered before those of its batch that do.
            let after = AuditPoint { revision: after.revision.max(before.revision), ..after };
            let points = [std::mem::replace(&mut before, after), after];
            asked.event(caller, points, result.as_ref().map(ToldInAudit::told), now)
        });
        record(&self.outer.audit, events.collect());
    }

    /// Records what happened by itself; before it the numbers were `before`.
    pub(super) fn record_automatic(&self, words: String, before: Option<AuditPoint>, now: Now) {
        let asked = AskedChange::of(AuditWhat::AutomaticRollback, false, words);
        let after = self.audit_point();
        let event = asked.event(&Caller::daemon(), [after; 2], Ok(String::new()), now);
        record(&self.outer.audit, vec![AuditEvent { before, ..event }]);
    }
}
