//! Where a traced frame comes from and goes to, as far as its beginning tells.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use firewall_common::numbers::{
    DESTINATION_OPTIONS, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, FRAGMENT, HOP_BY_HOP, PROTOCOL_AH, PROTOCOL_ICMP,
    PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, ROUTING, authentication_length, is_vlan,
};

/// From whom to whom, and how. Nothing is refused here: what a frame does not say, or what lies behind its beginning, is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    addresses: Option<(IpAddr, IpAddr)>,
    /// Of TCP and UDP, of what is no later fragment.
    ports: Option<(u16, u16)>,
    /// Number of the protocol behind IP.
    protocol: Option<u8>,
    is_later_fragment: bool,
    ether_type: Option<u16>,
}

/// Extension headers that are passed over; a frame has no more of them in its beginning.
const MOST_EXTENSIONS: usize = 8;

/// Octets before the EtherType of a frame.
const ETHER_TYPE: usize = 12;

impl Ends {
    /// What the beginning of a frame says, from its Ethernet header on.
    pub(super) fn of(frame: &[u8]) -> Self {
        let mut at = ETHER_TYPE;
        let mut ether_type = word(frame, at);
        // A tag is its EtherType and two octets more (IEEE 802.1Q section 9.6).
        while ether_type.is_some_and(is_vlan) {
            at += 4;
            ether_type = word(frame, at);
        }
        let ends = Self { ether_type, ..Self::default() };
        let packet = frame.get(at + 2..).unwrap_or_default();
        match ether_type {
            Some(ETHER_TYPE_IPV4) => ends.with_v4(packet),
            Some(ETHER_TYPE_IPV6) => ends.with_v6(packet),
            _ => ends,
        }
    }

    /// An IPv4 header (RFC 791 section 3.1).
    fn with_v4(mut self, packet: &[u8]) -> Self {
        let address = |at: usize| packet.get(at..at + 4)?.try_into().ok().map(|octets: [u8; 4]| IpAddr::from(octets));
        self.addresses = address(12).zip(address(16));
        self.protocol = packet.get(9).copied();
        // The lower 13 bits are the offset.
        self.is_later_fragment = word(packet, 6).is_some_and(|offset| offset & 0x1fff != 0);
        let mut at = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
        if self.protocol == Some(PROTOCOL_AH) && !self.is_later_fragment {
            at += self.pass_over_authentication(packet, at);
        }
        self.with_ports(packet, at)
    }

    /// An IPv6 header with its extension headers (RFC 8200 sections 3 and 4).
    fn with_v6(mut self, packet: &[u8]) -> Self {
        let address = |at: usize| packet.get(at..at + 16)?.try_into().ok().map(|octets: [u8; 16]| IpAddr::from(octets));
        self.addresses = address(8).zip(address(24));
        self.protocol = packet.get(6).copied();
        let mut at = 40;
        for _ in 0..MOST_EXTENSIONS {
            let length = packet.get(at + 1).map_or(0, |length| usize::from(*length) * 8 + 8);
            match self.protocol {
                Some(HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS) => at += self.pass_over(packet, at, length),
                Some(FRAGMENT) => {
                    // The upper 13 bits are the offset.
                    self.is_later_fragment |= word(packet, at + 2).is_some_and(|offset| offset >> 3 != 0);
                    at += self.pass_over(packet, at, 8);
                }
                // What begins in a later fragment is no header.
                Some(PROTOCOL_AH) if !self.is_later_fragment => at += self.pass_over_authentication(packet, at),
                _ => break,
            }
        }
        self.with_ports(packet, at)
    }

    /// Passes over an extension header of so many octets; how many they are.
    fn pass_over(&mut self, packet: &[u8], at: usize, length: usize) -> usize {
        self.protocol = packet.get(at).copied();
        length
    }

