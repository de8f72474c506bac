//! The journal while a daemon runs: what is to be kept now, what is kept later, and snapshots, which a thread writes while
//! pushes go on.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    time::Duration,
};

use super::{Job, Provisional, Store, Written};
use crate::{
    clock::{
        Now,
        reckoning::{Reckoning, Turn},
    },
    lists::{change::Change, pushed::Runtime},
    policy::Name,
    state::{disk::Disk, error::StoreError, patient::PATIENCE},
};

/// Keeps pushed entries over restarts.
pub struct Keeper<D: Disk> {
    store: Store<D>,
    /// The snapshot that is being written.
    running: Option<Receiver<Result<Written, StoreError>>>,
    /// What is known of the time is not on disk.
    is_clock_owed: bool,
    /// That what is known of the time cannot be kept was said.
    is_clock_told: bool,
    /// Time since boot before which it is not written again.
    clock_retry: Duration,
    /// That what has happened cannot be kept was said.
    is_told: bool,
    /// That everything has to be written anew was said.
    is_astray_told: bool,
    /// That this cannot be done was said.
    is_failure_told: bool,
    /// Time since boot before which what is owed is not written again.
    retry: Duration,
    /// Time since boot before which nobody looks whether the journal is still in its place.
    look: Duration,
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
    /// Times that somebody else had changed what is on disk, and everything was written anew.
    pub rewrites: u64,
    /// Octets of the journal.
    pub journal_octets: u64,
}

/// Between two attempts to write what is owed.
const RETRY: Duration = Duration::from_secs(1);

/// Between two looks at what is on disk.
const LOOK: Duration = Duration::from_secs(2);

/// How old what is kept of the time may be: a boot with a clock that is behind begins with it.
const SETTLED_CLOCK_AGE: Duration = Duration::from_secs(60 * 60);

/// The same while the clock is not synchronised.
const CLOCK_AGE: Duration = Duration::from_secs(10 * 60);

