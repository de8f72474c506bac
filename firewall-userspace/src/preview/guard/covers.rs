//! Entries of lists that deny, and that cover what this host itself needs: a list of others, such as one of bogons, more often than a
//! decision.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Harm, management::is_covered};
use crate::{host::surroundings::Surroundings, policy::Prefix, text::shown};

/// What an entry covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covered {
    /// Everything of a family.
    Everything,
    /// Networks of this host.
    Networks,
    /// Gateways of this host.
    Gateways,
    /// Resolvers of this host.
    Resolvers,
}

impl Covered {
    /// What these things are to this host.
    pub(super) fn role(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Everything, _) => "everything",
            (Self::Networks, 1) => "a network of this host",
            (Self::Networks, _) => "networks of this host",
            (Self::Gateways, 1) => "a gateway of this host",
            (Self::Gateways, _) => "gateways of this host",
            (Self::Resolvers, 1) => "a resolver of this host",
            (Self::Resolvers, _) => "resolvers of this host",
        }
    }
}

/// Things of one kind that are told of one entry.
const MOST_TOLD: usize = 3;

/// What the entries `new`, sorted, of a `list` that a service denies cover: each of them by itself, or, in the case of networks and of
/// everything, all together.
pub fn covers(list: &str, new: &[Prefix], around: &Surroundings) -> Vec<Harm> {
    let mut found: BTreeMap<(Covered, Option<Prefix>), Vec<String>> = BTreeMap::new();
    for all in [Prefix::ALL_V4, Prefix::ALL_V6] {
        if let Some(entry) = whole(new, all) {
            let name = if all == Prefix::ALL_V4 { "all of IPv4" } else { "all of IPv6" };
            found.entry((Covered::Everything, entry)).or_default().push(name.to_owned());
        }
    }
    for network in &around.networks {
        let singles = singles(new, *network);
        let covering = if singles.is_empty() { whole(new, *network).into_iter().collect() } else { singles };
        for entry in covering {
            found.entry((Covered::Networks, entry)).or_default().push(network.to_string());
        }
    }
    let addresses = |kind, all: &std::collections::BTreeSet<IpAddr>| {
        all.iter().map(move |address| (kind, *address)).collect::<Vec<_>>()
    };
    let needed = [addresses(Covered::Gateways, &around.gateways), addresses(Covered::Resolvers, &around.resolvers)];
    for (kind, address) in needed.into_iter().flatten() {
        for entry in singles(new, Prefix::host(address)) {
            found.entry((kind, entry)).or_default().push(address.to_string());
        }
    }
    let harm = |((covered, entry), things): ((Covered, Option<Prefix>), Vec<String>)| Harm::Covers {
        list: list.to_owned(),
        entry,
        covered,
        count: things.len(),
        things: shown::few(&things, MOST_TOLD),
    };
    found.into_iter().map(harm).collect()
}

/// Entries that cover all of `thing`, each by itself; one that covers everything is another matter.
fn singles(new: &[Prefix], thing: Prefix) -> Vec<Option<Prefix>> {
    let covers = thing.covering();
    covers.filter(|cover| cover.length() > 0 && new.binary_search(cover).is_ok()).map(Some).collect()
}

