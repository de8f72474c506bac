//! The frames that are judged: TCP to port 443 of one host, 64 octets, source to be filled in.

use firewall_tests::packet::Packet;
use serde::{Deserialize, Serialize};

/// Family of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    V4,
    V6,
}

/// What a TCP packet is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Segment {
    /// Opens a connection: SYN.
    Syn,
    /// Belongs to one: ACK.
    Ack,
}

/// Destination of all frames.
pub const HOST_V4: &str = "192.0.2.10";
/// Destination of all frames.
pub const HOST_V6: &str = "2001:db8:1::10";
/// Port of the service that policies protect.
pub const PORT: u16 = 443;
/// MAC address of the host.
pub const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
/// Where the header of IPv4 has its checksum.
pub const V4_CHECKSUM_OFFSET: i16 = 24;

const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x02];
const OTHER_PORT: u16 = 40_000;
/// Replaced in every frame.
const SOURCE_V4: &str = "198.51.100.1";
const SOURCE_V6: &str = "2001:db8:2::1";
/// Shortest Ethernet frame without its checksum.
const SHORTEST: usize = 60;

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Its name in cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }

    /// Bits of an address.
    pub fn bits(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The same for the packet program.
    pub fn of_packet(self) -> firewall_common::Family {
        match self {
            Self::V4 => firewall_common::Family::Ipv4,
            Self::V6 => firewall_common::Family::Ipv6,
        }
    }

    /// Type of the elements of a set of nftables.
    pub fn nftables_type(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    /// How nftables names a packet.
    pub fn nftables_packet(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// Where a frame has its source.
    pub const fn source_offset(self) -> i16 {
        match self {
            Self::V4 => 26,
            Self::V6 => 22,
        }
    }

    /// Where the IP header of a frame ends.
    pub const fn header_end(self) -> i32 {
        match self {
            Self::V4 => 34,
            Self::V6 => 54,
        }
    }

    /// Size of [`table_entry`], as a power of two.
    pub const fn entry_shift(self) -> i32 {
        match self {
            Self::V4 => 3,
            Self::V6 => 4,
        }
    }
}

/// The frame of a case.
pub fn build(family: Family, segment: Segment) -> Vec<u8> {
    let packet = match family {
        Family::V4 => Packet::v4(SOURCE_V4, HOST_V4),
        Family::V6 => Packet::v6(SOURCE_V6, HOST_V6),
    };
    let flags = match segment {
        Segment::Syn => "S",
        Segment::Ack => "A",
    };
    let mut frame = packet.macs(HOST_MAC, OTHER_MAC).tcp(OTHER_PORT, PORT).flags(flags).build();
    frame.resize(frame.len().max(SHORTEST), 0);
    frame
}

/// What a table of sources says of one: its octets, and for IPv4 the checksum of the header of `frame` when it has it.
pub fn table_entry(family: Family, frame: &[u8], source: u128) -> Vec<u8> {
    match family {
        Family::V4 => {
            let octets = (source as u32).to_be_bytes();
            let checksum = checksum_with(frame, (source as u32).into()).to_be_bytes();
            [&octets[..], &checksum, &[0; 2]].concat()
        }
        Family::V6 => source.to_be_bytes().to_vec(),
    }
}

/// The frame as it would come from `source`; the checksum of TCP, which nobody looks at here, stays.
pub fn with_source(frame: &[u8], family: Family, source: u128) -> Vec<u8> {
    let entry = table_entry(family, frame, source);
    let mut frame = frame.to_vec();
    let mut put = |offset: i16, octets: &[u8]| {
        let start = offset as usize;
        frame.splice(start..start + octets.len(), octets.iter().copied());
    };
    match family {
        Family::V4 => {
            put(family.source_offset(), &entry[..4]);
            put(V4_CHECKSUM_OFFSET, &entry[4..6]);
        }
        Family::V6 => put(family.source_offset(), &entry),
    }
    frame
}

/// The source of a frame; 0 of one that is too short.
pub fn source_of(family: Family, frame: &[u8]) -> u128 {
    let octets = frame.iter().skip(family.source_offset() as usize).take(family.bits() as usize / 8);
    octets.fold(0, |source, octet| source << 8 | u128::from(*octet))
}

/// Header checksum of IPv4 after a change of the source (RFC 1624, equation 3).
fn checksum_with(frame: &[u8], source: u64) -> u16 {
    let word = |offset: i16| {
        let octets = frame.get(offset as usize..).and_then(|octets| octets.first_chunk());
        u64::from(u16::from_be_bytes(octets.copied().unwrap_or_default()))
    };
    let not = |word: u64| !word & 0xffff;
    let start = Family::V4.source_offset();
    let mut sum = not(word(V4_CHECKSUM_OFFSET)) + not(word(start)) + not(word(start + 2));
    sum += (source >> 16) + (source & 0xffff);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    not(sum) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_with_another_source_is_the_one_that_it_would_have_sent() {
        let mut honest = Packet::v4("203.0.113.77", HOST_V4).macs(HOST_MAC, OTHER_MAC).tcp(OTHER_PORT, PORT).build();
        let mut changed = with_source(&build(Family::V4, Segment::Ack), Family::V4, 0xcb00_714d);
        honest.truncate(34);
        changed.truncate(34);
        assert_eq!(changed, honest);
        assert_eq!(source_of(Family::V4, &changed), 0xcb00_714d);
    }
}
