//! The addresses of each interface, and the interfaces that the default routes lead to.

use std::{collections::BTreeSet, io, net::IpAddr};

use netlink_sys::protocols::NETLINK_ROUTE;

use super::{
    raw::{NetlinkSocket, RawMessage, address, attribute, attributes, number},
    routes::{self, ROUTE},
    surroundings::FAR,
};

// include/uapi/linux/rtnetlink.h and if_addr.h.
const RTM_GETADDR: u16 = 22;
/// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
const ADDRESS_INFO: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;

/// An address of this host, and the interface that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    /// Index of the interface.
    pub ifindex: u32,
    /// Its own end.
    pub address: IpAddr,
    /// Bits of the network that it is in.
    pub length: u8,
}

/// Every address of the network namespace of this thread, by interface.
///
/// # Errors
/// When the kernel does not answer.
pub fn read() -> io::Result<Vec<InterfaceAddress>> {
    let mut found = Vec::new();
    // All families at once, for which the family is 0.
    let question = RawMessage { kind: RTM_GETADDR, octets: vec![0; ADDRESS_INFO] };
    NetlinkSocket::open(NETLINK_ROUTE)?.dump(question, |message: RawMessage| found.extend(one(&message.octets)))?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Indices of the interfaces through which this host reaches the internet, by IPv4 or by IPv6; none without a default route.
///
/// # Errors
/// When there is no socket to have.
pub fn uplinks() -> io::Result<BTreeSet<u32>> {
    let mut socket = NetlinkSocket::open(NETLINK_ROUTE)?;
    // The kernel refuses when no route leads there.
    let routes = FAR.iter().filter_map(|(_, far)| socket.ask(routes::route_for(*far)).ok());
    Ok(routes.flat_map(|route| ways(&route)).collect())
}

fn one(message: &[u8]) -> Option<InterfaceAddress> {
    let (info, rest) = message.split_at_checked(ADDRESS_INFO)?;
    // At the two ends of a line without a network IFA_ADDRESS is that of the other one.
    let own = attribute(rest, IFA_LOCAL).or_else(|| attribute(rest, IFA_ADDRESS))?;
    Some(InterfaceAddress { ifindex: number(info.get(4..8)?)?, address: address(own)?, length: *info.get(1)? })
}

/// Indices of the interfaces that one route leads to.
fn ways(route: &[u8]) -> Vec<u32> {
    let mut ways = Vec::new();
    for (kind, value) in attributes(route.get(ROUTE..).unwrap_or_default()) {
        match kind {
            RTA_OIF => ways.extend(number(value)),
            RTA_MULTIPATH => ways.extend(routes::hops(value).iter().filter_map(|hop| number(hop.get(4..8)?))),
            _ => {}
        }
    }
    ways.retain(|way| *way != 0);
    ways
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DefaultNla;

    use super::*;
    use crate::host::raw::encoded;

    #[test]
    fn an_address_is_the_own_end_of_a_line() {
        let parts = [DefaultNla::new(IFA_ADDRESS, vec![192, 0, 2, 9]), DefaultNla::new(IFA_LOCAL, vec![192, 0, 2, 10])];
        let message = [vec![2, 32, 0, 0], 7_u32.to_ne_bytes().to_vec(), encoded(&parts)].concat();
        let wanted = InterfaceAddress { ifindex: 7, address: "192.0.2.10".parse().unwrap(), length: 32 };
        assert_eq!(one(&message), Some(wanted));
        assert_eq!(one(&message[..7]), None);
    }

    #[test]
    fn a_route_leads_to_one_interface_or_to_several() {
        let plain = [vec![0; ROUTE], encoded(&[DefaultNla::new(RTA_OIF, 3_u32.to_ne_bytes().to_vec())])].concat();
        assert_eq!(ways(&plain), [3]);
        let hop = |index: u32| [&8_u16.to_ne_bytes()[..], &[0, 0], &index.to_ne_bytes()].concat();
        let several = [vec![0; ROUTE], encoded(&[DefaultNla::new(RTA_MULTIPATH, [hop(4), hop(5)].concat())])].concat();
        assert_eq!(ways(&several), [4, 5]);
        assert!(ways(&[]).is_empty());
    }

    #[test]
    fn loopback_has_its_address_here() {
        assert!(read().unwrap().iter().any(|one| one.address.is_loopback()));
    }
}
