//! A mode that ends by itself.

use std::time::Duration;

use super::{Core, asked::Asked, policy::Wanted};
use crate::{
    clock::{
        Now,
        deadline::{Deadline, Until},
    },
    control::{Caller, Force, Refusal, SetMode},
    datapath::Filter,
    policy::Mode,
    state::{disk::Disk, history::TemporaryMode},
    text::{
        duration,
        problem::{Problem, Problems},
    },
};

/// How long a mode may be asked for.
const LENGTH: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 60 * 60);

/// Longest reason in octets.
const MAX_REASON: usize = 256;

/// Between two attempts to end what cannot be ended.
const RETRY: Duration = Duration::from_secs(1);

/// The mode of the policy in force that ends by itself.
pub(super) struct EndingMode {
    /// Generation of the policy.
    generation: u64,
    deadline: Deadline,
    /// Time since boot before which it is not ended again: the last attempt failed.
    retry: Duration,
}

/// What `set` asks for: how long, and why; `None` for a mode that stays.
///
/// # Errors
/// [`Refusal::Invalid`].
pub(super) fn asked(set: &SetMode) -> Result<Option<(Duration, String)>, Refusal> {
    let mut problems = Problems::default();
    let mut wrong = |pointer: &str, detail: String| {
        problems.add("fields", || Problem { pointer: pointer.into(), detail });
    };
    let length = set.length.as_deref().map(duration::parse);
    match &length {
        Some(Ok(length)) if !LENGTH.contains(length) => {
            let (least, most) = (duration::show(*LENGTH.start()), duration::show(*LENGTH.end()));
            wrong("/for", format!("a mode can last from {least} to {most}, not {}", duration::show(*length)));
        }
        Some(Ok(_)) if set.confirm.is_some() => {
            wrong("/confirm", "a mode that ends by itself needs no confirmation".into());
        }
        Some(Err(error)) => wrong("/for", error.to_string()),
        _ => {}
    }
    match (&set.reason, &length) {
        (None, Some(_)) => wrong("/reason", "a mode that ends by itself needs a reason, for those who find it".into()),
        (Some(_), None) => wrong("/reason", "a reason is noted of a mode that ends by itself: `for` is missing".into()),
        (Some(reason), Some(_)) if reason.trim().is_empty() || reason.len() > MAX_REASON => {
            wrong("/reason", format!("the reason has to have 1 to {MAX_REASON} octets"));
        }
        (Some(reason), Some(_)) if reason.chars().any(char::is_control) => {
            wrong("/reason", "the reason has control characters".into());
        }
        _ => {}
    }
    if !problems.is_empty() {
        return Err(Refusal::Invalid(problems));
    }
    Ok(length.and_then(Result::ok).zip(set.reason.clone()))
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// A mode that ends after `length` from `now`, in place of what is in force.
    pub(super) fn temporary(&self, (length, reason): (Duration, String), now: Now) -> TemporaryMode {
        let active = self.history.active();
        // One that is prolonged still ends where the first one began.
        let before = active.and_then(|active| active.temporary.as_ref());
        let (back, back_to) = match before {
            Some(before) => (before.back, before.back_to),
            None => (active.and_then(|active| active.mode), self.in_force.policy.mode),
        };
        TemporaryMode { until: Until::after(length, now), reason, back, back_to }
    }

    /// Follows which mode ends by itself.
    fn follow_temporary(&mut self, now: Now) {
        let active = self.history.active();
        let temporary = active.and_then(|active| Some((active.number, active.temporary.as_ref()?)));
        let Some((generation, temporary)) = temporary else {
            self.undoable.ending = None;
            return;
        };
        if self.undoable.ending.as_ref().is_none_or(|ending| ending.generation != generation) {
            let deadline = Deadline::resume(temporary.until, now);
            self.undoable.ending = Some(EndingMode { generation, deadline, retry: Duration::ZERO });
        }
    }

    /// How long the mode in force lasts; `None` when it stays.
    pub(super) fn mode_left(&self, now: Now) -> Option<Duration> {
        let ending = self.undoable.ending.as_ref()?;
        // What waits for a confirmation goes first; its end brings the thread back here.
        if self.undoable.waiting.is_some() {
            return None;
        }
        Some(ending.deadline.left(now).max(ending.retry.saturating_sub(now.boot)))
    }

    /// Ends a mode whose time is over; whether it did. A policy that waits for a confirmation is decided first.
    pub(super) fn end_mode(&mut self, now: Now) -> bool {
        self.follow_temporary(now);
        if self.mode_left(now).is_none_or(|left| !left.is_zero()) {
            return false;
        }
        let temporary = self.history.active().and_then(|active| active.temporary.clone());
        let Some(TemporaryMode { back, back_to, reason, .. }) = temporary else { return false };
        // What would be harmed was let through on condition that it ends.
        let asked = Asked { dry_run: false, force: Force::All, connection: None, confirm: None, expect: None };
        let wanted = Wanted::Mode { mode: back_to, set: back, temporary: None };
        match self.change_policy(&Caller::daemon(), wanted, &asked, now) {
            Ok(_) => {
                tracing::warn!(mode = mode(back_to), reason, "the mode that was set for a time has ended");
                self.follow_temporary(now);
                true
            }
            Err(refusal) => {
                if let Some(ending) = &mut self.undoable.ending {
                    let is_first = ending.retry.is_zero();
                    ending.retry = now.boot.saturating_add(RETRY);
                    if is_first {
                        tracing::error!("cannot end the mode that was set for a time; trying again: {refusal}");
                    }
                }
                false
            }
        }
    }
}

fn mode(mode: Mode) -> &'static str {
    crate::policy::mode_label(mode)
}
