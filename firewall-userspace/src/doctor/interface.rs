//! What one interface needs: its kind, its driver, its queues, and the programs of others on it.
//!
//! Each look is a function that says how one thing is, with what mends it.

use super::{Check, offloads};
use crate::{
    datapath::{ForeignProgram, Origin, probe},
    host::devices::{Device, Devices},
    policy::AttachMode,
};

/// Largest MTU whose frames fit into one buffer of 4 KiB, less the headroom of XDP (`XDP_PACKET_HEADROOM`, 256), the tail
/// (`skb_shared_info`, 320) and the link header with a tag (18 octets).
const ONE_BUFFER: u32 = 4096 - 256 - 320 - 18;

/// Everything about `device`; `mode` is what the configuration says, if it names it.
pub fn checks(device: &Device, mode: Option<AttachMode>, devices: &Devices, cpus: usize) -> Vec<Check> {
    let mut checks = fit(device, mode, devices);
    if device.can_be_filtered() {
        checks.extend(queues(device, cpus));
        checks.extend(offloads::changed(device, mode, devices));
        checks.extend(offloads::merged(device, mode, devices));
    }
    checks.extend(device.programs.iter().map(|attached| program(device, &probe::program(*attached))));
    checks
}

/// Whether `device` can be filtered in this mode, as far as that needs no root.
pub fn fit(device: &Device, mode: Option<AttachMode>, devices: &Devices) -> Vec<Check> {
    match devices.unfilterable(device) {
        Some(cause) => {
            let found = format!("cannot be filtered: {cause}");
            vec![Check::fail(&device.name, "kind", found, cause.hint())]
        }
        None => vec![state(device), driver(device, mode, devices), mtu(device, mode, devices)],
    }
}

fn state(device: &Device) -> Check {
    let name = &device.name;
    if device.is_up {
        Check::ok(name, "link", "up")
    } else {
        Check::warn(name, "link", "down: nothing arrives", format!("ip link set dev {name} up"))
    }
}

fn driver(device: &Device, mode: Option<AttachMode>, devices: &Devices) -> Check {
    const NATIVE: &str = "native XDP";
    let name = &device.name;
    let driver = device.driver.as_deref().unwrap_or("unknown driver");
    let obstacle = devices.no_native(device);
    match (obstacle, mode) {
        (Some(_), Some(AttachMode::Generic)) => {
            Check::ok(name, NATIVE, format!("{driver}: no; generic mode is configured"))
        }
        (Some(obstacle), Some(AttachMode::Auto)) if obstacle.auto_helps => {
            let found = format!("no, so it is filtered in generic mode, slower: {}", obstacle.cause);
            Check::warn(name, NATIVE, found, obstacle.fix)
        }
        (Some(obstacle), _) => Check::fail(name, NATIVE, format!("no: {}", obstacle.cause), obstacle.fix),
        (None, Some(AttachMode::Auto)) if device.xdp.is_none() && device.bond.is_none() => Check::ok(
            name,
            NATIVE,
            format!(
                "{driver}: this kernel does not tell (Linux 6.3 and later do); `portcullis status` tells the mode it got"
            ),
        ),
        (None, _) if device.xdp.is_none() && device.bond.is_none() => Check::warn(
            name,
            NATIVE,
            format!("{driver}: this kernel does not tell (Linux 6.3 and later do)"),
            "set `mode = \"auto\"` under its [[interface]]; `portcullis status` tells which it got",
        ),
        (None, _) => Check::ok(name, NATIVE, format!("{driver}: yes")),
    }
}

/// Whether packets are judged in the stack.
pub fn is_generic(device: &Device, mode: Option<AttachMode>, devices: &Devices) -> bool {
    mode == Some(AttachMode::Generic) || devices.no_native(device).is_some_and(|obstacle| obstacle.auto_helps)
}

fn mtu(device: &Device, mode: Option<AttachMode>, devices: &Devices) -> Check {
    let (name, mtu) = (&device.name, device.mtu);
    let is_native = device.xdp.is_some_and(|xdp| xdp.native) && !is_generic(device, mode, devices);
    if mtu > ONE_BUFFER && is_native && device.xdp.is_some_and(|xdp| !xdp.several_buffers) {
        let found = format!("{mtu}: its driver has no native XDP for frames of several buffers");
        return Check::fail(name, "MTU", found, format!("ip link set dev {name} mtu {ONE_BUFFER}"));
    }
    Check::ok(name, "MTU", mtu.to_string())
}