/// How all of `part` is covered: by itself, or (`Some(None)`) by shorter parts of it together. Single addresses are no part.
fn whole(new: &[Prefix], part: Prefix) -> Option<Option<Prefix>> {
    if new.binary_search(&part).is_ok() {
        return Some(Some(part));
    }
    let from = new.partition_point(|entry| *entry < part);
    let to = new.partition_point(|entry| *entry <= Prefix::host(part.last()));
    let inside: Vec<Prefix> = new.get(from..to)?.iter().copied().filter(|entry| !entry.is_host()).collect();
    is_covered(part, &inside).then_some(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        let networks =
            ["192.0.2.0/24", "172.17.0.0/16", "172.18.0.0/16", "2001:db8:1::/64", "fe80::/64", "203.0.113.9/32"];
        Surroundings {
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            gateways: ["192.0.2.1", "fe80::1"].iter().map(|text| text.parse().unwrap()).collect(),
            resolvers: ["198.51.100.53"].iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn told(new: &[&str]) -> Vec<String> {
        let mut new: Vec<Prefix> = new.iter().map(|text| text.parse().unwrap()).collect();
        new.sort_unstable();
        covers("foes", &new, &around()).iter().map(Harm::to_string).collect()
    }

    #[test]
    fn addresses_inside_an_own_network_and_other_networks_may_be_denied() {
        assert_eq!(told(&["192.0.2.7", "192.0.2.128/25", "198.51.100.0/28", "2001:db8:2::/48"]), [""; 0]);
        let all: Vec<String> =
            (0..256).map(|last| format!("192.0.2.{last}")).filter(|one| one != "192.0.2.1").collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(told(&all), [""; 0]);
    }

    #[test]
    fn a_network_of_this_host_is_named_with_the_entry_that_covers_it() {
        let of = |entry: &str, things: &str| {
            format!("entry {entry} of list `foes`, which is denied, covers {things} (guard `own-network`)")
        };
        assert_eq!(
            told(&["192.0.0.0/8", "192.0.2.0/24"])[..2],
            [
                of("192.0.0.0/8", "192.0.2.0/24, a network of this host"),
                of("192.0.2.0/24", "192.0.2.0/24, a network of this host"),
            ]
        );
        assert_eq!(
            told(&["172.16.0.0/12"]),
            [of("172.16.0.0/12", "172.17.0.0/16, 172.18.0.0/16, networks of this host")]
        );
        assert_eq!(told(&["2001:db8::/32"]), [of("2001:db8::/32", "2001:db8:1::/64, a network of this host")]);
        assert_eq!(told(&["203.0.113.9"]), [of("203.0.113.9/32", "203.0.113.9/32, a network of this host")]);
    }

    #[test]
    fn the_gateway_and_resolvers_are_named() {
        assert_eq!(
            told(&["192.0.2.1"]),
            [
                "entry 192.0.2.1/32 of list `foes`, which is denied, covers 192.0.2.1, a gateway of this host (guard `gateway`)"
            ]
        );
        assert_eq!(
            told(&["198.51.100.0/24"]),
            [
                "entry 198.51.100.0/24 of list `foes`, which is denied, covers 198.51.100.53, a resolver of this host (guard `resolver`)"
            ]
        );
    }

    #[test]
    fn everything_is_named_as_such_and_once_also_in_parts() {
        assert_eq!(
            told(&["0.0.0.0/0"]),
            ["entry 0.0.0.0/0 of list `foes`, which is denied, covers all of IPv4, everything (guard `everything`)"]
        );
        assert_eq!(told(&["::/0"]).len(), 1);
        let halves = told(&["0.0.0.0/1", "128.0.0.0/1"]);
        assert_eq!(
            halves[0],
            "new entries of list `foes`, which is denied, together cover all of IPv4, everything (guard `everything`)"
        );
        let quarters = ["192.0.2.0/25", "192.0.2.128/26", "192.0.2.192/26"];
        assert_eq!(
            told(&quarters),
            [
                "new entries of list `foes`, which is denied, together cover 192.0.2.0/24, a network of this host (guard `own-network`)",
                "entry 192.0.2.0/25 of list `foes`, which is denied, covers 192.0.2.1, a gateway of this host (guard `gateway`)",
            ]
        );
    }

    /// `../shared/field/firehol_level1-form.netset`.
    #[test]
    fn a_list_of_bogons_is_refused_for_the_networks_of_this_host_alone() {
        let bogons = [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.2.0/24",
            "192.168.0.0/16",
            "224.0.0.0/3",
        ];
        let told = told(&bogons);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].contains("172.16.0.0/12") && told[1].contains("192.0.2.0/24") && told[2].contains("gateway"),
            "{told:?}"
        );
    }
}
