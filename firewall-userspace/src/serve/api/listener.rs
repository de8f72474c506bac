//! Accepts connections on the Unix socket and says whose they are.

use std::{io, os::fd::AsFd};

use tokio::net::{UnixListener, UnixStream};

use super::peer::{Peer, Peers};
use crate::{
    host::group,
    policy::Role,
    serve::http::{
        room::Share,
        server::{self, Listener},
    },
};

/// Connections that are served at a time for each user that may change something, and for all who may only look.
const PERMITTED: usize = 64;

/// Connections of all other users together: they are only told that they may not.
const OTHERS: usize = 16;

/// The key of other users; no user has this number (setresuid(2) takes it for "no change").
const KEY_OF_OTHERS: u64 = u32::MAX as u64;

/// The key of those who may look. Were it the number of the daemon's user, they would share its room.
const KEY_OF_VIEWERS: u64 = KEY_OF_OTHERS - 1;

/// The Unix socket of the API.
pub struct ApiListener {
    socket: UnixListener,
    peers: Peers,
    permitted: usize,
    others: usize,
}

impl ApiListener {
    /// Connections to `socket`, judged by `peers`.
    pub fn new(socket: UnixListener, peers: Peers) -> Self {
        let (permitted, others) = (server::within_descriptors(PERMITTED), server::within_descriptors(OTHERS));
        Self { socket, peers, permitted, others }
    }
}

impl Listener for ApiListener {
    type Stream = UnixStream;
    type Peer = Peer;

    const NAME: &'static str = "api";

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.socket.accept().await?;
        // SO_PEERCRED: who called connect(2), as the kernel saw it (unix(7)).
        let credentials = stream.peer_cred().ok();
        let is_in = |wanted| {
            credentials.is_some_and(|credentials| credentials.gid() == wanted)
                || group::of_peer(stream.as_fd()).is_ok_and(|groups| groups.contains(&wanted))
        };
        let peer = self.peers.peer(credentials.map(|credentials| credentials.uid()), is_in);
        Ok((stream, peer))
    }

    fn share(&self, peer: &Peer) -> Share {
        let (key, connections, waiting) = match (peer.role(), peer.uid) {
            (Some(Role::Operator | Role::Admin), Some(uid)) => (u64::from(uid), self.permitted, self.permitted),
            (Some(Role::Viewer), _) => (KEY_OF_VIEWERS, self.permitted, self.permitted),
            _ => (KEY_OF_OTHERS, self.others, 0),
        };
        Share { key, connections, waiting }
    }
}
