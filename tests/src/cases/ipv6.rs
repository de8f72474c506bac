//! The IPv6 header and its chain of extension headers.

use firewall_common::Verdict;

use super::{Case, Scenario, v6, world::*};
use crate::packet::{Packet, number};

pub(super) fn scenario() -> Scenario {
    let mut cases = header();
    cases.extend(walked());
    cases.extend(refused());
    cases.extend(cut_short());
    cases.extend(far_away());
    Scenario::new("ipv6", policy(), cases)
}

fn ip() -> Packet {
    Packet::v6(STRANGER6, HOST6)
}

fn header() -> Vec<Case> {
    vec![
        v6("a frame that ends inside its IPv6 header is truncated", web6().cut(14 + 39), Verdict::Truncated),
        v6("version 0 in IPv6 is malformed", web6().claims_version(0), Verdict::BadIpHeader),
        v6("version 4 in IPv6 is malformed", web6().claims_version(4), Verdict::BadIpHeader),
        v6("version 7 in IPv6 is malformed", web6().claims_version(7), Verdict::BadIpHeader),
        v6("a payload length one beyond the frame is malformed", web6().claims_length(21), Verdict::BadIpLength),
        v6(
            "a payload length of 65,535 in a short frame is malformed",
            web6().claims_length(65_535),
            Verdict::BadIpLength,
        ),
        v6("an IPv6 frame cut by one octet is malformed", web6().payload(100).cut_by(1), Verdict::BadIpLength),
        v6("a frame that ends right behind its IPv6 header is malformed", web6().cut(54), Verdict::BadIpLength),
        v6("padding behind an IPv6 packet is allowed", web6().padding(20), Verdict::Accepted).service("web"),
        v6("padding behind an IPv6 packet is not packet", web6().claims_length(19), Verdict::BadTransportHeader),
        v6(
            "an empty payload without transport header is malformed",
            web6().claims_length(0),
            Verdict::BadTransportHeader,
        ),
        v6(
            "an empty payload with no next header is no service",
            ip().other(number::NO_NEXT_HEADER, 0),
            Verdict::NoService,
        ),
        v6(
            "payload length 0 with hop-by-hop options is a jumbogram",
            ip().hop_by_hop().tcp(40_000, 80).claims_length(0),
            Verdict::BadExtensionChain,
        ),
        v6("hop limit 0 is not looked at", web6().hop_limit(0), Verdict::Accepted).service("web"),
        v6("traffic class is not looked at", web6().traffic_class(0xff), Verdict::Accepted).service("web"),
        v6("checksums in IPv6 are not looked at", web6().wrong_checksums(), Verdict::Accepted).service("web"),
        v6("no next header is no service", ip().other(number::NO_NEXT_HEADER, 8), Verdict::NoService),
        v6("ESP in IPv6 is no service", ip().other(number::ESP, 32), Verdict::NoService),
        v6("GRE in IPv6 is no service", ip().other(number::GRE, 32), Verdict::NoService),
        v6("SCTP in IPv6 is no service", ip().other(number::SCTP, 32), Verdict::NoService),
        v6("ICMP in IPv6 is no service", ip().other(number::ICMP, 32), Verdict::NoService),
        v6("IPv4 in IPv6 is no service", ip().other(4, 32), Verdict::NoService),
    ]
}

