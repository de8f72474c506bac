//! TCP, UDP, ICMP and ICMPv6 headers.

use firewall_common::Verdict;

use super::{Case, Scenario, v4, v6, world::*};
use crate::packet::{Packet, number};

pub(super) fn scenario() -> Scenario {
    let mut cases = tcp();
    cases.extend(tcp_flags());
    cases.extend(udp());
    cases.extend(icmp());
    Scenario::new("transport", policy(), cases)
}

fn ip4() -> Packet {
    Packet::v4(STRANGER4, HOST4)
}

fn ip6() -> Packet {
    Packet::v6(STRANGER6, HOST6)
}

fn tcp() -> Vec<Case> {
    let bad = Verdict::BadTransportHeader;
    vec![
        v4("a TCP header of 19 octets is malformed", ip4().other(number::TCP, 19), bad),
        v6("a TCP header of 19 octets in IPv6 is malformed", ip6().other(number::TCP, 19), bad),
        v4("a TCP data offset of 0 is malformed", web4().claims_data_offset(0), bad),
        v4("a TCP data offset of 4 is malformed", web4().claims_data_offset(4), bad),
        v6("a TCP data offset of 4 in IPv6 is malformed", web6().claims_data_offset(4), bad),
        v4("a TCP data offset one word beyond the packet is malformed", web4().claims_data_offset(6), bad),
        v4("a TCP data offset that ends in the padding is malformed", web4().claims_data_offset(6).padding(6), bad),
        v6("a TCP data offset of 15 beyond the packet is malformed", web6().claims_data_offset(15), bad),
        v4("TCP options up to the end of the packet are allowed", web4().tcp_options(40), Verdict::Accepted)
            .service("web"),
        v4("a TCP header without data is whole", web4(), Verdict::Accepted).service("web"),
        v4("TCP data is not looked at", web4().payload(333), Verdict::Accepted).service("web"),
        v4(
            "a malformed TCP header is dropped from a management source too",
            Packet::v4(MANAGER4, HOST4).tcp(40_000, 22).claims_data_offset(4),
            bad,
        ),
    ]
}

fn tcp_flags() -> Vec<Case> {
    let bad = |fact, letters| v4(fact, web4().flags(letters), Verdict::BadTcpFlags);
    let good = |fact, letters| v4(fact, web4().flags(letters), Verdict::Accepted).service("web");
    vec![
        bad("no TCP flag at all is dropped", ""),
        bad("ECE and CWR alone are no flags", "EC"),
        bad("SYN+FIN is dropped", "SF"),
        bad("SYN+FIN+ACK is dropped", "SFA"),
        bad("SYN+RST is dropped", "SR"),
        bad("SYN+RST+ACK is dropped", "SRA"),
        bad("SYN+FIN with ECE and CWR is dropped", "SFEC"),
        bad("FIN without ACK is dropped", "F"),
        bad("FIN+PSH+URG is dropped", "FPU"),
        bad("FIN+RST without ACK is dropped", "FR"),
        bad("all flags are dropped", "FSRPAUEC"),
        v6("no TCP flag at all is dropped in IPv6", web6().flags(""), Verdict::BadTcpFlags),
        v6("SYN+FIN is dropped in IPv6", web6().flags("SF"), Verdict::BadTcpFlags),
        v4(
            "wrong TCP flags are dropped from a management source too",
            Packet::v4(MANAGER4, HOST4).tcp(40_000, 22).flags("SF"),
            Verdict::BadTcpFlags,
        ),
        v4(
            "wrong TCP flags are dropped where there is no service",
            ip4().tcp(40_000, 81).flags("F"),
            Verdict::BadTcpFlags,
        ),
        good("SYN is a real flag", "S"),
        good("SYN+ACK is real", "SA"),
        good("SYN with ECE and CWR is real", "SEC"),
        good("ACK is real", "A"),
        good("ACK with ECE is real", "AE"),
        good("PSH+ACK is real", "PA"),
        good("FIN+ACK is real", "FA"),
        good("FIN+PSH+URG+ACK is real", "FPUA"),
        good("RST is real", "R"),
        good("RST+ACK is real", "RA"),
        good("PSH alone is not named by the contract and passes", "P"),
        good("URG alone is not named by the contract and passes", "U"),
        good("FIN+RST+ACK is not named by the contract and passes", "FRA"),
    ]
}

fn udp() -> Vec<Case> {
    let bad = Verdict::BadTransportHeader;
    let dns = || ip4().udp(40_000, 53);
    vec![
        v4("a UDP header of 7 octets is malformed", ip4().other(number::UDP, 7), bad),
        v6("a UDP header of 7 octets in IPv6 is malformed", ip6().other(number::UDP, 7), bad),
        v4("a UDP length of 0 is malformed", dns().payload(10).claims_udp_length(0), bad),
        v4("a UDP length of 7 is malformed", dns().payload(10).claims_udp_length(7), bad),
        v6("a UDP length of 7 in IPv6 is malformed", ip6().udp(1, 53).payload(10).claims_udp_length(7), bad),
        v4("a UDP length one beyond the payload is malformed", dns().payload(10).claims_udp_length(19), bad),
        v6("a UDP length one beyond the payload in IPv6 is malformed", ip6().udp(1, 53).claims_udp_length(9), bad),
        v4("a UDP length that ends in the padding is malformed", dns().claims_udp_length(9).padding(18), bad),
        v4("a UDP length of 8 with nothing behind is whole", dns(), Verdict::Accepted).service("dns"),
        v4("a UDP length up to the end of the payload is whole", dns().payload(10), Verdict::Accepted).service("dns"),
        v4("a UDP length short of the payload is allowed", dns().payload(10).claims_udp_length(8), Verdict::Accepted)
            .service("dns"),
        v6(
            "a UDP length beyond the payload of an atomic fragment is malformed",
            ip6().fragment(0, false).udp(1, 53).claims_udp_length(9),
            bad,
        ),
    ]
}

fn icmp() -> Vec<Case> {
    let bad = Verdict::BadTransportHeader;
    vec![
        v4("ICMP of 7 octets is malformed", ip4().other(number::ICMP, 7), bad),
        v4("ICMP without an octet is malformed", ip4().other(number::ICMP, 0), bad),
        v4("ICMP that ends in the padding is malformed", ip4().other(number::ICMP, 4).padding(20), bad),
        v6("ICMPv6 of 7 octets is malformed", ip6().other(number::ICMPV6, 7), bad),
        v4("ICMP of 8 octets is whole", ip4().icmp(8, 0), Verdict::NoService),
        v6("ICMPv6 of 8 octets is whole", ip6().icmp(128, 0), Verdict::NoService),
        v4("an echo request is no service", ip4().icmp(8, 0).payload(56), Verdict::NoService),
        v6("an echo request in IPv6 is no service", ip6().icmp(128, 0).payload(56), Verdict::NoService),
        v4("an unknown ICMP type is no service", ip4().icmp(250, 9), Verdict::NoService),
        v6("an unknown ICMPv6 type is no service", ip6().icmp(250, 9), Verdict::NoService),
    ]
}
