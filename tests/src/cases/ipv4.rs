//! The IPv4 header, and AH behind it.

use firewall_common::Verdict;

use super::{Case, Scenario, v4, world::*};
use crate::packet::{Packet, number};

pub(super) fn scenario() -> Scenario {
    let mut cases = header();
    cases.extend(length());
    cases.extend(protocols());
    cases.extend(authentication());
    Scenario::new("ipv4", policy(), cases)
}

fn ip() -> Packet {
    Packet::v4(STRANGER4, HOST4)
}

fn header() -> Vec<Case> {
    vec![
        v4("a frame that ends inside its IPv4 header is truncated", web4().cut(14 + 19), Verdict::Truncated),
        v4("version 0 in IPv4 is malformed", web4().claims_version(0), Verdict::BadIpHeader),
        v4("version 5 in IPv4 is malformed", web4().claims_version(5), Verdict::BadIpHeader),
        v4("version 6 in IPv4 is malformed", web4().claims_version(6), Verdict::BadIpHeader),
        v4("an IHL of 0 is malformed", web4().claims_ihl(0), Verdict::BadIpHeader),
        v4("an IHL of 4 is malformed", web4().claims_ihl(4), Verdict::BadIpHeader),
        v4("four octets of options are stepped over", web4().ip_options(4), Verdict::Accepted).service("web"),
        v4("forty octets of options are stepped over", web4().ip_options(40), Verdict::Accepted).service("web"),
        v4("options are stepped over before UDP", ip().udp(40_000, 53).ip_options(24), Verdict::Accepted)
            .service("dns"),
        v4("TTL 0 is not looked at", web4().hop_limit(0), Verdict::Accepted).service("web"),
        v4("TTL 255 is not looked at", web4().hop_limit(255), Verdict::Accepted).service("web"),
        v4("DSCP and ECN are not looked at", web4().traffic_class(0xff), Verdict::Accepted).service("web"),
        v4("checksums are not looked at", web4().wrong_checksums(), Verdict::Accepted).service("web"),
        v4("don't-fragment is not looked at", web4().dont_fragment(), Verdict::Accepted).service("web"),
        v4(
            "a malformed header is dropped from a management source too",
            Packet::v4(MANAGER4, HOST4).tcp(40_000, 22).claims_ihl(4),
            Verdict::BadIpHeader,
        ),
    ]
}

fn length() -> Vec<Case> {
    vec![
        v4("a total length one beyond the frame is malformed", web4().claims_length(41), Verdict::BadIpLength),
        v4(
            "a total length of 65,535 in a short frame is malformed",
            web4().claims_length(65_535),
            Verdict::BadIpLength,
        ),
        v4("a frame that ends right behind its IPv4 header is malformed", web4().cut(34), Verdict::BadIpLength),
        v4("a frame cut by one octet is malformed", web4().payload(100).cut_by(1), Verdict::BadIpLength),
        v4("a total length of 0 is malformed", web4().claims_length(0), Verdict::BadIpLength),
        v4("a total length below the header is malformed", web4().claims_length(19), Verdict::BadIpLength),
        v4(
            "a total length below a header with options is malformed",
            web4().ip_options(8).claims_length(27),
            Verdict::BadIpLength,
        ),
        v4("an IHL beyond the total length is malformed", web4().claims_ihl(15), Verdict::BadIpLength),
        v4("padding behind the packet is allowed", web4().padding(6), Verdict::Accepted).service("web"),
        v4("a kilobyte of padding is allowed", web4().padding(1024), Verdict::Accepted).service("web"),
        v4(
            "padding is not packet: a TCP header in it does not count",
            ip().tcp(40_000, 80).claims_length(30),
            Verdict::BadTransportHeader,
        ),
        v4(
            "padding is not packet: a packet without transport header ends",
            ip().tcp(40_000, 80).claims_length(20),
            Verdict::BadTransportHeader,
        ),
        v4("a frame of 1,514 octets is read", web4().payload(1460), Verdict::Accepted).service("web"),
        v4("a frame of 9,000 octets is read", web4().payload(8946), Verdict::Accepted).service("web"),
        v4("a frame of 65,000 octets is read", web4().payload(64_946), Verdict::Accepted).service("web"),
        v4(
            "a total length one beyond a frame of 9,000 octets is malformed",
            web4().payload(8946).claims_length(8987),
            Verdict::BadIpLength,
        ),
        v4(
            "padding behind a short packet in a frame of 9,000 octets is allowed",
            web4().padding(8946),
            Verdict::Accepted,
        )
        .service("web"),
    ]
}

