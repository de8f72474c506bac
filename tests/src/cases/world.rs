//! Who is who in the table, and the policy that most of it is judged by.

use firewall_userspace::policy::{Policy, Prefix};

use crate::{
    draft::{DAY, Draft, LimitDraft, ServiceDraft, prefix},
    packet::Packet,
};

/// Addresses of the host and the broadcast address of its subnet.
pub(super) fn own() -> Vec<Prefix> {
    ["192.0.2.10", "192.0.2.255", "2001:db8:1::10", "fe80::10"].map(prefix).to_vec()
}

pub(super) const HOST4: &str = "192.0.2.10";
pub(super) const HOST6: &str = "2001:db8:1::10";
/// An address behind the host, to which it forwards.
pub(super) const BEHIND4: &str = "192.0.2.20";
pub(super) const BEHIND6: &str = "2001:db8:1::20";

/// In no list.
pub(super) const STRANGER4: &str = "198.18.0.1";
pub(super) const STRANGER6: &str = "2001:db8:ffff::1";
/// In `partners`.
pub(super) const PARTNER4: &str = "203.0.113.7";
pub(super) const PARTNER6: &str = "2001:db8:7::7";
/// In `partners` by a wide prefix and in `blocked` by a narrow one.
pub(super) const BLOCKED4: &str = "203.0.113.66";
pub(super) const BLOCKED6: &str = "2001:db8:7:66::1";
/// In a management prefix.
pub(super) const MANAGER4: &str = "198.51.100.3";
pub(super) const MANAGER6: &str = "2001:db8:99::3";
/// Link-local, as neighbours are.
pub(super) const NEIGHBOUR: &str = "fe80::1";

/// The policy of most cases. No limit of it gives anything back during a test.
pub(super) fn policy() -> Policy {
    draft().policy()
}

pub(super) fn draft() -> Draft {
    Draft::new()
        .management(&["198.51.100.0/28", "2001:db8:99::/64"])
        .list("partners", &["203.0.113.0/24", "2001:db8:7::/48", "10.66.1.1", "2001:db8:66:1::1"])
        .list("blocked", &["203.0.113.66", "2001:db8:7:66::/64", "10.66.0.0/16", "2001:db8:66::/48", "198.51.100.8/29"])
        .list("vips", &["203.0.113.128/25", "2001:db8:7:8000::/49"])
        .list("nobody", &[])
        .list("everyone", &["0.0.0.0/0", "::/0"])
        .limit(LimitDraft::new("two").packets(1, DAY, 2))
        .limit(LimitDraft::new("four").packets(1, DAY, 4))
        .limit(LimitDraft::new("kilobyte").bytes(1, DAY, 1000))
        .limit(LimitDraft::new("one-connection").connections(1, DAY, 1))
        .limit(LimitDraft::new("nets").packets(1, DAY, 1).source_prefix(24, 48))
        .limit(LimitDraft::new("everything").packets(1, DAY, 3).bytes(1, DAY, 500).connections(1, DAY, 1))
        .service(ServiceDraft::tcp("web", &[80]).deny(&["blocked"]))
        .service(ServiceDraft::tcp("api", &[443]).ports(8443..=8445).allow(&["partners"]).deny(&["blocked"]))
        .service(ServiceDraft::udp("dns", &[53]))
        .service(ServiceDraft::udp("voice", &[5060]).allow(&["partners"]))
        .service(ServiceDraft::tcp("edges", &[0, 65_535]))
        .service(ServiceDraft::tcp("ssh", &[22]))
        .service(ServiceDraft::tcp("ssh-here", &[22]).at(&[HOST4, HOST6]).allow(&["vips"]))
        .service(ServiceDraft::tcp("behind", &[8080]).at(&[BEHIND4, BEHIND6]))
        .service(ServiceDraft::tcp("any-of-two", &[9000]).allow(&["nobody", "vips"]))
        .service(ServiceDraft::tcp("closed", &[9001]).allow(&["nobody"]))
        .service(ServiceDraft::tcp("denied-to-all", &[9002]).deny(&["everyone"]))
        .service(ServiceDraft::tcp("open-to-all", &[9003]).allow(&["everyone"]))
        .service(ServiceDraft::tcp("limited", &[9010]).limit("two").deny(&["blocked"]))
        .service(ServiceDraft::tcp("limited-too", &[9011]).limit("two"))
        .service(ServiceDraft::udp("limited-udp", &[9012]).limit("two"))
        .service(
            ServiceDraft::tcp("chosen", &[9020])
                .limit("two")
                .limit_for(&[("vips", "four"), ("partners", "one-connection")]),
        )
        .service(ServiceDraft::tcp("only-for", &[9021]).limit_for(&[("vips", "two")]))
        .service(ServiceDraft::udp("bytes", &[9030]).limit("kilobyte"))
        .service(ServiceDraft::tcp("connections", &[9040]).limit("one-connection"))
        .service(ServiceDraft::tcp("nets", &[9050]).limit("nets"))
        .service(ServiceDraft::tcp("everything", &[9060]).limit("everything"))
}

/// A packet that every policy with an open service on TCP port 80 accepts.
pub(super) fn web4() -> Packet {
    Packet::v4(STRANGER4, HOST4).tcp(40_000, 80)
}

/// The same over IPv6.
pub(super) fn web6() -> Packet {
    Packet::v6(STRANGER6, HOST6).tcp(40_000, 80)
}
