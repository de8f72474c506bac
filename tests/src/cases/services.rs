//! Which service a packet is for.

use firewall_common::Verdict;

use super::{Case, Scenario, v4, v6, world::*};
use crate::packet::Packet;

pub(super) fn scenario() -> Scenario {
    let mut cases = ports();
    cases.extend(addresses());
    cases.extend(management());
    Scenario::new("services", policy(), cases)
}

fn tcp(port: u16) -> Packet {
    Packet::v4(PARTNER4, HOST4).tcp(40_000, port)
}

fn ports() -> Vec<Case> {
    let api = |fact, port| v4(fact, tcp(port), Verdict::Accepted).service("api");
    let none = |fact, packet| v4(fact, packet, Verdict::NoService);
    vec![
        api("a single port is its service", 443),
        api("the first port of a range is its service", 8443),
        api("a port inside a range is its service", 8444),
        api("the last port of a range is its service", 8445),
        none("the port before a range is no service", tcp(8442)),
        none("the port behind a range is no service", tcp(8446)),
        none("the port before a single one is no service", tcp(442)),
        none("the port behind a single one is no service", tcp(444)),
        v4("port 0 is a port", tcp(0), Verdict::Accepted).service("edges"),
        v4("port 65,535 is a port", tcp(65_535), Verdict::Accepted).service("edges"),
        none("port 1 is not port 0", tcp(1)),
        none("port 65,534 is not port 65,535", tcp(65_534)),
        none("a UDP packet is not for a TCP service", Packet::v4(PARTNER4, HOST4).udp(1, 443)),
        none("a TCP packet is not for a UDP service", tcp(53)),
        none("the source port makes no service", Packet::v4(PARTNER4, HOST4).tcp(443, 1)),
        v4("source port 0 is a port", Packet::v4(PARTNER4, HOST4).tcp(0, 443), Verdict::Accepted).service("api"),
        v4("UDP source port 0 is a port", Packet::v4(STRANGER4, HOST4).udp(0, 53), Verdict::Accepted).service("dns"),
        none("a port with its octets swapped is another", tcp(443u16.swap_bytes())),
        v6("a service is for both families", Packet::v6(PARTNER6, HOST6).tcp(40_000, 8445), Verdict::Accepted)
            .service("api"),
        v6("a UDP service is for both families", Packet::v6(STRANGER6, HOST6).udp(1, 53), Verdict::Accepted)
            .service("dns"),
        v4(
            "an answer of a remote server is no service",
            Packet::v4(STRANGER4, HOST4).tcp(443, 50_000),
            Verdict::NoService,
        ),
    ]
}

fn addresses() -> Vec<Case> {
    let ssh = |fact, source, destination| v4(fact, Packet::v4(source, destination).tcp(1, 22), Verdict::Accepted);
    vec![
        ssh("a service without addresses is for every address", STRANGER4, BEHIND4).service("ssh"),
        ssh("a service that names the address comes first", "203.0.113.200", HOST4).service("ssh-here"),
        v4(
            "a service that names the address comes first though the other would accept",
            Packet::v4(STRANGER4, HOST4).tcp(1, 22),
            Verdict::NotAllowed,
        )
        .service("ssh-here"),
        v6(
            "a service that names the IPv6 address comes first",
            Packet::v6(STRANGER6, HOST6).tcp(1, 22),
            Verdict::NotAllowed,
        )
        .service("ssh-here"),
        v6(
            "another IPv6 address has the service without addresses",
            Packet::v6(STRANGER6, BEHIND6).tcp(1, 22),
            Verdict::Accepted,
        )
        .service("ssh"),
        v4("a service at an address is found there", Packet::v4(STRANGER4, BEHIND4).tcp(1, 8080), Verdict::Accepted)
            .service("behind"),
        v6(
            "a service at an IPv6 address is found there",
            Packet::v6(STRANGER6, BEHIND6).tcp(1, 8080),
            Verdict::Accepted,
        )
        .service("behind"),
        v4("a service at an address is nowhere else", Packet::v4(STRANGER4, HOST4).tcp(1, 8080), Verdict::NoService),
        v4(
            "a service at an address is not at an unknown one",
            Packet::v4(STRANGER4, "192.0.2.21").tcp(1, 8080),
            Verdict::NoService,
        ),
        v6(
            "a service at an IPv6 address is not at an unknown one",
            Packet::v6(STRANGER6, "2001:db8:1::21").tcp(1, 8080),
            Verdict::NoService,
        ),
        v4(
            "at a named address the other ports are those of everywhere",
            Packet::v4(STRANGER4, BEHIND4).tcp(1, 80),
            Verdict::Accepted,
        )
        .service("web"),
        v4(
            "at a named address the other protocol is that of everywhere",
            Packet::v4(STRANGER4, BEHIND4).udp(1, 53),
            Verdict::Accepted,
        )
        .service("dns"),
        v4(
            "a named address does not open the other protocol",
            Packet::v4(STRANGER4, BEHIND4).udp(1, 8080),
            Verdict::NoService,
        ),
        v6(
            "an IPv6 address with the octets of a named IPv4 address is another",
            Packet::v6(STRANGER6, "c000:0214::").tcp(1, 8080),
            Verdict::NoService,
        ),
        v4(
            "a broadcast destination has the services of everywhere",
            Packet::v4(STRANGER4, "255.255.255.255").udp(1, 53),
            Verdict::Accepted,
        )
        .service("dns"),
        v6(
            "a multicast destination has the services of everywhere",
            Packet::v6(STRANGER6, "ff02::fb").udp(1, 53),
            Verdict::Accepted,
        )
        .service("dns"),
    ]
}

fn management() -> Vec<Case> {
    let passes = |fact, packet| v4(fact, packet, Verdict::Management);
    vec![
        passes(
            "a management source passes to a service that does not allow it",
            Packet::v4(MANAGER4, HOST4).tcp(1, 443),
        ),
        passes("a management source passes where there is no service", Packet::v4(MANAGER4, HOST4).tcp(1, 81)),
        passes("a management source in a deny list passes", Packet::v4("198.51.100.9", HOST4).tcp(1, 80)),
        passes("the first address of a management prefix is in it", Packet::v4("198.51.100.0", HOST4).tcp(1, 443)),
        passes("the last address of a management prefix is in it", Packet::v4("198.51.100.15", HOST4).tcp(1, 443)),
        v4(
            "the address behind a management prefix is not in it",
            Packet::v4("198.51.100.16", HOST4).tcp(1, 443),
            Verdict::NotAllowed,
        )
        .service("api"),
        passes("an echo request of a management source passes as such", Packet::v4(MANAGER4, HOST4).icmp(8, 0)),
        passes("GRE of a management source passes as such", Packet::v4(MANAGER4, HOST4).other(47, 20)),
        passes("a management source has no limit", Packet::v4(MANAGER4, HOST4).tcp(1, 9010))
            .after(9, &Packet::v4(MANAGER4, HOST4).tcp(1, 9010)),
        v6("an IPv6 management source passes", Packet::v6(MANAGER6, HOST6).tcp(1, 443), Verdict::Management),
        v6(
            "an IPv6 source behind a management prefix is not in it",
            Packet::v6("2001:db8:99:1::", HOST6).tcp(1, 443),
            Verdict::NotAllowed,
        )
        .service("api"),
    ]
}
