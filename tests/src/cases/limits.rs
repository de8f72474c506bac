//! Limits on packets, bytes and connections. Each case has sources of its own: what one spends is not another's.

use firewall_common::Verdict;

use super::{Case, Scenario, v4, v6, world::*};
use crate::packet::Packet;

pub(super) fn scenario() -> Scenario {
    let mut cases = packets();
    cases.extend(shared());
    cases.extend(chosen());
    cases.extend(bytes());
    cases.extend(connections());
    cases.extend(together());
    Scenario::new("limits", policy(), cases)
}

fn at4(source: &str, port: u16) -> Packet {
    Packet::v4(source, HOST4).tcp(40_000, port)
}

fn at6(source: &str, port: u16) -> Packet {
    Packet::v6(source, HOST6).tcp(40_000, port)
}

fn udp(source: &str, port: u16) -> Packet {
    Packet::v4(source, HOST4).udp(40_000, port)
}

fn at_udp6(source: &str) -> Packet {
    Packet::v6(source, HOST6).udp(40_000, 9030)
}

fn packets() -> Vec<Case> {
    use Verdict::{Accepted, OverPackets};
    let case = |fact, source, times, verdict| {
        v4(fact, at4(source, 9010), verdict).service("limited").limit("two").after(times, &at4(source, 9010))
    };
    vec![
        case("the first packet of a burst of two passes", "198.18.1.1", 0, Accepted),
        case("the second packet of a burst of two passes", "198.18.1.2", 1, Accepted),
        case("the third packet of a burst of two is dropped", "198.18.1.3", 2, OverPackets),
        case("a packet after many refused ones is dropped", "198.18.1.4", 50, OverPackets),
        v4("what one source spends is not another's", at4("198.18.1.6", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &at4("198.18.1.5", 9010)),
        v4("the ports of a source do not matter", Packet::v4("198.18.1.7", HOST4).tcp(1, 9010), OverPackets)
            .service("limited")
            .limit("two")
            .after(2, &Packet::v4("198.18.1.7", HOST4).tcp(2, 9010)),
        v4("the destination does not matter", Packet::v4("198.18.1.8", BEHIND4).tcp(1, 9010), OverPackets)
            .service("limited")
            .limit("two")
            .after(2, &at4("198.18.1.8", 9010)),
        v6("an IPv6 source is limited", at6("2001:db8:a:1::1", 9010), OverPackets)
            .service("limited")
            .limit("two")
            .after(2, &at6("2001:db8:a:1::1", 9010)),
        v6("a /64 is one source", at6("2001:db8:a:2:ffff::9", 9010), OverPackets)
            .service("limited")
            .limit("two")
            .after(2, &at6("2001:db8:a:2::1", 9010)),
        v6("two /64 are two sources", at6("2001:db8:a:4::1", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &at6("2001:db8:a:3::1", 9010)),
        v4("IPv4 sources are one address each", at4("198.18.1.11", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &at4("198.18.1.10", 9010)),
        v4("source_prefix makes a /24 one source", at4("198.18.2.255", 9050), OverPackets)
            .service("nets")
            .limit("nets")
            .after(1, &at4("198.18.2.0", 9050)),
        v4("source_prefix keeps two /24 apart", at4("198.18.4.0", 9050), Accepted)
            .service("nets")
            .limit("nets")
            .after(9, &at4("198.18.3.255", 9050)),
        v6("source_prefix makes a /48 one source", at6("2001:db8:b:ffff::1", 9050), OverPackets)
            .service("nets")
            .limit("nets")
            .after(1, &at6("2001:db8:b::1", 9050)),
        v6("source_prefix keeps two /48 apart", at6("2001:db8:d::1", 9050), Accepted)
            .service("nets")
            .limit("nets")
            .after(9, &at6("2001:db8:c:ffff::1", 9050)),
        v6("an IPv6 source with the octets of an IPv4 one is another", at6("c612:010c::", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &at4("198.18.1.12", 9010)),
        v4("a first fragment is charged", at4("198.18.1.13", 9010), OverPackets)
            .service("limited")
            .limit("two")
            .after(2, &at4("198.18.1.13", 9010).ip_fragment(0, true).payload(4)),
        v4("a later fragment is not charged", at4("198.18.1.14", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &Packet::v4("198.18.1.14", HOST4).ip_fragment(9, false).other(6, 40)),
        v4("a denied packet is charged to no limit", Packet::v4("10.66.3.3", HOST4).tcp(1, 9010), Verdict::Denied)
            .service("limited")
            .after(9, &Packet::v4("10.66.3.3", HOST4).tcp(1, 9010)),
        v4("what deny drops never reaches the limit", Packet::v4("10.66.3.4", HOST4).tcp(1, 9011), Accepted)
            .service("limited-too")
            .limit("two")
            .after(9, &Packet::v4("10.66.3.4", HOST4).tcp(1, 9010)),
        v4("a malformed packet never reaches the limit", at4("198.18.1.15", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &at4("198.18.1.15", 9010).flags("SF")),
        v4("an essential packet never reaches the limit", at4("198.18.1.16", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &Packet::v4("198.18.1.16", HOST4).icmp(3, 4)),
        v4("a packet for no service never reaches a limit", at4("198.18.1.17", 9010), Accepted)
            .service("limited")
            .limit("two")
            .after(9, &at4("198.18.1.17", 81)),
    ]
}

fn shared() -> Vec<Case> {
    use Verdict::{Accepted, OverPackets};
    vec![
        v4("two services with one limit share the bucket", at4("198.18.5.1", 9011), OverPackets)
            .service("limited-too")
            .limit("two")
            .after(2, &at4("198.18.5.1", 9010)),
        v4("services of two protocols with one limit share the bucket", udp("198.18.5.2", 9012), OverPackets)
            .service("limited-udp")
            .limit("two")
            .after(1, &at4("198.18.5.2", 9010))
            .after(1, &at4("198.18.5.2", 9011)),
        // Both limit packets: of one bucket the second would find the debt of the first.
        v4("two limits of one source have two buckets", at4("203.0.113.134", 9021), Accepted)
            .service("only-for")
            .limit("two")
            .after(9, &at4("203.0.113.134", 9020)),
    ]
}

fn chosen() -> Vec<Case> {
    use Verdict::{Accepted, OverConnections, OverPackets};
    // 203.0.113.128/25 is in `vips` and in `partners`, the rest of the /24 in `partners` only.
    let chosen = |source| at4(source, 9020);
    vec![
        v4("limit_for: a source in no list has the limit of the service", chosen("198.18.6.1"), OverPackets)
            .service("chosen")
            .limit("two")
            .after(2, &chosen("198.18.6.1")),
        v4("limit_for: a source in the first list has its limit", chosen("203.0.113.130"), Accepted)
            .service("chosen")
            .limit("four")
            .after(3, &chosen("203.0.113.130")),
        v4("limit_for: the first match wins", chosen("203.0.113.131").flags("S"), OverPackets)
            .service("chosen")
            .limit("four")
            .after(4, &chosen("203.0.113.131").flags("S")),
        v4(
            "limit_for: a source in the second list only has the limit of that row",
            chosen("203.0.113.20").flags("S"),
            OverConnections,
        )
        .service("chosen")
        .limit("one-connection")
        .after(1, &chosen("203.0.113.20").flags("S")),
        v4("limit_for: the limit of a row replaces that of the service", chosen("203.0.113.21"), Accepted)
            .service("chosen")
            .limit("one-connection")
            .after(9, &chosen("203.0.113.21")),
        v4("limit_for without a limit: others have none", at4("198.18.6.2", 9021), Accepted)
            .service("only-for")
            .after(9, &at4("198.18.6.2", 9021)),
        v4("limit_for without a limit: members have that of the row", at4("203.0.113.132", 9021), OverPackets)
            .service("only-for")
            .limit("two")
            .after(2, &at4("203.0.113.132", 9021)),
        v4(
            "a limit chosen by limit_for shares the bucket with one that is not",
            at4("203.0.113.133", 9010),
            OverPackets,
        )
        .service("limited")
        .limit("two")
        .after(2, &at4("203.0.113.133", 9021)),
        v6("limit_for holds in IPv6", at6("2001:db8:7:8001::1", 9020), OverPackets)
            .service("chosen")
            .limit("four")
            .after(4, &at6("2001:db8:7:8001::1", 9020)),
    ]
}

fn bytes() -> Vec<Case> {
    use Verdict::{Accepted, OverBytes};
    // 42 octets of headers; the limit is 1000.
    let of = |source, length: usize| udp(source, 9030).payload(length - 42);
    let case = |fact, packet, verdict| v4(fact, packet, verdict).service("bytes").limit("kilobyte");
    vec![
        case("a frame of the whole burst passes", of("198.18.7.1", 1000), Accepted),
        case("a frame over the whole burst is dropped", of("198.18.7.2", 1001), OverBytes),
        case("frames up to the burst pass", of("198.18.7.3", 400), Accepted).after(1, &of("198.18.7.3", 600)),
        case("one octet over the burst is dropped", of("198.18.7.4", 401), OverBytes).after(1, &of("198.18.7.4", 600)),
        case("a refused frame costs nothing: a shorter one passes", of("198.18.7.5", 400), Accepted)
            .after(1, &of("198.18.7.5", 600))
            .after(9, &of("198.18.7.5", 401)),
        case("padding counts: bytes are frame bytes", udp("198.18.7.6", 9030).padding(400), OverBytes)
            .after(1, &of("198.18.7.6", 600)),
        case("tags count: bytes are frame bytes", of("198.18.7.7", 397).tag(0x8100), OverBytes)
            .after(1, &of("198.18.7.7", 600)),
        case("tags count to the octet", of("198.18.7.8", 396).tag(0x8100), Accepted).after(1, &of("198.18.7.8", 600)),
        case("a frame of 9,000 octets counts whole", of("198.18.7.9", 9000), OverBytes),
        v6("IPv6 frames count", at_udp6("2001:db8:e::1").payload(1000 - 61), OverBytes)
            .service("bytes")
            .limit("kilobyte"),
        v6("IPv6 frames count to the octet", at_udp6("2001:db8:e:1::1").payload(1000 - 62), Accepted)
            .service("bytes")
            .limit("kilobyte"),
        case("frames without payload count too", udp("198.18.7.10", 9030), OverBytes)
            .after(23, &udp("198.18.7.10", 9030)),
    ]
}

fn connections() -> Vec<Case> {
    use Verdict::{Accepted, OverConnections};
    let to = |source| at4(source, 9040);
    let case = |fact, packet: Packet, verdict| v4(fact, packet, verdict).service("connections").limit("one-connection");
    vec![
        case("a first connection passes", to("198.18.8.1").flags("S"), Accepted),
        case("a second connection is dropped", to("198.18.8.2").flags("S"), OverConnections)
            .after(1, &to("198.18.8.2").flags("S")),
        case("a packet of a connection is none", to("198.18.8.3").flags("PA"), Accepted)
            .after(2, &to("198.18.8.3").flags("S")),
        case("SYN+ACK is no connection", to("198.18.8.4").flags("SA"), Accepted).after(2, &to("198.18.8.4").flags("S")),
        case("SYN+ACK costs no connection", to("198.18.8.5").flags("S"), Accepted)
            .after(9, &to("198.18.8.5").flags("SA")),
        case("FIN+ACK and RST cost no connection", to("198.18.8.6").flags("S"), Accepted)
            .after(9, &to("198.18.8.6").flags("FA"))
            .after(9, &to("198.18.8.6").flags("R")),
        case("SYN with ECE and CWR is a connection", to("198.18.8.7").flags("SEC"), OverConnections)
            .after(1, &to("198.18.8.7").flags("SEC")),
        case("SYN with data is a connection", to("198.18.8.8").flags("SP").payload(100), OverConnections)
            .after(1, &to("198.18.8.8").flags("S")),
        v6("a second connection over IPv6 is dropped", at6("2001:db8:e:2::1", 9040).flags("S"), OverConnections)
            .service("connections")
            .limit("one-connection")
            .after(1, &at6("2001:db8:e:2::2", 9040).flags("S")),
        case("a SYN in a first fragment is a connection", to("198.18.8.9").flags("S"), OverConnections)
            .after(1, &to("198.18.8.9").flags("S").ip_fragment(0, true).payload(4)),
    ]
}

/// Three packets, 500 octets, one connection.
fn together() -> Vec<Case> {
    use Verdict::{Accepted, OverBytes, OverConnections, OverPackets};
    let to = |source| at4(source, 9060);
    let case = |fact, packet: Packet, verdict| v4(fact, packet, verdict).service("everything").limit("everything");
    let syn = |source| to(source).flags("S");
    vec![
        case("a packet within all three quantities passes", syn("198.18.9.1"), Accepted),
        case("over packets comes first", syn("198.18.9.2").payload(500), OverPackets)
            .after(1, &syn("198.18.9.2"))
            .after(2, &to("198.18.9.2")),
        case("over bytes comes before connections", syn("198.18.9.3").payload(500), OverBytes)
            .after(1, &syn("198.18.9.3")),
        case("over connections comes last", syn("198.18.9.4"), OverConnections).after(1, &syn("198.18.9.4")),
        case("what connections refuse costs no packet", to("198.18.9.5"), Accepted)
            .after(9, &syn("198.18.9.5"))
            .after(1, &to("198.18.9.5")),
        case("what connections refuse costs no bytes", to("198.18.9.6").payload(446 - 54), Accepted)
            .after(1, &syn("198.18.9.6"))
            .after(9, &syn("198.18.9.6").payload(200)),
        case("what bytes refuse costs no packet", to("198.18.9.7"), Accepted)
            .after(9, &to("198.18.9.7").payload(500))
            .after(2, &to("198.18.9.7")),
        case("what bytes refuse costs no connection", syn("198.18.9.8"), Accepted)
            .after(9, &syn("198.18.9.8").payload(500)),
        case("what packets refuse costs no more than they do", to("198.18.9.9"), OverPackets)
            .after(3, &to("198.18.9.9"))
            .after(9, &to("198.18.9.9")),
    ]
}
