//! TCP segments that the kernel has merged to a packet longer than its length field can say ("BIG TCP").

use firewall_common::Verdict;

use super::{Case, Scenario, v4, v6, world::*};
use crate::packet::{Packet, ether_type::VLAN, number};

/// One more than a length field can say.
const LONG: usize = 65_536;

pub(super) fn scenario() -> Scenario {
    let mut cases = ipv4();
    cases.extend(ipv6());
    cases.extend(jumbo());
    Scenario::new("merged", policy(), cases)
}

/// An IPv4 packet of so many octets that says 0.
fn zero4(source: &str, octets: usize) -> Packet {
    Packet::v4(source, HOST4).tcp(40_000, 80).payload(octets - 40).claims_length(0)
}

/// An IPv6 packet with a payload of so many octets that says 0.
fn zero6(source: &str, octets: usize) -> Packet {
    Packet::v6(source, HOST6).tcp(40_000, 80).payload(octets - 20).claims_length(0)
}

/// The start of a jumbogram with a payload of so many octets.
fn start(source: &str, octets: usize) -> Packet {
    Packet::v6(source, HOST6).jumbo_option(octets as u32)
}

fn ipv4() -> Vec<Case> {
    use Verdict::{Accepted, BadIpLength, BadTcpFlags, BadTransportHeader, Denied, Management};
    let udp = Packet::v4(STRANGER4, HOST4).udp(40_000, 53).payload(LONG - 28).claims_length(0);
    let ah = Packet::v4(STRANGER4, HOST4).authentication().tcp(40_000, 80).payload(LONG).claims_length(0);
    let charged = Packet::v4("198.18.9.1", HOST4).tcp(40_000, 9060).payload(LONG - 40).claims_length(0);
    vec![
        v4("merged TCP is judged as the packet that it was", zero4(STRANGER4, LONG), Accepted).service("web"),
        v4("merged TCP of 70,000 octets is judged", zero4(STRANGER4, 70_000), Accepted).service("web"),
        v4("merged TCP behind a tag is judged", zero4(STRANGER4, LONG).tag(VLAN), Accepted).service("web"),
        v4("lists hold for merged TCP", zero4(BLOCKED4, LONG), Denied).service("web"),
        v4("merged TCP of a management source passes", zero4(MANAGER4, LONG), Management),
        v4("merged TCP from an impossible source is impossible", zero4("127.0.0.1", LONG), Verdict::ImpossibleSource),
        v4("limits hold for merged TCP, by all of its octets", charged, Verdict::OverBytes)
            .service("everything")
            .limit("everything"),
        v4("total length 0 in a packet of 65,535 octets is malformed", zero4(STRANGER4, LONG - 1), BadIpLength),
        v4("total length 0 in a short packet is malformed", zero4(STRANGER4, 60), BadIpLength),
        v4("total length 0 is malformed from a management source too", zero4(MANAGER4, LONG - 1), BadIpLength),
        v4("UDP is not merged", udp, BadIpLength),
        v4("a first fragment is not merged", zero4(STRANGER4, LONG).ip_fragment(0, true), BadIpLength),
        v4("a later fragment is not merged", zero4(STRANGER4, LONG).ip_fragment(2, false), BadIpLength),
        v4("TCP behind AH is not merged", ah, BadIpLength),
        v4("merged TCP with wrong flags is malformed", zero4(STRANGER4, LONG).flags("SF"), BadTcpFlags),
        v4(
            "merged TCP with a wrong offset is malformed",
            zero4(STRANGER4, LONG).claims_data_offset(4),
            BadTransportHeader,
        ),
        v4(
            "a total length of 20 in a long frame is not merged TCP",
            zero4(STRANGER4, LONG).claims_length(20),
            BadTransportHeader,
        ),
    ]
}

