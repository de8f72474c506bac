//! Frames for people: as hex, and as a line that Scapy understands.

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::packet::{ether_type, number};

/// The octets of a frame in hex; of a long one the first 256.
pub fn hex(frame: &[u8]) -> String {
    let mut text: String = frame.iter().take(SHOWN).map(|octet| format!("{octet:02x}")).collect();
    if frame.len() > SHOWN {
        let _ = write!(text, "... ({} octets)", frame.len());
    }
    text
}

/// A frame as Scapy would build it, as far as its headers can be read; good for a failure message.
pub fn scapy(frame: &[u8]) -> String {
    let mut reader = Reader { rest: frame };
    let mut text = String::from("Ether()");
    let Some([_, _, _, _, _, _, _, _, _, _, _, _, high, low]) = reader.take() else {
        return format!("Raw({})", frame.len());
    };
    let mut announced = u16::from_be_bytes([high, low]);
    while matches!(announced, ether_type::VLAN | ether_type::SERVICE_VLAN) {
        let Some([tag_high, tag_low, high, low]) = reader.take() else { break };
        let name = if announced == ether_type::VLAN { "Dot1Q" } else { "Dot1AD" };
        announced = u16::from_be_bytes([high, low]);
        let _ = write!(text, "/{name}(vlan={})", u16::from_be_bytes([tag_high, tag_low]) & 0xfff);
    }
    match announced {
        ether_type::IPV4 => ipv4(&mut reader, &mut text),
        ether_type::IPV6 => ipv6(&mut reader, &mut text),
        other => {
            let _ = write!(text, "[type={other:#06x}]");
        }
    }
    if !reader.rest.is_empty() {
        let _ = write!(text, "/Raw({})", reader.rest.len());
    }
    text
}

const SHOWN: usize = 256;

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// The next octets; `None`, and nothing taken, when there are fewer.
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn skip(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }
}

fn ipv4(reader: &mut Reader<'_>, text: &mut String) {
    let Some([version, tos, l1, l2, _, _, f1, f2, ttl, protocol, _, _, s1, s2, s3, s4, d1, d2, d3, d4]) = reader.take()
    else {
        return;
    };
    let fields = u16::from_be_bytes([f1, f2]);
    let _ = write!(
        text,
        "/IP(version={}, ihl={}, tos={tos}, len={}, flags={:#05b}, frag={}, ttl={ttl}, proto={protocol}, src=\"{}\", dst=\"{}\")",
        version >> 4,
        version & 15,
        u16::from_be_bytes([l1, l2]),
        fields >> 13,
        fields & 0x1fff,
        Ipv4Addr::new(s1, s2, s3, s4),
        Ipv4Addr::new(d1, d2, d3, d4),
    );
    reader.skip((usize::from(version & 15) * 4).saturating_sub(20));
    if fields & 0x1fff != 0 {
        return;
    }
    let protocol = if protocol == number::AUTHENTICATION { extension(reader, text, protocol) } else { Some(protocol) };
    if let Some(protocol) = protocol {
        transport(reader, text, protocol);
    }
}

fn ipv6(reader: &mut Reader<'_>, text: &mut String) {
    let (Some([version, _, _, _, l1, l2, next, hop_limit]), Some(source), Some(destination)) =
        (reader.take::<8>(), reader.take::<16>(), reader.take::<16>())
    else {
        return;
    };
    let _ = write!(
        text,
        "/IPv6(version={}, plen={}, nh={next}, hlim={hop_limit}, src=\"{}\", dst=\"{}\")",
        version >> 4,
        u16::from_be_bytes([l1, l2]),
        Ipv6Addr::from(source),
        Ipv6Addr::from(destination),
    );
    let mut next = next;
    while is_extension(next) {
        match extension(reader, text, next) {
            Some(number) => next = number,
            None => return,
        }
    }
    transport(reader, text, next);
}

fn is_extension(next: u8) -> bool {
    matches!(next, number::HOP_BY_HOP | number::ROUTING | number::FRAGMENT | number::DESTINATION_OPTIONS)
        || matches!(next, number::AUTHENTICATION | number::MOBILITY | number::HIP | number::SHIM6 | 253 | 254)
}

