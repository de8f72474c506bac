//! Traffic without which the host loses its network, and its caps.

use firewall_common::Verdict;

use super::{Case, Scenario, other, v4, v6, world::*};
use crate::{
    draft::{Draft, ServiceDraft},
    packet::{Packet, ether_type::ARP},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut cases = neighbour_discovery();
    cases.extend(listener_discovery());
    cases.extend(icmp_errors());
    cases.extend(dhcp());
    // A service on the DHCP client ports, to see what is judged on.
    let capped = Draft::new()
        .management(&["198.51.100.0/28", "2001:db8:99::/64"])
        .caps(1, 1, 1, 1)
        .service(ServiceDraft::udp("client", &[68, 546]));
    let mut caps = Scenario::new("caps", capped.policy(), caps());
    caps.alone = true;
    let wide = draft().caps(9999, 9999, 9999, 9999).policy();
    vec![Scenario::new("essentials", wide, cases), caps]
}

/// Neighbour discovery with so many octets behind the first eight.
fn nd(source: &str, kind: u8, octets: usize) -> Packet {
    Packet::v6(source, HOST6).hop_limit(255).icmp(kind, 0).payload(octets)
}

fn mld(source: &str, kind: u8) -> Packet {
    Packet::v6(source, "ff02::16").hop_limit(1).hop_by_hop().with_option(5, 2).icmp(kind, 0).payload(16)
}

fn neighbour_discovery() -> Vec<Case> {
    let essential = |fact, packet| v6(fact, packet, Verdict::Essential);
    let not = |fact, packet| v6(fact, packet, Verdict::NoService);
    vec![
        essential("a neighbour solicitation is essential", nd(NEIGHBOUR, 135, 24)),
        essential("a neighbour advertisement is essential", nd(NEIGHBOUR, 136, 24)),
        essential("a router solicitation is essential", nd(NEIGHBOUR, 133, 8)),
        essential("a router advertisement is essential", nd(NEIGHBOUR, 134, 48)),
        essential("a neighbour solicitation without options is whole", nd(NEIGHBOUR, 135, 16)),
        essential("a neighbour advertisement without options is whole", nd(NEIGHBOUR, 136, 16)),
        essential("a router solicitation without options is whole", nd(NEIGHBOUR, 133, 0)),
        essential("a router advertisement without options is whole", nd(NEIGHBOUR, 134, 8)),
        essential("a neighbour solicitation may come from a global address", nd(STRANGER6, 135, 16)),
        essential("a neighbour advertisement may come from a global address", nd(STRANGER6, 136, 16)),
        essential("a router solicitation may come from a global address", nd(STRANGER6, 133, 0)),
        essential("a router advertisement may come from the end of fe80::/10", nd("febf:ffff::1", 134, 8)),
        essential("a neighbour solicitation from a denied source is essential", nd(BLOCKED6, 135, 16)),
        essential("a neighbour solicitation behind a tag is essential", nd(NEIGHBOUR, 135, 16).tag(0x8100)),
        essential(
            "a neighbour solicitation behind hop-by-hop options is essential",
            Packet::v6(NEIGHBOUR, HOST6).hop_limit(255).hop_by_hop().icmp(135, 0).payload(16),
        ),
        essential("a neighbour solicitation of a management source is essential", nd(MANAGER6, 135, 16)),
        not("a neighbour solicitation with hop limit 254 is judged on", nd(NEIGHBOUR, 135, 16).hop_limit(254)),
        not("a router advertisement with hop limit 64 is judged on", nd(NEIGHBOUR, 134, 8).hop_limit(64)),
        not(
            "a neighbour advertisement with code 1 is judged on",
            Packet::v6(NEIGHBOUR, HOST6).hop_limit(255).icmp(136, 1).payload(16),
        ),
        not("a neighbour solicitation of 23 octets is judged on", nd(NEIGHBOUR, 135, 15)),
        not("a neighbour advertisement of 23 octets is judged on", nd(NEIGHBOUR, 136, 15)),
        not("a router advertisement of 15 octets is judged on", nd(NEIGHBOUR, 134, 7)),
        not("a router advertisement whose length is in the padding is judged on", nd(NEIGHBOUR, 134, 7).padding(8)),
        not("a router advertisement from a global address is judged on", nd(STRANGER6, 134, 8)),
        not("a router advertisement from behind fe80::/10 is judged on", nd("fec0::1", 134, 8)),
        not("a redirect is judged on", nd(NEIGHBOUR, 137, 32)),
        not("type 138 is judged on", nd(NEIGHBOUR, 138, 32)),
        not(
            "a neighbour solicitation behind an atomic fragment header is judged on",
            Packet::v6(NEIGHBOUR, HOST6).hop_limit(255).fragment(0, false).icmp(135, 0).payload(16),
        ),
        not(
            "a neighbour solicitation in a first fragment is judged on",
            Packet::v6(NEIGHBOUR, HOST6).hop_limit(255).fragment(0, true).icmp(135, 0).payload(16),
        ),
        v4(
            "neighbour discovery inside IPv4 is no service",
            Packet::v4(STRANGER4, HOST4).hop_limit(255).other(58, 24),
            Verdict::NoService,
        ),
        v4(
            "an ICMP type of 135 in IPv4 is no service",
            Packet::v4(STRANGER4, HOST4).hop_limit(255).icmp(135, 0).payload(16),
            Verdict::NoService,
        ),
        v6(
            "what misses the form of neighbour discovery is judged on: a management source passes as such",
            nd(MANAGER6, 135, 15),
            Verdict::Management,
        ),
    ]
}

