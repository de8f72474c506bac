//! Packets to ask about: what a sender would have put on the wire, as a frame that can be judged.

use std::net::IpAddr;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to; of the same family.
    pub destination: IpAddr,
    /// What it carries.
    pub transport: Transport,
    /// Whether it is a fragment after the first, which has neither ports nor flags.
    pub is_later_fragment: bool,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        port: u16,
        /// The flags of octet 13 (RFC 9293 section 3.1), [`SYN`] and the others.
        flags: u8,
    },
    /// UDP.
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        port: u16,
    },
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

/// TCP flag: the sender is done.
pub const FIN: u8 = 0x01;
/// TCP flag: a new connection.
pub const SYN: u8 = 0x02;
/// TCP flag: the connection is reset.
pub const RST: u8 = 0x04;
/// TCP flag: push.
pub const PSH: u8 = 0x08;
/// TCP flag: the acknowledgement number counts.
pub const ACK: u8 = 0x10;
/// TCP flag: the urgent pointer counts.
pub const URG: u8 = 0x20;

/// Octets of an ICMP message here: the longest fixed part that is looked at is that of neighbour discovery.
const ICMP_LENGTH: usize = 32;

/// Octets of payload in a later fragment, and where it begins in units of eight octets.
const FRAGMENT_LENGTH: usize = 64;
const FRAGMENT_OFFSET: u16 = 8;

const IPV6_FRAGMENT_HEADER: u8 = 44;

impl Packet {
    /// The frame, without VLAN tag. Checksums are zero: nobody looks at them.
    ///
    /// `None` when source and destination are of different families.
    pub fn frame(&self) -> Option<Vec<u8>> {
        let body = if self.is_later_fragment { vec![0; FRAGMENT_LENGTH] } else { self.transport.octets() };
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([0x08, 0x00]);
                let length = u16::try_from(20 + body.len()).ok()?.to_be_bytes();
                frame.extend([0x45, 0]);
                frame.extend(length);
                frame.extend([0, 0]);
                frame.extend(if self.is_later_fragment { FRAGMENT_OFFSET } else { 0 }.to_be_bytes());
                frame.extend([HOP_LIMIT, self.transport.number(true), 0, 0]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let number = self.transport.number(false);
                let fragment: &[u8] = if self.is_later_fragment {
                    &[number, 0, 0, (FRAGMENT_OFFSET << 3) as u8, 0, 0, 0, 1]
                } else {
                    &[]
                };
                let next = if self.is_later_fragment { IPV6_FRAGMENT_HEADER } else { number };
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(u16::try_from(fragment.len() + body.len()).ok()?.to_be_bytes());
                frame.extend([next, self.transport.hop_limit()]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                frame.extend(fragment);
            }
            _ => return None,
        }
        frame.extend(body);
        Some(frame)
    }
}

/// What hosts send with, unless the protocol says otherwise.
const HOP_LIMIT: u8 = 64;

impl Transport {
    /// The protocol number (IANA "Protocol Numbers").
    fn number(self, is_v4: bool) -> u8 {
        match self {
            Self::Tcp { .. } => 6,
            Self::Udp { .. } => 17,
            Self::Icmp { .. } if is_v4 => 1,
            Self::Icmp { .. } => 58,
        }
    }

    /// What IPv6 senders use: RFC 4861 asks for 255, RFC 3810 for 1.
    fn hop_limit(self) -> u8 {
        match self {
            Self::Icmp { kind: 133..=137, .. } => 255,
            Self::Icmp { kind: 130..=132 | 143, .. } => 1,
            _ => HOP_LIMIT,
        }
    }

    /// Header and payload.
    fn octets(self) -> Vec<u8> {
        let ports = |source: u16, destination: u16| [source.to_be_bytes(), destination.to_be_bytes()].concat();
        match self {
            Self::Tcp { source_port, port, flags } => {
                let mut octets = ports(source_port, port);
                octets.extend([0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
                octets
            }
            Self::Udp { source_port, port } => {
                let mut octets = ports(source_port, port);
                octets.extend([0, 8, 0, 0]);
                octets
            }
            Self::Icmp { kind, code } => {
                let mut octets = vec![0; ICMP_LENGTH];
                for (octet, value) in octets.iter_mut().zip([kind, code]) {
                    *octet = value;
                }
                octets
            }
        }
    }
}
