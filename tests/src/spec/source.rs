//! Impossible sources.

use std::net::IpAddr;

use super::{
    essential::{is_mld, is_neighbour_discovery},
    frame::{ReadPacket, Upper, ports},
};

pub(super) fn is_impossible(packet: &ReadPacket<'_>) -> bool {
    if packet.source == packet.destination {
        return true;
    }
    match packet.source {
        IpAddr::V4(source) => {
            let is_dhcp = packet.upper == Upper::Udp && matches!(ports(packet), Some((67, 68) | (68, 67)));
            source.octets()[0] == 0 && !is_dhcp
                || source.is_loopback()
                || source.is_multicast()
                || source.is_broadcast()
        }
        IpAddr::V6(source) => {
            let is_in_low_96 = source.segments()[..6] == [0; 6];
            source.is_multicast()
                || source.to_ipv4_mapped().is_some()
                || is_in_low_96 && !(source.is_unspecified() && (is_neighbour_discovery(packet) || is_mld(packet)))
        }
    }
}