fn walked() -> Vec<Case> {
    let accepted = |fact, packet: Packet| v6(fact, packet.tcp(40_000, 80), Verdict::Accepted).service("web");
    vec![
        accepted("hop-by-hop options are walked", ip().hop_by_hop()),
        accepted("destination options are walked", ip().destination_options()),
        accepted("destination options may come twice", ip().destination_options().destination_options()),
        accepted("a spent routing header of type 0 is walked", ip().routing(0, 0)),
        accepted("a spent routing header of type 2 is walked", ip().routing(2, 0)),
        accepted("a spent segment routing header is walked", ip().routing(4, 0).with_length_field(2)),
        accepted("AH in IPv6 is walked", ip().authentication()),
        accepted("AH of 12 octets in IPv6 is the shortest", ip().authentication().with_length_field(1)),
        accepted("an atomic fragment is a whole packet", ip().fragment(0, false)),
        accepted(
            "the whole chain in the order of RFC 8200 is walked",
            ip().hop_by_hop()
                .destination_options()
                .routing(0, 0)
                .fragment(0, false)
                .authentication()
                .destination_options(),
        ),
        accepted(
            "the chain in another order is walked",
            ip().authentication().destination_options().fragment(0, false).destination_options().routing(2, 0),
        ),
        accepted("hop-by-hop options of 2,048 octets are walked", ip().hop_by_hop().with_length_field(255)),
        accepted(
            "options are not looked at: a jumbo payload option in a packet that is none",
            ip().hop_by_hop().with_option(0xc2, 4),
        ),
        accepted(
            "options are not looked at: an unknown option that asks for a discard",
            ip().hop_by_hop().with_option(0x7e, 4),
        ),
        accepted(
            "options are not looked at: an option longer than its header",
            ip().destination_options().with_option(1, 200),
        ),
        v6("extension headers are walked to UDP", ip().hop_by_hop().routing(0, 0).udp(40_000, 53), Verdict::Accepted)
            .service("dns"),
        v6(
            "lists hold behind extension headers",
            Packet::v6(BLOCKED6, HOST6).destination_options().authentication().tcp(40_000, 80),
            Verdict::Denied,
        )
        .service("web"),
        v6("ESP behind extension headers is no service", ip().hop_by_hop().other(number::ESP, 16), Verdict::NoService),
        v6(
            "no next header behind extension headers is no service",
            ip().destination_options().other(number::NO_NEXT_HEADER, 0),
            Verdict::NoService,
        ),
    ]
}

fn refused() -> Vec<Case> {
    let bad = |fact, packet: Packet| v6(fact, packet.tcp(40_000, 80), Verdict::BadExtensionChain);
    vec![
        bad("hop-by-hop options must come first", ip().destination_options().hop_by_hop()),
        bad("hop-by-hop options may not come twice", ip().hop_by_hop().hop_by_hop()),
        bad("hop-by-hop options may not come behind a fragment header", ip().fragment(0, false).hop_by_hop()),
        bad(
            "destination options may not come three times",
            ip().destination_options().destination_options().destination_options(),
        ),
        bad(
            "destination options may not come three times with others between them",
            ip().destination_options().routing(0, 0).destination_options().authentication().destination_options(),
        ),
        bad("a routing header may not come twice", ip().routing(0, 0).routing(2, 0)),
        bad("AH may not come twice", ip().authentication().authentication()),
        bad("a fragment header may not come twice", ip().fragment(0, false).fragment(0, false)),
        v6(
            "a second fragment header behind a first fragment is refused",
            ip().fragment(0, true).fragment(0, true).tcp(40_000, 80).payload(4),
            Verdict::BadExtensionChain,
        ),
        bad(
            "a second fragment header behind others is refused",
            ip().fragment(0, false).destination_options().fragment(0, false),
        ),
        bad("a routing header of type 0 with a segment left is refused", ip().routing(0, 1)),
        bad("a routing header of type 2 with a segment left is refused", ip().routing(2, 1)),
        bad("a segment routing header with segments left is refused", ip().routing(4, 2).with_length_field(4)),
        bad("an unknown routing header with segments left is refused", ip().routing(200, 255)),
        bad("a mobility header is refused", ip().extension(number::MOBILITY)),
        bad("HIP is refused", ip().extension(number::HIP)),
        bad("shim6 is refused", ip().extension(number::SHIM6)),
        bad("the experimental header 253 is refused", ip().extension(number::EXPERIMENT_1)),
        bad("the experimental header 254 is refused", ip().extension(number::EXPERIMENT_2)),
        bad("a mobility header behind others is refused", ip().hop_by_hop().routing(0, 0).extension(number::MOBILITY)),
        bad("AH of 8 octets in IPv6 is refused", ip().authentication().claims_length_field(0)),
        bad(
            "nine extension headers are refused",
            ip().hop_by_hop()
                .destination_options()
                .routing(0, 0)
                .fragment(0, false)
                .authentication()
                .destination_options()
                .destination_options()
                .destination_options()
                .destination_options(),
        ),
        v6(
            "a bad chain is dropped from a management source too",
            Packet::v6(MANAGER6, HOST6).routing(0, 1).tcp(40_000, 22),
            Verdict::BadExtensionChain,
        ),
    ]
}

