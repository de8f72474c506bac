//! Interfaces that nobody thought of, and those that are named although another one sees the same packets.
//!
//! Of interfaces that see the same packets one is to be named: advice that is followed makes no pair.

use std::path::Path;

use super::Check;
use crate::{
    host::devices::{Device, Devices},
    policy::Interface,
    text::shown::few,
};

/// Most ports that one line names.
const MOST_PORTS: usize = 6;

/// Pairs among the interfaces of the configuration at `config` that see one packet twice.
pub fn pairs(devices: &Devices, wanted: &[Interface], config: &Path) -> Vec<Check> {
    let doubled = devices.doubled(wanted.iter().map(|interface| &*interface.name));
    let check = |pair: &crate::host::devices::Doubled| {
        let off: Vec<&str> =
            [&pair.lower, &pair.upper].into_iter().filter(|name| **name != pair.better).map(String::as_str).collect();
        let subject = off.last().copied().unwrap_or(&pair.upper);
        let fix = format!("take {} out of {}", off.join(" and "), config.display());
        Check::warn(subject, "pair", pair.to_string(), fix)
    };
    doubled.iter().map(check).collect()
}

/// Interfaces that are up and through which packets come that no interface of `wanted`, that of the configuration at
/// `config`, has judged.
pub fn uncovered(devices: &Devices, wanted: &[Interface], config: &Path) -> Vec<Check> {
    let named: Vec<&Device> = wanted.iter().filter_map(|interface| devices.named(&interface.name)).collect();
    let is_named = |device: &Device| named.iter().any(|one| one.ifindex == device.ifindex);
    let sees_all_of = |device: &Device| named.iter().any(|one| devices.is_above(one, device));
    let is_above_named = |device: &Device| named.iter().any(|one| devices.is_above(device, one));
    let mut checks = Vec::new();
    for device in devices.iter().filter(|device| device.is_up && !is_named(device)) {
        let name = &device.name;
        let found = "not in the configuration: what arrives here is not filtered";
        if let Some(cause) = devices.unfilterable(device) {
            // Nothing comes in through loopback, or through a VRF itself.
            if !device.is_tunnel() {
                continue;
            }
            let found = format!("what arrives here is not filtered, and cannot be: {cause}");
            checks.push(Check::warn(name, "coverage", found, cause.hint()));
        } else if is_above_named(device) {
            let is_open = |port: &&Device| port.is_up && port.can_be_filtered() && !is_named(port);
            checks.extend(other_ports(device, &devices.ports_of(device).filter(is_open).collect::<Vec<_>>(), config));
        } else if !sees_all_of(device) && !devices.has_better(device) {
            let fix = format!("add `[[interface]]` with `name = \"{name}\"` to {}, and restart", config.display());
            checks.push(Check::warn(name, "coverage", found, fix));
        }
    }
    checks
}