fn listener_discovery() -> Vec<Case> {
    let essential = |fact, packet| v6(fact, packet, Verdict::Essential);
    let not = |fact, packet| v6(fact, packet, Verdict::NoService);
    vec![
        essential("a listener query is essential", mld(NEIGHBOUR, 130)),
        essential("a listener report is essential", mld(NEIGHBOUR, 131)),
        essential("a listener done is essential", mld(NEIGHBOUR, 132)),
        essential("a listener report of version 2 is essential", mld(NEIGHBOUR, 143)),
        essential(
            "a listener report without a router alert is essential",
            Packet::v6(NEIGHBOUR, "ff02::16").hop_limit(1).icmp(143, 0).payload(16),
        ),
        not("a listener report with hop limit 2 is judged on", mld(NEIGHBOUR, 143).hop_limit(2)),
        not("a listener report with hop limit 255 is judged on", mld(NEIGHBOUR, 131).hop_limit(255)),
        not("a listener report from a global address is judged on", mld(STRANGER6, 143)),
        not("a listener query from behind fe80::/10 is judged on", mld("fec0::1", 130)),
        not("type 129 with hop limit 1 is judged on", mld(NEIGHBOUR, 129)),
        not("type 142 with hop limit 1 is judged on", mld(NEIGHBOUR, 142)),
        not("type 144 with hop limit 1 is judged on", mld(NEIGHBOUR, 144)),
    ]
}

fn icmp_errors() -> Vec<Case> {
    let error4 = |kind, code| Packet::v4(STRANGER4, HOST4).icmp(kind, code).payload(28);
    let error6 = |kind, code| Packet::v6(STRANGER6, HOST6).icmp(kind, code).payload(48);
    vec![
        v4("fragmentation needed is essential", error4(3, 4), Verdict::Essential),
        v4("host unreachable is essential", error4(3, 1), Verdict::Essential),
        v4("destination unreachable with any code is essential", error4(3, 255), Verdict::Essential),
        v4(
            "destination unreachable of 8 octets is essential",
            Packet::v4(STRANGER4, HOST4).icmp(3, 3),
            Verdict::Essential,
        ),
        v4(
            "destination unreachable from a denied source is essential",
            Packet::v4(BLOCKED4, HOST4).icmp(3, 4),
            Verdict::Essential,
        ),
        v4(
            "destination unreachable behind AH is essential",
            Packet::v4(STRANGER4, HOST4).authentication().icmp(3, 4),
            Verdict::Essential,
        ),
        v4("source quench is no service", error4(4, 0), Verdict::NoService),
        v4("a redirect of IPv4 is no service", error4(5, 0), Verdict::NoService),
        v4("time exceeded of IPv4 is no service", error4(11, 0), Verdict::NoService),
        v4("a parameter problem of IPv4 is no service", error4(12, 0), Verdict::NoService),
        v4("type 1 of IPv4 is no service", error4(1, 0), Verdict::NoService),
        v4("type 2 of IPv4 is no service", error4(2, 0), Verdict::NoService),
        v6("destination unreachable of IPv6 is essential", error6(1, 0), Verdict::Essential),
        v6("packet too big is essential", error6(2, 0), Verdict::Essential),
        v6("time exceeded of IPv6 is essential", error6(3, 1), Verdict::Essential),
        v6("a parameter problem of IPv6 is essential", error6(4, 2), Verdict::Essential),
        v6("type 0 of IPv6 is no service", error6(0, 0), Verdict::NoService),
        v6("type 5 of IPv6 is no service", error6(5, 0), Verdict::NoService),
        v6(
            "packet too big behind an atomic fragment header is essential",
            Packet::v6(STRANGER6, HOST6).fragment(0, false).icmp(2, 0).payload(48),
            Verdict::Essential,
        ),
        v6(
            "packet too big behind extension headers is essential",
            Packet::v6(STRANGER6, HOST6).destination_options().icmp(2, 0).payload(48),
            Verdict::Essential,
        ),
        v4(
            "destination unreachable in a first fragment is judged on",
            Packet::v4(STRANGER4, HOST4).ip_fragment(0, true).icmp(3, 4),
            Verdict::NoService,
        ),
        v6(
            "packet too big in a first fragment is judged on",
            Packet::v6(STRANGER6, HOST6).fragment(0, true).icmp(2, 0),
            Verdict::NoService,
        ),
        v4(
            "destination unreachable in a later fragment is judged on",
            Packet::v4(STRANGER4, HOST4).ip_fragment(9, false).icmp(3, 4),
            Verdict::NoService,
        ),
    ]
}

