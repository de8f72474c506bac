//! What readers are told: made by the controller after each change, and read without it.

use std::{collections::BTreeSet, fmt, sync::Arc};

use tokio::sync::watch;

use super::{Core, Readings, in_force::InForce, report::HistoryView, undo::UndoableView};
use crate::{
    clock::reckoning::Reckoning,
    datapath::{CounterReader, Filter, FilterReport},
    lists::{
        entry::Layer,
        pushed::{EntryCounts, Runtime, count_of},
        tally::EntryTally,
    },
    policy::{Policy, Prefix},
    state::{disk::Disk, journal::StoreCounters},
};

/// All that readers are told, as of one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) in_force: InForce,
    pub(super) of_policy: OfPolicy,
    pub(super) standing: HistoryView,
    pub(super) lists: ListsView,
    pub(super) undoable: UndoableView,
    pub(super) filter: FilterReport,
    pub(super) keeping: Keeping,
}

/// The lists, by which entries are told.
#[derive(Clone, Debug)]
pub(super) struct ListsView {
    pub(super) pushed: Runtime,
    /// Addresses of this host.
    pub(super) own: Arc<BTreeSet<Prefix>>,
    pub(super) clock: Reckoning,
    /// What happened to entries.
    pub(super) tally: Arc<EntryTally>,
    /// Prefixes that are in anything: of IPv4, of IPv6.
    pub(super) prefixes: [usize; 2],
}

/// How keeping goes.
#[derive(Clone, Debug)]
pub(super) struct Keeping {
    pub(super) counters: StoreCounters,
    /// Why pushes are refused.
    pub(super) refuses_pushes: Option<String>,
    /// Why generations of the policy are not kept.
    pub(super) refuses_generations: Option<String>,
}

/// What changes with the policy only.
#[derive(Clone)]
pub(super) struct OfPolicy {
    policy: Arc<Policy>,
    /// Entries of the configuration, by list.
    pub(super) configured: Arc<[EntryCounts]>,
    pub(super) counters: Arc<dyn CounterReader>,
}

impl fmt::Debug for OfPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfPolicy").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Tells readers.
pub(super) struct Publisher {
    /// `None` until something was told.
    sender: Option<watch::Sender<Arc<dyn Readings>>>,
    of_policy: Option<OfPolicy>,
    /// What the history says, with the number of its changes.
    standing: Option<(u64, HistoryView)>,
}

impl Publisher {
    /// Nothing is told yet.
    pub(super) fn new() -> Self {
        Self { sender: None, of_policy: None, standing: None }
    }

    /// Those who listen to `sender` are told.
    pub(super) fn telling(sender: watch::Sender<Arc<dyn Readings>>) -> Self {
        Self { sender: Some(sender), ..Self::new() }
    }

    /// Tells `readings` from now on.
    fn tell(&mut self, readings: Arc<dyn Readings>) -> &watch::Sender<Arc<dyn Readings>> {
        match self.sender.take() {
            Some(sender) => {
                sender.send_replace(readings);
                self.sender.insert(sender)
            }
            None => self.sender.insert(watch::Sender::new(readings)),
        }
    }
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// Tells readers what is so now; where they look.
    pub(super) fn publish(&mut self) -> watch::Receiver<Arc<dyn Readings>> {
        let of_policy = match self.publisher.of_policy.take() {
            Some(known) if Arc::ptr_eq(&known.policy, &self.in_force.policy) => known,
            _ => OfPolicy {
                policy: Arc::clone(&self.in_force.policy),
                configured: configured(&self.in_force.policy),
                counters: self.filter.counters(),
            },
        };
        self.publisher.of_policy = Some(of_policy.clone());
        let standing = match self.publisher.standing.take() {
            Some((changes, known)) if changes == self.history.changes() => known,
            _ => HistoryView {
                generations: self.history.generations().into(),
                active: self.history.active().map(|active| active.number),
                differs_from_file: self.history.differs_from_file(),
            },
        };
        self.publisher.standing = Some((self.history.changes(), standing.clone()));
        let keeping = Keeping {
            counters: StoreCounters {
                failures: self.keeper.counters().failures + self.history.failures(),
                ..self.keeper.counters()
            },
            refuses_pushes: self.keeper.refuses().map(str::to_owned),
            refuses_generations: self.history.refuses().map(str::to_owned),
        };
        let snapshot = Snapshot {
            keeping,
            in_force: self.in_force.clone(),
            of_policy,
            standing,
            lists: ListsView {
                pushed: self.lists.pushed().clone(),
                own: Arc::clone(self.lists.own()),
                clock: self.lists.clock().clone(),
                tally: Arc::clone(self.lists.tally()),
                prefixes: self.lists.members().len(),
            },
            undoable: UndoableView { outstanding: self.outstanding(), pushes: self.undoable.log.told() },
            filter: self.filter.report(),
        };
        self.publisher.tell(Arc::new(snapshot)).subscribe()
    }
}

/// Entries that each list of `policy` has in the configuration.
fn configured(policy: &Policy) -> Arc<[EntryCounts]> {
    let count = |list: &crate::policy::List| {
        let mut counts = EntryCounts::default();
        list.entries.iter().for_each(|prefix| *count_of(&mut counts, *prefix, Layer::Config) += 1);
        counts
    };
    policy.lists.iter().map(count).collect()
}
