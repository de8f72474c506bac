//! The journal while a daemon runs: what is to be kept now, what is kept later, and snapshots, which a thread writes while
//! pushes go on.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    time::Duration,
};

use jiff::Timestamp;

use super::{Provisional, Store, Written};
use crate::{
    clock::{Now, Watch},
    lists::{change::Change, pushed::Runtime},
    state::{disk::Disk, error::StoreError, patient::PATIENCE},
};

/// Keeps pushed entries over restarts.
pub struct Keeper<D: Disk> {
    store: Store<D>,
    /// The snapshot that is being written.
    running: Option<Receiver<Result<Written, StoreError>>>,
    watch: Watch,
    /// That what has happened cannot be kept was said.
    is_told: bool,
    /// Time since boot before which what is owed is not written again.
    retry: Duration,
    counters: StoreCounters,
}

/// How keeping what is pushed went, since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Changes that were not kept, because the disk refused.
    pub failures: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
    /// Snapshots that were not.
    pub snapshot_failures: u64,
    /// Octets of the journal.
    pub journal_octets: u64,
}

/// Between two attempts to write what is owed.
const RETRY: Duration = Duration::from_secs(1);

impl<D: Disk> Keeper<D> {
    /// Keeps in `store` from `now` on.
    pub fn new(store: Store<D>, now: Now) -> Self {
        let counters = StoreCounters::default();
        Self { store, running: None, watch: Watch::new(now), is_told: false, retry: Duration::ZERO, counters }
    }

    /// How it went.
    pub fn counters(&self) -> StoreCounters {
        StoreCounters { journal_octets: self.store.journal_octets(), ..self.counters }
    }

    /// Why no push is taken, in words with a hint: what is on disk could not be read, or does not belong to what is in memory.
    pub fn refuses(&self) -> Option<&str> {
        self.store.refuses()
    }

    /// The push that waits for a confirmation.
    pub fn provisional(&self) -> Option<&Provisional> {
        self.store.provisional()
    }

    /// From now on keeping anything, here and in the history, has to be over within `limit`, because something is due then. What
    /// takes longer is refused, or owed; see [`Disk::be_back_in`].
    pub fn be_back_in(&self, limit: Option<Duration>) {
        self.store.be_back_in(limit);
    }

