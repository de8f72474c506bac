//! What a host cannot do without: neighbour discovery, MLD, ICMP errors, DHCP replies.

use std::net::IpAddr;

use super::frame::{Part, ReadPacket, Upper, ports};

pub(super) fn is_essential(packet: &ReadPacket<'_>) -> bool {
    let whole = matches!(packet.part, Part::Whole | Part::WholeWithFragmentHeader);
    let icmp_type = packet.transport.first().copied().unwrap_or(0);
    match packet.upper {
        Upper::Icmp => whole && icmp_type == 3,
        Upper::Icmpv6 => is_neighbour_discovery(packet) || is_mld(packet) || whole && (1..=4).contains(&icmp_type),
        Upper::Udp => ports(packet) == Some(if packet.source.is_ipv4() { (67, 68) } else { (547, 546) }),
        _ => false,
    }
}

pub(super) fn is_neighbour_discovery(packet: &ReadPacket<'_>) -> bool {
    let full_length = match packet.transport.first() {
        Some(133) => 8,
        Some(134) => 16,
        Some(135 | 136) => 24,
        _ => return false,
    };
    packet.upper == Upper::Icmpv6
        && packet.part == Part::Whole
        && packet.hop_limit == 255
        && packet.transport[1] == 0
        && packet.transport.len() >= full_length
        && (packet.transport[0] != 134 || is_link_local(packet.source))
}

pub(super) fn is_mld(packet: &ReadPacket<'_>) -> bool {
    packet.upper == Upper::Icmpv6
        && matches!(packet.transport.first(), Some(130..=132 | 143))
        && packet.hop_limit == 1
        && (is_link_local(packet.source) || packet.source.is_unspecified())
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