/// What follows; `None` behind the header of a later fragment and where the frame ends.
fn extension(reader: &mut Reader<'_>, text: &mut String, kind: u8) -> Option<u8> {
    let [next, length, a, b, _, _, _, _] = reader.take()?;
    let word = u16::from_be_bytes([a, b]);
    let mut octets = (usize::from(length) + 1) * 8;
    let _ = match kind {
        number::HOP_BY_HOP => write!(text, "/IPv6ExtHdrHopByHop(nh={next}, len={length})"),
        number::DESTINATION_OPTIONS => write!(text, "/IPv6ExtHdrDestOpt(nh={next}, len={length})"),
        number::ROUTING => write!(text, "/IPv6ExtHdrRouting(nh={next}, len={length}, type={a}, segleft={b})"),
        number::FRAGMENT => {
            octets = 8;
            write!(text, "/IPv6ExtHdrFragment(nh={next}, offset={}, m={})", word >> 3, word & 1)
        }
        number::AUTHENTICATION => {
            octets = (usize::from(length) + 2) * 4;
            write!(text, "/AH(nh={next}, payloadlen={length})")
        }
        other => write!(text, "/IPv6ExtHdr{other}(nh={next}, len={length})"),
    };
    reader.skip(octets.saturating_sub(8));
    (kind != number::FRAGMENT || word >> 3 == 0).then_some(next)
}

fn transport(reader: &mut Reader<'_>, text: &mut String, protocol: u8) {
    let _ = match protocol {
        number::TCP => match reader.take() {
            Some([s1, s2, d1, d2, _, _, _, _, _, _, _, _, offset, flags, _, _, _, _, _, _]) => {
                let letters: String = crate::packet::TCP_FLAGS
                    .chars()
                    .enumerate()
                    .filter(|(bit, _)| flags >> bit & 1 != 0)
                    .map(|(_, letter)| letter)
                    .collect();
                write!(
                    text,
                    "/TCP(sport={}, dport={}, flags=\"{letters}\", dataofs={})",
                    u16::from_be_bytes([s1, s2]),
                    u16::from_be_bytes([d1, d2]),
                    offset >> 4,
                )
            }
            None => Ok(()),
        },
        number::UDP => match reader.take() {
            Some([s1, s2, d1, d2, l1, l2, _, _]) => write!(
                text,
                "/UDP(sport={}, dport={}, len={})",
                u16::from_be_bytes([s1, s2]),
                u16::from_be_bytes([d1, d2]),
                u16::from_be_bytes([l1, l2]),
            ),
            None => Ok(()),
        },
        number::ICMP | number::ICMPV6 => match reader.take() {
            Some([kind, code, _, _, _, _, _, _]) => {
                let name = if protocol == number::ICMP { "ICMP" } else { "ICMPv6Unknown" };
                write!(text, "/{name}(type={kind}, code={code})")
            }
            None => Ok(()),
        },
        _ => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    #[test]
    fn a_frame_reads_as_it_was_built() {
        let frame = Packet::v4("192.0.2.1", "192.0.2.2").tcp(1234, 80).flags("SA").payload(3).tag(ether_type::VLAN);
        assert_eq!(
            scapy(&frame.build()),
            "Ether()/Dot1Q(vlan=2)/IP(version=4, ihl=5, tos=0, len=43, flags=0b000, frag=0, ttl=64, proto=6, \
             src=\"192.0.2.1\", dst=\"192.0.2.2\")/TCP(sport=1234, dport=80, flags=\"SA\", dataofs=5)/Raw(3)"
        );
    }

    #[test]
    fn an_extension_chain_is_named() {
        let frame = Packet::v6("2001:db8::1", "2001:db8::2").hop_by_hop().fragment(0, true).authentication().udp(1, 2);
        let text = scapy(&frame.build());
        assert!(text.contains("/IPv6ExtHdrHopByHop(nh=44, len=0)/IPv6ExtHdrFragment(nh=51, offset=0, m=1)/AH(nh=17, "));
        assert!(text.ends_with("/UDP(sport=1, dport=2, len=8)"), "{text}");
    }

    #[test]
    fn octets_that_are_no_frame_do_not_stop_the_printer() {
        let frame = Packet::v6("::1", "::2").hop_by_hop().routing(0, 1).tcp(1, 2).build();
        for length in 0..frame.len() {
            assert!(!scapy(&frame[..length]).is_empty());
        }
    }
}
