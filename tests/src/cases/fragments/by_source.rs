//! Later fragments, by source: judged by the lists of the services that they may be for.

use firewall_common::Verdict;

use super::{
    super::{Case, v4, v6, world::*},
    last4, last6,
};
use crate::{
    draft::{DAY, Draft, LimitDraft, ServiceDraft},
    packet::{Packet, number},
};

const INNER4: &str = "192.0.2.30";
const INNER6: &str = "2001:db8:1::30";
const OPEN4: &str = "192.0.2.40";
const BOTH4: &str = "192.0.2.50";
const EMPTY4: &str = "192.0.2.60";
const EMPTY6: &str = "2001:db8:1::60";

pub(super) fn by_source_draft() -> Draft {
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

pub(super) fn by_source() -> Vec<Case> {
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
