//! Accepts connections, a bounded number at a time, until told to stop.

use std::{
    cmp::Reverse,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use libc::{EMFILE, ENFILE};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};

use super::{
    connection,
    room::{self, Patience, Room, Share, Stage},
};

/// Where connections come from.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Who is at its other end; handlers find it in the extensions of the request.
    type Peer: Clone + Send + Sync + Unpin + 'static;

    /// Its name in metrics.
    const NAME: &'static str;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;

    /// The room for connections of `peer` and of its like.
    fn share(&self, peer: &Self::Peer) -> Share;

    /// Connections that are open at a time, in all rooms together. Beyond that, those of whoever has most give way.
    fn most(&self) -> usize {
        usize::MAX
    }

    /// Serves a connection of `peer` until it ends: one exchange, unless the listener can do more.
    fn attend(&self, stream: Self::Stream, peer: Self::Peer, attendance: Attendance) -> Attending {
        Box::pin(connection::serve(stream, peer, attendance))
    }
}

/// A connection that is served.
pub type Attending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a connection is served with.
pub struct Attendance {
    /// Who answers.
    pub router: Router,
    /// What its client may take.
    pub limits: Limits,
    /// How far it has come, for whoever needs its room.
    pub stage: Arc<Stage>,
    /// Becomes `true` at the shutdown: what has begun may end, and nothing begins.
    pub stopping: watch::Receiver<bool>,
}

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time to send the request line and the headers.
    pub headers: Duration,
    /// Time from the connection to the last octet of the answer.
    pub exchange: Duration,
    /// Less time than that when others need the room.
    pub patience: Patience,
}

/// How long exchanges that have begun may go on after the shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after the kernel refused a connection, for example because no file descriptor is left, unless a connection ends before.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How often the server looks whether a connection has become idle whose room is needed.
const LOOK: Duration = Duration::from_millis(50);

/// One in so many file descriptors of this process may be a connection that is served in one room, and one that waits there.
const DESCRIPTORS_OF_A_ROOM: u64 = 16;

/// `wanted` connections, or fewer when the process may not have that many file descriptors besides its own.
pub fn within_descriptors(wanted: usize) -> usize {
    let (most, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
    usize::try_from(most / DESCRIPTORS_OF_A_ROOM).unwrap_or(wanted).clamp(1, wanted)
}

/// Serves `router` on `listener` until `shutdown` completes; then lets exchanges that have begun end.
///
/// Each connection is served as its listener says.
pub async fn serve<L: Listener>(listener: L, router: Router, limits: Limits, shutdown: impl Future) {
    let (stop, stopping) = watch::channel(false);
    let mut server = Server { listener, router, limits, rooms: Vec::new(), connections: JoinSet::new(), stopping };
    let mut shutdown = pin!(shutdown);
    let mut look = time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_failed = false;
    let mut again: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut shutdown => break,
            Some(ended) = server.connections.join_next_with_id() => {
                let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                server.rooms.iter_mut().for_each(|room| room.leave(task));
                server.rooms.retain(|room| !room.is_empty());
                again = None;
                continue;
            }
            _ = look.tick(), if server.rooms.iter().any(Room::is_short) => {
                server.make_room(Room::make_room_for_waiting);
                continue;
            }
            () = time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                again = None;
                continue;
            }
            accepted = server.listener.accept(), if again.is_none() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                has_failed = false;
                server.welcome(stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !has_failed {
                    tracing::warn!(%error, listener = L::NAME, "cannot accept connections; trying again");
                }
                has_failed = true;
                if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
                    server.make_room(|room| room.make_room(0));
                }
                again = Some(Instant::now() + ACCEPT_PAUSE);
            }
        }
    }
    let mut connections = server.connections;
    drop(server.listener);
    // Nobody listens any more when all connections have ended, which is fine.
    let _ = stop.send(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if time::timeout(GRACE, all_ended).await.is_err() {
        tracing::debug!("connections were cut at the shutdown");
    }
}

/// What the loop above keeps.
struct Server<L: Listener> {
    listener: L,
    router: Router,
    limits: Limits,
    rooms: Vec<Room>,
    connections: JoinSet<()>,
    stopping: watch::Receiver<bool>,
}

impl<L: Listener> Server<L> {
    /// Serves a connection when there is room, or makes room for it, or cuts it.
    fn welcome(&mut self, stream: L::Stream, peer: L::Peer) {
        if !self.has_room_for_one() {
            room::count_cuts(L::NAME, 1);
            return;
        }
        let share = self.listener.share(&peer);
        let position = self.rooms.iter().position(|room| room.key() == share.key);
        let room = match position.and_then(|position| self.rooms.get_mut(position)) {
            Some(room) => room,
            None => self.rooms.push_mut(Room::new(share)),
        };
        room::count_cuts(L::NAME, room.make_room_for_one());
        if !room.is_open() {
            room::count_cuts(L::NAME, 1);
            return;
        }
        let stage = Arc::new(Stage::new(Instant::now(), self.limits.patience));
        let attendance = Attendance {
            router: self.router.clone(),
            limits: self.limits,
            stage: Arc::clone(&stage),
            stopping: self.stopping.clone(),
        };
        let exchange = self.listener.attend(stream, peer, attendance);
        let turn = room.turn();
        let task = self.connections.spawn(async move {
            let turn = turn.await;
            exchange.await;
            drop(turn);
        });
        room.enter(task, stage);
    }

    /// Whether there may be one more in all rooms together, once whoever has most has given way.
    fn has_room_for_one(&mut self) -> bool {
        let most = self.listener.most();
        let open: usize = self.rooms.iter().map(Room::len).sum();
        if open < most {
            return true;
        }
        self.rooms.sort_unstable_by_key(|room| Reverse(room.len()));
        let cut = self.rooms.iter_mut().map(|room| room.make_room(room.len().saturating_sub(1))).find(|cut| *cut > 0);
        room::count_cuts(L::NAME, cut.unwrap_or(0));
        cut.is_some()
    }

    fn make_room(&mut self, make: impl Fn(&mut Room) -> u64) {
        let cut = self.rooms.iter_mut().map(make).sum();
        room::count_cuts(L::NAME, cut);
    }
}

/// Whether only the connection failed, and not the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
