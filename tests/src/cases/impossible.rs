//! Sources that no packet from outside can have.

use firewall_common::Verdict;

use super::{Case, Scenario, v4, v6, world::*};
use crate::packet::Packet;

pub(super) fn scenario() -> Scenario {
    let mut cases = ipv4();
    cases.extend(ipv6());
    cases.extend(order());
    cases.extend(dhcp());
    cases.extend(unspecified());
    // The same policy, and an address of the host inside a management prefix and one inside a list.
    let mut scenario = Scenario::new("impossible sources", policy(), cases);
    scenario.own.extend(["198.51.100.1", "203.0.113.1"].map(crate::draft::prefix));
    scenario
}

fn from4(source: &str) -> Packet {
    Packet::v4(source, HOST4).tcp(40_000, 80)
}

fn from6(source: &str) -> Packet {
    Packet::v6(source, HOST6).tcp(40_000, 80)
}

fn ipv4() -> Vec<Case> {
    let bad = |fact, source| v4(fact, from4(source), Verdict::ImpossibleSource);
    let good = |fact, source| v4(fact, from4(source), Verdict::Accepted).service("web");
    vec![
        bad("0.0.0.0 is impossible", "0.0.0.0"),
        bad("the end of 0.0.0.0/8 is impossible", "0.255.255.255"),
        good("1.0.0.0 is possible", "1.0.0.0"),
        good("126.255.255.255 is possible", "126.255.255.255"),
        bad("127.0.0.1 is impossible", "127.0.0.1"),
        bad("the end of loopback is impossible", "127.255.255.255"),
        good("128.0.0.0 is possible", "128.0.0.0"),
        good("223.255.255.255 is possible", "223.255.255.255"),
        bad("the start of multicast is impossible", "224.0.0.0"),
        bad("the end of multicast is impossible", "239.255.255.255"),
        good("240.0.0.0 is possible", "240.0.0.0"),
        good("255.255.255.254 is possible", "255.255.255.254"),
        bad("limited broadcast is impossible", "255.255.255.255"),
        good("private addresses are possible", "10.0.0.1"),
        good("link-local addresses of IPv4 are possible", "169.254.1.1"),
        bad("an address of the host is impossible", "192.0.2.10"),
        bad("the broadcast address of a subnet is impossible", "192.0.2.255"),
        good("a neighbour of the host's address is possible", "192.0.2.11"),
        v4(
            "a source equal to the destination is impossible",
            Packet::v4("192.0.2.99", "192.0.2.99").tcp(1, 80),
            Verdict::ImpossibleSource,
        ),
        v4(
            "a source one off the destination is possible",
            Packet::v4("192.0.2.98", "192.0.2.99").tcp(1, 80),
            Verdict::Accepted,
        )
        .service("web"),
    ]
}

