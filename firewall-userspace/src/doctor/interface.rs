//! What one interface needs, and interfaces that nobody thought of.

use std::path::Path;

use super::Check;
use crate::{
    datapath::{ForeignProgram, Origin, probe},
    host::devices::Device,
    policy::{AttachMode, Interface},
};

/// Largest MTU whose frames fit into one buffer of 4 KiB, less the headroom of XDP (`XDP_PACKET_HEADROOM`, 256), the tail
/// (`skb_shared_info`, 320) and the link header with a tag (18 octets).
const ONE_BUFFER: u32 = 4096 - 256 - 320 - 18;

/// Everything about `device`; `mode` is what the configuration says, if it names it.
pub fn checks(device: &Device, mode: Option<AttachMode>, cpus: usize) -> Vec<Check> {
    let mut checks = vec![state(device), driver(device, mode), mtu(device, mode)];
    checks.extend(queues(device, cpus));
    checks.extend(offloads(device, mode));
    checks.extend(device.programs.iter().map(|attached| program(device, &probe::program(*attached))));
    checks
}

fn state(device: &Device) -> Check {
    let name = &device.name;
    if device.is_up {
        Check::ok(name, "link", "up")
    } else {
        Check::warn(name, "link", "down: nothing arrives", format!("ip link set dev {name} up"))
    }
}

fn driver(device: &Device, mode: Option<AttachMode>) -> Check {
    let name = &device.name;
    let driver = device.driver.as_deref().unwrap_or("unknown driver");
    let wants_native = !matches!(mode, Some(AttachMode::Generic));
    let generic = "set `mode = \"generic\"` under its [[interface]] (slower), or use another interface";
    match device.xdp {
        Some(xdp) if xdp.native => Check::ok(name, "native XDP", format!("{driver}: yes")),
        Some(_) if mode == Some(AttachMode::Auto) => {
            Check::warn(name, "native XDP", format!("{driver}: no, so it is filtered in generic mode, slower"), generic)
        }
        Some(_) if wants_native => Check::fail(name, "native XDP", format!("{driver}: no"), generic),
        Some(_) => Check::ok(name, "native XDP", format!("{driver}: no; generic mode is configured")),
        None => Check::warn(
            name,
            "native XDP",
            format!("{driver}: this kernel does not tell (Linux 6.3 and later do)"),
            "set `mode = \"auto\"` under its [[interface]]; `portcullis status` tells which it got",
        ),
    }
}

fn mtu(device: &Device, mode: Option<AttachMode>) -> Check {
    let (name, mtu) = (&device.name, device.mtu);
    let is_native = device.xdp.is_some_and(|xdp| xdp.native) && mode != Some(AttachMode::Generic);
    if mtu > ONE_BUFFER && is_native && device.xdp.is_some_and(|xdp| !xdp.several_buffers) {
        let found = format!("{mtu}: its driver has no native XDP for frames of several buffers");
        return Check::fail(name, "MTU", found, format!("ip link set dev {name} mtu {ONE_BUFFER}"));
    }
    Check::ok(name, "MTU", mtu.to_string())
}

/// Only where there is hardware behind the queues.
fn queues(device: &Device, cpus: usize) -> Option<Check> {
    let (name, queues) = (&device.name, device.receive_queues);
    if !device.is_physical {
        return None;
    }
    Some(if queues <= 1 && cpus > 1 {
        let found = format!("1 receive queue for {cpus} CPUs: one of them judges every packet");
        Check::warn(name, "queues", found, format!("ethtool -L {name} combined {cpus}"))
    } else {
        Check::ok(name, "queues", format!("{queues} receive queues, {cpus} CPUs"))
    })
}

/// Offloads that show the program other frames than those on the wire.
fn offloads(device: &Device, mode: Option<AttachMode>) -> Vec<Check> {
    let name = &device.name;
    let Some(active) = &device.offloads else { return Vec::new() };
    let is_on = |feature: &str| active.contains(feature);
    let is_generic = mode == Some(AttachMode::Generic) || device.xdp.is_some_and(|xdp| !xdp.native);
    let mut checks = Vec::new();
    for (feature, what, option) in [("rx-lro", "LRO", "lro"), ("rx-gro-hw", "GRO in hardware", "rx-gro-hw")] {
        if is_on(feature) {
            let found = "on: packets may arrive merged, and count as one; some drivers refuse native XDP with it";
            checks.push(Check::warn(name, what, found, format!("ethtool -K {name} {option} off")));
        } else {
            checks.push(Check::ok(name, what, "off"));
        }
    }
    if is_generic && is_on("rx-gro") {
        let found = "on, in generic mode: packets may be judged merged, so packet rates mean something else";
        checks.push(Check::warn(name, "GRO", found, format!("ethtool -K {name} gro off")));
    }
    let tags = if is_on("rx-vlan-hw-parse") { "on: tags are taken off; no verdict depends on them" } else { "off" };
    checks.push(Check::ok(name, "VLAN offload", tags));
    checks
}

/// A program that is attached already.
fn program(device: &Device, program: &ForeignProgram) -> Check {
    let interface = &device.name;
    match program.origin {
        Origin::ThisBuild => Check::ok(interface, "XDP program", format!("ours: {program}")),
        Origin::OtherBuild => Check::ok(interface, "XDP program", format!("ours, of another build: {program}")),
        Origin::Unknown => {
            let found = format!("a program whose name this user may not read: {program}");
            Check::warn(interface, "XDP program", found, format!("sudo portcullis doctor {interface}"))
        }
        Origin::Others => {
            let found = format!("{program} is attached; it is not replaced");
            Check::fail(interface, "XDP program", found, program.removal(interface))
        }
    }
}

