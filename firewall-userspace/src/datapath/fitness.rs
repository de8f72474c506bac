//! Whether interfaces can be filtered, asked before anything is attached to them, and why the kernel refused one.
//!
//! Generic XDP attaches to everything, so the kernel refuses nothing of what cannot be filtered.

use std::collections::BTreeMap;

use nix::{errno::Errno, net::if_::if_nametoindex};

use super::DatapathError;
use crate::{
    host::devices::{self, Devices, Obstacle, few_queues, too_many_in_use},
    policy::{AttachMode, Interface},
};

/// Refuses new interfaces that cannot be filtered, or that are known by another name. Those that are not there are not asked.
pub(super) fn require_new(interfaces: &[Interface], is_known: impl Fn(&str) -> bool) -> Result<(), DatapathError> {
    require_distinct(interfaces, &is_known)?;
    for Interface { name, .. } in interfaces.iter().filter(|interface| !is_known(&interface.name)) {
        if let Ok(ifindex) = if_nametoindex(&**name) {
            require(name, ifindex)?;
        }
    }
    Ok(())
}

/// Refuses two names of one interface, of which one is new.
pub(super) fn require_distinct(interfaces: &[Interface], is_known: impl Fn(&str) -> bool) -> Result<(), DatapathError> {
    let mut names: BTreeMap<u32, &str> = BTreeMap::new();
    for Interface { name, .. } in interfaces {
        let Ok(ifindex) = if_nametoindex(&**name) else { continue };
        let other = names.insert(ifindex, name);
        if let Some(other) = other.filter(|other| !is_known(name) || !is_known(other)) {
            return Err(DatapathError::SameInterface { interface: name.clone(), other: other.to_owned() });
        }
    }
    Ok(())
}

/// Refuses an interface that cannot be filtered.
pub(super) fn require(interface: &str, ifindex: u32) -> Result<(), DatapathError> {
    let device = match devices::read_one(ifindex) {
        Ok(device) => device,
        Err(error) => {
            // Most are Ethernet: without an answer it is better to filter.
            tracing::warn!(interface, %error, "cannot ask what kind of interface it is");
            return Ok(());
        }
    };
    if device.can_be_filtered() {
        return Ok(());
    }
    let cause = devices::links().unwrap_or_default().unfilterable(&device);
    cause.map_or(Ok(()), |cause| Err(DatapathError::Unfilterable { interface: interface.to_owned(), cause }))
}

/// Warns of interfaces among these names that see the same packets.
pub(super) fn warn_of_pairs<'n>(names: impl IntoIterator<Item = &'n str>) {
    let pairs = devices::links().map(|devices| devices.doubled(names)).unwrap_or_default();
    for pair in pairs {
        tracing::warn!(interface = pair.upper, "{pair}");
    }
}

/// The error with the cause that the kernel has hidden behind its number, where the facts of the interface tell it.
pub(super) fn explained(error: DatapathError, ifindex: u32) -> DatapathError {
    match error {
        DatapathError::Attach { interface, mode, cause, errno: Some(errno), advice: None } => {
            let devices = devices::read_around(ifindex).unwrap_or_default();
            match obstacle(&devices, ifindex, mode, errno) {
                Some(Obstacle { cause, fix, .. }) => {
                    let cause = format!("{cause} ({})", Errno::from_raw(errno).desc());
                    DatapathError::Attach { interface, mode, cause, errno: Some(errno), advice: Some(fix) }
                }
                None => DatapathError::Attach { interface, mode, cause, errno: Some(errno), advice: None },
            }
        }
        other => other,
    }
}

fn obstacle(devices: &Devices, ifindex: u32, mode: AttachMode, errno: i32) -> Option<Obstacle> {
    let device = devices.at(ifindex)?;
    match errno {
        libc::EOPNOTSUPP if mode != AttachMode::Generic => devices.no_native(device),
        libc::EEXIST => devices.occupied_above(device),
        libc::ENOSPC if device.is_a("veth") => devices.no_native(device).or_else(|| Some(few_queues(device))),
        libc::ERANGE if device.is_a("veth") => Some(Obstacle {
            cause: "packets of its peer are too large for native XDP".into(),
            fix: format!(
                "`ip link set dev PEER mtu 1500` where the peer of {} is, or set `mode = \"generic\"` (slower)",
                device.name
            ),
            auto_helps: false,
        }),
        libc::ENOSPC | libc::ENOMEM => too_many_in_use(device),
        _ => None,
    }
}
