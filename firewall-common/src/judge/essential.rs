//! Traffic without which the host loses its network, under caps of its own (RFC 4890 section 4.4.1).

use core::ops::ControlFlow::{self, Break, Continue};

use crate::{
    flow::{Flow, Fragment, Transport},
    prefix_table::Membership,
    rate,
    tables::{Essential, Tables},
    verdict::Verdict,
};

/// Settles essential traffic: it passes within its cap. Management sources are not capped.
#[inline(always)]
pub(crate) fn pass_essential(flow: &Flow, membership: Membership, tables: &impl Tables) -> ControlFlow<Verdict> {
    let Some(essential) = essential(flow) else {
        return Continue(());
    };
    if membership.management {
        return Break(Verdict::Essential);
    }
    let Some((quota, cap)) = tables.cap(essential) else {
        return Break(Verdict::Internal);
    };
    if rate::charge(&cap, &quota, tables.now_ns(), 1) {
        Break(Verdict::Essential)
    } else {
        Break(Verdict::EssentialLimited)
    }
}

/// Which of them a packet is.
#[inline(always)]
pub(crate) fn essential(flow: &Flow) -> Option<Essential> {
    match flow.transport {
        Transport::Icmpv6 if is_neighbour_discovery(flow) => Some(Essential::NeighbourDiscovery),
        Transport::Icmpv6 if is_mld(flow) => Some(Essential::Mld),
        Transport::Icmp | Transport::Icmpv6 if is_icmp_error(flow) => Some(Essential::IcmpError),
        Transport::Udp if is_dhcp_reply(flow) => Some(Essential::Dhcp),
        _ => None,
    }
}

/// RFC 4861 section 6.1 and 7.1: hop limit 255, code 0, not fragmented (RFC 6980), the fixed part whole; a router
/// advertisement from a link-local address.
#[inline(always)]
pub(crate) fn is_neighbour_discovery(flow: &Flow) -> bool {
    if !matches!(flow.transport, Transport::Icmpv6)
        || !matches!(flow.fragment, Fragment::None)
        || flow.hop_limit != 255
        || flow.icmp_code != 0
    {
        return false;
    }
    match flow.icmp_type {
        ROUTER_SOLICITATION => flow.transport_length >= 8,
        ROUTER_ADVERTISEMENT => flow.transport_length >= 16 && flow.source.is_v6_link_local(),
        NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT => flow.transport_length >= 24,
        _ => false,
    }
}

/// RFC 2710 section 3, RFC 3810 section 5, RFC 3590: hop limit 1, from a link-local address or `::`.
#[inline(always)]
pub(crate) fn is_mld(flow: &Flow) -> bool {
    matches!(flow.transport, Transport::Icmpv6)
        && flow.carries_transport_header()
        && flow.hop_limit == 1
        && matches!(flow.icmp_type, MLD_QUERY..=MLD_DONE | MLD2_REPORT)
        && (flow.source.is_v6_link_local() || flow.source.is_unspecified())
}

#[inline(always)]
fn is_icmp_error(flow: &Flow) -> bool {
    matches!(flow.fragment, Fragment::None | Fragment::Atomic)
        && match flow.transport {
            Transport::Icmp => flow.icmp_type == DESTINATION_UNREACHABLE_V4,
            _ => matches!(flow.icmp_type, DESTINATION_UNREACHABLE_V6..=PARAMETER_PROBLEM_V6),
        }
}

#[inline(always)]
fn is_dhcp_reply(flow: &Flow) -> bool {
    flow.has_ports()
        && if flow.source.is_v4() {
            flow.source_port == 67 && flow.destination_port == 68
        } else {
            flow.source_port == 547 && flow.destination_port == 546
        }
}

// IANA "Internet Control Message Protocol (ICMP) Parameters" and "ICMPv6 Parameters".
const DESTINATION_UNREACHABLE_V4: u8 = 3;
const DESTINATION_UNREACHABLE_V6: u8 = 1;
const PARAMETER_PROBLEM_V6: u8 = 4;
const MLD_QUERY: u8 = 130;
const MLD_DONE: u8 = 132;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const MLD2_REPORT: u8 = 143;
