//! `mode = "observe"` and `host_default = "drop"`: the same verdicts, other consequences.

use firewall_common::{Family, Verdict};

use super::{Case, Scenario, case, other, v4, v6, world::*};
use crate::{
    draft::{DAY, Draft, LimitDraft, ServiceDraft},
    packet::{
        Packet,
        ether_type::{ARP, VLAN},
        number,
    },
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut drop = Scenario::new("host_default drop", policy(), host_default_drop());
    drop.host_default_drop = true;
    let observed = draft().observe().caps(1, 1000, 1000, 1000).policy();
    let by_source = draft().fragments_by_source().policy();
    let mut drop_by_source = Scenario::new("host_default drop, fragments by source", by_source, fragments_by_source());
    drop_by_source.host_default_drop = true;
    vec![
        drop,
        drop_by_source,
        Scenario::new("observe", observed, observe()),
        Scenario::new("services that observe", observing_draft().policy(), observing_services()),
        Scenario::new(
            "services that observe, fragments by source",
            observing_draft().fragments_by_source().policy(),
            observing_by_source(),
        ),
    ]
}

fn from4(source: &str) -> Packet {
    Packet::v4(source, HOST4)
}

fn host_default_drop() -> Vec<Case> {
    use Verdict::HostDefault;
    vec![
        v4("TCP to a free port is dropped by host_default", from4(STRANGER4).tcp(1, 81), HostDefault),
        v6(
            "TCP to a free port is dropped by host_default in IPv6",
            Packet::v6(STRANGER6, HOST6).tcp(1, 81),
            HostDefault,
        ),
        v4("UDP to a free port is dropped by host_default", from4(PARTNER4).udp(1, 81), HostDefault),
        v4("an echo request is dropped by host_default", from4(STRANGER4).icmp(8, 0), HostDefault),
        v4("GRE is dropped by host_default", from4(STRANGER4).other(number::GRE, 20), HostDefault),
        v6("no next header is dropped by host_default", Packet::v6(STRANGER6, HOST6).other(59, 0), HostDefault),
        v4(
            "a later ICMP fragment is dropped by host_default",
            from4(STRANGER4).ip_fragment(9, false).other(1, 20),
            HostDefault,
        ),
        v6(
            "what misses the form of neighbour discovery is dropped by host_default",
            Packet::v6(NEIGHBOUR, HOST6).icmp(135, 0).payload(16),
            HostDefault,
        ),
        v4(
            "a later TCP fragment is dropped as such",
            from4(STRANGER4).ip_fragment(9, false).other(6, 20),
            Verdict::Fragment,
        ),
        v4("a service is not touched by host_default", from4(STRANGER4).tcp(1, 80), Verdict::Accepted).service("web"),
        v4("a management source passes despite host_default", from4(MANAGER4).tcp(1, 81), Verdict::Management),
        v4("an ICMP error passes despite host_default", from4(STRANGER4).icmp(3, 4), Verdict::Essential),
        v4("a DHCP reply passes despite host_default", from4(STRANGER4).udp(67, 68), Verdict::Essential),
        v6(
            "a neighbour solicitation passes despite host_default",
            Packet::v6(NEIGHBOUR, HOST6).hop_limit(255).icmp(135, 0).payload(16),
            Verdict::Essential,
        ),
        other("ARP passes despite host_default", Packet::ethernet(ARP).payload(28), Verdict::NotIp),
        v4("a DHCP request from 0.0.0.0 is dropped by host_default", from4("0.0.0.0").udp(68, 67), HostDefault),
    ]
}

fn fragments_by_source() -> Vec<Case> {
    vec![
        v4(
            "a later fragment of a protocol without service is dropped by host_default",
            from4(STRANGER4).ip_fragment(9, false).other(number::ESP, 20),
            Verdict::HostDefault,
        ),
        v4(
            "a later fragment that a service admits passes despite host_default",
            from4(STRANGER4).ip_fragment(9, false).other(number::UDP, 20),
            Verdict::FragmentAdmitted,
        ),
    ]
}

/// Everything that is dropped has its verdict and passes.
/// The same service twice, once enforced; and once more under a limit.
fn observing_draft() -> Draft {
    Draft::new()
        .list("partners", &["203.0.113.0/24"])
        .list("blocked", &["203.0.113.66"])
        .limit(LimitDraft::new("two").packets(1, DAY, 2))
        .service(ServiceDraft::tcp("strict", &[80]).allow(&["partners"]).deny(&["blocked"]))
        .service(ServiceDraft::tcp("watched", &[81]).allow(&["partners"]).deny(&["blocked"]).observe())
        .service(ServiceDraft::udp("watched-udp", &[82]).limit("two").observe())
}

