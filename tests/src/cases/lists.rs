//! Allow and deny lists: the union of all covering prefixes.

use firewall_common::Verdict;

use super::{Case, Scenario, v4, v6, world::*};
use crate::{
    draft::{Draft, ServiceDraft},
    packet::Packet,
};

pub(super) fn scenario() -> Scenario {
    let mut cases = precedence();
    cases.extend(edges());
    Scenario::new("lists", policy(), cases)
}

fn api4(source: &str) -> Packet {
    Packet::v4(source, HOST4).tcp(40_000, 443)
}

fn api6(source: &str) -> Packet {
    Packet::v6(source, HOST6).tcp(40_000, 443)
}

fn at4(source: &str, port: u16) -> Packet {
    Packet::v4(source, HOST4).tcp(40_000, port)
}

fn precedence() -> Vec<Case> {
    use Verdict::{Accepted, Denied, NotAllowed};
    vec![
        v4("a source in an allow list is accepted", api4(PARTNER4), Accepted).service("api"),
        v4("a source in no allow list is not allowed", api4(STRANGER4), NotAllowed).service("api"),
        v4("a denied source inside an allowed prefix is denied", api4(BLOCKED4), Denied).service("api"),
        v4("an allowed source inside a denied prefix is denied", api4("10.66.1.1"), Denied).service("api"),
        v4("a source in a deny list only is denied, not just not allowed", api4("10.66.2.2"), Denied).service("api"),
        v6("an IPv6 source in an allow list is accepted", api6(PARTNER6), Accepted).service("api"),
        v6("an IPv6 source in no allow list is not allowed", api6(STRANGER6), NotAllowed).service("api"),
        v6("a denied IPv6 source inside an allowed prefix is denied", api6(BLOCKED6), Denied).service("api"),
        v6("an allowed IPv6 source inside a denied prefix is denied", api6("2001:db8:66:1::1"), Denied).service("api"),
        v4("without allow everyone is accepted who is not denied", at4(STRANGER4, 80), Accepted).service("web"),
        v4("without allow a denied source is denied", at4(BLOCKED4, 80), Denied).service("web"),
        v4(
            "a service without lists accepts a source that others deny",
            Packet::v4(BLOCKED4, BEHIND4).tcp(1, 22),
            Accepted,
        )
        .service("ssh"),
        v4(
            "a UDP service without lists accepts a source that others deny",
            Packet::v4(BLOCKED4, HOST4).udp(1, 53),
            Accepted,
        )
        .service("dns"),
        v4("allow of a UDP service holds: a partner", Packet::v4(PARTNER4, HOST4).udp(1, 5060), Accepted)
            .service("voice"),
        v4("allow of a UDP service holds: a stranger", Packet::v4(STRANGER4, HOST4).udp(1, 5060), NotAllowed)
            .service("voice"),
        v4("one allow list of two is enough", at4("203.0.113.200", 9000), Accepted).service("any-of-two"),
        v4("a member of neither allow list is not allowed", at4("203.0.113.20", 9000), NotAllowed)
            .service("any-of-two"),
        v4("an empty allow list admits nobody", at4(PARTNER4, 9001), NotAllowed).service("closed"),
        v6("an empty allow list admits nobody in IPv6", Packet::v6(PARTNER6, HOST6).tcp(1, 9001), NotAllowed)
            .service("closed"),
        v4("0.0.0.0/0 in a deny list denies everyone", at4(PARTNER4, 9002), Denied).service("denied-to-all"),
        v6("::/0 in a deny list denies everyone", Packet::v6(PARTNER6, HOST6).tcp(1, 9002), Denied)
            .service("denied-to-all"),
        v4("0.0.0.0/0 in an allow list admits strangers", at4(STRANGER4, 9003), Accepted).service("open-to-all"),
        v4("0.0.0.0/0 in an allow list admits those in narrower lists", at4(BLOCKED4, 9003), Accepted)
            .service("open-to-all"),
        v6("::/0 in an allow list admits strangers", Packet::v6(STRANGER6, HOST6).tcp(1, 9003), Accepted)
            .service("open-to-all"),
        v4("lists hold for packets of an established connection too", api4(STRANGER4).flags("PA"), NotAllowed)
            .service("api"),
        v4(
            "lists are those of the source, not of the destination",
            Packet::v4(STRANGER4, PARTNER4).tcp(1, 443),
            NotAllowed,
        )
        .service("api"),
    ]
}

