//! The TCP connections of this host, whoever opened them, and the ports that it listens on, as `sock_diag` knows them.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_sock_diag::{
    SOCK_DIAG_BY_FAMILY,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP},
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use serde::{Deserialize, Serialize};

use super::{
    raw::{NetlinkSocket, RawMessage},
    source_filter,
};
use crate::policy::{Prefix, Protocol};

/// Sources that the kernel is asked for at most: it compares each of them with every socket.
pub const MOST_SOURCES: usize = source_filter::MOST;

/// The two ends of a TCP connection of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The other end, from which packets come.
    #[schema(value_type = String)]
    pub source: SocketAddr,
    /// The end on this host.
    #[schema(value_type = String)]
    pub destination: SocketAddr,
}

/// An established connection, and who opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Established {
    /// Its two ends.
    pub connection: Connection,
    /// Whether this host opened it: nothing listens at its port here.
    pub is_outgoing: bool,
}

/// Those of `all`, in order, whose sources are in a prefix.
pub fn within(all: &[Established], sources: Prefix) -> &[Established] {
    let from = all.partition_point(|one| one.connection.source.ip() < sources.address());
    let to = all.partition_point(|one| one.connection.source.ip() <= sources.last());
    all.get(from..to).unwrap_or_default()
}

/// A socket that takes what anybody sends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listening {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it listens; an address of zeros means all.
    pub local: SocketAddr,
}

/// The same with what the kernel knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpenSocket {
    /// Its protocol and where it listens.
    pub listening: Listening,
    /// Its inode, by which its process is found; 0 for a socket of the kernel itself.
    pub inode: u32,
    /// Index of the interface that it is bound to (`SO_BINDTODEVICE`); 0 for all.
    pub device: u32,
}

/// Established connections of the network namespace of this thread; without loopback. With `sources`, those whose other end is there;
/// with more than [`MOST_SOURCES`], those with everybody.
///
/// # Errors
/// When the kernel does not answer, for example because it has no `tcp_diag`.
pub fn established(sources: Option<&[Prefix]>) -> io::Result<Vec<Established>> {
    let mut connections: Vec<Connection> = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let filter = sources.map(|sources| source_filter::of(family == AF_INET, sources));
        if filter.as_ref().is_some_and(Option::is_none) {
            continue;
        }
        let filter = filter.flatten().unwrap_or_default();
        dump(family, IPPROTO_TCP, StateFlags::ESTABLISHED, &filter, |InetResponseHeader { socket_id, .. }| {
            let end = |address: IpAddr, port| SocketAddr::new(address.to_canonical(), port);
            connections.push(Connection {
                source: end(socket_id.destination_address, socket_id.destination_port),
                destination: end(socket_id.source_address, socket_id.source_port),
            });
        })?;
    }
    connections.retain(|connection| !connection.source.ip().is_loopback());
    if connections.is_empty() {
        return Ok(Vec::new());
    }
    let mut listening: HashSet<u16> = HashSet::new();
    for family in [AF_INET, AF_INET6] {
        dump(family, IPPROTO_TCP, StateFlags::LISTEN, &[], |InetResponseHeader { socket_id, .. }| {
            listening.insert(socket_id.source_port);
        })?;
    }
    let established = |connection: Connection| Established {
        connection,
        is_outgoing: !listening.contains(&connection.destination.port()),
    };
    Ok(connections.into_iter().map(established).collect())
}

/// TCP sockets that listen and UDP sockets that are bound and not connected, in the network namespace of this thread.
///
/// # Errors
/// When the kernel does not answer, for example because it has no `tcp_diag` or `udp_diag`.
pub fn listeners() -> io::Result<Vec<Listening>> {
    let mut listeners: Vec<Listening> = open_sockets()?.into_iter().map(|socket| socket.listening).collect();
    listeners.dedup();
    Ok(listeners)
}