fn observing_services() -> Vec<Case> {
    use Verdict::{Accepted, Denied, Fragment, ImpossibleSource, NotAllowed, OverPackets};
    let from = |source, port| Packet::v4(source, HOST4).tcp(1, port);
    let udp = || Packet::v4("198.18.7.1", HOST4).udp(1, 82);
    vec![
        v4("a service beside one that observes denies", from("203.0.113.66", 80), Denied).service("strict"),
        v4("a service beside one that observes does not admit", from(STRANGER4, 80), NotAllowed).service("strict"),
        v4("a service that observes only counts who is denied", from("203.0.113.66", 81), Denied).service("watched"),
        v4("a service that observes only counts who is not allowed", from(STRANGER4, 81), NotAllowed)
            .service("watched"),
        v4("a service that observes accepts", from("203.0.113.7", 81), Accepted).service("watched"),
        v4("a service that observes only counts what is over a limit", udp(), OverPackets)
            .service("watched-udp")
            .limit("two")
            .after(2, &udp()),
        v4("what no service judges is dropped", from("127.0.0.1", 81), ImpossibleSource),
        v4(
            "fragments are dropped though they may belong to a service that observes",
            Packet::v4(STRANGER4, HOST4).ip_fragment(9, false).other(number::UDP, 40),
            Fragment,
        ),
    ]
}

fn observing_by_source() -> Vec<Case> {
    let fragment = |source, protocol| Packet::v4(source, HOST4).ip_fragment(9, false).other(protocol, 40);
    let admitted = Verdict::FragmentAdmitted;
    vec![
        v4("a fragment that a service may only count is admitted", fragment(STRANGER4, number::TCP), admitted),
        v4(
            "a fragment of a source that an enforcing service denies is denied",
            fragment("203.0.113.66", number::TCP),
            Verdict::Denied,
        ),
        v4("a fragment of services that only count is admitted", fragment("203.0.113.66", number::UDP), admitted),
    ]
}

fn observe() -> Vec<Case> {
    let from6 = |source| Packet::v6(source, HOST6);
    vec![
        case("observe: a truncated packet", web4().cut(30), Verdict::Truncated, Family::Ipv4),
        other("observe: three tags", web4().tag(VLAN).tag(VLAN).tag(VLAN), Verdict::VlanDepth),
        v4("observe: a bad version", web4().claims_version(5), Verdict::BadIpHeader),
        v4("observe: a bad length", web4().claims_length(3000), Verdict::BadIpLength),
        v6("observe: a bad chain", from6(STRANGER6).routing(0, 1).tcp(1, 80), Verdict::BadExtensionChain),
        v4("observe: a bad fragment", from4(STRANGER4).ip_fragment(9, true).other(17, 9), Verdict::BadFragment),
        v4("observe: a tiny fragment", from4(STRANGER4).ip_fragment(0, true).other(6, 8), Verdict::TinyFragment),
        v4("observe: a bad TCP header", web4().claims_data_offset(1), Verdict::BadTransportHeader),
        v4("observe: bad TCP flags", web4().flags(""), Verdict::BadTcpFlags),
        v4("observe: an impossible source", from4("127.0.0.1").tcp(1, 80), Verdict::ImpossibleSource),
        v4("observe: a later fragment", from4(STRANGER4).ip_fragment(9, false).other(6, 20), Verdict::Fragment),
        v4("observe: a denied source", from4(BLOCKED4).tcp(1, 80), Verdict::Denied).service("web"),
        v4("observe: a source that is not allowed", from4(STRANGER4).tcp(1, 443), Verdict::NotAllowed).service("api"),
        v4("observe: a source over its packets", from4("198.18.1.1").tcp(1, 9010), Verdict::OverPackets)
            .service("limited")
            .limit("two")
            .after(2, &from4("198.18.1.1").tcp(1, 9010)),
        v4("observe: a source over its bytes", from4("198.18.1.2").udp(1, 9030).payload(2000), Verdict::OverBytes)
            .service("bytes")
            .limit("kilobyte"),
        v4(
            "observe: a source over its connections",
            from4("198.18.1.3").tcp(1, 9040).flags("S"),
            Verdict::OverConnections,
        )
        .service("connections")
        .limit("one-connection")
        .after(1, &from4("198.18.1.3").tcp(1, 9040).flags("S")),
        v6(
            "observe: neighbour discovery over its cap",
            from6(NEIGHBOUR).hop_limit(255).icmp(135, 0).payload(16),
            Verdict::EssentialLimited,
        )
        .after(1, &from6(NEIGHBOUR).hop_limit(255).icmp(135, 0).payload(16)),
        v4("observe: what passes has its own verdict", web4(), Verdict::Accepted).service("web"),
        v4("observe: a packet for no service", from4(STRANGER4).tcp(1, 81), Verdict::NoService),
        v4("observe: a management source", from4(MANAGER4).tcp(1, 443), Verdict::Management),
        other("observe: ARP", Packet::ethernet(ARP).payload(28), Verdict::NotIp),
    ]
}