fn cut_short() -> Vec<Case> {
    let bad = |fact, packet| v6(fact, packet, Verdict::BadExtensionChain);
    vec![
        bad(
            "an extension header of which four octets are there is refused",
            ip().other(number::DESTINATION_OPTIONS, 4),
        ),
        bad("an extension header of which nothing is there is refused", ip().other(number::ROUTING, 0)),
        bad("a fragment header of which seven octets are there is refused", ip().other(number::FRAGMENT, 7)),
        bad("AH of which four octets are there is refused", ip().other(number::AUTHENTICATION, 4)),
        bad(
            "an extension header beyond the packet is refused",
            ip().destination_options().claims_length_field(3).tcp(40_000, 80),
        ),
        bad(
            "an extension header that ends in the padding is refused",
            ip().destination_options().claims_length_field(3).tcp(40_000, 80).padding(100),
        ),
        bad("AH beyond an IPv6 packet is refused", ip().authentication().claims_length_field(60).tcp(40_000, 80)),
        v6(
            "an extension header that ends with the packet leaves no room for TCP",
            ip().destination_options().other(number::TCP, 0),
            Verdict::BadTransportHeader,
        ),
        v6(
            "TCP cut short behind extension headers is malformed",
            ip().hop_by_hop().other(number::TCP, 19),
            Verdict::BadTransportHeader,
        ),
    ]
}

/// Chains that end beyond the first buffer of a jumbo frame.
fn far_away() -> Vec<Case> {
    let long = || {
        ip().hop_by_hop()
            .with_length_field(255)
            .destination_options()
            .with_length_field(255)
            .destination_options()
            .with_length_field(255)
    };
    // The first buffer of a test run ends at 4096 - 256 - 320 = 3520 octets, inside the second header.
    vec![
        v6("TCP behind 6,144 octets of options is found", long().tcp(40_000, 80), Verdict::Accepted).service("web"),
        v6("UDP behind 6,144 octets of options is found", long().udp(40_000, 53), Verdict::Accepted).service("dns"),
        v6(
            "a SYN behind 6,144 octets of options with the wrong flags is dropped",
            long().tcp(1, 80).flags("SF"),
            Verdict::BadTcpFlags,
        ),
        v6(
            "TCP cut short behind 6,144 octets of options is malformed",
            long().other(number::TCP, 19),
            Verdict::BadTransportHeader,
        ),
        v6(
            "an echo request behind 6,144 octets of options is no service",
            long().icmp(128, 0).payload(8),
            Verdict::NoService,
        ),
        v6(
            "a third destination options header far away is refused",
            long().destination_options().tcp(40_000, 80),
            Verdict::BadExtensionChain,
        ),
        v6(
            "TCP across the end of the first buffer is read",
            // 14 + 40 + 2048 + 1408 = 3510: ten octets of the TCP header are in the first buffer.
            ip().hop_by_hop()
                .with_length_field(255)
                .destination_options()
                .with_length_field(175)
                .tcp(40_000, 80)
                .payload(1500),
            Verdict::Accepted,
        )
        .service("web"),
        v6(
            "an extension header across the end of the first buffer is read",
            // 14 + 40 + 2048 + 1416 = 3518: two octets of the routing header are in the first buffer.
            ip().hop_by_hop()
                .with_length_field(255)
                .destination_options()
                .with_length_field(176)
                .routing(0, 1)
                .tcp(1, 80)
                .payload(1500),
            Verdict::BadExtensionChain,
        ),
    ]
}