/// The same sockets, each of them, in order.
///
/// # Errors
/// As for [`listeners`].
pub fn open_sockets() -> io::Result<Vec<OpenSocket>> {
    let mut sockets = Vec::new();
    for family in [AF_INET, AF_INET6] {
        // A UDP socket that is not connected is in the state `TCP_CLOSE` (net/ipv4/udp.c `__udp_disconnect`).
        for (number, protocol, state) in
            [(IPPROTO_TCP, Protocol::Tcp, StateFlags::LISTEN), (IPPROTO_UDP, Protocol::Udp, StateFlags::CLOSE)]
        {
            dump(family, number, state, &[], |InetResponseHeader { socket_id, inode, .. }| {
                let address = socket_id.source_address.to_canonical();
                let listening = Listening { protocol, local: SocketAddr::new(address, socket_id.source_port) };
                sockets.push(OpenSocket { listening, inode, device: socket_id.interface_id });
            })?;
        }
    }
    sockets.retain(|socket| socket.listening.local.port() != 0);
    sockets.sort_unstable();
    sockets.dedup();
    Ok(sockets)
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

/// TCP sockets that listen, in the network namespace of this thread: their ports by their inodes.
///
/// # Errors
/// When the kernel does not answer, for example because it has no `tcp_diag`.
pub fn listening_inodes() -> io::Result<HashMap<u32, u16>> {
    let mut inodes = HashMap::new();
    for family in [AF_INET, AF_INET6] {
        dump(family, IPPROTO_TCP, StateFlags::LISTEN, &[], |InetResponseHeader { socket_id, inode, .. }| {
            inodes.insert(inode, socket_id.source_port);
        })?;
    }
    Ok(inodes)
}

/// Shows every socket of one family and protocol in these states that passes `filter` to `visit`; an empty one lets all pass.
fn dump(
    family: u8,
    protocol: u8,
    states: StateFlags,
    filter: &[u8],
    mut visit: impl FnMut(InetResponseHeader),
) -> io::Result<()> {
    let request = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
    };
    let mut octets = vec![0; request.buffer_len()];
    request.emit(&mut octets);
    if !filter.is_empty() {
        octets.extend(source_filter::attribute(filter));
    }
    NetlinkSocket::open(NETLINK_SOCK_DIAG)?.dump(
        RawMessage { kind: SOCK_DIAG_BY_FAMILY, octets },
        |message: RawMessage| {
            if let Ok(header) = InetResponseHeader::parse(&message.octets) {
                visit(header);
            }
        },
    )
}

/// `203.0.113.7:50412 -> 192.0.2.10:22`.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.destination)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Sockets of this namespace whose other end is in `sources`.
    fn seen(sources: &[&str]) -> Vec<u16> {
        let sources: Vec<Prefix> = sources.iter().map(|text| text.parse().unwrap()).collect();
        let mut ports = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let Some(filter) = source_filter::of(family == AF_INET, &sources) else { continue };
            dump(family, IPPROTO_TCP, StateFlags::ESTABLISHED, &filter, |header| {
                ports.push(header.socket_id.destination_port);
            })
            .unwrap();
        }
        ports
    }

    #[test]
    fn the_kernel_tells_of_no_other_sources_than_those_that_are_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // A socket of IPv6 that IPv4 comes to.
        let dual = TcpListener::bind("[::]:0").unwrap();
        let mapped = TcpStream::connect(("127.0.0.1", dual.local_addr().unwrap().port())).unwrap();
        let _accepted = (listener.accept().unwrap(), dual.accept().unwrap());
        let ports = [&client, &mapped].map(|stream| stream.local_addr().unwrap().port());
        let has = |sources: &[&str]| {
            let seen = seen(sources);
            ports.map(|port| seen.contains(&port))
        };
        assert_eq!(has(&["127.0.0.0/8"]), [true, true]);
        assert_eq!(has(&["127.0.0.1"]), [true, true]);
        assert_eq!(has(&["192.0.2.1", "2001:db8::/32", "127.0.0.1", "198.51.100.0/24"]), [true, true]);
        assert_eq!(has(&["192.0.2.1", "2001:db8::/32", "127.0.0.2"]), [false, false]);
        assert_eq!(has(&["2001:db8::/32"]), [false, false]);
        let many: Vec<String> = (0..5000).map(|number| format!("10.0.{}.{}", number >> 8, number & 255)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(has(&many), [true, true], "more than a filter takes is no filter");
        assert!(has(&[]) == [false, false]);
    }

    /// Protocol 99 has no module of `sock_diag`, as TCP has none on a host without `tcp_diag`.
    #[test]
    fn a_dump_that_the_kernel_ends_with_an_error_fails() {
        let error = dump(AF_INET, 99, StateFlags::all(), &[], |_| {}).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{error}");
    }

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
