//! How this host reaches an address: what its routing tables say.

use std::{io, net::IpAddr};

use netlink_sys::protocols::NETLINK_ROUTE;

use super::{
    raw::{NetlinkSocket, address, attribute},
    routes::{self, ROUTE},
};

// include/uapi/linux/rtnetlink.h; the type is an octet of `struct rtmsg`.
const TYPE: usize = 7;
const RTA_PREFSRC: u16 = 7;
const RTN_LOCAL: u8 = 2;

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
    let answer = NetlinkSocket::open(NETLINK_ROUTE)?.ask(routes::way_to(address))?;
    read(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What the kernel says; `None` when that is no route.
fn read(message: &[u8]) -> Option<Reach> {
    let (route, rest) = message.split_at_checked(ROUTE)?;
    let from = attribute(rest, RTA_PREFSRC).and_then(address);
    Some(Reach { is_here: route.get(TYPE) == Some(&RTN_LOCAL), from })
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DefaultNla;

    use super::*;
    use crate::host::raw::encoded;

    #[test]
    fn an_answer_is_read_and_what_is_none_is_refused() {
        let mut message = vec![0; ROUTE];
        message[TYPE] = 1;
        message.extend(encoded(&[DefaultNla::new(RTA_PREFSRC, vec![192, 0, 2, 10])]));
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
