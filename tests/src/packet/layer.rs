//! The layers of a frame and their octets.

use super::{
    checksum::{add, checksum},
    number,
};

/// TCP flags by bit, lowest first.
pub(crate) const TCP_FLAGS: &str = "FSRPAUEC";

#[derive(Clone, Debug)]
pub(super) enum Layer {
    Ethernet(Ethernet),
    Tag(Tag),
    Ipv4(Ipv4),
    Ipv6(Ipv6),
    Extension(Extension),
    Tcp(Tcp),
    Udp(Udp),
    Icmp(Icmp),
    Other(Other),
    Data(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(super) struct Ethernet {
    pub(super) destination: [u8; 6],
    pub(super) source: [u8; 6],
    pub(super) ether_type: u16,
}

#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) tpid: u16,
    pub(super) vlan: u16,
    /// Announced when nothing follows.
    pub(super) ether_type: u16,
}

#[derive(Clone, Debug)]
pub(super) struct Ipv4 {
    pub(super) source: [u8; 4],
    pub(super) destination: [u8; 4],
    pub(super) version: u8,
    pub(super) ihl: Option<u8>,
    pub(super) traffic_class: u8,
    pub(super) total_length: Option<u16>,
    pub(super) dont_fragment: bool,
    pub(super) more: bool,
    pub(super) offset: u16,
    pub(super) ttl: u8,
    pub(super) protocol: Option<u8>,
    pub(super) options: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Ipv6 {
    pub(super) source: [u8; 16],
    pub(super) destination: [u8; 16],
    pub(super) version: u8,
    pub(super) traffic_class: u8,
    pub(super) payload_length: Option<u16>,
    pub(super) next: Option<u8>,
    pub(super) hop_limit: u8,
}

/// An extension header of IPv6, or an authentication header.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    number: u8,
    pub(super) length_field: u8,
    pub(super) claimed_length_field: Option<u8>,
    /// The octets behind next header and length.
    pub(super) word: [u8; 2],
    /// The four behind them; the rest is zeroes (Pad1).
    pub(super) number_behind: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Tcp {
    source_port: u16,
    destination_port: u16,
    pub(super) flags: u8,
    pub(super) data_offset: Option<u8>,
    pub(super) options: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Udp {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) length: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct Icmp {
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) is_v6: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Other {
    pub(super) number: u8,
    pub(super) octets: Vec<u8>,
}

impl Layer {
    /// How the layer before announces this one: an EtherType or a protocol number.
    pub(super) fn announced_as(&self) -> Option<u16> {
        match self {
            Self::Ethernet(_) | Self::Data(_) => None,
            Self::Tag(tag) => Some(tag.tpid),
            Self::Ipv4(_) => Some(super::ether_type::IPV4),
            Self::Ipv6(_) => Some(super::ether_type::IPV6),
            Self::Extension(extension) => Some(extension.number.into()),
            Self::Tcp(_) => Some(number::TCP.into()),
            Self::Udp(_) => Some(number::UDP.into()),
            Self::Icmp(icmp) => Some(if icmp.is_v6 { number::ICMPV6 } else { number::ICMP }.into()),
            Self::Other(other) => Some(other.number.into()),
        }
    }

    /// This layer and what is `behind` it, which is announced as `next`; `before` are the layers in front.
    /// Checksums are wrong in the bits of `wrong`.
    pub(super) fn encode(&self, behind: &[u8], next: Option<u16>, before: &[Self], wrong: u16) -> Vec<u8> {
        let protocol = next.map_or(number::NO_NEXT_HEADER, |next| next as u8);
        let mut octets = match self {
            Self::Ethernet(ethernet) => ethernet.encode(next),
            Self::Tag(tag) => tag.encode(next),
            Self::Ipv4(ipv4) => ipv4.encode(behind.len(), protocol, wrong),
            Self::Ipv6(ipv6) => ipv6.encode(behind.len(), protocol),
            Self::Extension(extension) => extension.encode(protocol),
            Self::Tcp(tcp) => tcp.encode(behind, before, wrong),
            Self::Udp(udp) => udp.encode(behind, before, wrong),
            Self::Icmp(icmp) => icmp.encode(behind, before, wrong),
            Self::Other(other) => other.octets.clone(),
            Self::Data(data) => data.clone(),
        };
        octets.extend_from_slice(behind);
        octets
    }
}

impl Ethernet {
    pub(super) fn new(ether_type: u16) -> Self {
        // Locally administered addresses.
        Self { destination: [2, 0, 0, 0, 0, 2], source: [2, 0, 0, 0, 0, 1], ether_type }
    }

    fn encode(&self, next: Option<u16>) -> Vec<u8> {
        let ether_type = next.unwrap_or(self.ether_type).to_be_bytes();
        [&self.destination[..], &self.source, &ether_type].concat()
    }
}

impl Tag {
    fn encode(&self, next: Option<u16>) -> Vec<u8> {
        [self.vlan.to_be_bytes(), next.unwrap_or(self.ether_type).to_be_bytes()].concat()
    }
}

impl Ipv4 {
    pub(super) fn new(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self {
            source,
            destination,
            version: 4,
            ihl: None,
            traffic_class: 0,
            total_length: None,
            dont_fragment: false,
            more: false,
            offset: 0,
            ttl: 64,
            protocol: None,
            options: 0,
        }
    }

    fn encode(&self, behind: usize, protocol: u8, wrong: u16) -> Vec<u8> {
        let length = 20 + self.options;
        let ihl = self.ihl.unwrap_or((length / 4) as u8);
        let total_length = self.total_length.unwrap_or((length + behind) as u16).to_be_bytes();
        let fields = (self.offset & 0x1fff) | u16::from(self.more) << 13 | u16::from(self.dont_fragment) << 14;
        let mut octets = vec![self.version << 4 | (ihl & 0xf), self.traffic_class];
        octets.extend(total_length);
        octets.extend([0x12, 0x34]); // identification
        octets.extend(fields.to_be_bytes());
        octets.extend([self.ttl, self.protocol.unwrap_or(protocol), 0, 0]);
        octets.extend(self.source);
        octets.extend(self.destination);
        octets.resize(length, 1); // NOP
        let sum = checksum(&octets, 0) ^ wrong;
        octets.splice(10..12, sum.to_be_bytes());
        octets
    }
}

impl Ipv6 {
    pub(super) fn new(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self { source, destination, version: 6, traffic_class: 0, payload_length: None, next: None, hop_limit: 64 }
    }

    fn encode(&self, behind: usize, protocol: u8) -> Vec<u8> {
        let mut octets = vec![self.version << 4 | self.traffic_class >> 4, self.traffic_class << 4, 0, 0];
        octets.extend(self.payload_length.unwrap_or(behind as u16).to_be_bytes());
        octets.extend([self.next.unwrap_or(protocol), self.hop_limit]);
        octets.extend(self.source);
        octets.extend(self.destination);
        octets
    }
}

impl Extension {
    /// Eight octets: PadN over the whole header.
    pub(super) fn options(number: u8) -> Self {
        Self { number, length_field: 0, claimed_length_field: None, word: [1, 4], number_behind: 0 }
    }

    pub(super) fn routing(kind: u8, segments_left: u8) -> Self {
        Self {
            number: number::ROUTING,
            length_field: 0,
            claimed_length_field: None,
            word: [kind, segments_left],
            number_behind: 0,
        }
    }

    pub(super) fn fragment(offset: u16, more: bool) -> Self {
        let fields = offset << 3 | u16::from(more);
        Self {
            number: number::FRAGMENT,
            length_field: 0,
            claimed_length_field: None,
            word: fields.to_be_bytes(),
            number_behind: 0,
        }
    }

    pub(super) fn authentication(length_field: u8) -> Self {
        Self {
            number: number::AUTHENTICATION,
            length_field,
            claimed_length_field: None,
            word: [0, 0],
            number_behind: 0,
        }
    }

    fn encode(&self, next: u8) -> Vec<u8> {
        let length = if self.number == number::AUTHENTICATION {
            (usize::from(self.length_field) + 2) * 4
        } else {
            (usize::from(self.length_field) + 1) * 8
        };
        let mut octets = vec![next, self.claimed_length_field.unwrap_or(self.length_field)];
        octets.extend(self.word);
        octets.extend(self.number_behind.to_be_bytes());
        octets.resize(length, 0);
        octets
    }
}

impl Tcp {
    pub(super) fn new(source_port: u16, destination_port: u16) -> Self {
        Self { source_port, destination_port, flags: 0x10, data_offset: None, options: 0 }
    }

    fn encode(&self, behind: &[u8], before: &[Layer], wrong: u16) -> Vec<u8> {
        let length = 20 + self.options;
        let mut octets = [self.source_port.to_be_bytes(), self.destination_port.to_be_bytes()].concat();
        octets.extend([0, 0, 0, 1, 0, 0, 0, 1]); // sequence and acknowledgment numbers
        octets.push(self.data_offset.unwrap_or((length / 4) as u8) << 4);
        octets.extend([self.flags, 0xff, 0xff, 0, 0, 0, 0]); // window, checksum, urgent pointer
        octets.resize(length, 1); // NOP
        let sum = transport_checksum(&octets, behind, before, number::TCP) ^ wrong;
        octets.splice(16..18, sum.to_be_bytes());
        octets
    }
}

impl Udp {
    fn encode(&self, behind: &[u8], before: &[Layer], wrong: u16) -> Vec<u8> {
        let length = self.length.unwrap_or((8 + behind.len()) as u16);
        let ports = [self.source_port.to_be_bytes(), self.destination_port.to_be_bytes()];
        let mut octets = [ports.concat(), length.to_be_bytes().to_vec(), vec![0, 0]].concat();
        let sum = match transport_checksum(&octets, behind, before, number::UDP) ^ wrong {
            0 => 0xffff, // RFC 768: zero means none
            sum => sum,
        };
        octets.splice(6..8, sum.to_be_bytes());
        octets
    }
}

impl Icmp {
    fn encode(&self, behind: &[u8], before: &[Layer], wrong: u16) -> Vec<u8> {
        let mut octets = vec![self.kind, self.code, 0, 0, 0, 0, 0, 0];
        let sum = if self.is_v6 {
            transport_checksum(&octets, behind, before, number::ICMPV6)
        } else {
            checksum(behind, add(&octets, 0))
        } ^ wrong;
        octets.splice(2..4, sum.to_be_bytes());
        octets
    }
}

/// Checksum over the pseudo-header of the last IP layer of `before`, `header` and `behind`. The sum of a whole number
/// of pairs is needed in `header` only.
fn transport_checksum(header: &[u8], behind: &[u8], before: &[Layer], protocol: u8) -> u16 {
    let addresses = before.iter().rev().find_map(|layer| match layer {
        Layer::Ipv4(ipv4) => Some(add(&ipv4.source, add(&ipv4.destination, 0))),
        Layer::Ipv6(ipv6) => Some(add(&ipv6.source, add(&ipv6.destination, 0))),
        _ => None,
    });
    let length = (header.len() + behind.len()) as u32;
    let pseudo = addresses.unwrap_or(0) + u32::from(protocol) + (length >> 16) + (length & 0xffff);
    checksum(behind, add(header, pseudo))
}
