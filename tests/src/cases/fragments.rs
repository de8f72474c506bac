//! Fragments, by protocol and by source.

use firewall_common::Verdict;

use super::{Case, Scenario, v4, v6, world::*};
use crate::{
    draft::{DAY, Draft, LimitDraft, ServiceDraft},
    packet::{Packet, number},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut dropped = malformed();
    dropped.extend(first());
    dropped.extend(later());
    let only_tcp = Draft::new().service(ServiceDraft::tcp("far", &[443]).at(&[BEHIND4])).policy();
    vec![
        Scenario::new("fragments dropped", policy(), dropped),
        Scenario::new("fragments dropped where only TCP has a service", only_tcp, without_udp()),
        Scenario::new("fragments dropped where nothing has a service", Draft::new().policy(), without_services()),
        Scenario::new("fragments by source", by_source_draft().policy(), by_source()),
    ]
}

fn ip4() -> Packet {
    Packet::v4(STRANGER4, HOST4)
}

fn ip6() -> Packet {
    Packet::v6(STRANGER6, HOST6)
}

/// The last fragment of a packet, 1480 octets in.
fn last4(source: &str, destination: &str, protocol: u8) -> Packet {
    Packet::v4(source, destination).ip_fragment(185, false).other(protocol, 100)
}

fn last6(source: &str, destination: &str, next: u8) -> Packet {
    Packet::v6(source, destination).fragment(185, false).other(next, 100)
}

