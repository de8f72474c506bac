//! Interfaces that see the same packets: a program on both would judge each of them twice, so that every rate is halved and every
//! counter doubled.

use std::{collections::BTreeSet, fmt};

use super::{Device, Devices};

/// Kinds that get their packets from the interface that they stand on.
const ON_A_PARENT: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];

/// Most steps from an interface to one above it.
const DEPTH: usize = 8;

/// Two interfaces of which each packet of the upper one has been seen on the lower one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubled {
    /// Where packets come in.
    pub lower: String,
    /// Where they are seen again.
    pub upper: String,
    /// What the upper one is.
    pub kind: String,
    /// The one to name.
    pub better: String,
}

impl Devices {
    /// The pairs among these names that see the same packets.
    pub fn doubled<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<Doubled> {
        let named: Vec<&Device> = names.into_iter().filter_map(|name| self.named(name)).collect();
        let mut doubled = Vec::new();
        for lower in &named {
            for upper in named.iter().filter(|upper| self.is_above(upper, lower)) {
                // What lies between them and is named as well makes pairs of its own.
                let is_between = |other: &&&Device| self.is_above(other, lower) && self.is_above(upper, other);
                if named.iter().any(|other| is_between(&other)) {
                    continue;
                }
                doubled.push(Doubled {
                    lower: lower.name.clone(),
                    upper: upper.name.clone(),
                    kind: upper.kind.clone().unwrap_or_else(|| "upper".into()),
                    better: self.better_than(lower, upper).name.clone(),
                });
            }
        }
        doubled
    }

    /// The interfaces that see again what comes in through `device`, the nearest first.
    pub fn above(&self, device: &Device) -> Vec<&Device> {
        let mut seen = BTreeSet::from([device.ifindex]);
        let mut above = self.just_above(device);
        above.retain(|one| seen.insert(one.ifindex));
        let mut from = above.clone();
        for _ in 1..DEPTH {
            from = from.into_iter().flat_map(|one| self.just_above(one)).collect();
            from.retain(|one| seen.insert(one.ifindex));
            above.extend(&from);
        }
        above
    }

    fn just_above<'d>(&'d self, device: &Device) -> Vec<&'d Device> {
        let on_it = self.iter().filter(|upper| upper.parent == Some(device.ifindex) && upper.is_on_a_parent());
        self.controller_of(device).into_iter().chain(on_it).collect()
    }

    /// Whether `upper` sees again what comes in through `lower`.
    pub fn is_above(&self, upper: &Device, lower: &Device) -> bool {
        self.above(lower).iter().any(|one| one.ifindex == upper.ifindex)
    }

    /// The one of a pair to name: where packets come in, which sees all of them and mostly can do so natively. A bond that can
    /// is better than its ports, because it has whatever ports it gets.
    fn better_than<'d>(&'d self, lower: &'d Device, upper: &'d Device) -> &'d Device {
        let bond = self.controller_of(lower).filter(|one| one.is_native_bond());
        bond.filter(|bond| bond.ifindex == upper.ifindex || self.is_above(upper, bond)).unwrap_or(lower)
    }

    /// Whether another interface than this is the better one to name: one that sees the same packets.
    pub fn has_better(&self, device: &Device) -> bool {
        let controller = self.controller_of(device);
        // Guests and containers come and go; their bridge stays.
        if controller.is_some_and(|one| one.is_native_bond() || one.is_a_bridge() && !device.is_physical) {
            return true;
        }
        let parent = device.parent.and_then(|parent| self.at(parent));
        if device.is_on_a_parent() && parent.is_some() {
            return true;
        }
        let mut ports = self.ports_of(device);
        if device.is_a_bridge() {
            return ports.any(|port| port.is_physical && port.is_up);
        }
        (device.is_a("bond") || device.is_a("team")) && !device.is_native_bond() && ports.any(|port| port.is_up)
    }
}

impl Device {
    /// Whether it gets its packets from its parent.
    fn is_on_a_parent(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| ON_A_PARENT.contains(&kind))
    }

    fn is_a_bridge(&self) -> bool {
        self.is_a("bridge") || self.is_a("openvswitch")
    }

    fn is_native_bond(&self) -> bool {
        self.bond.is_some_and(|bond| bond.refuses_native().is_none())
    }
}

