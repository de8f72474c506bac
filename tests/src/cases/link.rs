//! Ethernet and VLAN tags.

use firewall_common::{Family, Verdict};

use super::{Case, Scenario, case, other, v4, v6, world::*};
use crate::packet::{
    Packet,
    ether_type::{ARP, IPV4, IPV6, LLDP, OLD_VLAN, SERVICE_VLAN, VLAN},
};

pub(super) fn scenario() -> Scenario {
    Scenario::new("link", policy(), cases())
}

fn cases() -> Vec<Case> {
    vec![
        other("an empty frame is truncated", Packet::ethernet(ARP).cut(0), Verdict::Truncated),
        other("a frame that ends inside its Ethernet header is truncated", web4().cut(13), Verdict::Truncated),
        other("an Ethernet header alone is enough for what is not IP", Packet::ethernet(ARP), Verdict::NotIp),
        other("ARP passes", Packet::ethernet(ARP).payload(28).padding(18), Verdict::NotIp),
        other("LLDP passes", Packet::ethernet(LLDP).payload(60), Verdict::NotIp),
        other("an 802.3 length is no EtherType of IP", Packet::ethernet(38).payload(46), Verdict::NotIp),
        v4("an untagged packet is read", web4(), Verdict::Accepted).service("web"),
        v6("an untagged IPv6 packet is read", web6(), Verdict::Accepted).service("web"),
        v4("one 802.1Q tag is walked", web4().tag(VLAN), Verdict::Accepted).service("web"),
        v4("one 802.1ad tag is walked", web4().tag(SERVICE_VLAN), Verdict::Accepted).service("web"),
        v4("a service tag with a customer tag is walked", web4().tag(SERVICE_VLAN).tag(VLAN), Verdict::Accepted)
            .service("web"),
        v4("a customer tag with a service tag is walked", web4().tag(VLAN).tag(SERVICE_VLAN), Verdict::Accepted)
            .service("web"),
        v4("two 802.1Q tags are walked", web4().tag(VLAN).tag(VLAN), Verdict::Accepted).service("web"),
        v4("two 802.1ad tags are walked", web4().tag(SERVICE_VLAN).tag(SERVICE_VLAN), Verdict::Accepted).service("web"),
        v6("one tag before IPv6 is walked", web6().tag(VLAN), Verdict::Accepted).service("web"),
        v6("two tags before IPv6 are walked", web6().tag(SERVICE_VLAN).tag(VLAN), Verdict::Accepted).service("web"),
        v4(
            "lists hold behind tags",
            Packet::v4(BLOCKED4, HOST4).tcp(40_000, 80).tag(SERVICE_VLAN).tag(VLAN),
            Verdict::Denied,
        )
        .service("web"),
        other("ARP behind a tag passes", Packet::ethernet(ARP).payload(28).tag(VLAN), Verdict::NotIp),
        other("ARP behind two tags passes", Packet::ethernet(ARP).payload(28).tag(VLAN).tag(VLAN), Verdict::NotIp),
        other("three tags are dropped", web4().tag(VLAN).tag(VLAN).tag(VLAN), Verdict::VlanDepth),
        other("three tags before IPv6 are dropped", web6().tag(VLAN).tag(VLAN).tag(VLAN), Verdict::VlanDepth),
        other(
            "three service tags are dropped",
            web4().tag(SERVICE_VLAN).tag(SERVICE_VLAN).tag(SERVICE_VLAN),
            Verdict::VlanDepth,
        ),
        other("four tags are dropped", web4().tag(VLAN).tag(VLAN).tag(VLAN).tag(VLAN), Verdict::VlanDepth),
        other(
            "three tags are dropped whatever is inside: ARP",
            Packet::ethernet(ARP).payload(28).tag(VLAN).tag(VLAN).tag(VLAN),
            Verdict::VlanDepth,
        ),
        other(
            "three tags are dropped whatever is inside: a management source",
            Packet::v4(MANAGER4, HOST4).tcp(40_000, 22).tag(VLAN).tag(VLAN).tag(VLAN),
            Verdict::VlanDepth,
        ),
        other(
            "three tags are dropped whatever is inside: nothing",
            Packet::ethernet(VLAN).tag(VLAN).tag(VLAN),
            Verdict::VlanDepth,
        ),
        other("a 0x9100 tag is not IP", web4().tag(OLD_VLAN), Verdict::NotIp),
        other("a 0x9100 tag behind a tag is not IP", web4().tag(VLAN).tag(OLD_VLAN), Verdict::NotIp),
        other("a frame that ends where its tag should start is truncated", Packet::ethernet(VLAN), Verdict::Truncated),
        other("a frame that ends inside its tag is truncated", web4().tag(VLAN).cut(17), Verdict::Truncated),
        other(
            "a frame that ends inside its second tag is truncated",
            web4().tag(VLAN).tag(VLAN).cut(20),
            Verdict::Truncated,
        ),
        other("a tag that ends with the frame is whole", Packet::ethernet(ARP).tag(VLAN), Verdict::NotIp),
        case("a frame that only announces IPv4 is truncated", Packet::ethernet(IPV4), Verdict::Truncated, Family::Ipv4),
        case("a frame that only announces IPv6 is truncated", Packet::ethernet(IPV6), Verdict::Truncated, Family::Ipv6),
        v4("a tag that only announces IPv4 is truncated", Packet::ethernet(IPV4).tag(VLAN), Verdict::Truncated),
        v4(
            "MAC addresses are not looked at",
            web4().macs([0xff; 6], [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01]),
            Verdict::Accepted,
        )
        .service("web"),
    ]
}