fn malformed() -> Vec<Case> {
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

fn first() -> Vec<Case> {
    vec![
        v4(
            "a first TCP fragment is judged as a packet",
            ip4().ip_fragment(0, true).tcp(1, 80).payload(100),
            Verdict::Accepted,
        )
        .service("web"),
        v4(
            "a first TCP fragment with nothing but its header is whole",
            ip4().ip_fragment(0, true).tcp(1, 80).tcp_options(4),
            Verdict::Accepted,
        )
        .service("web"),
        v6(
            "a first IPv6 fragment is judged as a packet",
            ip6().fragment(0, true).tcp(1, 80).payload(100),
            Verdict::Accepted,
        )
        .service("web"),
        v4(
            "lists hold for a first fragment",
            Packet::v4(BLOCKED4, HOST4).ip_fragment(0, true).tcp(1, 80).payload(4),
            Verdict::Denied,
        )
        .service("web"),
        v4(
            "a first UDP fragment may say that it is longer than what is here",
            ip4().ip_fragment(0, true).udp(1, 53).payload(24).claims_udp_length(4000),
            Verdict::Accepted,
        )
        .service("dns"),
        v4("a first ICMP fragment of 8 octets is whole", ip4().ip_fragment(0, true).icmp(8, 0), Verdict::NoService),
        v4("a first GRE fragment needs no octet", ip4().ip_fragment(0, true).other(number::GRE, 0), Verdict::NoService),
        v6(
            "a first fragment behind and before other headers is walked",
            ip6().hop_by_hop().fragment(0, true).destination_options().udp(1, 53).payload(8),
            Verdict::Accepted,
        )
        .service("dns"),
        v4(
            "AH in a first fragment is walked",
            ip4().ip_fragment(0, true).authentication().udp(1, 53).payload(8),
            Verdict::Accepted,
        )
        .service("dns"),
        v4(
            "a first fragment without a service is no service",
            ip4().ip_fragment(0, true).tcp(1, 81).payload(4),
            Verdict::NoService,
        ),
        v4(
            "a first fragment of a management source passes",
            Packet::v4(MANAGER4, HOST4).ip_fragment(0, true).tcp(1, 443).payload(4),
            Verdict::Management,
        ),
        v6(
            "an atomic fragment of a partner is judged as a packet",
            Packet::v6(PARTNER6, HOST6).fragment(0, false).tcp(1, 443),
            Verdict::Accepted,
        )
        .service("api"),
        v6(
            "an atomic fragment of a stranger is judged as a packet",
            ip6().fragment(0, false).tcp(1, 443),
            Verdict::NotAllowed,
        )
        .service("api"),
        v6("an atomic fragment may have any size", ip6().fragment(0, false).tcp(1, 80).payload(13), Verdict::Accepted)
            .service("web"),
    ]
}

fn later() -> Vec<Case> {
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

fn without_udp() -> Vec<Case> {
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

fn without_services() -> Vec<Case> {
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

const INNER4: &str = "192.0.2.30";
const INNER6: &str = "2001:db8:1::30";
const OPEN4: &str = "192.0.2.40";
const BOTH4: &str = "192.0.2.50";
const EMPTY4: &str = "192.0.2.60";
const EMPTY6: &str = "2001:db8:1::60";

fn by_source_draft() -> Draft {
    Draft::new()
        .fragments_by_source()
        .management(&["198.51.100.0/28", "2001:db8:99::/64"])
        .list("partners", &["203.0.113.0/24", "2001:db8:7::/48"])
        .list("blocked", &["203.0.113.66", "2001:db8:7:66::/64"])
        .list("scanners", &["198.18.66.0/24"])
        .limit(LimitDraft::new("two").packets(1, DAY, 2))
        .service(
            ServiceDraft::tcp("inner", &[443])
                .at(&[INNER4, INNER6])
                .allow(&["partners"])
                .deny(&["blocked"])
                .limit("two"),
        )
        .service(ServiceDraft::tcp("open", &[80]).at(&[OPEN4]).deny(&["scanners"]))
        .service(ServiceDraft::tcp("both-a", &[1]).at(&[BOTH4]).allow(&["partners"]).deny(&["blocked"]))
        .service(ServiceDraft::tcp("both-b", &[2]).at(&[BOTH4]).deny(&["scanners"]))
        .service(ServiceDraft::udp("voice", &[5060]).allow(&["partners"]))
}

const SCANNER4: &str = "198.18.66.1";

fn by_source() -> Vec<Case> {
    use Verdict::{Denied, FragmentAdmitted, NoService, NotAllowed};
    use number::{AUTHENTICATION, DESTINATION_OPTIONS, GRE, ICMP, ICMPV6, TCP, UDP};
    vec![
        v4("a fragment of a partner is admitted", last4(PARTNER4, INNER4, TCP), FragmentAdmitted),
        v4("a fragment of a stranger is not allowed", last4(STRANGER4, INNER4, TCP), NotAllowed),
        v4("a fragment of a denied source is denied", last4(BLOCKED4, INNER4, TCP), Denied),
        v6("a fragment of a partner is admitted in IPv6", last6(PARTNER6, INNER6, TCP), FragmentAdmitted),
        v6("a fragment of a stranger is not allowed in IPv6", last6(STRANGER6, INNER6, TCP), NotAllowed),
        v6("a fragment of a denied source is denied in IPv6", last6(BLOCKED6, INNER6, TCP), Denied),
        v4("a fragment to an open service is admitted", last4(STRANGER4, OPEN4, TCP), FragmentAdmitted),
        v4("a fragment to an open service from its deny list is denied", last4(SCANNER4, OPEN4, TCP), Denied),
        v4("the deny list of another address does not hold", last4(BLOCKED4, OPEN4, TCP), FragmentAdmitted),
        v4("one service of two that admits is enough", last4(STRANGER4, BOTH4, TCP), FragmentAdmitted),
        v4("one service of two that denies is enough", last4(BLOCKED4, BOTH4, TCP), Denied),
        v4("the deny list of the open one of two holds", last4(SCANNER4, BOTH4, TCP), Denied),
        v4(
            "a fragment to an address without a service of its protocol has no service",
            last4(STRANGER4, EMPTY4, TCP),
            NoService,
        ),
        v6(
            "a fragment to an address without a service of its protocol has no service in IPv6",
            last6(STRANGER6, EMPTY6, TCP),
            NoService,
        ),
        v4("a UDP fragment of a partner is admitted everywhere", last4(PARTNER4, EMPTY4, UDP), FragmentAdmitted),
        v4("a UDP fragment of a stranger is allowed nowhere", last4(STRANGER4, EMPTY4, UDP), NotAllowed),
        v4(
            "a service for every address holds at an address that others name",
            last4(STRANGER4, OPEN4, UDP),
            NotAllowed,
        ),
        v4("the lists of TCP services do not hold for UDP", last4(BLOCKED4, INNER4, UDP), FragmentAdmitted),
        v4(
            "an AH fragment is judged by the services of all protocols: admitted",
            last4(PARTNER4, INNER4, AUTHENTICATION),
            FragmentAdmitted,
        ),
        v4(
            "an AH fragment is judged by the services of all protocols: not allowed",
            last4(STRANGER4, INNER4, AUTHENTICATION),
            NotAllowed,
        ),
        v4(
            "an AH fragment is judged by the services of all protocols: denied",
            last4(BLOCKED4, INNER4, AUTHENTICATION),
            Denied,
        ),
        v4(
            "an AH fragment is admitted by the open service of one protocol",
            last4(STRANGER4, OPEN4, AUTHENTICATION),
            FragmentAdmitted,
        ),
        v6(
            "a fragment of destination options is judged by the services of all protocols",
            last6(STRANGER6, INNER6, DESTINATION_OPTIONS),
            NotAllowed,
        ),
        v6(
            "a fragment of destination options is judged by services for every address",
            last6(PARTNER6, EMPTY6, DESTINATION_OPTIONS),
            FragmentAdmitted,
        ),
        v4("an ICMP fragment has no service by source either", last4(STRANGER4, INNER4, ICMP), NoService),
        v6("an ICMPv6 fragment has no service by source either", last6(STRANGER6, INNER6, ICMPV6), NoService),
        v4("a GRE fragment has no service by source either", last4(BLOCKED4, INNER4, GRE), NoService),
        v4("a fragment of a management source passes by source too", last4(MANAGER4, INNER4, TCP), Verdict::Management),
        v4(
            "a TCP fragment at offset 1 is dropped by source too",
            Packet::v4(PARTNER4, INNER4).ip_fragment(1, false).other(TCP, 40),
            Verdict::TinyFragment,
        ),
        v4(
            "a first fragment is judged as a packet by source too",
            Packet::v4(STRANGER4, INNER4).ip_fragment(0, true).tcp(1, 443).payload(4),
            NotAllowed,
        )
        .service("inner"),
        v4(
            "a first fragment to a free port has no service by source too",
            Packet::v4(STRANGER4, INNER4).ip_fragment(0, true).tcp(1, 80).payload(4),
            NoService,
        ),
        v4("a later fragment is charged to no limit", last4("203.0.113.9", INNER4, TCP), FragmentAdmitted)
            .after(9, &last4("203.0.113.9", INNER4, TCP)),
    ]
}
