//! Whether the kernel still has what this daemon has written: looked at piece by piece, so that nobody waits for it.

use std::{collections::BTreeMap, time::Duration};

use super::{LoadedPolicy, Part, Step};
use crate::clock::Now;

/// The check that is under way, and how those before went.
#[derive(Debug)]
pub(super) struct Drift {
    steps: std::vec::IntoIter<Step>,
    pause: Duration,
    /// Time since boot.
    due: Duration,
    found: u64,
    counters: DriftCounters,
}

/// How comparing the kernel with what was written to it went, since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftCounters {
    /// Entries that were wrong in the last whole check.
    pub entries: u64,
    /// Whole checks.
    pub checks: u64,
    /// Tables that could not be read or put right.
    pub failures: u64,
    /// Entries that were put right, by table; `link` is that of the program on an interface, `pin` the pins
    /// of links and shared maps.
    pub repairs: BTreeMap<&'static str, u64>,
}

/// Entries of one table that are named in the log, of each check.
const NAMED: usize = 8;

/// Label of links and of the program in them.
pub(super) const LINK: &str = "link";

/// Label of the pins of links and shared maps.
pub(super) const PIN: &str = "pin";

impl Drift {
    /// The first check is due at once.
    pub(super) fn new() -> Self {
        let repairs = Part::ALL.map(|part| (part.label(), 0)).into_iter().chain([(LINK, 0), (PIN, 0)]);
        let counters = DriftCounters { repairs: BTreeMap::from_iter(repairs), ..DriftCounters::default() };
        Self { steps: Vec::new().into_iter(), pause: Duration::ZERO, due: Duration::ZERO, found: 0, counters }
    }

    /// How it went.
    pub(super) fn counters(&self) -> &DriftCounters {
        &self.counters
    }

    /// How long until the next piece.
    pub(super) fn left(&self, now: Now) -> Duration {
        self.due.saturating_sub(now.boot)
    }

    /// The next piece of this check; `None` when it is over. The one after it is due in a while.
    pub(super) fn next(&mut self, now: Now) -> Option<Step> {
        self.due = now.boot.saturating_add(self.pause);
        self.steps.next()
    }

    /// A check is over, and one of these pieces begins, which is to take `interval`.
    pub(super) fn begin(&mut self, steps: Vec<Step>, interval: Duration, now: Now) {
        self.counters.entries = std::mem::take(&mut self.found);
        self.counters.checks += 1;
        let count = u32::try_from(steps.len() + 1).unwrap_or(u32::MAX);
        self.pause = interval / count;
        self.due = now.boot.saturating_add(self.pause);
        self.steps = steps.into_iter();
    }

    /// Looks at a piece of `live` and puts right what is wrong; whether there was anything to tell.
    pub(super) fn look_at(&mut self, live: &mut LoadedPolicy, step: &Step) -> bool {
        let table = step.part.label();
        match live.repair(step) {
            Ok(wrong) if wrong.is_empty() => return false,
            Ok(wrong) => {
                let count = wrong.len();
                let named = wrong.get(..count.min(NAMED)).unwrap_or_default();
                tracing::error!(table, count, entries = ?named, "the kernel's table was changed by somebody else; it is right again");
                self.count(table, count as u64);
            }
            Err(error) => {
                self.counters.failures += 1;
                tracing::warn!("{error}");
            }
        }
        true
    }

    /// So many entries of `table` were put right.
    pub(super) fn count(&mut self, table: &'static str, entries: u64) {
        self.found += entries;
        *self.counters.repairs.entry(table).or_default() += entries;
    }
}