fn edges() -> Vec<Case> {
    use Verdict::{Accepted, Denied, NotAllowed};
    let accepted = |fact, source| v4(fact, api4(source), Accepted).service("api");
    let refused = |fact, source| v4(fact, api4(source), NotAllowed).service("api");
    vec![
        accepted("the first address of a /24 is in it", "203.0.113.0"),
        accepted("the last address of a /24 is in it", "203.0.113.255"),
        refused("the address before a /24 is not in it", "203.0.112.255"),
        refused("the address behind a /24 is not in it", "203.0.114.0"),
        accepted("the address before a denied /32 is not in it", "203.0.113.65"),
        accepted("the address behind a denied /32 is not in it", "203.0.113.67"),
        v4("the first address of a /16 is in it", api4("10.66.0.0"), Denied).service("api"),
        v4("the last address of a /16 is in it", api4("10.66.255.255"), Denied).service("api"),
        refused("the address behind a /16 is not in it", "10.67.0.0"),
        v4("the first address of a /25 is in it", at4("203.0.113.128", 9000), Accepted).service("any-of-two"),
        v4("the address before a /25 is not in it", at4("203.0.113.127", 9000), NotAllowed).service("any-of-two"),
        v6("the first address of a /48 is in it", api6("2001:db8:7::"), Accepted).service("api"),
        v6("the last address of a /48 is in it", api6("2001:db8:7:ffff:ffff:ffff:ffff:ffff"), Accepted).service("api"),
        v6("the address before a /48 is not in it", api6("2001:db8:6:ffff:ffff:ffff:ffff:ffff"), NotAllowed)
            .service("api"),
        v6("the address behind a /48 is not in it", api6("2001:db8:8::"), NotAllowed).service("api"),
        v6("the last address of a denied /64 is in it", api6("2001:db8:7:66:ffff:ffff:ffff:ffff"), Denied)
            .service("api"),
        v6("the address behind a denied /64 is not in it", api6("2001:db8:7:67::"), Accepted).service("api"),
        v6("the last address of a /49 is in it", Packet::v6("2001:db8:7:ffff::1", HOST6).tcp(1, 9000), Accepted)
            .service("any-of-two"),
        v6("the address before a /49 is not in it", Packet::v6("2001:db8:7:7fff::1", HOST6).tcp(1, 9000), NotAllowed)
            .service("any-of-two"),
        v6("an IPv6 source with the octets of an IPv4 entry is not in it", api6("cb00:7107::"), NotAllowed)
            .service("api"),
    ]
}

/// Sixty-four lists, the most there can be; and prefixes nested five deep.
pub(super) fn wide_scenarios() -> Vec<Scenario> {
    let mut draft = Draft::new();
    for list in 0..64u8 {
        draft = draft.list(&format!("list-{list:02}"), &[&format!("100.64.{list}.0/24"), "100.65.0.0/16"]);
    }
    let wide = draft
        .service(ServiceDraft::tcp("first", &[1]).allow(&["list-00"]))
        .service(ServiceDraft::tcp("last", &[2]).allow(&["list-63"]))
        .service(ServiceDraft::tcp("middle", &[3]).allow(&["list-31", "list-32"]))
        .service(ServiceDraft::tcp("not-last", &[4]).deny(&["list-63"]))
        .policy();
    let nested = Draft::new()
        .list("l00", &["0.0.0.0/0", "::/0"])
        .list("l01", &["128.0.0.0/1", "8000::/1"])
        .list("l31", &["198.18.0.0/31", "2001:db8::/127"])
        .list("l32", &["198.18.0.1", "2001:db8::1"])
        .service(ServiceDraft::tcp("need-00", &[1]).allow(&["l00"]))
        .service(ServiceDraft::tcp("need-01", &[2]).allow(&["l01"]))
        .service(ServiceDraft::tcp("need-31", &[3]).allow(&["l31"]))
        .service(ServiceDraft::tcp("need-32", &[4]).allow(&["l32"]))
        .policy();
    vec![Scenario::new("64 lists", wide, wide_cases()), Scenario::new("nested prefixes", nested, nested_cases())]
}

