//! The short way for what nearly every packet is: an untagged TCP or UDP packet without options, extension headers or
//! fragmentation, whole and in the first buffer.
//!
//! It says nothing about any other packet, good or bad. What it returns is exactly what the long way returns, at a third
//! of the instructions: one compare of bounds, and few values that the verifier has to be made to forget.

use super::{
    FRAGMENT_FIELDS,
    transport::{ACK, SYN, are_impossible},
};
use crate::{
    address::Address,
    flow::{Flow, Fragment, Transport},
    frame::{Frame, Header},
    numbers::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, PROTOCOL_TCP, PROTOCOL_UDP},
};

/// An Ethernet frame with IPv4 and the shortest TCP header.
#[derive(Clone, Copy)]
#[repr(C)]
struct PlainV4 {
    _macs: [u8; 12],
    ether_type: [u8; 2],
    version_and_length: u8,
    _service: u8,
    total_length: [u8; 2],
    _identification: [u8; 2],
    fragment: [u8; 2],
    ttl: u8,
    protocol: u8,
    _checksum: [u8; 2],
    source: [u8; 4],
    destination: [u8; 4],
    transport: PlainTransport,
}

/// The same with IPv6.
#[derive(Clone, Copy)]
#[repr(C)]
struct PlainV6 {
    _macs: [u8; 12],
    ether_type: [u8; 2],
    version: u8,
    _flow: [u8; 3],
    payload_length: [u8; 2],
    next: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
    transport: PlainTransport,
}

/// A TCP header, of which a UDP header is the first eight octets (padding of the frame or data behind them).
#[derive(Clone, Copy)]
#[repr(C)]
struct PlainTransport {
    source: [u8; 2],
    destination: [u8; 2],
    udp_length: [u8; 2],
    _rest: [u8; 6],
    tcp_offset: u8,
    tcp_flags: u8,
    _end: [u8; 6],
}

// SAFETY: plain octets.
unsafe impl Header for PlainV4 {}
// SAFETY: plain octets.
unsafe impl Header for PlainV6 {}

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;

/// Ports of DHCP and DHCPv6, which the essentials know.
const DHCP: [u16; 3] = [67, 68, 546];

/// Reads a plain IPv4 packet; `None`: it is not one.
#[inline(always)]
pub fn plain_v4<F: Frame + ?Sized>(frame: &F) -> Option<Flow> {
    let whole = frame.whole_length()?;
    let v4 = frame.start::<PlainV4>()?;
    let total = u16::from_be_bytes(v4.total_length) as usize;
    if u16::from_be_bytes(v4.ether_type) != ETHER_TYPE_IPV4
        || v4.version_and_length != 0x45
        || u16::from_be_bytes(v4.fragment) & FRAGMENT_FIELDS != 0
        || ETHERNET + total > whole
        || total < IPV4
    {
        return None;
    }
    let packet = Packet {
        source: Address::v4(v4.source),
        destination: Address::v4(v4.destination),
        protocol: v4.protocol,
        hop_limit: v4.ttl,
        length: total - IPV4,
        frame_length: whole,
    };
    packet.flow(&v4.transport)
}

/// Reads a plain IPv6 packet; `None`: it is not one.
#[inline(always)]
pub fn plain_v6<F: Frame + ?Sized>(frame: &F) -> Option<Flow> {
    let whole = frame.whole_length()?;
    let v6 = frame.start::<PlainV6>()?;
    let length = u16::from_be_bytes(v6.payload_length) as usize;
    if u16::from_be_bytes(v6.ether_type) != ETHER_TYPE_IPV6 || v6.version >> 4 != 6 || ETHERNET + IPV6 + length > whole
    {
        return None;
    }
    let packet = Packet {
        source: Address::v6(v6.source),
        destination: Address::v6(v6.destination),
        protocol: v6.next,
        hop_limit: v6.hop_limit,
        length,
        frame_length: whole,
    };
    packet.flow(&v6.transport)
}

/// What the network header says.
struct Packet {
    source: Address,
    destination: Address,
    protocol: u8,
    hop_limit: u8,
    /// Octets behind the network header.
    length: usize,
    frame_length: usize,
}

