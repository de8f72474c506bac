//! Who follows a sync, and may cancel it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::control::{SyncProgress, SyncStage};

/// Syncs whose lines are received at once; each may have millions of entries in memory.
const AT_ONCE: usize = 2;

/// Whether a sync goes on, is cancelled, or is promised and cannot be cancelled any more.
const OPEN: u8 = 0;
const CANCELLED: u8 = 1;
const PROMISED: u8 = 2;

/// A sync, for those who wait for it and for those who carry it out.
#[derive(Debug)]
pub struct SyncTicket {
    number: u64,
    state: AtomicU8,
    stage: AtomicU8,
    done: AtomicU64,
    /// 0 while nobody knows.
    total: AtomicU64,
    _room: OwnedSemaphorePermit,
}

impl SyncTicket {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What is being done of it now, and with how many entries of `total`.
    pub fn begin(&self, stage: SyncStage, total: Option<u64>) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total.unwrap_or(0), Ordering::Relaxed);
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// That is done with so many entries more.
    pub fn advance(&self, entries: usize) {
        self.done.fetch_add(entries as u64, Ordering::Relaxed);
    }

    /// How far it is.
    pub fn progress(&self) -> SyncProgress {
        let stages = [SyncStage::Receiving, SyncStage::Comparing, SyncStage::Writing, SyncStage::Enforcing];
        let stage = stages.get(usize::from(self.stage.load(Ordering::Relaxed)));
        let total = self.total.load(Ordering::Relaxed);
        SyncProgress {
            sync: self.number,
            stage: stage.copied().unwrap_or(SyncStage::Enforcing),
            done: self.done.load(Ordering::Relaxed),
            total: (total > 0).then_some(total),
        }
    }

    /// Nothing of it happens, unless it is promised; whether nothing does.
    pub fn cancel(&self) -> bool {
        let cancelled = self.state.compare_exchange(OPEN, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
        cancelled.is_ok_and(|_| true) || cancelled == Err(CANCELLED)
    }

    /// It cannot be cancelled any more; `false` when it was before.
    pub(in crate::controller) fn promise(&self) -> bool {
        self.state.compare_exchange(OPEN, PROMISED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether nothing of it is to happen.
    pub fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::Acquire) == CANCELLED
    }
}

/// Cancels a sync when nobody waits for it any more.
#[derive(Debug)]
pub struct CancelOnDrop(pub Arc<SyncTicket>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The syncs that are under way.
#[derive(Debug)]
pub struct Syncs {
    room: Arc<Semaphore>,
    known: Mutex<KnownSyncs>,
    /// Held by the one that is carried out.
    pub(in crate::controller) turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct KnownSyncs {
    last: u64,
    tickets: BTreeMap<u64, Weak<SyncTicket>>,
}

impl Default for Syncs {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(AT_ONCE)), known: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl Syncs {
    /// One more; `None` when there is no room for it now.
    pub fn begin(&self) -> Option<Arc<SyncTicket>> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let mut known = self.known();
        known.last += 1;
        let (state, stage) = (AtomicU8::new(OPEN), AtomicU8::new(SyncStage::Receiving as u8));
        let (done, total, number) = (AtomicU64::new(0), AtomicU64::new(0), known.last);
        let ticket = Arc::new(SyncTicket { number, state, stage, done, total, _room: room });
        known.tickets.retain(|_, ticket| ticket.strong_count() > 0);
        known.tickets.insert(number, Arc::downgrade(&ticket));
        Some(ticket)
    }

    /// Cancels the sync `number`; whether nothing of it happens, and `None` when there is none.
    pub fn cancel(&self, number: u64) -> Option<bool> {
        let ticket = self.known().tickets.get(&number).and_then(Weak::upgrade)?;
        Some(ticket.cancel())
    }

    fn known(&self) -> MutexGuard<'_, KnownSyncs> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_not_cancelled_and_what_is_cancelled_not_promised() {
        let syncs = Syncs::default();
        let (first, second) = (syncs.begin().unwrap(), syncs.begin().unwrap());
        assert!(syncs.begin().is_none(), "there is room for two");
        assert!(first.promise());
        assert_eq!((syncs.cancel(first.number()), first.is_cancelled()), (Some(false), false));
        assert_eq!((syncs.cancel(second.number()), syncs.cancel(second.number())), (Some(true), Some(true)));
        assert!(second.is_cancelled() && !second.promise());
        let number = second.number();
        drop(CancelOnDrop(second));
        assert_eq!(syncs.cancel(number), None);
        assert!(syncs.begin().is_some());
    }
}
