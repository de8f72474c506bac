//! Accepts connections on the Unix socket and says whose they are.

use std::io;

use tokio::net::{UnixListener, UnixStream};

use super::peer::{Peer, Peers};
use crate::serve::http::server::Listener;

/// The Unix socket of the API.
pub struct ApiListener {
    socket: UnixListener,
    peers: Peers,
}

impl ApiListener {
    /// Connections to `socket`, judged by `peers`.
    pub fn new(socket: UnixListener, peers: Peers) -> Self {
        Self { socket, peers }
    }
}

impl Listener for ApiListener {
    type Stream = UnixStream;
    type Peer = Peer;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.socket.accept().await?;
        // SO_PEERCRED: who called connect(2), as the kernel saw it (unix(7)).
        let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
        Ok((stream, self.peers.peer(uid)))
    }
}
