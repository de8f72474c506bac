//! Later fragments, by protocol: dropped where their protocol may have a service.

use firewall_common::Verdict;

use super::{
    super::{Case, v4, v6, world::*},
    ip4, ip6, last4, last6,
};
use crate::packet::number;

pub(super) fn later() -> Vec<Case> {
    let dropped4 = |fact, protocol| v4(fact, last4(PARTNER4, HOST4, protocol), Verdict::Fragment);
    let dropped6 = |fact, next| v6(fact, last6(PARTNER6, HOST6, next), Verdict::Fragment);
    let passed4 = |fact, protocol| v4(fact, last4(STRANGER4, HOST4, protocol), Verdict::NoService);
    let passed6 = |fact, next| v6(fact, last6(STRANGER6, HOST6, next), Verdict::NoService);
    vec![
        dropped4("a later TCP fragment is dropped", number::TCP),
        dropped4("a later UDP fragment is dropped", number::UDP),
        dropped4("a later AH fragment counts as every protocol", number::AUTHENTICATION),
        dropped6("a later TCP fragment is dropped in IPv6", number::TCP),
        dropped6("a later UDP fragment is dropped in IPv6", number::UDP),
        dropped6("a later AH fragment counts as every protocol in IPv6", number::AUTHENTICATION),
        dropped6("a later fragment of destination options counts as every protocol", number::DESTINATION_OPTIONS),
        dropped6("a later fragment of a routing header counts as every protocol", number::ROUTING),
        dropped6("a later fragment of hop-by-hop options counts as every protocol", number::HOP_BY_HOP),
        dropped6("a later fragment of a fragment header counts as every protocol", number::FRAGMENT),
        dropped6("a later fragment of a mobility header counts as every protocol", number::MOBILITY),
        dropped6("a later fragment of the experimental header 253 counts as every protocol", number::EXPERIMENT_1),
        passed4("a later ICMP fragment has no service", number::ICMP),
        passed4("a later GRE fragment has no service", number::GRE),
        passed4("a later ESP fragment has no service", number::ESP),
        passed4("a later ICMPv6 fragment in IPv4 has no service", number::ICMPV6),
        passed4("a later fragment of destination options in IPv4 has no service", number::DESTINATION_OPTIONS),
        passed4("a later fragment of hop-by-hop options in IPv4 has no service", number::HOP_BY_HOP),
        passed4("a later fragment of a mobility header in IPv4 has no service", number::MOBILITY),
        passed6("a later ICMPv6 fragment has no service", number::ICMPV6),
        passed6("a later ICMP fragment in IPv6 has no service", number::ICMP),
        passed6("a later ESP fragment in IPv6 has no service", number::ESP),
        v4(
            "a middle fragment is a later one",
            ip4().ip_fragment(185, true).other(number::TCP, 1480),
            Verdict::Fragment,
        ),
        v4(
            "a later fragment without an octet is one all the same",
            ip4().ip_fragment(185, false).other(number::TCP, 0),
            Verdict::Fragment,
        ),
        v6(
            "a middle IPv6 fragment is a later one",
            ip6().fragment(185, true).other(number::UDP, 800),
            Verdict::Fragment,
        ),
        v6(
            "a later fragment behind hop-by-hop options is one",
            ip6().hop_by_hop().fragment(185, false).other(number::TCP, 9),
            Verdict::Fragment,
        ),
        v6(
            "a later fragment that repeats an extension header counts as every protocol",
            ip6()
                .destination_options()
                .destination_options()
                .fragment(185, false)
                .other(number::DESTINATION_OPTIONS, 9),
            Verdict::Fragment,
        ),
        v4(
            "what looks like a port in a later fragment is none",
            ip4().ip_fragment(3, false).udp(1, 80).payload(20),
            Verdict::Fragment,
        ),
        v4(
            "a later fragment is dropped where its destination has no service",
            last4(STRANGER4, "192.0.2.77", number::TCP),
            Verdict::Fragment,
        ),
        v4("a later fragment of a management source passes", last4(MANAGER4, HOST4, number::TCP), Verdict::Management),
        v6(
            "a later fragment of a management source passes in IPv6",
            last6(MANAGER6, HOST6, number::DESTINATION_OPTIONS),
            Verdict::Management,
        ),
        v4(
            "a later fragment from an impossible source is dropped as such",
            last4("127.0.0.1", HOST4, number::TCP),
            Verdict::ImpossibleSource,
        ),
    ]
}

pub(super) fn without_udp() -> Vec<Case> {
    vec![
        v4(
            "a later UDP fragment passes where no service has UDP",
            last4(STRANGER4, BEHIND4, number::UDP),
            Verdict::NoService,
        ),
        v6(
            "a later UDP fragment passes in IPv6 where no service has UDP",
            last6(STRANGER6, BEHIND6, number::UDP),
            Verdict::NoService,
        ),
        v4(
            "a later TCP fragment is dropped where some other address has a TCP service",
            last4(STRANGER4, HOST4, number::TCP),
            Verdict::Fragment,
        ),
        v6(
            "a later TCP fragment is dropped where the other family has a TCP service",
            last6(STRANGER6, HOST6, number::TCP),
            Verdict::Fragment,
        ),
        v4(
            "a later AH fragment is dropped where any protocol has a service",
            last4(STRANGER4, HOST4, number::AUTHENTICATION),
            Verdict::Fragment,
        ),
    ]
}

pub(super) fn without_services() -> Vec<Case> {
    vec![
        v4(
            "a later TCP fragment passes where there is no service",
            last4(STRANGER4, HOST4, number::TCP),
            Verdict::NoService,
        ),
        v4(
            "a later AH fragment passes where there is no service",
            last4(STRANGER4, HOST4, number::AUTHENTICATION),
            Verdict::NoService,
        ),
        v6(
            "a later fragment of destination options passes where there is no service",
            last6(STRANGER6, HOST6, number::DESTINATION_OPTIONS),
            Verdict::NoService,
        ),
        v4("a TCP packet passes where there is no service", ip4().tcp(1, 80), Verdict::NoService),
        v4(
            "a tiny fragment is dropped where there is no service",
            ip4().ip_fragment(0, true).other(number::TCP, 8),
            Verdict::TinyFragment,
        ),
    ]
}
