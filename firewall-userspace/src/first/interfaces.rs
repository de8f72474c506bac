//! Which interfaces to filter: those through which packets come to the addresses of the host.

use std::net::IpAddr;

use firewall_common::abi::MAX_INTERFACES;

use super::{ChosenInterface, FirstSight, Skipped};
use crate::{
    config,
    doctor::{self, Level},
    host::devices::{Device, Devices},
    policy::{AttachMode, attach_label},
    text::shown::few,
};

/// Most addresses that one line names.
const MOST_ADDRESSES: usize = 4;

/// The interfaces to name, those of the default routes first, and why others are not.
pub fn choose(sight: &FirstSight) -> (Vec<ChosenInterface>, Vec<Skipped>) {
    let (devices, mut skipped) = (&sight.devices, Vec::new());
    let outer = sight.bearers().into_iter().filter(|device| !sight.is_inner(device)).collect();
    let mut chosen = entrances(devices, outer);
    if chosen.is_empty() {
        chosen = entrances(devices, sight.bearers());
    }
    chosen.retain(|device| {
        let has_name = name_of(device, devices).is_some();
        if !has_name {
            let why = "a configuration cannot write its name: `ip link property add dev OLD altname NEW` gives it another one";
            skipped.push(left_out(device, why));
        }
        has_name
    });
    // What lay between two of them may be gone: they are asked again.
    while let Some(pair) = devices.doubled(chosen.iter().map(|device| &*device.name)).pop() {
        let worse = if pair.better == pair.lower { pair.upper } else { pair.lower };
        let before = chosen.len();
        chosen.retain(|device| device.name != worse);
        if chosen.len() == before {
            break;
        }
    }
    for device in chosen.iter().skip(MAX_INTERFACES) {
        skipped.push(left_out(device, &format!("a configuration has at most {MAX_INTERFACES} interfaces")));
    }
    chosen.truncate(MAX_INTERFACES);
    let is_seen =
        |device: &Device| chosen.iter().any(|one| one.ifindex == device.ifindex || devices.is_above(device, one));
    for device in devices.iter().filter(|device| !is_seen(device)) {
        let is_told = skipped.iter().any(|other| other.what == left_out(device, "").what);
        skipped.extend(reason(sight, device).filter(|_| !is_told));
    }
    skipped.sort();
    (chosen.into_iter().filter_map(|device| told(sight, device)).collect(), skipped)
}

impl FirstSight {
    /// Interfaces that are up and have a default route, or an address that others can reach; the former first.
    fn bearers(&self) -> Vec<&Device> {
        let is_uplink = |device: &&Device| self.uplinks.contains(&device.ifindex);
        let has_address = |device: &Device| {
            self.addresses.iter().any(|one| one.ifindex == device.ifindex && is_reachable(one.address))
        };
        let all = self.devices.iter().filter(|device| device.is_up && (is_uplink(device) || has_address(device)));
        let mut all: Vec<&Device> = all.collect();
        all.sort_by_key(|device| !is_uplink(device));
        all
    }
}

/// Where packets to `bearers` come in, each once: of several that see one packet, the one to name.
fn entrances<'d>(devices: &'d Devices, bearers: Vec<&'d Device>) -> Vec<&'d Device> {
    let mut found: Vec<&Device> = Vec::new();
    for bearer in bearers {
        let is_entrance = |device: &&Device| {
            device.is_up
                && device.can_be_filtered()
                && !devices.has_better(device)
                && (device.ifindex == bearer.ifindex || devices.is_above(bearer, device))
        };
        for device in devices.iter().filter(is_entrance) {
            if found.iter().all(|other| other.ifindex != device.ifindex) {
                found.push(device);
            }
        }
    }
    found
}

fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

/// A name of the interface that a configuration can have: its own, or an alternative one.
fn name_of<'d>(device: &'d Device, devices: &Devices) -> Option<&'d str> {
    let is_good = |name: &&str| {
        let is_its = devices.named(name).is_some_and(|found| found.ifindex == device.ifindex);
        // What is no text was read with this character in its place.
        is_its && config::is_interface_name(name) && *name != "lo" && !name.contains(char::REPLACEMENT_CHARACTER)
    };
    std::iter::once(&*device.name).chain(device.other_names.iter().map(String::as_str)).find(is_good)
}

/// What is written of an interface.
fn told(sight: &FirstSight, device: &Device) -> Option<ChosenInterface> {
    let devices = &sight.devices;
    let bears =
        |ifindex: u32| ifindex == device.ifindex || devices.above(device).iter().any(|one| one.ifindex == ifindex);
    let addresses: Vec<String> =
        sight.addresses.iter().filter(|one| bears(one.ifindex)).map(|one| one.address.to_string()).collect();
    let what = device.driver.as_deref().unwrap_or("unknown driver");
    let mut reasons = vec![format!("{what}; addresses: {}", few(&addresses, MOST_ADDRESSES))];
    if let Some(way) = sight.uplinks.iter().find(|way| bears(**way)) {
        let over = devices.at(*way).filter(|over| over.ifindex != device.ifindex);
        reasons.push(
            over.map_or("it has a default route".into(), |over| format!("{} on it has a default route", over.name)),
        );
    }
    for upper in devices.above(device) {
        let kind = upper.kind.as_deref().unwrap_or("interface");
        reasons
            .push(format!("{} ({kind}) gets its packets from it, and needs no [[interface]] of its own", upper.name));
    }
    let (mode, why) = mode(device, devices);
    reasons.push(why);
    Some(ChosenInterface { name: name_of(device, devices)?.to_owned(), mode, reasons })
}

/// The mode of which `portcullis check --host` has nothing to say, and why it is that.
fn mode(device: &Device, devices: &Devices) -> (AttachMode, String) {
    let complaint = |mode| {
        let mut checks = doctor::fit(device, Some(mode), devices).into_iter();
        checks.find(|check| check.level != Level::Ok).map(|check| check.found)
    };
    let Some(found) = complaint(AttachMode::Auto) else {
        return (AttachMode::Auto, "auto: in the driver where it can, else in the stack".to_owned());
    };
    let mode = if complaint(AttachMode::Generic).is_none() { AttachMode::Generic } else { AttachMode::Auto };
    let cause = devices.no_native(device).map_or(found, |obstacle| obstacle.cause);
    (mode, format!("{}: {cause}", attach_label(mode)))
}

/// Why an interface that nobody named is not there; `None` when there is nothing to say.
fn reason(sight: &FirstSight, device: &Device) -> Option<Skipped> {
    let devices = &sight.devices;
    if device.is_tunnel() || device.is_a("vrf") {
        return Some(left_out(device, &devices.unfilterable(device)?.to_string()));
    }
    if device.link_type == crate::host::devices::LinkType::Loopback || devices.has_better(device) {
        return None;
    }
    let why = if !device.is_up {
        "it is down"
    } else if sight.is_inner(device) {
        "nothing from outside comes in through it: guests or containers are behind it, or nobody"
    } else {
        "it has no address"
    };
    Some(left_out(device, why))
}

fn left_out(device: &Device, why: &str) -> Skipped {
    Skipped { what: format!("interface {}", device.name), why: why.to_owned() }
}