fn protocols() -> Vec<Case> {
    let none = |fact, protocol| v4(fact, ip().other(protocol, 32), Verdict::NoService);
    vec![
        none("GRE is no service", number::GRE),
        none("ESP is no service", number::ESP),
        none("SCTP is no service", number::SCTP),
        none("IPv6 in IPv4 is no service", 41),
        none("ICMPv6 in IPv4 is no service", number::ICMPV6),
        none("protocol 255 is no service", 255),
        none("hop-by-hop options in IPv4 are an ordinary other protocol", number::HOP_BY_HOP),
        none("a routing header in IPv4 is an ordinary other protocol", number::ROUTING),
        none("a fragment header in IPv4 is an ordinary other protocol", number::FRAGMENT),
        none("destination options in IPv4 are an ordinary other protocol", number::DESTINATION_OPTIONS),
        none("mobility in IPv4 is an ordinary other protocol", number::MOBILITY),
        none("the experimental number 253 in IPv4 is an ordinary other protocol", number::EXPERIMENT_1),
        v4("another protocol needs no octets at all", ip().other(number::GRE, 0), Verdict::NoService),
        v4(
            "another protocol passes from a denied source",
            Packet::v4(BLOCKED4, HOST4).other(47, 8),
            Verdict::NoService,
        ),
    ]
}

fn authentication() -> Vec<Case> {
    vec![
        v4("AH in IPv4 is walked to TCP", ip().authentication().tcp(40_000, 80), Verdict::Accepted).service("web"),
        v4("AH in IPv4 is walked to UDP", ip().authentication().udp(40_000, 53), Verdict::Accepted).service("dns"),
        v4(
            "lists hold behind AH in IPv4",
            Packet::v4(BLOCKED4, HOST4).authentication().tcp(40_000, 80),
            Verdict::Denied,
        )
        .service("web"),
        v4(
            "AH of 12 octets is the shortest",
            ip().authentication().with_length_field(1).tcp(40_000, 80),
            Verdict::Accepted,
        )
        .service("web"),
        v4(
            "AH of 1,028 octets is the longest",
            ip().authentication().with_length_field(255).tcp(40_000, 80),
            Verdict::Accepted,
        )
        .service("web"),
        v4(
            "AH of 8 octets is malformed",
            ip().authentication().claims_length_field(0).tcp(40_000, 80),
            Verdict::BadExtensionChain,
        ),
        v4(
            "AH beyond the packet is malformed",
            ip().authentication().claims_length_field(20).tcp(40_000, 80),
            Verdict::BadExtensionChain,
        ),
        v4(
            "AH that ends in the padding is malformed",
            ip().authentication().claims_length_field(20).tcp(40_000, 80).padding(200),
            Verdict::BadExtensionChain,
        ),
        v4(
            "AH of which only four octets are there is malformed",
            ip().other(number::AUTHENTICATION, 4),
            Verdict::BadExtensionChain,
        ),
        v4(
            "two AH in IPv4 are a repetition",
            ip().authentication().authentication().tcp(40_000, 80),
            Verdict::BadExtensionChain,
        ),
        v4("ESP behind AH is no service", ip().authentication().other(number::ESP, 32), Verdict::NoService),
        v4(
            "hop-by-hop options behind AH in IPv4 are an ordinary other protocol",
            ip().authentication().hop_by_hop().tcp(40_000, 80),
            Verdict::NoService,
        ),
        v4(
            "destination options behind AH in IPv4 are an ordinary other protocol",
            ip().authentication().destination_options().tcp(40_000, 80),
            Verdict::NoService,
        ),
        v4(
            "a fragment header behind AH in IPv4 is an ordinary other protocol",
            ip().authentication().fragment(0, false).tcp(40_000, 80),
            Verdict::NoService,
        ),
        v4(
            "ICMPv6 behind AH in IPv4 is no service",
            ip().authentication().other(number::ICMPV6, 32),
            Verdict::NoService,
        ),
        v4(
            "a short TCP header behind AH is malformed",
            ip().authentication().other(number::TCP, 19),
            Verdict::BadTransportHeader,
        ),
    ]
}
