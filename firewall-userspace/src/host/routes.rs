//! Questions about the routes of this host (rtnetlink(7)).

use std::net::IpAddr;

use netlink_packet_core::DefaultNla;

use super::raw::{RawMessage, encoded, family_and_octets};

// include/uapi/linux/rtnetlink.h
const RTM_GETROUTE: u16 = 26;
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTA_DST: u16 = 1;

/// Octets of `struct rtmsg`, which questions and answers begin with: family, lengths of destination and source, type of service,
/// table, protocol, scope, type, flags.
pub const ROUTE: usize = 12;

/// `struct rtnexthop`: length, flags, hops, index; its attributes follow.
pub const NEXT_HOP: usize = 8;

/// The next hops in the value of an `RTA_MULTIPATH`, each with its header.
pub fn hops(mut value: &[u8]) -> Vec<&[u8]> {
    let mut hops = Vec::new();
    while let Some(length) = value.get(..2).and_then(|octets| octets.try_into().ok()).map(u16::from_ne_bytes) {
        // One that is shorter than its own header would never end.
        let length = usize::from(length).max(NEXT_HOP);
        hops.extend(value.get(..length));
        value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// Which routes of this family there are.
pub fn of_family(family: u8) -> RawMessage {
    question(family, 0, 0, &[])
}

/// How a packet to `address` would go.
pub fn way_to(address: IpAddr) -> RawMessage {
    about(address, 0)
}

/// The route that a packet to `address` would take, with all of its next hops.
pub fn route_for(address: IpAddr) -> RawMessage {
    about(address, RTM_F_FIB_MATCH)
}

fn about(address: IpAddr, flags: u32) -> RawMessage {
    let (family, octets) = family_and_octets(address);
    question(family, if address.is_ipv4() { 32 } else { 128 }, flags, &[DefaultNla::new(RTA_DST, octets)])
}

fn question(family: u8, length: u8, flags: u32, attributes: &[DefaultNla]) -> RawMessage {
    let octets = [&[family, length, 0, 0, 0, 0, 0, 0][..], &flags.to_ne_bytes(), &encoded(attributes)].concat();
    RawMessage { kind: RTM_GETROUTE, octets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_route_of_which_the_destination_is_known() {
        assert_eq!(of_family(2).octets, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of_family(2).octets.len(), ROUTE);
        let question = way_to("192.0.2.10".parse().unwrap()).octets;
        assert_eq!(question[..ROUTE], [2, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(question[ROUTE..], [&8_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &[192, 0, 2, 10]].concat());
        let question = route_for("2001:db8::1".parse().unwrap()).octets;
        assert_eq!((question[..2].to_vec(), question.len()), (vec![10, 128], ROUTE + 4 + 16));
        assert_eq!(question[8..ROUTE], 0x2000_u32.to_ne_bytes());
    }
}
