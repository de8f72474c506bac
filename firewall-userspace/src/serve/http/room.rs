//! Which connections are open, and which gives way when others need its room.
//!
//! Whoever holds connections that say nothing keeps nobody out: the one that has said nothing for longest is cut for a new one. A
//! request that has come whole is answered first.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, Id},
    time::Instant,
};

/// How many connections of one kind of client there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which kind: kinds have rooms of their own.
    pub key: u64,
    /// Connections that are served at a time.
    pub connections: usize,
    /// Connections that wait for their turn; what comes when as many wait is cut.
    pub waiting: usize,
}

/// How long a connection is left alone although its room is needed.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// While the request has not come whole.
    pub request: Duration,
    /// While the client has not read the answer.
    pub answer: Duration,
}

/// Connections of one kind of client.
#[derive(Debug)]
pub struct Room {
    share: Share,
    turns: Arc<Semaphore>,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    task: AbortHandle,
    stage: Arc<Stage>,
}

/// How far a connection has come.
#[derive(Debug)]
pub struct Stage {
    begin: Instant,
    patience: Patience,
    /// Milliseconds after `begin` from which on it may be cut; [`BUSY`] or [`CUT`].
    cut_from: AtomicU64,
}

/// It is not its client that is waited for.
const BUSY: u64 = u64::MAX;

/// It gives way to another.
const CUT: u64 = u64::MAX - 1;

/// Connections that gave way, by listener: `portcullis_http_connections_cut_total`.
static CUTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// How many connections of `listener` gave way so far.
pub fn cuts(listener: &str) -> u64 {
    CUTS.lock().unwrap_or_else(PoisonError::into_inner).get(listener).copied().unwrap_or(0)
}

/// Counts `count` connections of `listener` that gave way.
pub fn count_cuts(listener: &'static str, count: u64) {
    *CUTS.lock().unwrap_or_else(PoisonError::into_inner).entry(listener).or_default() += count;
}

impl Stage {
    /// It waits for its turn.
    pub fn new(begin: Instant, patience: Patience) -> Self {
        Self { begin, patience, cut_from: AtomicU64::new(BUSY) }
    }

    /// The request, or more of it, is waited for from now on.
    pub fn await_request(&self) {
        self.give_way_after(self.patience.request);
    }

    /// The request is here; whether it is still to be answered.
    pub fn begin_answer(&self) -> bool {
        self.cut_from.swap(BUSY, Ordering::Relaxed) != CUT
    }

    /// The answer is made, and the client reads it from now on.
    pub fn await_reader(&self) {
        self.give_way_after(self.patience.answer);
    }

    fn give_way_after(&self, patience: Duration) {
        let from = (self.begin.elapsed() + patience).as_millis();
        let from = u64::try_from(from).unwrap_or(BUSY).min(CUT - 1);
        // What is being cut stays so.
        let _ = self.cut_from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| (seen != CUT).then_some(from));
    }

    /// Since when it may be cut; `None` when it may not.
    fn idle_since(&self) -> Option<Instant> {
        match self.cut_from.load(Ordering::Relaxed) {
            BUSY | CUT => None,
            from => Some(self.begin + Duration::from_millis(from)).filter(|since| *since <= Instant::now()),
        }
    }

    /// Takes its room, unless its request has come meanwhile.
    fn cut(&self) -> bool {
        let seen = self.cut_from.load(Ordering::Relaxed);
        seen < CUT && self.cut_from.compare_exchange(seen, CUT, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Room {
    /// An empty one.
    pub fn new(share: Share) -> Self {
        Self { share, turns: Arc::new(Semaphore::new(share.connections)), open: Vec::new() }
    }

    /// Whom it is for.
    pub fn key(&self) -> u64 {
        self.share.key
    }

    /// Completes when it is the turn of whoever asks.
    pub fn turn(&self) -> impl Future<Output = Option<OwnedSemaphorePermit>> + use<> {
        let turns = Arc::clone(&self.turns);
        // The semaphore is never closed, so there is always a turn.
        async move { turns.acquire_owned().await.ok() }
    }

    /// Lets a connection in.
    pub fn enter(&mut self, task: AbortHandle, stage: Arc<Stage>) {
        self.open.push(Open { task, stage });
    }

    /// Forgets a connection that has ended.
    pub fn leave(&mut self, task: Id) {
        self.open.retain(|open| open.task.id() != task);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether more are open than are served.
    pub fn is_short(&self) -> bool {
        self.open.len() > self.share.connections
    }

    /// Whether another can be let in, even if only to wait.
    pub fn is_open(&self) -> bool {
        self.open.len() < self.share.connections + self.share.waiting
    }

    /// Cuts what has been idle for longest until `most` are open, or none is idle; how many were cut.
    pub fn make_room(&mut self, most: usize) -> u64 {
        let mut cut = 0;
        while self.open.len() > most {
            let idle = self.open.iter().enumerate().filter_map(|(index, open)| Some((open.stage.idle_since()?, index)));
            let Some((_, index)) = idle.min() else { break };
            let open = self.open.swap_remove(index);
            if open.stage.cut() {
                open.task.abort();
                cut += 1;
            } else {
                self.open.push(open);
            }
        }
        cut
    }

    /// Makes room for one that comes now.
    pub fn make_room_for_one(&mut self) -> u64 {
        self.make_room(self.share.connections.saturating_sub(1))
    }

    /// Makes room for those that wait.
    pub fn make_room_for_waiting(&mut self) -> u64 {
        self.make_room(self.share.connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { request: Duration::from_millis(100), answer: Duration::from_secs(1) };

    fn open(room: &mut Room) -> Arc<Stage> {
        let stage = Arc::new(Stage::new(Instant::now(), PATIENCE));
        room.enter(tokio::spawn(std::future::pending::<()>()).abort_handle(), Arc::clone(&stage));
        stage
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_is_idle_for_longest_gives_way_and_none_that_is_answered() {
        let mut room = Room::new(Share { key: 0, connections: 2, waiting: 1 });
        let (first, second) = (open(&mut room), open(&mut room));
        assert_eq!((room.make_room_for_one(), room.is_open()), (0, true), "both wait for their turn");
        first.await_request();
        second.await_request();
        assert_eq!(room.make_room_for_one(), 0, "nobody had time to say anything");
        tokio::time::advance(PATIENCE.request).await;
        assert!(first.begin_answer());
        assert_eq!(room.make_room_for_one(), 1);
        assert!(!second.begin_answer(), "too late");
        first.await_reader();
        let third = open(&mut room);
        assert_eq!(room.make_room_for_one(), 0, "there is time to read the answer");
        let fourth = open(&mut room);
        assert_eq!((room.is_short(), room.is_open()), (true, false));
        tokio::time::advance(PATIENCE.answer).await;
        assert_eq!((room.make_room_for_waiting(), room.is_short()), (1, false));
        drop((third, fourth));
    }
}
