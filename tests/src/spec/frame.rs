//! Octets -> what the verdict needs to know: Ethernet and its tags, then IPv4 or IPv6 in their own files.

use std::net::IpAddr;

use firewall_common::{Family, Verdict};

use super::{ipv4::read_ipv4, ipv6::read_ipv6};
use crate::packet::ether_type;

/// What the verdict on a well-formed packet needs to know.
pub(super) struct ReadPacket<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) hop_limit: u8,
    pub(super) upper: Upper,
    pub(super) part: Part,
    /// The transport header and what is behind it; empty in a later fragment.
    pub(super) transport: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Upper {
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
    Other,
    /// Behind an extension header that only the first fragment has.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    WholeWithFragmentHeader,
    First,
    Later,
}

pub(super) fn read_frame<'a>(frame: &'a [u8], family: &mut Family) -> Result<ReadPacket<'a>, Verdict> {
    let mut rest = frame.get(12..).ok_or(Verdict::Truncated)?;
    for tags in 0.. {
        let kind = word(rest, 0).ok_or(Verdict::Truncated)?;
        rest = &rest[2..];
        match kind {
            ether_type::VLAN | ether_type::SERVICE_VLAN if tags == 2 => return Err(Verdict::VlanDepth),
            ether_type::VLAN | ether_type::SERVICE_VLAN => rest = rest.get(2..).ok_or(Verdict::Truncated)?,
            ether_type::IPV4 => {
                *family = Family::Ipv4;
                return read_ipv4(rest);
            }
            ether_type::IPV6 => {
                *family = Family::Ipv6;
                return read_ipv6(rest);
            }
            _ => return Err(Verdict::NotIp),
        }
    }
    Err(Verdict::Truncated)
}

pub(super) fn ports(packet: &ReadPacket<'_>) -> Option<(u16, u16)> {
    Some((word(packet.transport, 0)?, word(packet.transport, 2)?))
}

pub(super) fn word(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}
