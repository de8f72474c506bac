//! How this host reaches an address: what its routing tables say.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netlink_sys::protocols::NETLINK_ROUTE;

use super::raw::{NetlinkSocket, RawMessage, attribute};

// include/uapi/linux/rtnetlink.h, and `struct rtmsg` there: family, lengths of destination and source, type of service, table,
// protocol, scope, type, flags.
const RTM_GETROUTE: u16 = 26;
const ROUTE: usize = 12;
const TYPE: usize = 7;
const RTA_DST: u16 = 1;
const RTA_PREFSRC: u16 = 7;
const RTN_LOCAL: u8 = 2;

// include/linux/socket.h
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What the routing tables say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether packets to it end on this host: it is an address of it, or in a route of the type `local`.
    pub is_here: bool,
    /// The address that this host answers it from; `None` when the kernel leaves that open.
    pub from: Option<IpAddr>,
}

/// Asks the kernel how it would send to `address`, in the network namespace of this thread. Nothing is sent.
///
/// # Errors
/// When there is no route, or the kernel does not answer.
pub fn reach(address: IpAddr) -> io::Result<Reach> {
    let answer = NetlinkSocket::open(NETLINK_ROUTE)?.ask(question(address))?;
    read(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn question(address: IpAddr) -> RawMessage {
    let (family, value) = match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    };
    let mut octets = vec![family, (value.len() * 8) as u8];
    octets.resize(ROUTE, 0);
    // Length and kind come first (netlink(7)); both lengths of an address are multiples of four.
    octets.extend((4 + value.len() as u16).to_ne_bytes());
    octets.extend(RTA_DST.to_ne_bytes());
    octets.extend(value);
    RawMessage { kind: RTM_GETROUTE, octets }
}

/// What the kernel says; `None` when that is no route.
fn read(message: &[u8]) -> Option<Reach> {
    let (route, rest) = message.split_at_checked(ROUTE)?;
    let from = attribute(rest, RTA_PREFSRC).and_then(|value| match value.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))),
        _ => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?))),
    });
    Some(Reach { is_here: route.get(TYPE) == Some(&RTN_LOCAL), from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_none_is_refused() {
        let mut message = vec![0; ROUTE];
        message[TYPE] = 1;
        message.extend(8_u16.to_ne_bytes());
        message.extend(RTA_PREFSRC.to_ne_bytes());
        message.extend([192, 0, 2, 10]);
        assert_eq!(read(&message), Some(Reach { is_here: false, from: Some("192.0.2.10".parse().unwrap()) }));
        message[TYPE] = RTN_LOCAL;
        message.truncate(ROUTE);
        assert_eq!(read(&message), Some(Reach { is_here: true, from: None }));
        assert_eq!(read(&message[..ROUTE - 1]), None);
    }

    #[test]
    fn this_host_reaches_itself_from_itself() {
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(reach(own).unwrap(), Reach { is_here: true, from: Some(own) });
    }
}
