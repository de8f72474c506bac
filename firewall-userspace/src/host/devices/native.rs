//! What stands in the way of a program, in native mode or at all, as far as the facts of an interface tell.
//!
//! The kernel hides its reason behind an error number when a link is made (`bpf_link_create` has no extended answer), so the
//! reason is found from the same facts as the kernel's.

use super::{Device, Devices};

/// Something in the way of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Behind the name of the interface.
    pub cause: String,
    /// What removes it.
    pub fix: String,
    /// Whether `mode = "auto"` gets by in generic mode: only where the kernel says that it has no native mode.
    pub auto_helps: bool,
}

impl Devices {
    /// Why this interface has no native mode; `None` when the facts speak for it, or say nothing.
    pub fn no_native(&self, device: &Device) -> Option<Obstacle> {
        let name = &device.name;
        if let Some(bond) = device.bond {
            return self.no_native_bond(device, bond.refuses_native());
        }
        if device.has_fixed_guest_offloads() {
            return Some(Obstacle {
                cause: "virtio_net has no native XDP here: the hypervisor merges packets and does not let the guest \
                        switch that off (rx-gro-hw: on [fixed])"
                    .into(),
                fix: format!(
                    "set `mode = \"generic\"` for {name} (slower), or start the guest with guest_tso4=off,guest_tso6=off,\
                     guest_ecn=off,guest_ufo=off,guest_csum=off for this card"
                ),
                auto_helps: true,
            });
        }
        if device.is_a("veth") {
            return self.too_few_queues(device);
        }
        if device.xdp.is_some_and(|xdp| !xdp.native) {
            let driver = device.driver.as_deref().unwrap_or("its driver");
            return Some(Obstacle {
                cause: format!("{driver} has no native XDP"),
                fix: format!("set `mode = \"generic\"` for {name} (slower), or use another interface"),
                auto_helps: true,
            });
        }
        None
    }

    /// A bond is native where its mode and all its ports are (drivers/net/bonding/bond_main.c `bond_xdp_set`).
    fn no_native_bond(&self, device: &Device, mode: Option<String>) -> Option<Obstacle> {
        let name = &device.name;
        if let Some(cause) = mode {
            return Some(Obstacle {
                cause: format!("{cause} has no native XDP"),
                fix: format!(
                    "name its ports in its place, or set its mode to active-backup, balance-rr, balance-xor or 802.3ad, \
                     or set `mode = \"generic\"` for {name} (slower)"
                ),
                auto_helps: true,
            });
        }
        if let Some(port) = self.ports_of(device).find(|port| !port.programs.is_empty()) {
            let port = &port.name;
            return Some(Obstacle {
                cause: format!("its port {port} has an XDP program of its own"),
                fix: format!(
                    "take {port} out of the configuration, or the program off {port}: the bond brings its own"
                ),
                auto_helps: true,
            });
        }
        let cannot = |port: &&Device| port.xdp.is_some_and(|xdp| !xdp.native) || port.has_fixed_guest_offloads();
        let port = self.ports_of(device).find(cannot)?;
        Some(Obstacle {
            cause: format!("its port {} has no native XDP", port.name),
            fix: format!("set `mode = \"generic\"` for {name} (slower), or give it other ports"),
            auto_helps: true,
        })
    }

    /// A veth must have a receive queue for each transmit queue of its peer (drivers/net/veth.c `veth_xdp_set`, ENOSPC). With
    /// fewer the kernel says that it can nothing (`veth_set_xdp_features` there), also where its peer cannot be seen.
    fn too_few_queues(&self, device: &Device) -> Option<Obstacle> {
        let can_nothing = device.xdp.is_some_and(|xdp| !xdp.native);
        let peer = device.parent.and_then(|parent| self.at(parent));
        let Some((peer, ours, theirs)) = peer.and_then(|peer| Some((peer, device.channels?, peer.channels?))) else {
            return can_nothing.then(|| few_queues(device));
        };
        (ours.receive < theirs.transmit).then(|| Obstacle {
            cause: format!(
                "it has {} receive queue(s), fewer than the {} transmit queues of its peer {}",
                ours.receive, theirs.transmit, peer.name
            ),
            fix: veth_fix(device, Some((&peer.name, theirs.transmit))),
            auto_helps: false,
        })
    }