/// Interfaces that are up and that `wanted`, the interfaces of the configuration at `config`, does not name.
pub fn uncovered(devices: &[Device], wanted: &[Interface], config: &Path) -> Vec<Check> {
    let is_open = |device: &&Device| {
        device.is_up
            && !device.is_loopback
            && !device.has_controller
            && wanted.iter().all(|interface| interface.name != device.name)
    };
    let check = |device: &Device| {
        let name = &device.name;
        let fix = format!("add `[[interface]]` with `name = \"{name}\"` to {}, and restart", config.display());
        Check::warn(name, "coverage", "not in the configuration: what arrives here is not filtered", fix)
    };
    devices.iter().filter(is_open).map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::Level, host::devices::XdpSupport};

    fn device() -> Device {
        Device {
            name: "eth0".into(),
            ifindex: 2,
            driver: Some("virtio_net".into()),
            is_physical: true,
            is_up: true,
            mtu: 1500,
            receive_queues: 4,
            xdp: Some(XdpSupport { native: true, several_buffers: false }),
            offloads: Some(["rx-vlan-hw-parse".to_owned(), "rx-gro".to_owned()].into()),
            ..Device::default()
        }
    }

    /// What is not as it should be, with its fix.
    fn told(device: &Device, mode: AttachMode) -> Vec<(&'static str, Level, String)> {
        let bad = checks(device, Some(mode), 4).into_iter().filter(|check| check.level != Level::Ok);
        bad.map(|check| (check.check, check.level, check.fix.unwrap_or_default())).collect()
    }

    #[test]
    fn a_good_card_has_nothing_to_mend() {
        assert_eq!(told(&device(), AttachMode::Native), []);
    }

    #[test]
    fn every_obstacle_has_the_command_that_removes_it() {
        let off = |feature: &str| Device { offloads: Some([feature.to_owned()].into()), ..device() };
        let fix = |device: &Device| {
            let told = told(device, AttachMode::Native);
            assert_eq!(told.len(), 1, "{told:?}");
            let (_, level, fix) = told[0].clone();
            (level, fix)
        };
        assert_eq!(fix(&Device { is_up: false, ..device() }), (Level::Warn, "ip link set dev eth0 up".into()));
        assert_eq!(fix(&Device { mtu: 9000, ..device() }), (Level::Fail, "ip link set dev eth0 mtu 3502".into()));
        assert_eq!(fix(&Device { receive_queues: 1, ..device() }), (Level::Warn, "ethtool -L eth0 combined 4".into()));
        assert_eq!(fix(&off("rx-lro")), (Level::Warn, "ethtool -K eth0 lro off".into()));
        assert_eq!(fix(&off("rx-gro-hw")), (Level::Warn, "ethtool -K eth0 rx-gro-hw off".into()));
    }

    #[test]
    fn a_driver_without_xdp_fails_where_native_mode_is_asked_for() {
        let old =
            Device { xdp: Some(XdpSupport { native: false, several_buffers: false }), offloads: None, ..device() };
        let level = |mode| told(&old, mode).iter().map(|(_, level, _)| *level).max();
        assert_eq!(level(AttachMode::Native), Some(Level::Fail));
        assert_eq!(level(AttachMode::Auto), Some(Level::Warn));
        assert_eq!(level(AttachMode::Generic), None);
    }

    #[test]
    fn large_packets_are_fine_where_the_driver_splits_them() {
        let split = XdpSupport { native: true, several_buffers: true };
        assert_eq!(told(&Device { mtu: 9000, xdp: Some(split), ..device() }, AttachMode::Native), []);
        assert_eq!(told(&Device { mtu: 9000, offloads: None, ..device() }, AttachMode::Generic), []);
    }

    #[test]
    fn an_open_interface_is_uncovered_and_a_part_of_a_bridge_or_loopback_is_not() {
        let named = |name: &str| Device { name: name.into(), ..device() };
        let devices = [
            named("eth0"),
            named("eth1"),
            Device { has_controller: true, ..named("eth2") },
            Device { is_loopback: true, ..named("lo") },
            Device { is_up: false, ..named("eth3") },
        ];
        let wanted = [Interface { name: "eth0".into(), mode: AttachMode::Native, required: false }];
        let found = uncovered(&devices, &wanted, Path::new("x.toml"));
        assert_eq!(found.iter().map(|check| &*check.subject).collect::<Vec<_>>(), ["eth1"]);
    }

    #[test]
    fn a_foreign_program_fails_and_ours_does_not() {
        let with = |origin, name: &str| ForeignProgram {
            id: 7,
            origin,
            name: name.into(),
            tag: "3b185187f1855c4c".into(),
            is_generic: false,
            links: vec![4],
            pins: Vec::new(),
            holders: Vec::new(),
        };
        let told = |origin, name| program(&device(), &with(origin, name));
        assert_eq!(told(Origin::ThisBuild, "firewall").level, Level::Ok);
        assert_eq!(told(Origin::OtherBuild, "firewall").level, Level::Ok);
        let foreign = told(Origin::Others, "xdp_dispatcher");
        assert_eq!(foreign.level, Level::Fail);
        assert_eq!(
            foreign.found,
            "`xdp_dispatcher` (program 7, tag 3b185187f1855c4c, native, link 4) is attached; it is not replaced"
        );
        assert_eq!(foreign.fix.as_deref(), Some("bpftool link detach id 4"));
        let unknown = told(Origin::Unknown, "");
        assert_eq!((unknown.level, unknown.fix.as_deref()), (Level::Warn, Some("sudo portcullis doctor eth0")));
        assert!(unknown.found.starts_with("a program whose name this user may not read: program 7 ("));
    }
}
