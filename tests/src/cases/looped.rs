//! What the host sent and got back, as generic XDP gets it: from the IP header on. And frames that look alike.

use firewall_common::Verdict;

use super::{Case, Scenario, other, v4, v6, world::*};
use crate::packet::{Packet, ether_type::IPV6};

/// Addresses of which octets are EtherTypes where these are looked for: of IPv4, of tags, of IPv6.
const OWN: [&str; 8] = [
    "8.0.0.2",
    "8.0.69.1",
    "129.0.0.2",
    "134.221.0.2",
    "134.221.96.0",
    "2001:db8:800::2",
    "2001:db8:86dd::2",
    "2001:db8:8100::2",
];

pub(super) fn scenario() -> Scenario {
    let mut cases = ipv4();
    cases.extend(ipv6());
    cases.extend(alike());
    let mut scenario = Scenario::new("looped", policy(), cases);
    scenario.own.extend(OWN.map(crate::draft::prefix));
    scenario
}

fn from(source: &str) -> Packet {
    let packet = if source.contains(':') { Packet::v6(source, "ff02::fb") } else { Packet::v4(source, "224.0.0.251") };
    packet.udp(5353, 5353).payload(40).bare()
}

fn ipv4() -> Vec<Case> {
    use Verdict::Looped;
    let igmp = Packet::v4("8.0.0.2", "224.0.0.22").ip_options(4).other(2, 8).bare();
    let broadcast = Packet::v4("8.0.0.2", "8.0.0.255").udp(1, 80).payload(9).bare();
    let fragment = Packet::v4("8.0.0.2", "224.0.0.251").ip_fragment(0, true).other(17, 64).bare();
    vec![
        v4("multicast of this host that came back passes", from(HOST4), Looped),
        v4("what came back from 8.0.0.2 is not taken for IPv4 behind Ethernet", from("8.0.0.2"), Looped),
        v4("what came back from 129.0.0.2 is not taken for a tag", from("129.0.0.2"), Looped),
        v4("what came back from 134.221.0.2 is not taken for IPv6", from("134.221.0.2"), Looped),
        v4("what came back and reads as IPv4 of another length passes", from("8.0.69.1"), Looped),
        v4("what came back may be shorter than headers of IPv4 behind Ethernet", igmp, Looped),
        v4("broadcast of this host that came back passes", broadcast, Looped),
        v4("a fragment of this host that came back passes", fragment, Looped),
    ]
}

fn ipv6() -> Vec<Case> {
    use Verdict::{Looped, NotIp};
    let mld = Packet::v6("::", "ff02::16").hop_limit(1).icmp(143, 0).bare();
    vec![
        v6("multicast over IPv6 of this host that came back passes", from("fe80::10"), Looped),
        v6("what came back over IPv6 is not taken for IPv4", from("2001:db8:800::2"), Looped),
        v6("what came back over IPv6 is not taken for IPv6 behind Ethernet", from("2001:db8:86dd::2"), Looped),
        v6("what came back over IPv6 is not taken for a tag", from("2001:db8:8100::2"), Looped),
        other("what came back from :: is not IP", mld, NotIp),
    ]
}

fn alike() -> Vec<Case> {
    use Verdict::{BadIpHeader, Denied, NotIp, VlanDepth};
    let in_disguise = |source, destination: [u8; 6]| {
        Packet::v6(source, HOST6).tcp(40_000, 80).macs(destination, [0, 0, 64, 17, 0, 0])
    };
    let tags = Packet::v4("129.0.0.2", "129.0.0.255").udp(0x8100, 80).payload(40).bare();
    vec![
        v4(
            "a packet without Ethernet from 8.0.0.3, which is not of this host, is malformed",
            from("8.0.0.3"),
            BadIpHeader,
        ),
        other("a packet without Ethernet of another host is not IP", from("192.0.2.99"), NotIp),
        v4("what came back has the length that it says", from("8.0.0.2").padding(1), BadIpHeader),
        v4("what came back has a whole header", from("8.0.0.2").claims_ihl(4), BadIpHeader),
        v4("what came back is version 4 or 6", from("8.0.0.2").claims_version(5), BadIpHeader),
        // As a packet without Ethernet it has 74 octets, from 134.221.96.0.
        v6(
            "a denied source is denied though its frame may be read as one that came back",
            in_disguise(BLOCKED6, [0x45, 0, 0, 74, 0, 0]),
            Denied,
        )
        .service("web"),
        v6(
            "a management source passes as such though its frame may be read as one that came back",
            in_disguise(MANAGER6, [0x45, 0, 0, 74, 0, 0]),
            Verdict::Management,
        ),
        other("three tags are dropped though the frame may be read as one that came back", tags, VlanDepth),
        case_truncated(),
    ]
}

/// An Ethernet frame that ends inside its IPv6 header.
fn case_truncated() -> Case {
    v6("a short frame whose start is no IP header is truncated", Packet::ethernet(IPV6).payload(20), Verdict::Truncated)
}