    /// The interface above this one that has a program, which keeps every other off those below (net/core/dev.c
    /// `dev_xdp_attach`, EEXIST).
    pub fn occupied_above(&self, device: &Device) -> Option<Obstacle> {
        let upper = self.above(device).into_iter().find(|upper| !upper.programs.is_empty())?;
        let (name, upper) = (&device.name, &upper.name);
        Some(Obstacle {
            cause: format!("{upper}, which stands above it, has an XDP program already, and sees its packets"),
            fix: format!("name {upper} or {name}, and not both; take the program off {upper} first"),
            auto_helps: false,
        })
    }
}

impl Device {
    /// Whether a virtio_net cannot switch off what its hypervisor does to packets (drivers/net/virtio_net.c
    /// `virtnet_xdp_set`). Where it can, it does so itself when a program is attached.
    pub fn has_fixed_guest_offloads(&self) -> bool {
        let is_fixed = self.offloads.as_ref().is_some_and(|offloads| offloads.fixed.contains("rx-gro-hw"));
        self.driver.as_deref() == Some("virtio_net") && is_fixed
    }
}

/// What the kernel says of a veth whose peer is in another namespace.
pub fn few_queues(device: &Device) -> Obstacle {
    let cause = "it has fewer receive queues than its peer, in another namespace, has transmit queues".into();
    Obstacle { cause, fix: veth_fix(device, None), auto_helps: false }
}

/// A driver that has a queue of its own for XDP beside each other one needs half of those that there can be, as
/// `ena_xdp_legal_queue_count` of drivers/net/ethernet/amazon/ena does. `None` where so many are free: something else is the cause.
pub fn too_many_in_use(device: &Device) -> Option<Obstacle> {
    let channels = device.channels?;
    let fitting = channels.most_combined / 2;
    (fitting > 0 && channels.receive > fitting).then(|| Obstacle {
        cause: format!(
            "its driver has too few queues for XDP: {} of {} are in use",
            channels.receive, channels.most_combined
        ),
        fix: format!("ethtool -L {} combined {fitting}", device.name),
        auto_helps: false,
    })
}

