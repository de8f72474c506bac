//! What the stages know of a packet: its headers, read and checked.

use crate::{
    address::Address,
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
    pub(crate) fn meet(&mut self) {
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