    /// Passes over an authentication header (RFC 4302 section 2); how many octets it has. One that cannot be hides what follows.
    fn pass_over_authentication(&mut self, packet: &[u8], at: usize) -> usize {
        match packet.get(at + 1).and_then(|field| authentication_length(*field)) {
            Some(length) => self.pass_over(packet, at, length),
            None => packet.len(),
        }
    }

    /// The ports at the beginning of the TCP or UDP header, which is `at` so many octets.
    fn with_ports(mut self, packet: &[u8], at: usize) -> Self {
        if matches!(self.protocol, Some(PROTOCOL_TCP | PROTOCOL_UDP)) && !self.is_later_fragment {
            self.ports = word(packet, at).zip(word(packet, at + 2));
        }
        self
    }
}

/// Two octets in network byte order.
fn word(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// `203.0.113.7:51000 -> 192.0.2.10:443 tcp`, `fe80::1 -> ff02::1 icmpv6`, `EtherType 0x0806`.
impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.addresses, self.ports) {
            (Some((source, destination)), Some((from, to))) => {
                let [source, destination] = [SocketAddr::new(source, from), SocketAddr::new(destination, to)];
                write!(f, "{source} -> {destination}")?;
            }
            (Some((source, destination)), None) => write!(f, "{source} -> {destination}")?,
            (None, _) => {
                return match self.ether_type {
                    Some(kind) => write!(f, "EtherType {kind:#06x}"),
                    None => f.write_str("a frame without an EtherType"),
                };
            }
        }
        match self.protocol {
            Some(PROTOCOL_TCP) => f.write_str(" tcp")?,
            Some(PROTOCOL_UDP) => f.write_str(" udp")?,
            Some(PROTOCOL_ICMP) => f.write_str(" icmp")?,
            Some(PROTOCOL_ICMPV6) => f.write_str(" icmpv6")?,
            Some(other) => write!(f, " protocol {other}")?,
            None => {}
        }
        if self.is_later_fragment { f.write_str(" (a later fragment)") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use firewall_common::numbers::{ETHER_TYPE_8021AD, ETHER_TYPE_8021Q};

    use super::*;

    const TAGS: [u16; 2] = [ETHER_TYPE_8021Q, ETHER_TYPE_8021AD];

    fn ethernet(tags: &[u16], kind: u16) -> Vec<u8> {
        let mut frame = vec![2; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend(kind.to_be_bytes());
        frame
    }

    fn v4(protocol: u8, offset: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, offset, 64, protocol, 0, 0];
        packet.extend([203, 0, 113, 7, 192, 0, 2, 10, 0xc7, 0x38, 1, 0xbb]);
        packet
    }

    fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 20, next, 64];
        for last in [1, 2] {
            packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        packet.extend(rest);
        packet
    }

    fn told(link: &[u8], packet: &[u8]) -> String {
        Ends::of(&[link, packet].concat()).to_string()
    }

    #[test]
    fn ends_are_found_behind_tags_and_extension_headers() {
        let plain = ethernet(&[], ETHER_TYPE_IPV4);
        assert_eq!(told(&plain, &v4(PROTOCOL_TCP, 0)), "203.0.113.7:51000 -> 192.0.2.10:443 tcp");
        assert_eq!(
            told(&ethernet(&TAGS, ETHER_TYPE_IPV4), &v4(PROTOCOL_UDP, 0)),
            "203.0.113.7:51000 -> 192.0.2.10:443 udp"
        );
        assert_eq!(told(&plain, &v4(PROTOCOL_UDP, 5)), "203.0.113.7 -> 192.0.2.10 udp (a later fragment)");
        assert_eq!(told(&plain, &v4(PROTOCOL_ICMP, 0)), "203.0.113.7 -> 192.0.2.10 icmp");
        let six = ethernet(&[], ETHER_TYPE_IPV6);
        assert_eq!(told(&six, &v6(PROTOCOL_ICMPV6, &[])), "2001:db8::1 -> 2001:db8::2 icmpv6");
        let ports = [0xc7, 0x38, 1, 0xbb];
        let behind = [&[FRAGMENT, 0, 0, 0, 0, 0, 0, 0][..], &[PROTOCOL_TCP, 0, 0, 1, 0, 0, 0, 0], &ports].concat();
        assert_eq!(told(&six, &v6(HOP_BY_HOP, &behind)), "[2001:db8::1]:51000 -> [2001:db8::2]:443 tcp");
        assert_eq!(told(&ethernet(&[], 0x0806), &[]), "EtherType 0x0806");
    }

    #[test]
    fn ports_are_found_behind_an_authentication_header() {
        let (plain, six) = (ethernet(&[], ETHER_TYPE_IPV4), ethernet(&[], ETHER_TYPE_IPV6));
        let header = |next: u8, length: u8| [&[next, length][..], &[0; 10]].concat();
        let ports = [0xc7, 0x38, 1, 0xbb];
        let four = |offset: u8, length: u8| {
            let short = v4(PROTOCOL_AH, offset);
            [&short[..20], &header(PROTOCOL_TCP, length), &ports].concat()
        };
        assert_eq!(told(&plain, &four(0, 1)), "203.0.113.7:51000 -> 192.0.2.10:443 tcp");
        assert_eq!(told(&plain, &four(0, 0)), "203.0.113.7 -> 192.0.2.10 protocol 51", "shorter than it can be");
        assert_eq!(told(&plain, &four(5, 1)), "203.0.113.7 -> 192.0.2.10 protocol 51 (a later fragment)");
        let behind = [header(DESTINATION_OPTIONS, 1), vec![PROTOCOL_UDP, 0, 0, 0, 0, 0, 0, 0], ports.into()].concat();
        assert_eq!(told(&six, &v6(PROTOCOL_AH, &behind)), "[2001:db8::1]:51000 -> [2001:db8::2]:443 udp");
    }

    /// From each number of octets on, up to the next one, these words are told.
    fn check(frame: &[u8], told: &[(usize, &str)]) {
        for end in 0..=frame.len() {
            let wanted = told.iter().rfind(|(from, _)| *from <= end).unwrap().1;
            assert_eq!(Ends::of(&frame[..end]).to_string(), wanted, "{end} octets");
        }
    }

    #[test]
    fn a_beginning_that_ends_anywhere_tells_what_there_is() {
        let tagged = [ethernet(&TAGS, ETHER_TYPE_IPV4), v4(PROTOCOL_TCP, 0)].concat();
        let told = [
            (0, "a frame without an EtherType"),
            (22, "EtherType 0x0800"),
            (42, "203.0.113.7 -> 192.0.2.10 tcp"),
            (46, "203.0.113.7:51000 -> 192.0.2.10:443 tcp"),
        ];
        check(&tagged, &told);
        let hops = |rest: &[u8]| [ethernet(&[], ETHER_TYPE_IPV6), v6(HOP_BY_HOP, rest)].concat();
        let told = [
            (0, "a frame without an EtherType"),
            (14, "EtherType 0x86dd"),
            (54, "2001:db8::1 -> 2001:db8::2"),
            (55, "2001:db8::1 -> 2001:db8::2 tcp"),
            (66, "[2001:db8::1]:51000 -> [2001:db8::2]:443 tcp"),
        ];
        check(&hops(&[PROTOCOL_TCP, 0, 0, 0, 0, 0, 0, 0, 0xc7, 0x38, 1, 0xbb]), &told);
        // The next header begins where nothing is any more.
        let told = [
            (0, "a frame without an EtherType"),
            (14, "EtherType 0x86dd"),
            (54, "2001:db8::1 -> 2001:db8::2"),
            (55, "2001:db8::1 -> 2001:db8::2 protocol 0"),
            (56, "2001:db8::1 -> 2001:db8::2"),
        ];
        check(&hops(&[HOP_BY_HOP, 255, 0, 0]), &told);
    }
}