/// What gives a veth the queues that native mode needs; `peer` has its name and its transmit queues, when they can be seen.
fn veth_fix(device: &Device, peer: Option<(&str, u32)>) -> String {
    let (name, ours) = (&device.name, device.channels.unwrap_or_default());
    let Some((peer, theirs)) = peer else {
        let more = format!("`ethtool -L {name} rx {}`", ours.most_receive);
        let fewer = format!("`ethtool -L PEER tx {}` where its peer is", ours.receive);
        return if ours.most_receive > ours.receive { format!("{more}, or {fewer}") } else { fewer };
    };
    let fewer = format!("ethtool -L {peer} tx {}", ours.receive.max(1));
    if ours.most_receive >= theirs { format!("ethtool -L {name} rx {theirs}") } else { fewer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::devices::{AttachedProgram, Bond, Channels, Offloads, XdpSupport};

    const NATIVE: XdpSupport = XdpSupport { native: true, several_buffers: false };

    fn device(name: &str, ifindex: u32) -> Device {
        Device { name: name.into(), ifindex, xdp: Some(NATIVE), ..Device::default() }
    }

    fn cause(devices: &Devices, name: &str) -> Option<String> {
        devices.no_native(devices.named(name).unwrap()).map(|obstacle| obstacle.cause)
    }

    #[test]
    fn a_bond_is_native_where_its_mode_and_its_ports_are() {
        let bond = |mode| Device {
            kind: Some("bond".into()),
            bond: Some(Bond { mode, hash_policy: 0 }),
            // Without ports the kernel says that a bond can nothing.
            xdp: Some(XdpSupport { native: false, several_buffers: false }),
            ..device("bond0", 9)
        };
        let port = Device { controller: Some(9), ..device("eth0", 2) };
        let of = |mode, port: &Device| cause(&Devices::of(vec![port.clone(), bond(mode)]), "bond0");
        assert_eq!(of(1, &port), None);
        assert_eq!(of(6, &port).as_deref(), Some("a bond in mode balance-alb has no native XDP"));
        let program = AttachedProgram { id: 7, is_generic: false };
        let occupied = Device { programs: vec![program], ..port.clone() };
        assert_eq!(of(1, &occupied).as_deref(), Some("its port eth0 has an XDP program of its own"));
        let old = Device { xdp: Some(XdpSupport { native: false, several_buffers: false }), ..port };
        assert_eq!(of(4, &old).as_deref(), Some("its port eth0 has no native XDP"));
    }

    #[test]
    fn a_program_above_keeps_others_off_what_is_below() {
        let program = AttachedProgram { id: 7, is_generic: true };
        let bridge = Device { kind: Some("bridge".into()), programs: vec![program], ..device("br0", 9) };
        let port = Device { controller: Some(9), ..device("eth0", 2) };
        let devices = Devices::of(vec![port, bridge, device("eth1", 3)]);
        let of = |name| devices.occupied_above(devices.named(name).unwrap()).map(|obstacle| obstacle.cause);
        assert_eq!(
            of("eth0").as_deref(),
            Some("br0, which stands above it, has an XDP program already, and sees its packets")
        );
        assert_eq!((of("eth1"), of("br0")), (None, None));
    }

    #[test]
    fn fewer_queues_are_advised_only_where_more_than_half_are_in_use() {
        let fix = |receive, most_combined| {
            let channels = Some(Channels { receive, transmit: receive, most_combined, most_receive: 0 });
            too_many_in_use(&Device { channels, ..device("eth0", 2) }).map(|obstacle| obstacle.fix)
        };
        assert_eq!(fix(8, 8).as_deref(), Some("ethtool -L eth0 combined 4"));
        assert_eq!(fix(5, 8).as_deref(), Some("ethtool -L eth0 combined 4"));
        assert_eq!((fix(4, 8), fix(1, 8), fix(1, 1), fix(4, 0)), (None, None, None, None));
        assert_eq!(too_many_in_use(&device("eth0", 2)), None, "its driver does not tell");
    }

    #[test]
    fn virtio_is_native_where_the_guest_may_switch_offloads() {
        let card = |fixed: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let offloads = Some(Offloads { on: names(&["rx-gro-hw"]), fixed: names(fixed) });
            Devices::of(vec![Device { driver: Some("virtio_net".into()), offloads, ..device("eth0", 2) }])
        };
        assert_eq!(cause(&card(&[]), "eth0"), None);
        assert!(cause(&card(&["rx-gro-hw"]), "eth0").unwrap().contains("rx-gro-hw: on [fixed]"));
    }

    #[test]
    fn a_veth_needs_a_receive_queue_for_each_transmit_queue_of_its_peer() {
        let end = |name: &str, ifindex, parent, receive, transmit, most_receive| {
            let channels = Some(Channels { receive, transmit, most_combined: 0, most_receive });
            Device { kind: Some("veth".into()), parent: Some(parent), channels, ..device(name, ifindex) }
        };
        let fix = |receive, most, theirs| {
            let devices = Devices::of(vec![end("a", 2, 3, receive, 1, most), end("b", 3, 2, 8, theirs, 8)]);
            devices.no_native(devices.named("a").unwrap()).map(|obstacle| obstacle.fix)
        };
        assert_eq!(fix(2, 2, 2), None);
        // The kernel says the same in another way where they are too few.
        let none = Some(XdpSupport { native: false, several_buffers: false });
        let few = Devices::of(vec![Device { xdp: none, ..end("a", 2, 3, 1, 1, 1) }, end("b", 3, 2, 8, 3, 8)]);
        assert!(cause(&few, "a").unwrap().ends_with("fewer than the 3 transmit queues of its peer b"));
        let hidden = Devices::of(vec![Device { xdp: none, parent: None, ..end("a", 2, 3, 1, 1, 4) }]);
        assert!(cause(&hidden, "a").unwrap().contains("in another namespace"));
        assert_eq!(fix(1, 4, 3).as_deref(), Some("ethtool -L a rx 3"));
        assert_eq!(fix(1, 1, 3).as_deref(), Some("ethtool -L b tx 1"), "never more than there can be");
        // The peer is in another namespace.
        let alone = Device { parent: None, ..end("a", 2, 3, 1, 1, 4) };
        assert_eq!(veth_fix(&alone, None), "`ethtool -L a rx 4`, or `ethtool -L PEER tx 1` where its peer is");
    }
}