/// Only where there is hardware behind the queues. No more are advised than the device can have.
fn queues(device: &Device, cpus: usize) -> Option<Check> {
    if !device.is_physical {
        return None;
    }
    let name = &device.name;
    let channels = device.channels.unwrap_or_default();
    let in_use = if channels.receive == 0 { device.receive_queues } else { channels.receive };
    let (most, option) = match channels.most_combined {
        0 => (channels.most_receive, "rx"),
        most => (most, "combined"),
    };
    let better = usize::try_from(most).unwrap_or(usize::MAX).min(cpus);
    Some(if in_use > 1 || cpus <= 1 {
        Check::ok(name, "queues", format!("{in_use} receive queues, {cpus} CPUs"))
    } else if better > 1 {
        let found = format!("1 receive queue for {cpus} CPUs: one of them judges every packet");
        Check::warn(name, "queues", found, format!("ethtool -L {name} {option} {better}"))
    } else {
        let found = format!("1 receive queue, and it can have no more: one of {cpus} CPUs judges every packet");
        Check::ok(name, "queues", found)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::Level,
        host::devices::{Channels, LinkType, Offloads, XdpSupport},
    };

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
            channels: Some(Channels { receive: 4, transmit: 4, most_combined: 8, most_receive: 0 }),
            offloads: Some(offloads(&["rx-vlan-hw-parse", "rx-gro"], &[])),
            ..Device::default()
        }
    }

    fn offloads(on: &[&str], fixed: &[&str]) -> Offloads {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Offloads { on: names(on), fixed: names(fixed) }
    }

    /// What is not as it should be, with its fix.
    fn told(device: &Device, mode: AttachMode) -> Vec<(&'static str, Level, String)> {
        let bad = checks(device, Some(mode), &Devices::of(vec![device.clone()]), 4)
            .into_iter()
            .filter(|check| check.level != Level::Ok);
        bad.map(|check| (check.check, check.level, check.fix.unwrap_or_default())).collect()
    }

    #[test]
    fn a_good_card_has_nothing_to_mend() {
        assert_eq!(told(&device(), AttachMode::Native), []);
    }

    #[test]
    fn every_obstacle_has_the_command_that_removes_it() {
        let off = |feature: &str| Device {
            driver: Some("ixgbe".into()),
            offloads: Some(offloads(&[feature], &[])),
            ..device()
        };
        let fix = |device: &Device| {
            let told = told(device, AttachMode::Native);
            assert_eq!(told.len(), 1, "{told:?}");
            let (_, level, fix) = told[0].clone();
            (level, fix)
        };
        assert_eq!(fix(&Device { is_up: false, ..device() }), (Level::Warn, "ip link set dev eth0 up".into()));
        assert_eq!(fix(&Device { mtu: 9000, ..device() }), (Level::Fail, "ip link set dev eth0 mtu 3502".into()));
        let queues = |most_combined, most_receive| {
            let channels = Some(Channels { receive: 1, transmit: 1, most_combined, most_receive });
            Device { receive_queues: 8, channels, ..device() }
        };
        assert_eq!(fix(&queues(8, 0)), (Level::Warn, "ethtool -L eth0 combined 4".into()));
        assert_eq!(fix(&queues(2, 0)), (Level::Warn, "ethtool -L eth0 combined 2".into()));
        assert_eq!(fix(&queues(0, 3)), (Level::Warn, "ethtool -L eth0 rx 3".into()));
        assert_eq!(told(&queues(1, 0), AttachMode::Native), [], "it can have no more");
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

    /// Linux 6.1 of Debian 12 does not tell.
    #[test]
    fn a_driver_of_which_nobody_tells_is_warned_of_unless_the_mode_is_automatic() {
        let untold = Device { xdp: None, ..device() };
        let native = told(&untold, AttachMode::Native);
        assert_eq!(native.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(), [("native XDP", Level::Warn)]);
        assert_eq!(told(&untold, AttachMode::Auto), []);
    }

    #[test]
    fn large_packets_are_fine_where_the_driver_splits_them() {
        let split = XdpSupport { native: true, several_buffers: true };
        assert_eq!(told(&Device { mtu: 9000, xdp: Some(split), ..device() }, AttachMode::Native), []);
        assert_eq!(told(&Device { mtu: 9000, offloads: None, ..device() }, AttachMode::Generic), []);
    }

    #[test]
    fn a_card_whose_guest_offloads_are_fixed_is_not_native_and_gets_no_advice_that_cannot_be_followed() {
        let fixed = Device { offloads: Some(offloads(&["rx-gro-hw"], &["rx-gro-hw"])), ..device() };
        let native = told(&fixed, AttachMode::Native);
        assert_eq!(native[0].0, "native XDP");
        assert_eq!(native[0].1, Level::Fail);
        assert!(native.iter().all(|(_, _, fix)| !fix.contains("ethtool -K")), "{native:?}");
        let auto = told(&fixed, AttachMode::Auto);
        assert_eq!((auto[0].0, auto[0].1), ("native XDP", Level::Warn));
        // Where the guest can switch them, the driver does so itself.
        let free = Device { offloads: Some(offloads(&["rx-gro-hw"], &[])), ..device() };
        assert_eq!(told(&free, AttachMode::Native), []);
    }

    #[test]
    fn big_tcp_is_told_in_generic_mode_only() {
        let big = Device { merges_up_to: 200_000, offloads: None, ..device() };
        assert_eq!(told(&big, AttachMode::Native), []);
        let fix = "ip link set dev eth0 gro_max_size 65536".to_owned();
        assert_eq!(told(&big, AttachMode::Generic), [("BIG TCP", Level::Warn, fix)]);
        assert_eq!(told(&Device { merges_up_to: 65_536, ..big }, AttachMode::Generic), []);
    }

    #[test]
    fn an_interface_that_cannot_be_filtered_fails_and_nothing_else_is_said_of_it() {
        let kind = Some("tun".to_owned());
        let tun = Device { name: "tun0".into(), kind, link_type: LinkType::Other(0xfffe), ..device() };
        for mode in [AttachMode::Native, AttachMode::Generic, AttachMode::Auto] {
            let told = told(&tun, mode);
            assert_eq!(told.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(), [("kind", Level::Fail)]);
            assert!(!told[0].2.contains("tun0"), "{told:?}");
        }
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
