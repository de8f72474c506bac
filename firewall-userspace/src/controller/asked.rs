//! On what terms a change of the policy is asked for, checked.

use std::time::Duration;

use super::Core;
use crate::{
    control::{Expected, Force, Refusal, Terms},
    datapath::Filter,
    host::connections::Connection,
    state::disk::Disk,
    text::{duration, problem::Problems},
};

/// On what terms.
pub(super) struct Asked {
    pub(super) dry_run: bool,
    pub(super) force: Force,
    pub(super) connection: Option<Connection>,
    pub(super) confirm: Option<Duration>,
    pub(super) expect: Option<Expected>,
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// Refuses what was asked for on top of another policy.
    pub(super) fn expect_policy(&self, expected: Option<Expected>) -> Result<(), Refusal> {
        expect(expected, Expected::Generation(self.policy_generation()))
    }

    /// Refuses what was asked for on top of other lists.
    pub(super) fn expect_lists(&self, expected: Option<Expected>) -> Result<(), Refusal> {
        // A sync whose entries are there makes the next revision when all addresses meet them.
        let is_ahead = self.is_sync_in_lists();
        let revision = if is_ahead { self.in_force.next() } else { self.in_force.revision() };
        expect(expected, Expected::lists(revision, self.in_force.started()))
    }
}

/// Refuses what was asked for on top of something else than `current`.
pub(super) fn expect(expected: Option<Expected>, current: Expected) -> Result<(), Refusal> {
    match expected.is_none_or(|expected| expected == current) {
        true => Ok(()),
        false => Err(Refusal::Precondition { current }),
    }
}

/// How long a confirmation may be waited for.
const CONFIRM: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

impl Asked {
    /// Checks `terms`.
    pub(super) fn on(Terms { dry_run, force, confirm, caller, expect }: Terms) -> Result<Self, Refusal> {
        Ok(Self { dry_run, force, connection: caller, confirm: confirm_within(confirm.as_deref())?, expect })
    }
}

/// How long a confirmation is to be waited for.
pub(super) fn confirm_within(text: Option<&str>) -> Result<Option<Duration>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let invalid = |detail| Refusal::Invalid(Problems::one("/confirm", detail));
    let length = duration::parse(text).map_err(|error| invalid(error.to_string()))?;
    if CONFIRM.contains(&length) {
        return Ok(Some(length));
    }
    let (least, most) = (duration::show(*CONFIRM.start()), duration::show(*CONFIRM.end()));
    Err(invalid(format!("a confirmation can be waited for from {least} to {most}, not {}", duration::show(length))))
}
