//! Who follows a sync, and may cancel it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    control::{Caller, SyncProgress, SyncStage},
    policy::Role,
};

/// Syncs whose lines are received at once; each may have millions of entries in memory.
const AT_ONCE: usize = 2;

/// A sync, for those who wait for it and for those who carry it out.
#[derive(Debug)]
pub struct SyncTicket {
    progress: watch::Sender<SyncProgress>,
    state: watch::Sender<SyncState>,
    /// Who began it.
    owner: String,
    _room: OwnedSemaphorePermit,
}

/// Whether a sync can still be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SyncState {
    Open,
    Cancelled,
    Promised,
}

impl SyncTicket {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.progress.borrow().sync
    }

    /// What is being done of it now, and with how many entries of `total`.
    pub fn begin(&self, stage: SyncStage, total: Option<u64>) {
        self.progress.send_modify(|progress| *progress = SyncProgress { stage, total, done: 0, ..*progress });
    }

    /// That is done with so many entries more.
    pub fn advance(&self, entries: usize) {
        self.progress.send_modify(|progress| progress.done += entries as u64);
    }

    /// How far it is, now and whenever it gets further.
    pub fn progress(&self) -> watch::Receiver<SyncProgress> {
        let mut progress = self.progress.subscribe();
        progress.mark_changed();
        progress
    }

    /// Nothing of it happens, unless it is promised; whether nothing does.
    pub fn cancel(&self) -> bool {
        self.leave_open(SyncState::Cancelled);
        self.is_cancelled()
    }

    /// It cannot be cancelled any more; `false` when it was before.
    pub(in crate::controller) fn promise(&self) -> bool {
        self.leave_open(SyncState::Promised)
    }

    fn leave_open(&self, next: SyncState) -> bool {
        self.state.send_if_modified(|state| {
            let is_open = *state == SyncState::Open;
            if is_open {
                *state = next;
            }
            is_open
        })
    }

    /// Whether nothing of it is to happen.
    pub fn is_cancelled(&self) -> bool {
        *self.state.borrow() == SyncState::Cancelled
    }

    /// Completes when nothing of it is to happen.
    pub async fn cancelled(&self) {
        // The sender is here, so it does not end before.
        let _ = self.state.subscribe().wait_for(|state| *state == SyncState::Cancelled).await;
    }
}

/// Held while a sync is carried out: one at a time is.
pub type SyncTurn = OwnedMutexGuard<()>;

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
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct KnownSyncs {
    last: u64,
    tickets: BTreeMap<u64, Weak<SyncTicket>>,
}

impl Default for Syncs {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(AT_ONCE)), known: Mutex::default(), turn: Arc::default() }
    }
}

impl Syncs {
    /// One more, of `owner`; `None` when there is no room for it now.
    pub fn begin(&self, owner: &str) -> Option<Arc<SyncTicket>> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let mut known = self.known();
        known.last += 1;
        let number = known.last;
        let begin = SyncProgress { sync: number, stage: SyncStage::Receiving, done: 0, total: None };
        let (progress, state) = (watch::Sender::new(begin), watch::Sender::new(SyncState::Open));
        let ticket = Arc::new(SyncTicket { progress, state, owner: owner.into(), _room: room });
        known.tickets.retain(|_, ticket| ticket.strong_count() > 0);
        known.tickets.insert(number, Arc::downgrade(&ticket));
        Some(ticket)
    }

    /// Waits until the sync before is over; the next one is not carried out before this turn is dropped.
    pub async fn turn(&self) -> SyncTurn {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Cancels the sync `number`; whether nothing of it happens, and `None` when there is none that `caller` may cancel.
    pub fn cancel(&self, number: u64, caller: &Caller) -> Option<bool> {
        let ticket = self.known().tickets.get(&number).and_then(Weak::upgrade)?;
        let may = caller.has(Role::Admin) || caller.grant.scope.is_everything() || ticket.owner == caller.name;
        may.then(|| ticket.cancel())
    }

    fn known(&self) -> MutexGuard<'_, KnownSyncs> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_promised_is_not_cancelled_and_what_is_cancelled_not_promised() {
        let (syncs, ada) = (Syncs::default(), Caller::local("ada"));
        let (first, second) = (syncs.begin("ada").unwrap(), syncs.begin("ada").unwrap());
        assert!(syncs.begin("ada").is_none(), "there is room for two");
        assert!(first.promise());
        assert_eq!((syncs.cancel(first.number(), &ada), first.is_cancelled()), (Some(false), false));
        assert_eq!(
            (syncs.cancel(second.number(), &ada), syncs.cancel(second.number(), &ada)),
            (Some(true), Some(true))
        );
        assert!(second.is_cancelled() && !second.promise());
        let number = second.number();
        drop(CancelOnDrop(second));
        assert_eq!(syncs.cancel(number, &ada), None);
        assert!(syncs.begin("ada").is_some());
    }

    #[test]
    fn the_next_one_waits_for_its_turn() {
        let syncs = Syncs::default();
        let first = syncs.turn().now_or_never().unwrap();
        assert!(syncs.turn().now_or_never().is_none());
        drop(first);
        assert!(syncs.turn().now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_follows_is_told_of_each_step_and_of_the_end() {
        let ticket = Syncs::default().begin("ada").unwrap();
        let mut progress = ticket.progress();
        progress.changed().await.unwrap();
        assert_eq!((progress.borrow_and_update().done, ticket.cancelled().now_or_never()), (0, None));
        ticket.begin(SyncStage::Writing, Some(7));
        ticket.advance(3);
        progress.changed().await.unwrap();
        let wanted = SyncProgress { sync: 1, stage: SyncStage::Writing, done: 3, total: Some(7) };
        assert_eq!(*progress.borrow_and_update(), wanted);
        assert!(ticket.cancel());
        ticket.cancelled().await;
    }
}