    /// Keeps `changes`, with `provisional` until they are decided on: all of them are on disk when this is `Ok`, and none
    /// of them when it is not.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep(
        &mut self,
        at: Timestamp,
        changes: Vec<Change>,
        provisional: Option<Provisional>,
    ) -> Result<(), StoreError> {
        let kept = match provisional {
            Some(provisional) => self.store.append_provisional(at, changes, provisional),
            None => self.store.append(at, changes),
        };
        self.count(kept)
    }

    /// The push that waits for a confirmation is confirmed.
    ///
    /// # Errors
    /// When the disk refuses; it waits on then.
    pub fn confirm(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let kept = self.store.decide(at);
        self.count(kept)
    }

    /// `changes` have happened: they are kept now, or as soon as the disk lets them.
    pub fn owe(&mut self, now: Now, changes: Vec<Change>) {
        self.store.owe(now.wall, changes);
        self.settle(now);
    }

    /// The push that waits for a confirmation has been undone by `changes`.
    pub fn owe_decision(&mut self, now: Now, changes: Vec<Change>) {
        self.store.owe_decision(now.wall, changes);
        self.settle(now);
    }

    /// Pushes that were kept have been undone by `changes`, and what waits for a confirmation is `provisional` as before.
    pub fn take_back(&mut self, now: Now, changes: Vec<Change>, provisional: Option<Provisional>) {
        self.store.owe(now.wall, changes);
        self.store.owe_provisional(now.wall, provisional);
        self.settle(now);
    }

    /// By how many nanoseconds the wall clock was set back since the last look, which is kept: entries are to be
    /// [brought forward](Runtime::bring_forward) by as much.
    pub fn clock_set_back(&mut self, now: Now) -> Option<u64> {
        let by = self.watch.set_back(now)?;
        tracing::warn!("the clock was set back by {by:#}: entries keep the time that they had left");
        let by_ns = u64::try_from(by.as_nanos()).unwrap_or(0);
        self.store.owe_clock_back(now.wall, by_ns);
        self.settle(now);
        Some(by_ns)
    }

    /// What is due by itself: the snapshot that is over, and what could not be kept so far. Whether anything was done.
    pub fn tend(&mut self, now: Now) -> bool {
        let is_collected = self.collect_snapshot();
        if !(self.store.is_owing() || self.store.is_torn()) || now.boot < self.retry {
            return is_collected;
        }
        self.settle(now);
        true
    }

    /// Keeps what could not be kept so far, a last time.
    pub fn settle_now(&mut self) {
        if self.store.is_owing()
            && let Err(error) = self.store.settle()
        {
            self.counters.failures += 1;
            tracing::error!(%error, "cannot keep what has happened");
        }
    }

    fn settle(&mut self, now: Now) {
        if !(self.store.is_owing() || self.store.is_torn()) {
            return;
        }
        self.retry = now.boot.saturating_add(RETRY);
        match self.store.mend(now.wall).and_then(|()| self.store.settle()) {
            Ok(()) => self.is_told = false,
            Err(error) => {
                self.counters.failures += 1;
                // Tried again every second: one line is enough.
                if !std::mem::replace(&mut self.is_told, true) {
                    tracing::error!(%error, "cannot keep what has happened; trying again");
                }
            }
        }
    }

    /// Whether there is something to do that nobody asks for: to persist what has happened, or to collect a snapshot.
    pub fn has_chores(&self) -> bool {
        self.store.is_owing() || self.store.is_torn() || self.running.is_some()
    }

    /// Begins a snapshot of `runtime`, which is what was kept so far, when one is due.
    pub fn take_snapshot(&mut self, runtime: &Runtime, at: Timestamp) {
        if !self.store.is_due() || self.store.is_owing() {
            return;
        }
        let job = match self.store.rotate(runtime, at) {
            Ok(job) => job,
            Err(error) => {
                self.counters.snapshot_failures += 1;
                tracing::warn!(%error, "cannot begin a snapshot; trying again after the next push");
                return;
            }
        };
        let (over, running) = mpsc::sync_channel(1);
        // Nobody waits for what it says when the daemon has stopped.
        match std::thread::Builder::new().name("snapshot".into()).spawn(move || drop(over.send(job.run()))) {
            Ok(_) => self.running = Some(running),
            Err(error) => {
                self.counters.snapshot_failures += 1;
                tracing::warn!(%error, "no thread to be had for a snapshot; trying again later");
                self.store.rotated(None);
            }
        }
    }

    /// Notes what became of a snapshot that is over; whether one is.
    fn collect_snapshot(&mut self) -> bool {
        let Some(running) = &self.running else { return false };
        let written = match running.try_recv() {
            Err(TryRecvError::Empty) => return false,
            Ok(written) => Some(written),
            Err(TryRecvError::Disconnected) => None,
        };
        self.running = None;
        self.collect(written);
        true
    }

    /// Waits for the snapshot that is being written, if any, and notes what became of it. One that the disk does not end is left
    /// behind.
    pub fn finish(&mut self) {
        if let Some(running) = self.running.take() {
            match running.recv_timeout(PATIENCE) {
                Err(RecvTimeoutError::Timeout) => {
                    tracing::warn!(
                        "the disk does not answer: left a snapshot unfinished; the journals keep everything"
                    );
                    self.running = Some(running);
                }
                Ok(written) => self.collect(Some(written)),
                Err(RecvTimeoutError::Disconnected) => self.collect(None),
            }
        }
    }

    /// What became of a snapshot; `None` when its thread has panicked.
    fn collect(&mut self, written: Option<Result<Written, StoreError>>) {
        let written = match written {
            Some(Ok(written)) => {
                self.counters.snapshots += 1;
                tracing::debug!(number = written.number, octets = written.octets, "wrote a snapshot");
                Some(written)
            }
            Some(Err(error)) => {
                self.counters.snapshot_failures += 1;
                tracing::warn!(%error, "cannot write a snapshot; the journals keep everything until the next one");
                None
            }
            None => {
                self.counters.snapshot_failures += 1;
                tracing::error!("writing a snapshot panicked: a bug worth a report");
                None
            }
        };
        self.store.rotated(written);
    }

    fn count(&mut self, kept: Result<(), StoreError>) -> Result<(), StoreError> {
        self.counters.failures += u64::from(kept.is_err());
        kept
    }
}