impl<D: Disk> Keeper<D> {
    /// Keeps in `store`.
    pub fn new(store: Store<D>) -> Self {
        Self {
            store,
            running: None,
            is_clock_owed: false,
            is_clock_told: false,
            clock_retry: Duration::ZERO,
            is_told: false,
            is_astray_told: false,
            is_failure_told: false,
            retry: Duration::ZERO,
            look: Duration::ZERO,
            counters: StoreCounters::default(),
        }
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
    pub fn keep(&mut self, now: Now, changes: Vec<Change>, provisional: Option<Provisional>) -> Result<(), StoreError> {
        let at = self.clock().written(now);
        let kept = match provisional {
            Some(provisional) => self.store.append_provisional(at, changes, provisional),
            None => self.store.append(at, changes),
        };
        self.count(kept)
    }

    /// Parts of a sync come from now on; its number.
    ///
    /// # Errors
    /// When nothing is kept.
    pub fn begin_sync(&mut self) -> Result<u64, StoreError> {
        let begun = self.store.begin_sync();
        begun.inspect_err(|_| self.counters.failures += 1)
    }

    /// Keeps a part of the sync `number`.
    ///
    /// # Errors
    /// When the disk refuses: the sync cannot go on.
    pub fn keep_part(&mut self, now: Now, number: u64, changes: Vec<Change>) -> Result<(), StoreError> {
        let kept = self.store.append_part(self.clock().written(now), number, changes);
        self.count(kept)
    }

    /// All parts of the sync `number` count from now on, also after a crash.
    ///
    /// # Errors
    /// When the disk refuses: none of them does.
    pub fn promise_sync(&mut self, now: Now, number: u64) -> Result<(), StoreError> {
        let kept = self.store.promise_sync(self.clock().written(now), number);
        self.count(kept)
    }

    /// What was kept of a sync that was not promised never counts.
    pub fn end_sync(&mut self) {
        self.store.end_sync();
    }

    /// The push that waits for a confirmation is confirmed.
    ///
    /// # Errors
    /// When the disk refuses; it waits on then.
    pub fn confirm(&mut self, now: Now) -> Result<(), StoreError> {
        let kept = self.store.decide(self.clock().written(now));
        self.count(kept)
    }

    /// `changes` have happened: they are kept now, or as soon as the disk lets them.
    pub fn owe(&mut self, now: Now, changes: Vec<Change>) {
        self.store.owe(self.clock().written(now), changes);
        self.settle(now);
    }

    /// The push that waits for a confirmation has been undone by `changes`.
    pub fn owe_decision(&mut self, now: Now, changes: Vec<Change>) {
        self.store.owe_decision(self.clock().written(now), changes);
        self.settle(now);
    }

    /// Pushes that were kept have been undone by `changes`, and what waits for a confirmation is `provisional` as before.
    pub fn take_back(&mut self, now: Now, changes: Vec<Change>, provisional: Option<Provisional>) {
        self.store.owe(self.clock().written(now), changes);
        self.store.owe_provisional(self.clock().written(now), provisional);
        self.settle(now);
    }

    /// What is known of the time.
    pub fn clock(&self) -> &Reckoning {
        self.store.clock()
    }

    /// Looks at the clocks; what entries have to follow, which is [kept](Self::owe_turn) before anything else is.
    pub fn follow_clock(&mut self, now: Now) -> Option<Turn> {
        let was_settled = self.clock().is_settled();
        let turn = self.store.follow_clock(now)?;
        match (turn.is_settled, turn.set_back()) {
            (true, Some(by)) => {
                tracing::warn!("the clock was set back by {by:#}: entries keep the time that they had left");
            }
            (true, None) if was_settled => {
                tracing::warn!("the clock was set forward: entries end by it");
            }
            (true, None) => tracing::info!("the clock is synchronised: no end of an entry is in doubt"),
            (false, _) => tracing::warn!(
                "the clock was set while it is not synchronised: denied entries end by the earliest time that can be \
                 believed, all others by the latest, until it is\nhint: `chronyc tracking` or `timedatectl timesync-status` \
                 say what keeps the clock"
            ),
        }
        Some(turn)
    }

    /// The clock is known better, and `told` is what becomes by that of entries that another clock was about.
    pub fn owe_turn(&mut self, now: Now, turn: &Turn, told: &[Change], is_denied: impl Fn(&Name) -> bool) {
        self.store.owe_turn(self.clock().written(now), turn, told, is_denied);
        self.settle(now);
    }

    /// What is due by itself: the snapshot that is over, what could not be kept so far, and everything, which is `runtime`, when
    /// somebody else has changed what is on disk. Whether anything was done.
    pub fn tend(&mut self, runtime: &Runtime, now: Now) -> bool {
        let is_changed = self.collect_snapshot() | self.look(now) | self.write_anew(runtime, now);
        let is_owing = self.store.is_owing() || self.store.is_torn();
        let is_done = !self.store.is_astray() && is_owing && now.boot >= self.retry;
        if is_done {
            self.settle(now);
        }
        self.keep_clock(now, self.clock_age());
        is_changed || is_done
    }

    /// How long until somebody should [look](Self::tend) at what is on disk.
    pub fn time_until_look(&self, now: Now) -> Duration {
        self.look.saturating_sub(now.boot)
    }

    /// Looks, from time to time, whether what is on disk is still what was written; whether it is not any more.
    fn look(&mut self, now: Now) -> bool {
        if now.boot < self.look {
            return false;
        }
        self.look = now.boot.saturating_add(LOOK);
        self.store.look()
    }

    /// Begins to write everything anew, when that has to be and can be tried; whether it has begun.
    fn write_anew(&mut self, runtime: &Runtime, now: Now) -> bool {
        if !self.store.is_astray() || self.running.is_some() || now.boot < self.retry {
            return false;
        }
        self.retry = now.boot.saturating_add(RETRY);
        let why = self.store.refuses().unwrap_or_default().to_owned();
        if !std::mem::replace(&mut self.is_astray_told, true) {
            tracing::error!("refusing pushes until everything is written anew: {why}");
        }
        match self.store.begin_anew(runtime, now) {
            Ok(job) => {
                tracing::debug!(entries = runtime.len(), "writing everything that was pushed anew");
                self.run(job);
                true
            }
            Err(error) => {
                self.counters.failures += 1;
                self.tell_not_anew(&error);
                false
            }
        }
    }

    /// What was pushed cannot be written anew. It is tried again every second: one line is enough.
    fn tell_not_anew(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.is_failure_told, true) {
            tracing::error!(%error, "cannot write anew what was pushed; trying again");
        }
    }

