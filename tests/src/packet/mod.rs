//! Frames for tests, written as what they are: `Packet::v4("203.0.113.7", "192.0.2.10").tcp(40000, 443).flags("S")`.
//!
//! Whatever a method does not say is what an honest sender would write: lengths, next headers and checksums are filled
//! in when the frame is built. The methods that lie (`claims_…`) come after the layer they are about.
//!
//! - In: addresses, ports, flags and lies, in the order of the layers.
//! - Out: the octets of one frame.
//! - Owner: the test that builds it; nothing here knows what a frame is judged.

mod checksum;
mod layer;

use std::net::IpAddr;

pub(crate) use layer::TCP_FLAGS;
use layer::{Ethernet, Extension, Icmp, Ipv4, Ipv6, Layer, Other, Tag, Tcp, Udp};

/// Protocol and extension header numbers (IANA "Assigned Internet Protocol Numbers").
pub mod number {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// GRE.
    pub const GRE: u8 = 47;
    /// Encapsulating security payload.
    pub const ESP: u8 = 50;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6: no next header.
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// IPv6 mobility header.
    pub const MOBILITY: u8 = 135;
    /// Host identity protocol.
    pub const HIP: u8 = 139;
    /// Shim6.
    pub const SHIM6: u8 = 140;
    /// For experiments.
    pub const EXPERIMENT_1: u8 = 253;
    /// For experiments.
    pub const EXPERIMENT_2: u8 = 254;
}

/// EtherTypes (IANA "IEEE 802 Numbers").
pub mod ether_type {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// IEEE 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// LLDP.
    pub const LLDP: u16 = 0x88cc;
    /// Tags of old switches, never standardised.
    pub const OLD_VLAN: u16 = 0x9100;
}

/// A frame in the making.
#[derive(Clone, Debug)]
pub struct Packet {
    layers: Vec<Layer>,
    padding: usize,
    keep: Option<usize>,
    /// Bits in which checksums are wrong.
    wrong_checksums: u16,
}

impl Packet {
    /// An Ethernet frame that announces `ether_type`, or whatever layer is added next.
    pub fn ethernet(ether_type: u16) -> Self {
        Self { layers: vec![Layer::Ethernet(Ethernet::new(ether_type))], padding: 0, keep: None, wrong_checksums: 0 }
    }

    /// An Ethernet frame with an IPv4 packet.
    pub fn v4(source: &str, destination: &str) -> Self {
        Self::ethernet(ether_type::IPV4).with(Layer::Ipv4(Ipv4::new(address_v4(source), address_v4(destination))))
    }

    /// An Ethernet frame with an IPv6 packet.
    pub fn v6(source: &str, destination: &str) -> Self {
        Self::ethernet(ether_type::IPV6).with(Layer::Ipv6(Ipv6::new(address_v6(source), address_v6(destination))))
    }

    /// An Ethernet frame with a packet of the family of both addresses.
    pub fn between(source: IpAddr, destination: IpAddr) -> Self {
        Self::by_family(&source.to_string(), &destination.to_string())
    }

    fn by_family(source: &str, destination: &str) -> Self {
        if source.contains(':') { Self::v6(source, destination) } else { Self::v4(source, destination) }
    }

    /// Adds a VLAN tag with this EtherType inside the tags there are.
    pub fn tag(mut self, tpid: u16) -> Self {
        let place = self.layers.iter().take_while(|layer| matches!(layer, Layer::Ethernet(_) | Layer::Tag(_))).count();
        let inner = match self.layers.get(place.wrapping_sub(1)) {
            Some(Layer::Ethernet(ethernet)) => ethernet.ether_type,
            Some(Layer::Tag(tag)) => tag.ether_type,
            _ => ether_type::IPV4,
        };
        self.layers.insert(place, Layer::Tag(Tag { tpid, vlan: 1 + place as u16, ether_type: inner }));
        self
    }

    /// Sets the MAC addresses.
    pub fn macs(self, destination: [u8; 6], source: [u8; 6]) -> Self {
        self.ethernet_mut(|ethernet| {
            ethernet.destination = destination;
            ethernet.source = source;
        })
    }

    /// TTL or hop limit.
    pub fn hop_limit(self, hop_limit: u8) -> Self {
        self.ip_mut(|v4| v4.ttl = hop_limit, |v6| v6.hop_limit = hop_limit)
    }

    /// DSCP and ECN octet.
    pub fn traffic_class(self, class: u8) -> Self {
        self.ip_mut(|v4| v4.traffic_class = class, |v6| v6.traffic_class = class)
    }

