//! What the card and the stack do to packets before the program sees them: they merge them, and take tags off.

use super::{Check, interface::is_generic};
use crate::{
    host::devices::{Device, Devices},
    policy::AttachMode,
};

/// Octets of the longest packet that is not BIG TCP: its length has 16 bits (`GRO_LEGACY_MAX_SIZE`, include/linux/netdevice.h).
const LONGEST: u32 = 65_536;

/// Offloads that show the program other frames than those on the wire.
pub fn changed(device: &Device, mode: Option<AttachMode>, devices: &Devices) -> Vec<Check> {
    let name = &device.name;
    let Some(offloads) = &device.offloads else { return Vec::new() };
    let is_on = |feature: &str| offloads.on.contains(feature);
    let is_generic = is_generic(device, mode, devices);
    let mut checks = Vec::new();
    for (feature, what, option) in [("rx-lro", "LRO", "lro"), ("rx-gro-hw", "GRO in hardware", "rx-gro-hw")] {
        checks.push(if !is_on(feature) {
            Check::ok(name, what, "off")
        } else if offloads.fixed.contains(feature) {
            Check::note(name, what, "on, and nobody can switch it off: packets may arrive merged, and count as one")
        } else if device.driver.as_deref() == Some("virtio_net") && !is_generic {
            Check::ok(name, what, "on; the driver switches it off while a program is attached, and tells on")
        } else {
            let found = "on: packets may arrive merged, and count as one; some drivers refuse native XDP with it";
            Check::warn(name, what, found, format!("ethtool -K {name} {option} off"))
        });
    }
    if is_generic && is_on("rx-gro") {
        let found = "on, in generic mode: packets may be judged merged, so packet rates mean something else";
        checks.push(Check::warn(name, "GRO", found, format!("ethtool -K {name} gro off")));
    }
    let tags = if is_on("rx-vlan-hw-parse") { "on: tags are taken off; no verdict depends on them" } else { "off" };
    checks.push(Check::ok(name, "VLAN offload", tags));
    checks
}

/// BIG TCP, which generic mode shows to the program: packets of the kernel's own making, longer than any on the wire.
pub fn merged(device: &Device, mode: Option<AttachMode>, devices: &Devices) -> Vec<Check> {
    if !is_generic(device, mode, devices) {
        return Vec::new();
    }
    let peer = device.parent.filter(|_| device.is_a("veth")).and_then(|peer| devices.at(peer));
    let told = |setter: &Device, setting: &str, octets: u32| {
        let found = format!(
            "{setting} of {} is {octets}, in generic mode: TCP packets arrive merged to more than {} octets; each counts \
             as one, with all its octets",
            setter.name,
            LONGEST - 1
        );
        Check::warn(&device.name, "BIG TCP", found, format!("ip link set dev {} {setting} {LONGEST}", setter.name))
    };
    let own = (device.merges_up_to > LONGEST).then(|| told(device, "gro_max_size", device.merges_up_to));
    let peer = peer.filter(|peer| peer.sends_up_to > LONGEST);
    own.into_iter().chain(peer.map(|peer| told(peer, "gso_max_size", peer.sends_up_to))).collect()
}
