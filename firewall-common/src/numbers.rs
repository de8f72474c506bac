//! Numbers by which headers name what follows them.

// linux/if_ether.h
/// EtherType of IPv4.
pub const ETHER_TYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHER_TYPE_IPV6: u16 = 0x86dd;
/// EtherType of a VLAN tag (IEEE 802.1Q).
pub const ETHER_TYPE_8021Q: u16 = 0x8100;
/// EtherType of a service tag (IEEE 802.1ad).
pub const ETHER_TYPE_8021AD: u16 = 0x88a8;

// IANA "Assigned Internet Protocol Numbers"
/// ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// The authentication header, of IPv4 and of IPv6 (RFC 4302).
pub const PROTOCOL_AH: u8 = 51;
/// ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;

// IANA "IPv6 Extension Header Types"
/// Hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// A routing header.
pub const ROUTING: u8 = 43;
/// A fragment header.
pub const FRAGMENT: u8 = 44;
/// Destination options.
pub const DESTINATION_OPTIONS: u8 = 60;

/// VLAN tags of a frame that are read: one customer tag inside one service tag (IEEE 802.1ad).
pub const MAX_VLAN_TAGS: usize = 2;

/// Whether a VLAN tag begins with `ether_type`.
#[inline(always)]
pub const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, ETHER_TYPE_8021Q | ETHER_TYPE_8021AD)
}

/// Octets of an authentication header whose length field is `field`; `None` when shorter than its fixed part of 12
/// (RFC 4302 section 2).
#[inline(always)]
pub const fn authentication_length(field: u8) -> Option<usize> {
    if field >= 1 { Some((field as usize + 2) * 4) } else { None }
}