    /// IP version other than the real one.
    pub fn claims_version(self, version: u8) -> Self {
        self.ip_mut(|v4| v4.version = version, |v6| v6.version = version)
    }

    /// IPv4 total length or IPv6 payload length other than the real one.
    pub fn claims_length(self, length: u16) -> Self {
        self.ip_mut(|v4| v4.total_length = Some(length), |v6| v6.payload_length = Some(length))
    }

    /// The first next-header field other than the real one.
    pub fn claims_protocol(self, number: u8) -> Self {
        self.ip_mut(|v4| v4.protocol = Some(number), |v6| v6.next = Some(number))
    }

    /// IPv4 header length, in units of four octets, other than the real one.
    pub fn claims_ihl(self, ihl: u8) -> Self {
        self.ip_mut(|v4| v4.ihl = Some(ihl), |_| {})
    }

    /// IPv4 options of so many octets, a multiple of four: NOPs.
    pub fn ip_options(self, octets: usize) -> Self {
        self.ip_mut(|v4| v4.options = octets, |_| {})
    }

    /// IPv4 fragment fields: offset in units of eight octets, more-fragments.
    pub fn ip_fragment(self, offset: u16, more: bool) -> Self {
        self.ip_mut(
            |v4| {
                v4.offset = offset;
                v4.more = more;
            },
            |_| {},
        )
    }

    /// IPv4 don't-fragment.
    pub fn dont_fragment(self) -> Self {
        self.ip_mut(|v4| v4.dont_fragment = true, |_| {})
    }

    /// IPv6 hop-by-hop options.
    pub fn hop_by_hop(self) -> Self {
        self.with(Layer::Extension(Extension::options(number::HOP_BY_HOP)))
    }

    /// IPv6 destination options.
    pub fn destination_options(self) -> Self {
        self.with(Layer::Extension(Extension::options(number::DESTINATION_OPTIONS)))
    }

    /// IPv6 routing header.
    pub fn routing(self, kind: u8, segments_left: u8) -> Self {
        self.with(Layer::Extension(Extension::routing(kind, segments_left)))
    }

    /// IPv6 fragment header: offset in units of eight octets, more-fragments.
    pub fn fragment(self, offset: u16, more: bool) -> Self {
        self.with(Layer::Extension(Extension::fragment(offset, more)))
    }

    /// Authentication header with a check value of 96 bits: a length field of 4.
    pub fn authentication(self) -> Self {
        self.with(Layer::Extension(Extension::authentication(4)))
    }

    /// Eight octets in the form of an extension header of that number.
    pub fn extension(self, number: u8) -> Self {
        self.with(Layer::Extension(Extension::options(number)))
    }

    /// Makes the last extension header as long as this length field says.
    pub fn with_length_field(mut self, field: u8) -> Self {
        if let Some(Layer::Extension(extension)) = self.layers.last_mut() {
            extension.length_field = field;
        }
        self
    }

    /// Length field of the last extension header other than the real one.
    pub fn claims_length_field(mut self, field: u8) -> Self {
        if let Some(Layer::Extension(extension)) = self.layers.last_mut() {
            extension.claimed_length_field = Some(field);
        }
        self
    }

    /// Puts an option of `octets` octets of data first into the last extension header, which must have room for it.
    pub fn with_option(mut self, kind: u8, octets: u8) -> Self {
        if let Some(Layer::Extension(extension)) = self.layers.last_mut() {
            extension.word = [kind, octets];
        }
        self
    }

    /// Hop-by-hop options with a jumbo payload option that says so many octets, and a payload length of 0 (RFC 2675).
    pub fn jumbo_option(self, octets: u32) -> Self {
        let mut packet = self.claims_length(0).hop_by_hop().with_option(0xc2, 4);
        if let Some(Layer::Extension(extension)) = packet.layers.last_mut() {
            extension.number_behind = octets;
        }
        packet
    }

    /// A TCP header, ACK set.
    pub fn tcp(self, source_port: u16, destination_port: u16) -> Self {
        self.with(Layer::Tcp(Tcp::new(source_port, destination_port)))
    }

    /// TCP flags by their letters: `F` `S` `R` `P` `A` `U` `E` `C`.
    pub fn flags(self, letters: &str) -> Self {
        let flags = letters.chars().filter_map(|letter| TCP_FLAGS.find(letter)).fold(0, |all, bit| all | 1 << bit);
        self.tcp_mut(|tcp| tcp.flags = flags)
    }