fn dhcp() -> Vec<Case> {
    vec![
        v4("a DHCP reply is essential", Packet::v4(STRANGER4, HOST4).udp(67, 68).payload(240), Verdict::Essential),
        v6(
            "a DHCPv6 reply is essential",
            Packet::v6(NEIGHBOUR, "fe80::20").udp(547, 546).payload(60),
            Verdict::Essential,
        ),
        v4(
            "a DHCP reply from a denied source is essential",
            Packet::v4(BLOCKED4, HOST4).udp(67, 68),
            Verdict::Essential,
        ),
        v4(
            "a DHCP reply with options in its IP header is essential",
            Packet::v4(STRANGER4, HOST4).udp(67, 68).ip_options(8),
            Verdict::Essential,
        ),
        v4("a DHCP request is judged on", Packet::v4(STRANGER4, HOST4).udp(68, 67), Verdict::NoService),
        v6("a DHCPv6 request is judged on", Packet::v6(NEIGHBOUR, HOST6).udp(546, 547), Verdict::NoService),
        v6("the DHCP ports in IPv6 are judged on", Packet::v6(NEIGHBOUR, HOST6).udp(67, 68), Verdict::NoService),
        v4("the DHCPv6 ports in IPv4 are judged on", Packet::v4(STRANGER4, HOST4).udp(547, 546), Verdict::NoService),
        v4("the DHCP ports of TCP are judged on", Packet::v4(STRANGER4, HOST4).tcp(67, 68), Verdict::NoService),
        v4(
            "UDP from another port to the DHCP client is judged on",
            Packet::v4(STRANGER4, HOST4).udp(1067, 68),
            Verdict::NoService,
        ),
        v4(
            "a later fragment with the DHCP ports in it is a fragment",
            Packet::v4(STRANGER4, HOST4).ip_fragment(9, false).udp(67, 68),
            Verdict::Fragment,
        ),
    ]
}

/// Each cap lets one pass; all rate state is fresh in each case.
fn caps() -> Vec<Case> {
    let solicitation = || nd(NEIGHBOUR, 135, 16);
    let report = || mld(NEIGHBOUR, 143);
    let unreachable = || Packet::v4(STRANGER4, HOST4).icmp(3, 4);
    let too_big = || Packet::v6(STRANGER6, HOST6).icmp(2, 0);
    let reply = || Packet::v4(STRANGER4, HOST4).udp(67, 68);
    let reply6 = || Packet::v6(NEIGHBOUR, HOST6).udp(547, 546);
    let managed = || nd(MANAGER6, 135, 16);
    let limited = Verdict::EssentialLimited;
    vec![
        v6("neighbour discovery within its cap passes", solicitation(), Verdict::Essential),
        v6("neighbour discovery over its cap is dropped", solicitation(), limited).after(1, &solicitation()),
        v6("listener discovery over its cap is dropped", report(), limited).after(1, &report()),
        v4("ICMP errors over their cap are dropped", unreachable(), limited).after(1, &unreachable()),
        v6("ICMPv6 errors over their cap are dropped", too_big(), limited).after(1, &too_big()),
        v4("DHCP replies over their cap are dropped, not judged on", reply(), limited).after(1, &reply()),
        v6("DHCPv6 replies over their cap are dropped, not judged on", reply6(), limited).after(1, &reply6()),
        v6("a cap is for the whole host: another source", nd("fe80::2", 136, 16), limited).after(1, &solicitation()),
        v6("a cap is for the whole host: the other family", too_big(), limited).after(1, &unreachable()),
        v6("DHCP and DHCPv6 share their cap", reply6(), limited).after(1, &reply()),
        v6("one cap does not touch another", report(), Verdict::Essential)
            .after(2, &solicitation())
            .after(2, &unreachable())
            .after(2, &reply()),
        v6("a management source is exempt from a cap that is used up", managed(), Verdict::Essential)
            .after(2, &solicitation()),
        v6("a management source does not use a cap up", solicitation(), Verdict::Essential).after(5, &managed()),
        v6("what misses the form does not use a cap up", solicitation(), Verdict::Essential)
            .after(5, &solicitation().hop_limit(254)),
        v6("an impossible source does not use a cap up", solicitation(), Verdict::Essential)
            .after(5, &nd("ff02::1", 135, 16)),
        v6("what is over its cap does not use it up further", solicitation(), limited).after(50, &solicitation()),
        other("ARP has no cap", Packet::ethernet(ARP).payload(28), Verdict::NotIp)
            .after(5, &Packet::ethernet(ARP).payload(28)),
    ]
}
