//! Sources that no packet from outside can have.

use core::ops::ControlFlow::{self, Break, Continue};

use super::essential;
use crate::{
    flow::{Flow, Transport},
    prefix_table::Membership,
    verdict::Verdict,
};

/// Settles packets from impossible sources (RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5 and 2.7).
#[inline(always)]
pub(crate) fn refuse_impossible(flow: &Flow, membership: Membership) -> ControlFlow<Verdict> {
    let impossible = membership.own
        || (flow.source.high ^ flow.destination.high) | (flow.source.low ^ flow.destination.low) == 0
        || if flow.source.is_v4() { is_impossible_v4(flow) } else { is_impossible_v6(flow) };
    if impossible { Break(Verdict::ImpossibleSource) } else { Continue(()) }
}

#[inline(always)]
fn is_impossible_v4(flow: &Flow) -> bool {
    let bits = flow.source.first_32();
    match bits >> 24 {
        0 => !is_dhcp(flow),
        127 | 224..=239 => true,
        _ => bits == u32::MAX,
    }
}

/// Multicast, IPv4-mapped (::ffff:0:0/96, RFC 4291 section 2.5.5.2) and what is in ::/96.
#[inline(always)]
fn is_impossible_v6(flow: &Flow) -> bool {
    let source = &flow.source;
    source.high >> 56 == 0xff
        // ::/64 has all of the others.
        || source.high == 0
            && (source.low >> 32 == 0xffff || source.low >> 32 == 0 && !is_nd_or_mld(flow))
}

/// `::` may ask who has an address before it has one itself (RFC 4862 section 5.4.2, RFC 3590); the rest of ::/96,
/// `::1` among it, may not.
#[inline(always)]
fn is_nd_or_mld(flow: &Flow) -> bool {
    flow.source.is_unspecified() && (essential::is_neighbour_discovery(flow) || essential::is_mld(flow))
}

/// A request or a reply of DHCP (RFC 2131 section 4.1).
#[inline(always)]
fn is_dhcp(flow: &Flow) -> bool {
    matches!(flow.transport, Transport::Udp)
        && flow.has_ports()
        && matches!((flow.source_port, flow.destination_port), (67, 68) | (68, 67))
}