    /// Keeps what could not be kept so far, and what is known of the time, a last time.
    pub fn settle_now(&mut self, now: Now) {
        self.clock_retry = Duration::ZERO;
        // What was refused and could not be taken back would be read by the next daemon.
        let settled = if self.store.is_owing() || self.store.is_torn() {
            self.store.mend(self.clock().written(now)).and_then(|()| self.store.settle())
        } else {
            Ok(())
        };
        self.keep_clock(now, Duration::ZERO);
        if let Err(error) = settled.and_then(|()| self.store.stop()) {
            self.counters.failures += 1;
            tracing::error!(%error, "cannot keep what has happened");
        }
    }

    /// How old what is kept of the time may be.
    fn clock_age(&self) -> Duration {
        if self.clock().is_settled() { SETTLED_CLOCK_AGE } else { CLOCK_AGE }
    }

    /// Keeps what is known of the time when it is not on disk, or older than `age`: behind the entries that were written by it.
    fn keep_clock(&mut self, now: Now, age: Duration) {
        self.is_clock_owed = self.store.is_clock_stale(now, age);
        if !self.is_clock_owed || self.store.is_owing() || now.boot < self.clock_retry {
            return;
        }
        self.clock_retry = now.boot.saturating_add(RETRY);
        match self.store.keep_clock(now) {
            Ok(()) => (self.is_clock_owed, self.is_clock_told) = (false, false),
            Err(error) if !std::mem::replace(&mut self.is_clock_told, true) => {
                tracing::warn!(%error, "cannot keep what is known of the time: after a restart, ends of entries may be in doubt");
            }
            Err(_) => {}
        }
    }

    fn settle(&mut self, now: Now) {
        if !(self.store.is_owing() || self.store.is_torn()) {
            return;
        }
        self.retry = now.boot.saturating_add(RETRY);
        match self.store.mend(self.clock().written(now)).and_then(|()| self.store.settle()) {
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
        let is_owing = self.store.is_owing() || self.store.is_torn() || self.store.is_astray();
        is_owing || self.is_clock_owed || self.running.is_some()
    }

    /// Begins a snapshot of `runtime`, which is what was kept so far, when one is due.
    pub fn take_snapshot(&mut self, runtime: &Runtime, now: Now) {
        // What a start finds out from a journal alone would not be in the snapshot.
        let is_clock_kept = !self.store.is_clock_stale(now, Duration::MAX);
        // Nor whose clock the entries of before are by that a push may put back.
        let is_known = self.clock().is_settled() || self.provisional().is_none();
        if !self.store.is_due() || self.store.is_owing() || !is_clock_kept || !is_known {
            return;
        }
        let job = match self.store.rotate(runtime, self.clock().written(now)) {
            Ok(job) => job,
            Err(error) => {
                self.counters.snapshot_failures += 1;
                tracing::warn!(%error, "cannot begin a snapshot; trying again after the next push");
                return;
            }
        };
        self.run(job);
    }

    /// Writes a snapshot, on a thread that may wait for the disk.
    fn run(&mut self, job: Job<D>) {
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
                if self.store.refuses().is_some() {
                    self.tell_not_anew(&error);
                } else {
                    tracing::warn!(%error, "cannot write a snapshot; the journals keep everything until the next one");
                }
                None
            }
            None => {
                self.counters.snapshot_failures += 1;
                tracing::error!("writing a snapshot panicked: a bug worth a report");
                None
            }
        };
        let was_astray = self.store.refuses().is_some();
        self.store.rotated(written);
        if was_astray && self.store.refuses().is_none() {
            self.counters.rewrites += 1;
            (self.is_astray_told, self.is_failure_told) = (false, false);
            tracing::warn!("wrote everything that was pushed anew; pushes are taken again");
        }
    }

    fn count(&mut self, kept: Result<(), StoreError>) -> Result<(), StoreError> {
        self.counters.failures += u64::from(kept.is_err());
        kept
    }
}
