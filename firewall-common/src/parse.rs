//! Stage 1: from bytes to a [`Flow`], or to the verdict that says why not.
//!
//! Hostile input is the normal case here. Every offset stays below the length of the packet, which stays below the
//! length of the frame. `end` is the first octet after the packet: lengths come from the IP header, so Ethernet padding is never taken for packet.

mod ipv4;
mod ipv6;
mod plain;
mod transport;

pub use self::plain::{plain_v4, plain_v6};

use core::ops::ControlFlow::{self, Break, Continue};

use network_types::eth::EthHdr;

use crate::{
    address::{Address, Family},
    frame::{Frame, VlanTag},
    verdict::Verdict,
    verifier::{forget, forget_choice},
};

/// A packet whose headers are whole and consistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Source of the packet.
    pub source: Address,
    /// Destination of the packet.
    pub destination: Address,
    /// What it carries.
    pub transport: Transport,
    /// Whether it is a fragment.
    pub fragment: Fragment,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Octets from the transport header to the end of the packet; 0 in a later fragment.
    pub transport_length: usize,
    /// TCP and UDP: source port, else 0.
    pub source_port: u16,
    /// TCP and UDP: destination port, else 0.
    pub destination_port: u16,
    /// TCP: SYN without ACK.
    pub opens_connection: bool,
    /// ICMP and ICMPv6: type, else 0.
    pub icmp_type: u8,
    /// ICMP and ICMPv6: code, else 0.
    pub icmp_code: u8,
    /// Octets of the whole frame.
    pub frame_length: usize,
}

/// What a packet carries, as far as the policy tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP inside IPv4.
    Icmp,
    /// ICMPv6 inside IPv6.
    Icmpv6,
    /// Anything else; no service has it.
    Other,
    /// A non-first fragment whose transport is behind a header that it does not carry: it could be any.
    Every,
}

/// Whether a packet is a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// No fragment.
    None,
    /// IPv6 with a fragment header that says: all of it is here (RFC 6946).
    Atomic,
    /// The first of several, with a whole transport header.
    First,
    /// One of the others, without ports.
    Later,
}

impl Flow {
    /// Whether the transport header is in this packet.
    #[inline(always)]
    pub fn carries_transport_header(&self) -> bool {
        !matches!(self.fragment, Fragment::Later)
    }

    /// Makes all the ways through the parser meet: what follows is verified once, not once for each of them.
    #[inline(always)]
    fn meet(&mut self) {
        let noise = self.source.first_32();
        self.transport = forget_choice(self.transport, noise);
        self.fragment = forget_choice(self.fragment, noise);
        self.transport_length = forget(self.transport_length, noise);
        self.source_port = forget(self.source_port as usize, noise) as u16;
        self.destination_port = forget(self.destination_port as usize, noise) as u16;
        self.icmp_type = forget(self.icmp_type as usize, noise) as u8;
        self.icmp_code = forget(self.icmp_code as usize, noise) as u8;
        self.opens_connection = forget_choice(self.opens_connection, noise);
        self.frame_length = forget(self.frame_length, noise);
    }

    /// Whether the ports are those of the packet, not the zeroes of a packet that carries none.
    #[inline(always)]
    pub fn has_ports(&self) -> bool {
        self.carries_transport_header() && matches!(self.transport, Transport::Tcp | Transport::Udp)
    }
}

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

#[inline(always)]
const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, ETHER_TYPE_8021Q | ETHER_TYPE_8021AD)
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

const MAX_VLAN_TAGS: usize = 2; // one customer tag inside one service tag (IEEE 802.1ad)

// linux/if_ether.h
const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;
const ETHER_TYPE_8021Q: u16 = 0x8100;
const ETHER_TYPE_8021AD: u16 = 0x88a8;

// IANA "Assigned Internet Protocol Numbers"
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_AH: u8 = 51;
const PROTOCOL_ICMPV6: u8 = 58;