/// Ports of a bridge, bond or team of which another one is named.
fn other_ports(device: &Device, open: &[&Device], config: &Path) -> Option<Check> {
    let (first, name) = (open.first()?, &device.name);
    let ports: Vec<&str> = open.iter().map(|port| &*port.name).collect();
    let shown = few(&ports, MOST_PORTS);
    let found = format!("what arrives through its ports {shown} is not filtered; other ports are");
    let fix = format!(
        "add `[[interface]]` with `name = \"{}\"` to {}, and the same for the others, or name {name} in the place of its \
         ports; restart",
        first.name,
        config.display()
    );
    Some(Check::warn(name, "coverage", found, fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::devices::{Bond, LinkType},
        policy::AttachMode,
    };

    fn device(name: &str, ifindex: u32) -> Device {
        Device { name: name.into(), ifindex, is_physical: true, is_up: true, ..Device::default() }
    }

    fn of_kind(name: &str, ifindex: u32, kind: &str) -> Device {
        Device { kind: Some(kind.into()), is_physical: false, ..device(name, ifindex) }
    }

    fn port(controller: u32, device: Device) -> Device {
        Device { controller: Some(controller), ..device }
    }

    fn told(devices: &[Device], wanted: &[&str]) -> Vec<String> {
        let interface = |name: &&str| Interface { name: (*name).to_owned(), mode: AttachMode::Native, required: false };
        let wanted: Vec<Interface> = wanted.iter().map(interface).collect();
        let checks = uncovered(&Devices::of(devices.to_vec()), &wanted, Path::new("x.toml"));
        checks.into_iter().map(|check| check.subject).collect()
    }

    #[test]
    fn an_open_interface_is_uncovered_and_one_that_is_named_down_or_loopback_is_not() {
        let devices = [
            Device { link_type: LinkType::Loopback, is_physical: false, ..device("lo", 1) },
            Device { other_names: vec!["wan".into()], ..device("eth0", 2) },
            device("eth1", 3),
            Device { is_up: false, ..device("eth3", 4) },
        ];
        assert_eq!(told(&devices, &["eth0"]), ["eth1"]);
        assert_eq!(told(&devices, &["wan"]), ["eth1"], "by another name");
        assert_eq!(told(&devices, &[]), ["eth0", "eth1"]);
    }

    #[test]
    fn of_two_that_see_one_packet_the_better_is_advised() {
        let bridge = [port(9, device("eth0", 2)), port(9, of_kind("tap0", 3, "tun")), of_kind("br0", 9, "bridge")];
        assert_eq!(told(&bridge, &[]), ["eth0"]);
        let guests = [port(9, of_kind("tap0", 3, "tun")), of_kind("br0", 9, "bridge")];
        assert_eq!(told(&guests, &[]), ["br0"]);
        let on = |name: &str, ifindex, kind| Device { parent: Some(2), ..of_kind(name, ifindex, kind) };
        let parent = [device("eth0", 2), on("eth0.5", 3, "vlan"), on("mac0", 4, "macvlan")];
        assert_eq!(told(&parent, &[]), ["eth0"]);
        let bond = |mode| Device { bond: Some(Bond { mode, hash_policy: 0 }), ..of_kind("bond0", 9, "bond") };
        let bonded = |mode| [port(9, device("eth0", 2)), port(9, device("eth1", 3)), bond(mode)];
        assert_eq!(told(&bonded(1), &[]), ["bond0"]);
        assert_eq!(told(&bonded(3), &[]), ["eth0", "eth1"], "in mode broadcast only the ports are native");
    }

    #[test]
    fn what_sees_the_packets_of_a_named_one_is_not_advised() {
        let bridge = [port(9, device("eth0", 2)), port(9, of_kind("tap0", 3, "tun")), of_kind("br0", 9, "bridge")];
        assert_eq!(told(&bridge, &["br0"]), [""; 0]);
        // Its other port is open, and the line for it says so.
        assert_eq!(told(&bridge, &["eth0"]), ["br0"]);
        assert_eq!(told(&bridge, &["eth0", "tap0"]), [""; 0]);
        let on = |name: &str, ifindex, kind| Device { parent: Some(2), ..of_kind(name, ifindex, kind) };
        let parent = [device("eth0", 2), on("eth0.5", 3, "vlan"), on("mac0", 4, "macvlan")];
        assert_eq!(told(&parent, &["eth0"]), [""; 0]);
    }

    #[test]
    fn what_cannot_be_filtered_is_told_and_never_advised() {
        let tun = Device { link_type: LinkType::Other(0xfffe), ..of_kind("tun0", 5, "tun") };
        let vrf = [port(9, device("eth1", 3)), of_kind("blue", 9, "vrf")];
        let devices = [&[device("eth0", 2), tun][..], &vrf].concat();
        let checks = uncovered(&Devices::of(devices), &[], Path::new("x.toml"));
        let of = |name: &str| checks.iter().find(|check| check.subject == name).map(|check| check.fix.clone().unwrap());
        assert!(of("tun0").is_some_and(|fix| !fix.contains("tun0") && fix.contains("eth0")), "{checks:?}");
        assert!(of("eth1").is_some_and(|fix| fix.starts_with("add `[[interface]]` with `name = \"eth1\"`")));
        assert_eq!(of("blue"), None);
    }
}