fn wide_cases() -> Vec<Case> {
    use Verdict::{Accepted, Denied, NotAllowed};
    vec![
        v4("the first of 64 lists admits its members", at4("100.64.0.1", 1), Accepted).service("first"),
        v4("the first of 64 lists admits no member of the last", at4("100.64.63.1", 1), NotAllowed).service("first"),
        v4("the last of 64 lists admits its members", at4("100.64.63.1", 2), Accepted).service("last"),
        v4("the last of 64 lists admits no member of the first", at4("100.64.0.1", 2), NotAllowed).service("last"),
        v4("list 31 of 64 admits its members", at4("100.64.31.1", 3), Accepted).service("middle"),
        v4("list 32 of 64 admits its members", at4("100.64.32.1", 3), Accepted).service("middle"),
        v4("lists 31 and 32 of 64 admit no member of another", at4("100.64.33.1", 3), NotAllowed).service("middle"),
        v4("the last of 64 lists denies its members", at4("100.64.63.1", 4), Denied).service("not-last"),
        v4("the last of 64 lists does not deny a member of the first", at4("100.64.0.1", 4), Accepted)
            .service("not-last"),
        v4("a source in all 64 lists is in the first", at4("100.65.1.1", 1), Accepted).service("first"),
        v4("a source in all 64 lists is in the last", at4("100.65.1.1", 4), Denied).service("not-last"),
    ]
}

fn nested_cases() -> Vec<Case> {
    use Verdict::{Accepted, NotAllowed};
    let from6 = |source, port| Packet::v6(source, HOST6).tcp(1, port);
    vec![
        v4("a source in four nested prefixes is in the /0", at4("198.18.0.1", 1), Accepted).service("need-00"),
        v4("a source in four nested prefixes is in the /1", at4("198.18.0.1", 2), Accepted).service("need-01"),
        v4("a source in four nested prefixes is in the /31", at4("198.18.0.1", 3), Accepted).service("need-31"),
        v4("a source in four nested prefixes is in the /32", at4("198.18.0.1", 4), Accepted).service("need-32"),
        v4("the other address of the /31 is in the /31", at4("198.18.0.0", 3), Accepted).service("need-31"),
        v4("the other address of the /31 is not in the /32", at4("198.18.0.0", 4), NotAllowed).service("need-32"),
        v4("an address behind the /31 is in the /1", at4("198.18.0.2", 2), Accepted).service("need-01"),
        v4("an address behind the /31 is not in the /31", at4("198.18.0.2", 3), NotAllowed).service("need-31"),
        v4("an address before the /1 is not in the /1", at4("100.64.0.1", 2), NotAllowed).service("need-01"),
        v4("an address before the /1 is in the /0", at4("100.64.0.1", 1), Accepted).service("need-00"),
        v6("an IPv6 source in nested prefixes is in the /0", from6("2001:db8::1", 1), Accepted).service("need-00"),
        v6("an IPv6 source in nested prefixes is in the /127", from6("2001:db8::1", 3), Accepted).service("need-31"),
        v6("an IPv6 source in nested prefixes is in the /128", from6("2001:db8::1", 4), Accepted).service("need-32"),
        v6("an IPv6 source outside the /1 is not in it", from6("2001:db8::1", 2), NotAllowed).service("need-01"),
        v6("an IPv6 source inside the /1 is in it", from6("9001:db8::1", 2), Accepted).service("need-01"),
        v6("the other address of the /127 is not in the /128", from6("2001:db8::", 4), NotAllowed).service("need-32"),
    ]
}
