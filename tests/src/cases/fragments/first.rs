//! First fragments, which are judged as packets.

use firewall_common::Verdict;

use super::{
    super::{Case, v4, v6, world::*},
    ip4, ip6,
};
use crate::packet::{Packet, number};

pub(super) fn first() -> Vec<Case> {
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
