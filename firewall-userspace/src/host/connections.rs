//! The TCP connections that others have open to this host, and the ports that it listens on, as `sock_diag` knows them.

use std::{
    collections::HashSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, TCP_LISTEN},
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use serde::{Deserialize, Serialize};

use super::raw::NetlinkSocket;
use crate::policy::Protocol;

/// A TCP connection to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Who opened it.
    pub source: SocketAddr,
    /// The end on this host.
    pub destination: SocketAddr,
}

/// A socket that takes what anybody sends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listening {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it listens; an address of zeros means all.
    pub local: SocketAddr,
}

/// Established connections to a port that listens, in the network namespace of this thread; without loopback.
///
/// # Errors
/// When the kernel does not answer, for example because it has no `tcp_diag`.
pub fn inbound() -> io::Result<Vec<Connection>> {
    let mut listening: HashSet<u16> = HashSet::new();
    let mut established = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let states = StateFlags::LISTEN | StateFlags::ESTABLISHED;
        dump(family, IPPROTO_TCP, states, |InetResponseHeader { state, socket_id, .. }| {
            let end = |address: IpAddr, port| SocketAddr::new(address.to_canonical(), port);
            if state == TCP_LISTEN {
                listening.insert(socket_id.source_port);
            } else {
                established.push(Connection {
                    source: end(socket_id.destination_address, socket_id.destination_port),
                    destination: end(socket_id.source_address, socket_id.source_port),
                });
            }
        })?;
    }
    let is_inbound = |connection: &Connection| {
        listening.contains(&connection.destination.port()) && !connection.source.ip().is_loopback()
    };
    established.retain(is_inbound);
    Ok(established)
}

/// TCP sockets that listen and UDP sockets that are bound and not connected, in the network namespace of this thread.
///
/// # Errors
/// When the kernel does not answer, for example because it has no `tcp_diag` or `udp_diag`.
pub fn listeners() -> io::Result<Vec<Listening>> {
    let mut listeners = Vec::new();
    for family in [AF_INET, AF_INET6] {
        // A UDP socket that is not connected is in the state `TCP_CLOSE` (net/ipv4/udp.c `__udp_disconnect`).
        for (number, protocol, state) in
            [(IPPROTO_TCP, Protocol::Tcp, StateFlags::LISTEN), (IPPROTO_UDP, Protocol::Udp, StateFlags::CLOSE)]
        {
            dump(family, number, state, |InetResponseHeader { socket_id, .. }| {
                let address = socket_id.source_address.to_canonical();
                listeners.push(Listening { protocol, local: SocketAddr::new(address, socket_id.source_port) });
            })?;
        }
    }
    listeners.retain(|listener| listener.local.port() != 0);
    listeners.sort_unstable();
    listeners.dedup();
    Ok(listeners)
}

/// The connection that `SSH_CONNECTION` tells of (ssh(1)): address and port of the client, then of the server.
pub fn of_ssh(variable: &str) -> Option<Connection> {
    let mut words = variable.split_whitespace();
    let mut end = || {
        let address = words.next()?.split('%').next()?.parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(address.to_canonical(), words.next()?.parse().ok()?))
    };
    Some(Connection { source: end()?, destination: end()? })
}

/// Shows every socket of one family and protocol in these states to `visit`.
fn dump(family: u8, protocol: u8, states: StateFlags, mut visit: impl FnMut(InetResponseHeader)) -> io::Result<()> {
    let request = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
    };
    NetlinkSocket::open(NETLINK_SOCK_DIAG)?.dump(SockDiagMessage::InetRequest(request), |message| {
        if let SockDiagMessage::InetResponse(response) = message {
            visit(response.header);
        }
    })
}

/// `203.0.113.7:50412 -> 192.0.2.10:22`.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_tells_both_ends() {
        let of = |text: &str| of_ssh(text).map(|connection| connection.to_string());
        assert_eq!(of("203.0.113.7 50412 192.0.2.10 22"), Some("203.0.113.7:50412 -> 192.0.2.10:22".into()));
        assert_eq!(of("::ffff:192.0.2.1 1 ::ffff:192.0.2.2 22"), Some("192.0.2.1:1 -> 192.0.2.2:22".into()));
        assert_eq!(of("fe80::1%eth0 1 fe80::2%eth0 22"), Some("[fe80::1]:1 -> [fe80::2]:22".into()));
        for text in ["", "203.0.113.7", "203.0.113.7 50412 192.0.2.10", "x 1 y 2", "203.0.113.7 x 192.0.2.10 22"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
