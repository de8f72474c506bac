//! Accepts connections on the Unix socket and says whose they are.

use std::io;

use tokio::net::{UnixListener, UnixStream};

use super::peer::{Peer, Peers};
use crate::serve::http::{
    room::Share,
    server::{self, Listener},
};

/// Connections that are served at a time for each user that may use the API.
const PERMITTED: usize = 64;

/// Connections of all other users together: they are only told that they may not.
const OTHERS: usize = 16;

/// The key of other users; no user has this number (setresuid(2) takes it for "no change").
const KEY_OF_OTHERS: u32 = u32::MAX;

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
        let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
        Ok((stream, self.peers.peer(uid)))
    }

    fn share(&self, peer: &Peer) -> Share {
        match peer.uid {
            Some(uid) if peer.is_permitted => Share { key: uid, connections: self.permitted, waiting: self.permitted },
            _ => Share { key: KEY_OF_OTHERS, connections: self.others, waiting: 0 },
        }
    }
}