impl Packet {
    #[inline(always)]
    fn flow(self, header: &PlainTransport) -> Option<Flow> {
        let destination_port = u16::from_be_bytes(header.destination);
        let (transport, opens_connection) = match self.protocol {
            PROTOCOL_TCP => {
                let data_offset = ((header.tcp_offset >> 4) as usize) << 2;
                if data_offset < TCP || data_offset > self.length || are_impossible(header.tcp_flags) {
                    return None;
                }
                (Transport::Tcp, header.tcp_flags & (SYN | ACK) == SYN)
            }
            PROTOCOL_UDP => {
                let length = u16::from_be_bytes(header.udp_length) as usize;
                if length < UDP || length > self.length || DHCP.contains(&destination_port) {
                    return None;
                }
                (Transport::Udp, false)
            }
            _ => return None,
        };
        Some(Flow {
            source: self.source,
            destination: self.destination,
            transport,
            fragment: Fragment::None,
            hop_limit: self.hop_limit,
            transport_length: self.length,
            source_port: u16::from_be_bytes(header.source),
            destination_port,
            opens_connection,
            icmp_type: 0,
            icmp_code: 0,
            frame_length: self.frame_length,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Source and destination ports of DHCP replies, now and then; else those of the octets.
    fn ports() -> impl Strategy<Value = Option<(u16, u16)>> {
        prop_oneof![8 => Just(None), 1 => Just(Some((67, 68))), 1 => Just(Some((547, 546)))]
    }

    /// A frame that is nearly plain: right headers, then some octets changed.
    pub(crate) fn nearly_plain() -> impl Strategy<Value = Vec<u8>> {
        let changes = prop::collection::vec((0usize..74, any::<u8>()), 0..3);
        (any::<bool>(), any::<bool>(), 0usize..60, changes, any::<[u8; 40]>(), ports()).prop_map(
            |(is_v4, is_tcp, data, changes, octets, ports)| {
                let (ether_type, header) = if is_v4 { ([8, 0], IPV4) } else { ([0x86, 0xdd], IPV6) };
                let transport = if is_tcp { TCP } else { UDP };
                let length = transport + data;
                let mut frame = Vec::from([0u8; 12]);
                frame.extend(ether_type);
                frame.extend(octets.iter().take(header));
                let ip = &mut frame[ETHERNET..];
                let protocol = if is_tcp { PROTOCOL_TCP } else { PROTOCOL_UDP };
                if is_v4 {
                    ip[0] = 0x45;
                    ip[2..4].copy_from_slice(&((header + length) as u16).to_be_bytes());
                    ip[6..8].copy_from_slice(&[0x40, 0]);
                    ip[9] = protocol;
                } else {
                    ip[0] = 0x60;
                    ip[4..6].copy_from_slice(&(length as u16).to_be_bytes());
                    ip[6] = protocol;
                }
                frame.extend(octets.iter().cycle().take(length));
                let packet = &mut frame[ETHERNET + header..];
                if let Some((source, destination)) = ports {
                    packet[..2].copy_from_slice(&source.to_be_bytes());
                    packet[2..4].copy_from_slice(&destination.to_be_bytes());
                }
                if is_tcp {
                    packet[12] = 0x50;
                    packet[13] = ACK;
                } else {
                    packet[4..6].copy_from_slice(&(length as u16).to_be_bytes());
                }
                frame.resize(frame.len().max(60), 0);
                for (at, octet) in changes {
                    if let Some(place) = frame.get_mut(at) {
                        *place = octet;
                    }
                }
                frame
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_short_way_says_what_the_long_way_says(frame in nearly_plain()) {
            if let Some(flow) = plain_v4(frame.as_slice()).or_else(|| plain_v6(frame.as_slice())) {
                let mut family = crate::Family::Other;
                let long = super::super::parse_any(frame.as_slice(), &mut family);
                prop_assert_eq!(long, core::ops::ControlFlow::Continue(flow));
                prop_assert_eq!(family, flow.source.family);
            }
        }
    }

    #[test]
    fn an_ordinary_segment_is_plain() {
        let mut frame = [0u8; 60];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14..24].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
        frame[26..34].copy_from_slice(&[192, 0, 2, 1, 198, 51, 100, 1]);
        frame[36..38].copy_from_slice(&443u16.to_be_bytes());
        frame[46..48].copy_from_slice(&[0x50, SYN]);
        let flow = plain_v4(frame.as_slice()).unwrap();
        assert_eq!((flow.destination_port, flow.opens_connection), (443, true));
        assert_eq!(flow.source, Address::v4([192, 0, 2, 1]));
    }
}