    /// TCP options of so many octets, a multiple of four: NOPs.
    pub fn tcp_options(self, octets: usize) -> Self {
        self.tcp_mut(|tcp| tcp.options = octets)
    }

    /// TCP data offset, in units of four octets, other than the real one.
    pub fn claims_data_offset(self, data_offset: u8) -> Self {
        self.tcp_mut(|tcp| tcp.data_offset = Some(data_offset))
    }

    /// A UDP header.
    pub fn udp(self, source_port: u16, destination_port: u16) -> Self {
        self.with(Layer::Udp(Udp { source_port, destination_port, length: None }))
    }

    /// UDP length other than the real one.
    pub fn claims_udp_length(mut self, length: u16) -> Self {
        for layer in &mut self.layers {
            if let Layer::Udp(udp) = layer {
                udp.length = Some(length);
            }
        }
        self
    }

    /// An ICMP header of eight octets; ICMPv6 in IPv6.
    pub fn icmp(self, kind: u8, code: u8) -> Self {
        let is_v6 = self.layers.iter().any(|layer| matches!(layer, Layer::Ipv6(_)));
        self.with(Layer::Icmp(Icmp { kind, code, is_v6 }))
    }

    /// So many octets that the header before calls protocol `number`: another protocol, or what a fragment carries.
    pub fn other(self, number: u8, octets: usize) -> Self {
        self.with(Layer::Other(Other { number, octets: pattern(octets) }))
    }

    /// So many octets of data behind the last header.
    pub fn payload(self, octets: usize) -> Self {
        self.with(Layer::Data(pattern(octets)))
    }

    /// These octets behind the last header.
    pub fn data(self, octets: &[u8]) -> Self {
        self.with(Layer::Data(octets.to_vec()))
    }

    /// Makes every checksum of IP, TCP, UDP and ICMP wrong.
    pub fn wrong_checksums(mut self) -> Self {
        self.wrong_checksums = 0x0f0f;
        self
    }

    /// So many octets behind the packet, as Ethernet pads short ones.
    pub fn padding(mut self, octets: usize) -> Self {
        self.padding = octets;
        self
    }

    /// Takes the Ethernet header away: as the kernel hands on what the host sent to itself.
    pub fn bare(mut self) -> Self {
        self.layers.retain(|layer| !matches!(layer, Layer::Ethernet(_)));
        self
    }

    /// Cuts the frame off after so many octets.
    pub fn cut(mut self, octets: usize) -> Self {
        self.keep = Some(octets);
        self
    }

    /// Cuts so many octets off the end of the frame.
    pub fn cut_by(self, octets: usize) -> Self {
        let length = self.build().len();
        self.cut(length.saturating_sub(octets))
    }

    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        let mut behind = Vec::new();
        let mut announced = None;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let before = self.layers.get(..index).unwrap_or_default();
            behind = layer.encode(&behind, announced, before, self.wrong_checksums);
            announced = layer.announced_as();
        }
        behind.resize(behind.len() + self.padding, 0);
        behind.truncate(self.keep.unwrap_or(usize::MAX));
        behind
    }

    fn with(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    fn ethernet_mut(mut self, change: impl Fn(&mut Ethernet)) -> Self {
        for layer in &mut self.layers {
            if let Layer::Ethernet(ethernet) = layer {
                change(ethernet);
            }
        }
        self
    }

    fn ip_mut(mut self, change_v4: impl Fn(&mut Ipv4), change_v6: impl Fn(&mut Ipv6)) -> Self {
        for layer in &mut self.layers {
            match layer {
                Layer::Ipv4(v4) => change_v4(v4),
                Layer::Ipv6(v6) => change_v6(v6),
                _ => {}
            }
        }
        self
    }

    fn tcp_mut(mut self, change: impl Fn(&mut Tcp)) -> Self {
        for layer in &mut self.layers {
            if let Layer::Tcp(tcp) = layer {
                change(tcp);
            }
        }
        self
    }
}

/// Octets that are easy to tell from zeroes and from each other.
fn pattern(octets: usize) -> Vec<u8> {
    (0..octets).map(|position| 0x40 | (position % 0x3f) as u8).collect()
}

fn address_v4(text: &str) -> [u8; 4] {
    text.parse::<std::net::Ipv4Addr>().expect("the test gives an IPv4 address").octets()
}

fn address_v6(text: &str) -> [u8; 16] {
    text.parse::<std::net::Ipv6Addr>().expect("the test gives an IPv6 address").octets()
}
