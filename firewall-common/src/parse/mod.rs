//! Stage 1: from bytes to a [`Flow`], or to the verdict that says why not.
//!
//! - In: a [`Frame`], from the first octet of its Ethernet header.
//! - Out: a [`Flow`] whose headers are whole and consistent, in host order, or the [`Verdict`] that refuses the frame.
//! - Owner: nobody. Later stages do not read the frame, and nothing is kept from one to the next.
//!
//! Hostile input is the normal case here. Every offset stays below the length of the packet, which stays below the
//! length of the frame. `end` is the first octet after the packet: lengths come from the IP header, so Ethernet padding is never taken for packet.

mod ipv4;
mod ipv6;
mod plain;
mod transport;

#[cfg(test)]
pub(crate) use self::plain::tests::nearly_plain;
pub use self::plain::{plain_v4, plain_v6};

use core::ops::ControlFlow::{self, Break, Continue};

use network_types::eth::EthHdr;

use crate::{
    address::Family,
    flow::Flow,
    frame::{Frame, VlanTag},
    numbers::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, MAX_VLAN_TAGS, is_vlan},
    verdict::Verdict,
};

/// Reads the headers of a frame. `family` is set as soon as it is known, also for frames that are refused.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F, family: &mut Family) -> ControlFlow<Verdict, Flow> {
    let mut flow = parse_any(frame, family)?;
    flow.meet();
    Continue(flow)
}

/// The long way, for every frame.
#[inline(always)]
fn parse_any<F: Frame + ?Sized>(frame: &F, family: &mut Family) -> ControlFlow<Verdict, Flow> {
    let Some(ethernet) = frame.read::<EthHdr>(0) else {
        return Break(Verdict::Truncated);
    };
    let mut ether_type = u16::from_be(ethernet.ether_type);
    let mut offset = EthHdr::LEN;
    for _ in 0..MAX_VLAN_TAGS {
        if is_vlan(ether_type) {
            let Some(tag) = frame.read::<VlanTag>(offset) else {
                return Break(Verdict::Truncated);
            };
            ether_type = u16::from_be_bytes(tag.ether_type);
            offset += size_of::<VlanTag>();
        }
    }
    match ether_type {
        ETHER_TYPE_IPV4 => {
            *family = Family::Ipv4;
            ipv4::parse(frame, offset)
        }
        ETHER_TYPE_IPV6 => {
            *family = Family::Ipv6;
            ipv6::parse(frame, offset)
        }
        tag if is_vlan(tag) => Break(Verdict::VlanDepth),
        _ => Break(Verdict::NotIp),
    }
}

/// A fragment: what its header says, and the octets it carries.
#[derive(Clone, Copy)]
struct FragmentInfo {
    /// In units of eight octets.
    offset: u16,
    /// More fragments follow.
    more: bool,
}

impl FragmentInfo {
    /// Refuses fragments that no sender makes: `payload` octets of `protocol`.
    #[inline(always)]
    fn check(self, payload: usize, is_tcp: bool) -> ControlFlow<Verdict> {
        if self.more && payload & 7 != 0 {
            return Break(Verdict::BadFragment);
        }
        // RFC 791: a datagram ends at 65,535; an offset beyond is the "ping of death".
        if self.offset as usize * 8 + payload > 65_535 {
            return Break(Verdict::BadFragment);
        }
        // RFC 1858 section 3, RFC 3128: offset 1 would overwrite the flags of a TCP header.
        if self.offset == 1 && is_tcp {
            return Break(Verdict::TinyFragment);
        }
        Continue(())
    }
}

/// Fewest octets of a packet that only the kernel makes, by merging TCP segments ("BIG TCP"): more than its length field
/// can say. It says 0 then (`iph_set_totlen` of include/net/ip.h, `ipv6_gro_complete` of net/ipv6/ip6_offload.c).
const MERGED: usize = 65_536;

/// All but the "don't fragment" bit and the reserved one (RFC 791).
const FRAGMENT_FIELDS: u16 = 0x3fff;