fn ipv6() -> Vec<Case> {
    use Verdict::{Accepted, BadTransportHeader, Denied, NoService};
    let udp = Packet::v6(STRANGER6, HOST6).udp(40_000, 53).payload(LONG).claims_length(0);
    let empty = Packet::v6(STRANGER6, HOST6).other(number::NO_NEXT_HEADER, LONG).claims_length(0);
    vec![
        v6("merged TCP over IPv6 is judged as the packet that it was", zero6(STRANGER6, LONG), Accepted).service("web"),
        v6("merged TCP over IPv6 behind a tag is judged", zero6(STRANGER6, LONG).tag(VLAN), Accepted).service("web"),
        v6("lists hold for merged TCP over IPv6", zero6(BLOCKED6, LONG), Denied).service("web"),
        v6("payload length 0 before 65,535 octets of TCP is malformed", zero6(STRANGER6, LONG - 1), BadTransportHeader),
        v6("UDP over IPv6 is not merged", udp, BadTransportHeader),
        v6("a long padding behind an empty payload is not packet", empty, NoService),
    ]
}

fn jumbo() -> Vec<Case> {
    use Verdict::{Accepted, BadExtensionChain, BadTcpFlags, Denied};
    let tcp = |packet: Packet, octets: usize| packet.tcp(40_000, 80).payload(octets - 28);
    let stranger = |octets| start(STRANGER6, octets);
    let long = LONG as u32;
    let said = |said: u32| tcp(Packet::v6(STRANGER6, HOST6).jumbo_option(said), LONG);
    let charged = start("2001:db8:9::1", LONG).tcp(40_000, 9060).payload(LONG - 28);
    vec![
        v6("merged TCP behind a jumbo option is judged", tcp(stranger(LONG), LONG), Accepted).service("web"),
        v6("merged TCP behind a jumbo option and a tag is judged", tcp(stranger(LONG), LONG).tag(VLAN), Accepted)
            .service("web"),
        v6("lists hold behind a jumbo option", tcp(start(BLOCKED6, LONG), LONG), Denied).service("web"),
        v6("limits hold behind a jumbo option, by all octets", charged, Verdict::OverBytes)
            .service("everything")
            .limit("everything"),
        v6(
            "other options behind a jumbo option are walked",
            tcp(stranger(LONG).destination_options(), LONG - 8),
            Accepted,
        )
        .service("web"),
        v6("padding behind a jumbogram is not packet", tcp(stranger(LONG), LONG).padding(9), Accepted).service("web"),
        v6("a jumbogram of 65,535 octets is malformed", tcp(stranger(LONG - 1), LONG - 1), BadExtensionChain),
        v6("a jumbo option that says 65,535 is malformed in a longer frame", said(long - 1), BadExtensionChain),
        v6("a jumbo option that says one more than the frame has is malformed", said(long + 1), BadExtensionChain),
        v6("a jumbo option that says four billion is malformed", said(u32::MAX), BadExtensionChain),
        v6(
            "a jumbo option of another length is malformed",
            tcp(stranger(LONG).with_option(0xc2, 3), LONG),
            BadExtensionChain,
        ),
        v6(
            "a jumbogram with another option is malformed",
            tcp(stranger(LONG).with_option(5, 4), LONG),
            BadExtensionChain,
        ),
        v6(
            "a jumbo option in a longer header is malformed",
            tcp(stranger(LONG + 8).with_length_field(1), LONG),
            BadExtensionChain,
        ),
        v6("a jumbogram of UDP is malformed", stranger(LONG).udp(40_000, 53).payload(LONG - 16), BadExtensionChain),
        v6(
            "a jumbogram that is a first fragment is malformed",
            tcp(stranger(LONG).fragment(0, true), LONG - 8),
            BadExtensionChain,
        ),
        v6(
            "a jumbogram that is an atomic fragment is malformed",
            tcp(stranger(LONG).fragment(0, false), LONG - 8),
            BadExtensionChain,
        ),
        v6(
            "a second hop-by-hop header in a jumbogram is malformed",
            tcp(stranger(LONG).hop_by_hop(), LONG - 8),
            BadExtensionChain,
        ),
        v6("wrong TCP flags in a jumbogram are dropped", tcp(stranger(LONG), LONG).flags("SF"), BadTcpFlags),
    ]
}
