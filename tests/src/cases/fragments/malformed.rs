//! Fragments that are malformed or tiny, and those that are just not.

use firewall_common::Verdict;

use super::{
    super::{Case, v4, v6, world::*},
    ip4, ip6,
};
use crate::packet::{Packet, number};

pub(super) fn malformed() -> Vec<Case> {
    let size = Verdict::BadFragment;
    let tiny = Verdict::TinyFragment;
    vec![
        v4(
            "a first fragment of 28 octets with more to come is malformed",
            ip4().ip_fragment(0, true).tcp(1, 80).payload(8),
            size,
        ),
        v4(
            "a later fragment of 12 octets with more to come is malformed",
            ip4().ip_fragment(100, true).other(number::UDP, 12),
            size,
        ),
        v6(
            "a first IPv6 fragment of 28 octets with more to come is malformed",
            ip6().fragment(0, true).tcp(1, 80).payload(8),
            size,
        ),
        v6(
            "a later IPv6 fragment of 12 octets with more to come is malformed",
            ip6().fragment(100, true).other(number::UDP, 12),
            size,
        ),
        v4(
            "a fragment that ends at 65,535 is allowed",
            ip4().ip_fragment(8191, false).other(number::UDP, 7),
            Verdict::Fragment,
        ),
        v4("a fragment that ends at 65,536 is malformed", ip4().ip_fragment(8191, false).other(number::UDP, 8), size),
        v4(
            "IPv4 headers do not count into where a fragment ends",
            ip4().ip_options(40).ip_fragment(8191, false).other(number::UDP, 7),
            Verdict::Fragment,
        ),
        v6(
            "an IPv6 fragment that ends at 65,535 is allowed",
            ip6().fragment(8191, false).other(number::UDP, 7),
            Verdict::Fragment,
        ),
        v6(
            "an IPv6 fragment that ends at 65,536 is malformed",
            ip6().fragment(8191, false).other(number::UDP, 8),
            size,
        ),
        v6(
            "IPv6 headers do not count into where a fragment ends",
            ip6().hop_by_hop().with_length_field(9).fragment(8191, false).other(number::UDP, 7),
            Verdict::Fragment,
        ),
        v4("a ping of death is dropped", ip4().ip_fragment(8189, false).other(number::ICMP, 1000), size),
        v4(
            "a ping of death is dropped from a management source too",
            Packet::v4(MANAGER4, HOST4).ip_fragment(8189, false).other(number::ICMP, 1000),
            size,
        ),
        v4("a TCP fragment at offset 1 is dropped", ip4().ip_fragment(1, false).other(number::TCP, 40), tiny),
        v4(
            "a TCP fragment at offset 1 with more to come is dropped",
            ip4().ip_fragment(1, true).other(number::TCP, 40),
            tiny,
        ),
        v6("a TCP fragment at offset 1 is dropped in IPv6", ip6().fragment(1, false).other(number::TCP, 40), tiny),
        v4(
            "a TCP fragment at offset 1 is dropped from a management source too",
            Packet::v4(MANAGER4, HOST4).ip_fragment(1, false).other(number::TCP, 40),
            tiny,
        ),
        v4(
            "a TCP fragment at offset 2 is an ordinary one",
            ip4().ip_fragment(2, false).other(number::TCP, 40),
            Verdict::Fragment,
        ),
        v4(
            "a UDP fragment at offset 1 is an ordinary one",
            ip4().ip_fragment(1, false).other(number::UDP, 40),
            Verdict::Fragment,
        ),
        v4(
            "an AH fragment at offset 1 is not the TCP fragment at offset 1",
            ip4().ip_fragment(1, false).other(number::AUTHENTICATION, 40),
            Verdict::Fragment,
        ),
        v6(
            "a fragment of destination options at offset 1 is not the TCP fragment at offset 1",
            ip6().fragment(1, false).other(number::DESTINATION_OPTIONS, 40),
            Verdict::Fragment,
        ),
        v4("a first fragment with 8 octets of TCP is tiny", ip4().ip_fragment(0, true).other(number::TCP, 8), tiny),
        v4("a first fragment with 16 octets of TCP is tiny", ip4().ip_fragment(0, true).other(number::TCP, 16), tiny),
        v6("a first IPv6 fragment with 16 octets of TCP is tiny", ip6().fragment(0, true).other(number::TCP, 16), tiny),
        v4(
            "a first fragment without all TCP options is tiny",
            ip4().ip_fragment(0, true).tcp(1, 80).tcp_options(4).claims_data_offset(10),
            tiny,
        ),
        v4("a first fragment without an octet of UDP is tiny", ip4().ip_fragment(0, true).other(number::UDP, 0), tiny),
        v4(
            "a first fragment without an octet of ICMP is tiny",
            ip4().ip_fragment(0, true).other(number::ICMP, 0),
            tiny,
        ),
        v6(
            "a first IPv6 fragment without an octet of ICMPv6 is tiny",
            ip6().fragment(0, true).other(number::ICMPV6, 0),
            tiny,
        ),
        v6(
            "a first IPv6 fragment that ends inside its chain is tiny",
            ip6().fragment(0, true).destination_options().claims_length_field(3).other(number::TCP, 8),
            tiny,
        ),
        v6(
            "a first IPv6 fragment that ends before its chain does is tiny",
            ip6().fragment(0, true).other(number::DESTINATION_OPTIONS, 0),
            tiny,
        ),
        v6(
            "a first IPv6 fragment that ends behind its chain is tiny",
            ip6().fragment(0, true).destination_options().other(number::TCP, 0),
            tiny,
        ),
        v4(
            "a first fragment that ends inside AH is tiny",
            ip4().ip_fragment(0, true).authentication().claims_length_field(30),
            tiny,
        ),
        v4(
            "a first fragment that ends behind AH is tiny",
            ip4().ip_fragment(0, true).authentication().other(number::UDP, 0),
            tiny,
        ),
        v4(
            "a first fragment with a TCP data offset of 4 is malformed",
            ip4().ip_fragment(0, true).tcp(1, 80).payload(4).claims_data_offset(4),
            Verdict::BadTransportHeader,
        ),
        v4(
            "a first fragment with wrong TCP flags is dropped",
            ip4().ip_fragment(0, true).tcp(1, 80).payload(4).flags("SF"),
            Verdict::BadTcpFlags,
        ),
        v4(
            "a first fragment with a UDP length of 7 is malformed",
            ip4().ip_fragment(0, true).udp(1, 53).claims_udp_length(7),
            Verdict::BadTransportHeader,
        ),
    ]
}
