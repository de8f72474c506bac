//! Accepts connections by TCP and says from where they come.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpStream, sync::watch};

use super::{
    connection::serve_tls,
    sockets::{Sockets, TcpEnds},
};
use crate::serve::{
    http::{
        room::{Patience, Share},
        server::{self, Attendance, Attending, Limits, Listener},
    },
    tls::{PresentedCertificate, ServedTls},
};

/// Who is at the other end of a connection by TCP; handlers find it in the extensions of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPeer {
    /// Its address.
    pub from: SocketAddr,
    /// What it has shown of itself: the chain is good, and it has the key.
    pub certificate: Option<Arc<PresentedCertificate>>,
    /// Whether nobody on the way can read or change what is said.
    pub is_tls: bool,
}

/// The address of this host that a connection is to; handlers find it in the extensions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress(pub SocketAddr);

/// What a client may take. A connection may carry many exchanges: each has the time of one, and the pauses have an end.
const LIMITS: Limits = Limits {
    headers: Duration::from_secs(10),
    exchange: Duration::from_secs(300),
    patience: Patience { request: Duration::from_secs(1), answer: Duration::from_secs(30) },
};

/// Connections that are served at a time, of all sources together.
const CONNECTIONS: usize = 1024;

/// Connections of one source that are served at a time. Many clients may have one address.
const OF_ONE_SOURCE: usize = 128;

/// Connections of one source that wait for their turn.
const WAITING: usize = 32;

/// Where connections by HTTPS come from.
struct HttpsListener {
    sockets: Sockets,
    served: watch::Receiver<Option<Arc<ServedTls>>>,
    most: usize,
}

/// Serves `router` by HTTPS on `sockets`, by the certificate that `served` has, until `shutdown` completes.
pub async fn serve(
    sockets: Sockets,
    served: watch::Receiver<Option<Arc<ServedTls>>>,
    router: Router,
    shutdown: impl Future,
) {
    let most = server::within_descriptors(CONNECTIONS);
    server::serve(HttpsListener { sockets, served, most }, router, LIMITS, shutdown).await;
}

impl Listener for HttpsListener {
    type Stream = TcpStream;
    type Peer = TcpEnds;

    const NAME: &'static str = "https";

    async fn accept(&self) -> io::Result<(TcpStream, TcpEnds)> {
        self.sockets.accept().await
    }

    fn share(&self, ends: &TcpEnds) -> Share {
        share_of(ends.from.ip(), self.most)
    }

    fn most(&self) -> usize {
        self.most
    }

    fn attend(&self, stream: TcpStream, ends: TcpEnds, attendance: Attendance) -> Attending {
        Box::pin(serve_tls(stream, ends, self.served.clone(), attendance))
    }
}

/// The room for connections from `source`, where there may be `most` in all.
pub fn share_of(source: IpAddr, most: usize) -> Share {
    let connections = OF_ONE_SOURCE.min(most / 2).max(1);
    Share { key: source_of(source), connections, waiting: WAITING.min(connections) }
}

/// A number for the source at an address: of IPv6, a network of 64 bits is one, for its owner has all of its addresses.
pub fn source_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // No network of IPv6 begins with 32 zero bits: that is where IPv4 addresses are written (RFC 4291 section 2.5.5).
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_network_of_ipv6_is_one_source() {
        let source = |text: &str| source_of(text.parse().unwrap());
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn one_source_has_half_of_the_room_at_the_most() {
        for (most, own) in [(1024, 128), (256, 128), (64, 32), (1, 1)] {
            assert_eq!(share_of("192.0.2.1".parse().unwrap(), most).connections, own, "{most}");
        }
    }
}