/// What is said of the two.
impl fmt::Display for Doubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lower, upper, kind, better } = self;
        write!(
            f,
            "{upper} ({kind}) sees the packets of {lower} again: each is judged and counted twice, and rates are halved; \
             name {better} only"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::devices::Bond;

    fn device(name: &str, ifindex: u32, kind: Option<&str>) -> Device {
        let kind = kind.map(str::to_owned);
        let is_physical = kind.is_none();
        Device { name: name.into(), ifindex, kind, is_physical, is_up: true, ..Device::default() }
    }

    fn port(name: &str, ifindex: u32, controller: u32) -> Device {
        Device { controller: Some(controller), ..device(name, ifindex, None) }
    }

    fn on(name: &str, ifindex: u32, kind: &str, parent: u32) -> Device {
        Device { parent: Some(parent), ..device(name, ifindex, Some(kind)) }
    }

    fn bond(name: &str, ifindex: u32, mode: u8) -> Device {
        Device { bond: Some(Bond { mode, hash_policy: 0 }), ..device(name, ifindex, Some("bond")) }
    }

    fn host(mode: u8) -> Devices {
        Devices::of(vec![
            port("eth0", 2, 10),
            port("eth1", 3, 11),
            device("eth2", 4, None),
            device("br0", 10, Some("bridge")),
            bond("bond0", 11, mode),
            on("bond0.5", 12, "vlan", 11),
            on("mac0", 13, "macvlan", 4),
            on("ipv0", 14, "ipvlan", 4),
            on("tap0", 15, "macvtap", 4),
            on("veth0", 16, "veth", 17),
            on("veth1", 17, "veth", 16),
        ])
    }

    fn pairs(mode: u8, names: &[&str]) -> Vec<(String, String, String)> {
        let doubled = host(mode).doubled(names.iter().copied());
        doubled.into_iter().map(|one| (one.lower, one.upper, one.better)).collect()
    }

    #[test]
    fn a_pair_that_sees_one_packet_twice_is_told_with_the_one_to_name() {
        let one = |lower: &str, upper: &str, better: &str| vec![(lower.into(), upper.into(), better.into())];
        assert_eq!(pairs(1, &["br0", "eth0"]), one("eth0", "br0", "eth0"));
        assert_eq!(pairs(1, &["eth0", "br0", "eth2"]), one("eth0", "br0", "eth0"));
        assert_eq!(pairs(1, &["eth1", "bond0"]), one("eth1", "bond0", "bond0"));
        // In mode broadcast the bond has no native XDP, and its ports have.
        assert_eq!(pairs(3, &["eth1", "bond0"]), one("eth1", "bond0", "eth1"));
        for upper in ["mac0", "ipv0", "tap0"] {
            assert_eq!(pairs(1, &[upper, "eth2"]), one("eth2", upper, "eth2"));
        }
    }

    #[test]
    fn a_pair_with_something_in_between_is_told_once() {
        let all = pairs(1, &["eth1", "bond0", "bond0.5"]);
        let of = |lower: &str, upper: &str, better: &str| (lower.to_owned(), upper.to_owned(), better.to_owned());
        assert_eq!(all, [of("eth1", "bond0", "bond0"), of("bond0", "bond0.5", "bond0")]);
        // What is between them is better than both.
        assert_eq!(pairs(1, &["eth1", "bond0.5"]), [of("eth1", "bond0.5", "bond0")]);
        assert_eq!(pairs(3, &["eth1", "bond0.5"]), [of("eth1", "bond0.5", "eth1")]);
    }

    #[test]
    fn what_sees_other_packets_is_no_pair() {
        assert_eq!(pairs(1, &["eth0", "eth1", "eth2"]), []);
        assert_eq!(pairs(1, &["veth0", "veth1"]), []);
        assert_eq!(pairs(1, &["mac0", "ipv0", "br0", "bond0"]), []);
        assert_eq!(pairs(1, &["eth0", "gone0"]), []);
    }

    #[test]
    fn interfaces_that_stand_on_each_other_in_a_circle_end_the_search() {
        let circle = Devices::of(vec![on("a", 1, "macvlan", 2), on("b", 2, "macvlan", 1)]);
        assert_eq!(circle.doubled(["a", "b"]).len(), 2);
    }
}
