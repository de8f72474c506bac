//! Whether the kernel still has what this daemon has written: looked at piece by piece, so that nobody waits for it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::State;
use crate::{
    control::DriftCounters,
    datapath::{Part, Step},
};

/// The check that is under way, and how those before went.
pub(super) struct Drift {
    steps: std::vec::IntoIter<Step>,
    pause: Duration,
    due: Instant,
    found: u64,
    pub(super) counters: DriftCounters,
}

/// Entries of one table that are named in the log, of each check.
const NAMED: usize = 8;

impl Drift {
    pub(super) fn new() -> Self {
        let repairs = Part::ALL.map(|part| (part.label(), 0)).into_iter().chain([(LINK, 0)]);
        let counters = DriftCounters { repairs: BTreeMap::from_iter(repairs), ..DriftCounters::default() };
        Self { steps: Vec::new().into_iter(), pause: Duration::ZERO, due: Instant::now(), found: 0, counters }
    }

    /// How long until the next step.
    pub(super) fn left(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    pub(super) fn count(&mut self, table: &'static str, entries: u64) {
        self.found += entries;
        *self.counters.repairs.entry(table).or_default() += entries;
    }
}

/// Label of links and of the program in them.
pub(super) const LINK: &str = "link";

impl State {
    /// Looks at the next piece, when it is due.
    pub(super) fn look_for_drift(&mut self) {
        if !self.drift.left().is_zero() {
            return;
        }
        match self.drift.steps.next() {
            Some(step) => self.look_at(&step),
            None => {
                self.follow_interfaces();
                self.drift.counters.entries = std::mem::take(&mut self.drift.found);
                self.drift.counters.checks += 1;
                let steps = self.live.steps();
                let count = u32::try_from(steps.len() + 1).unwrap_or(u32::MAX);
                self.drift.pause = self.policy.drift_interval / count;
                self.drift.steps = steps.into_iter();
            }
        }
        self.drift.due = Instant::now() + self.drift.pause;
    }

    fn look_at(&mut self, step: &Step) {
        let table = step.part.label();
        match self.live.repair(step) {
            Ok(wrong) if wrong.is_empty() => {}
            Ok(wrong) => {
                let count = wrong.len();
                let named = wrong.get(..count.min(NAMED)).unwrap_or_default();
                tracing::error!(table, count, entries = ?named, "the kernel's table was changed by somebody else; it is right again");
                self.drift.count(table, count as u64);
            }
            Err(error) => {
                self.drift.counters.failures += 1;
                tracing::warn!("{error}");
            }
        }
    }
}