fn ipv6() -> Vec<Case> {
    let bad = |fact, source| v6(fact, from6(source), Verdict::ImpossibleSource);
    let good = |fact, source| v6(fact, from6(source), Verdict::Accepted).service("web");
    vec![
        bad("the unspecified address is impossible", "::"),
        bad("loopback of IPv6 is impossible", "::1"),
        bad("an IPv4-compatible address is impossible", "::198.18.0.1"),
        bad("the end of ::/96 is impossible", "::ffff:ffff"),
        good("the address behind ::/96 is possible", "::1:0:0"),
        bad("the start of ::ffff:0:0/96 is impossible", "::ffff:0:0"),
        bad("an IPv4-mapped address is impossible", "::ffff:198.18.0.1"),
        bad("the end of ::ffff:0:0/96 is impossible", "::ffff:ffff:ffff"),
        good("the address before ::ffff:0:0/96 is possible", "::fffe:ffff:ffff"),
        good("the address behind ::ffff:0:0/96 is possible", "::1:0:0:0"),
        good("an IPv4-translated address is possible", "::ffff:0:198.18.0.1"),
        good("the translation prefix is possible", "64:ff9b::198.18.0.1"),
        bad("multicast of IPv6 is impossible", "ff02::1"),
        bad("the start of ff00::/8 is impossible", "ff00::"),
        bad("the end of ff00::/8 is impossible", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        good("the address before ff00::/8 is possible", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        good("link-local addresses are possible", "fe80::99"),
        bad("an IPv6 address of the host is impossible", "2001:db8:1::10"),
        bad("a link-local address of the host is impossible", "fe80::10"),
        good("a neighbour of the host's IPv6 address is possible", "2001:db8:1::11"),
        v6(
            "an IPv6 source equal to the destination is impossible",
            Packet::v6("2001:db8:1::99", "2001:db8:1::99").tcp(1, 80),
            Verdict::ImpossibleSource,
        ),
    ]
}

fn order() -> Vec<Case> {
    let bad = Verdict::ImpossibleSource;
    vec![
        v4("an ICMP error from an impossible source is not essential", Packet::v4("127.0.0.1", HOST4).icmp(3, 4), bad),
        v4("an ICMP error from our own address is not essential", Packet::v4(HOST4, "192.0.2.99").icmp(3, 4), bad),
        v6(
            "a neighbour solicitation from our own address is not essential",
            Packet::v6("fe80::10", "ff02::1:ff00:99").hop_limit(255).icmp(135, 0).payload(16),
            bad,
        ),
        v4(
            "our own address is impossible inside a management prefix",
            Packet::v4("198.51.100.1", HOST4).tcp(1, 22),
            bad,
        ),
        v4("our own address is impossible inside an allow list", Packet::v4("203.0.113.1", HOST4).tcp(1, 443), bad),
        v4("an impossible source is dropped where there is no service", Packet::v4("224.0.0.1", HOST4).icmp(8, 0), bad),
        v4(
            "a malformed packet from an impossible source is malformed",
            from4("127.0.0.1").flags(""),
            Verdict::BadTcpFlags,
        ),
    ]
}

fn dhcp() -> Vec<Case> {
    let bad = Verdict::ImpossibleSource;
    let from_zero = || Packet::v4("0.0.0.0", "255.255.255.255");
    vec![
        v4("a DHCP request from 0.0.0.0 is judged on", from_zero().udp(68, 67).payload(240), Verdict::NoService),
        v4("a DHCP reply from 0.0.0.0 is essential", from_zero().udp(67, 68).payload(240), Verdict::Essential),
        v4(
            "a DHCP request from elsewhere in 0.0.0.0/8 is judged on",
            Packet::v4("0.1.2.3", HOST4).udp(68, 67),
            Verdict::NoService,
        ),
        v4("UDP from 0.0.0.0 with one DHCP port is impossible", from_zero().udp(68, 53), bad),
        v4("UDP from 0.0.0.0 between two server ports is impossible", from_zero().udp(67, 67), bad),
        v4("TCP from 0.0.0.0 with the DHCP ports is impossible", from_zero().tcp(68, 67), bad),
        v4("a later UDP fragment from 0.0.0.0 is impossible", from_zero().ip_fragment(9, false).udp(68, 67), bad),
        v4("DHCP from 0.0.0.0 to itself is impossible", Packet::v4("0.0.0.0", "0.0.0.0").udp(68, 67), bad),
        v4("DHCP from loopback is impossible", Packet::v4("127.0.0.1", HOST4).udp(67, 68), bad),
    ]
}

fn unspecified() -> Vec<Case> {
    let bad = Verdict::ImpossibleSource;
    let nd = |kind| Packet::v6("::", "ff02::1:ff00:10").hop_limit(255).icmp(kind, 0);
    let mld = |kind| Packet::v6("::", "ff02::16").hop_limit(1).hop_by_hop().icmp(kind, 0).payload(16);
    vec![
        v6("a neighbour solicitation from :: is essential", nd(135).payload(16), Verdict::Essential),
        v6("a router solicitation from :: is essential", nd(133), Verdict::Essential),
        v6("a router advertisement from :: is impossible", nd(134).payload(8), bad),
        v6("a redirect from :: is impossible", nd(137).payload(32), bad),
        v6(
            "a neighbour solicitation from :: with hop limit 254 is impossible",
            nd(135).payload(16).hop_limit(254),
            bad,
        ),
        v6("a neighbour solicitation from :: cut short is impossible", nd(135).payload(15), bad),
        v6(
            "a neighbour solicitation from :: with code 1 is impossible",
            Packet::v6("::", "ff02::1:ff00:10").hop_limit(255).icmp(135, 1).payload(16),
            bad,
        ),
        v6(
            "a neighbour solicitation from :: behind an atomic fragment header is impossible",
            Packet::v6("::", "ff02::1:ff00:10").hop_limit(255).fragment(0, false).icmp(135, 0).payload(16),
            bad,
        ),
        v6("a listener report from :: is essential", mld(131), Verdict::Essential),
        v6("a listener report of version 2 from :: is essential", mld(143), Verdict::Essential),
        v6("a listener report from :: with hop limit 2 is impossible", mld(143).hop_limit(2), bad),
        v6("an echo request from :: is impossible", Packet::v6("::", HOST6).icmp(128, 0), bad),
        v6("an ICMP error from :: is impossible", Packet::v6("::", HOST6).icmp(2, 0).payload(40), bad),
        v6("DHCPv6 from :: is impossible", Packet::v6("::", HOST6).udp(547, 546), bad),
        v6(
            "a neighbour solicitation from :: to :: is impossible",
            Packet::v6("::", "::").hop_limit(255).icmp(135, 0).payload(16),
            bad,
        ),
        v6(
            "a neighbour solicitation from ::1 is impossible",
            Packet::v6("::1", HOST6).hop_limit(255).icmp(135, 0).payload(16),
            bad,
        ),
    ]
}
