//! On what terms a change of the policy is asked for, checked.

use std::time::Duration;

use crate::{
    control::{Force, Refusal, Terms},
    host::connections::Connection,
    text::{duration, problem::Problems},
};

/// On what terms.
pub(super) struct Asked {
    pub(super) dry_run: bool,
    pub(super) force: Force,
    pub(super) connection: Option<Connection>,
    pub(super) confirm: Option<Duration>,
}

/// How long a confirmation may be waited for.
const CONFIRM: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

impl Asked {
    /// Checks `terms`.
    pub(super) fn on(Terms { dry_run, force, confirm, caller }: Terms) -> Result<Self, Refusal> {
        Ok(Self { dry_run, force, connection: caller, confirm: confirm_within(confirm.as_deref())? })
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
