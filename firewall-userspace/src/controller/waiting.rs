//! What waits for a confirmation: one thing at a time.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Now, deadline::Deadline},
    control::Pending,
    policy::Policy,
};

/// A change that is undone unless it is confirmed.
pub(super) struct Waiting {
    pub(super) what: Awaited,
    pub(super) deadline: Deadline,
    /// That it could not be undone was said.
    is_told: bool,
    /// Time since boot before which it is not undone again: the last attempt failed.
    retry: Duration,
}

/// The change.
#[derive(Clone)]
pub(super) enum Awaited {
    /// A policy, with what comes back; `None` when that has to be read first.
    Policy(Option<Arc<Policy>>),
    /// A push.
    Push,
}

/// What waits for a confirmation, as it is told.
#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    pub(super) deadline: Deadline,
    pub(super) pending: Pending,
}

/// Between two attempts to undo what cannot be undone.
const RETRY: Duration = Duration::from_secs(1);

impl Waiting {
    /// `what` waits until `deadline`.
    pub(super) fn new(what: Awaited, deadline: Deadline) -> Self {
        Self { what, deadline, is_told: false, retry: Duration::ZERO }
    }

    /// How long until it is undone.
    pub(super) fn left(&self, now: Now) -> Duration {
        self.deadline.left(now).max(self.retry.saturating_sub(now.boot))
    }

    /// It could not be undone at `now`; whether that was not said yet.
    pub(super) fn failed(&mut self, now: Now) -> bool {
        self.retry = now.boot.saturating_add(RETRY);
        !std::mem::replace(&mut self.is_told, true)
    }
}

impl Outstanding {
    /// As it stands at `now`.
    pub(super) fn at(&self, now: Now) -> Pending {
        let left = self.deadline.left(now);
        Pending {
            deadline: now.wall.checked_add(left).unwrap_or(jiff::Timestamp::MAX),
            seconds_left: u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX),
            ..self.pending.clone()
        }
    }
}
