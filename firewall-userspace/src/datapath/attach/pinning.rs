//! Pins of links: what outlives the daemon, one for each device, where the next daemon looks for it.
//!
//! A pin has the name of the interface of the policy. Where that is another device's now, the index of its own stands behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::device::Filtered;
use crate::datapath::{DatapathError, PinFolder, object, pins::pin_error};

/// How pinning goes.
#[derive(Debug, Default)]
pub(super) struct Pinning {
    /// Why something is not pinned.
    failure: Option<String>,
}

impl Pinning {
    /// Why something is not pinned.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Makes the folder, the pins of shared maps and those of `devices` as they should be; how many somebody else had removed,
    /// and whether there is something to tell. Devices of indices in `named` have a name of the policy.
    pub(super) fn tend(
        &mut self,
        devices: &mut BTreeMap<u32, Filtered>,
        named: &BTreeSet<u32>,
        pins: &PinFolder,
    ) -> (u64, bool) {
        let before: Vec<bool> = devices.values().map(|device| device.is_pinned).collect();
        let result = pins.restore().and_then(|maps| Ok(maps + tend_links(devices, named, pins)?));
        let (repaired, failure) = match result {
            Ok(repaired) => (repaired, None),
            Err(error) => {
                devices.values_mut().for_each(|device| device.is_pinned = false);
                (0, Some(error.to_string()))
            }
        };
        match (&self.failure, &failure) {
            (Some(_), None) => tracing::warn!("everything is pinned again"),
            (before, Some(cause)) if before.as_ref() != Some(cause) => {
                tracing::error!("filters on without pins: when the daemon ends, nothing is filtered any more: {cause}")
            }
            (None, None) if repaired > 0 => {
                tracing::error!(pins = repaired, "somebody has removed pins; they are there again");
            }
            _ => {}
        }
        let after = devices.values().map(|device| device.is_pinned);
        let is_changed = repaired > 0 || self.failure != failure || !after.eq(before);
        self.failure = failure;
        (repaired, is_changed)
    }
}

/// Makes one pin for each device, where it belongs. No link is without one meanwhile that has one.
fn tend_links(
    devices: &mut BTreeMap<u32, Filtered>,
    named: &BTreeSet<u32>,
    pins: &PinFolder,
) -> Result<u64, DatapathError> {
    let mut found: BTreeMap<PathBuf, u32> = BTreeMap::new();
    for path in pins.own_links() {
        let id = object::id_of(&path, object::LINK).unwrap_or(0);
        found.insert(path, id);
    }
    let (wanted, mut repaired) = (places(devices, named, pins), 0);
    for (index, path) in &wanted {
        let Some(id) = devices.get(index).map(|device| device.id) else { continue };
        if found.get(path) != Some(&id) {
            make_room(devices, &mut found, path, pins)?;
            let Some(device) = devices.get_mut(index) else { continue };
            let elsewhere = found.iter().find(|(_, other)| **other == id).map(|(path, _)| path.clone());
            let elsewhere = elsewhere.or_else(|| device.pin.take().filter(|path| object::is(path, object::LINK, id)));
            match elsewhere {
                Some(old) => {
                    fs::rename(&old, path).map_err(pin_error("move the pin", &old))?;
                    found.remove(&old);
                }
                None => {
                    device.link.pin(path).map_err(pin_error("pin a link to", path))?;
                    repaired += u64::from(device.is_pinned);
                }
            }
            found.insert(path.clone(), id);
        }
        if let Some(device) = devices.get_mut(index) {
            (device.pin, device.is_pinned) = (Some(path.clone()), true);
        }
    }
    for path in found.keys().filter(|path| !wanted.iter().any(|(_, other)| other == *path)) {
        fs::remove_file(path).map_err(pin_error("remove", path))?;
    }
    Ok(repaired)
}

/// Where each device is to be pinned.
fn places(devices: &BTreeMap<u32, Filtered>, named: &BTreeSet<u32>, pins: &PinFolder) -> Vec<(u32, PathBuf)> {
    let mut taken = BTreeSet::new();
    let (bound, others): (Vec<_>, Vec<_>) = devices.iter().partition(|(index, _)| named.contains(index));
    let place = |(index, device): (&u32, &Filtered)| {
        let is_free = taken.insert(device.origin.clone());
        (*index, pins.link(&device.origin, (!is_free).then_some(*index), device.mode))
    };
    bound.into_iter().chain(others).map(place).collect()
}

/// Moves what is pinned at `path` out of the way.
fn make_room(
    devices: &BTreeMap<u32, Filtered>,
    found: &mut BTreeMap<PathBuf, u32>,
    path: &Path,
    pins: &PinFolder,
) -> Result<(), DatapathError> {
    let Some(id) = found.remove(path) else { return Ok(()) };
    match devices.iter().find(|(_, device)| device.id == id) {
        Some((index, device)) => {
            let aside = pins.link(&device.origin, Some(*index), device.mode);
            fs::rename(path, &aside).map_err(pin_error("move the pin", path))?;
            found.insert(aside, id);
        }
        None => fs::remove_file(path).map_err(pin_error("remove", path))?,
    }
    Ok(())
}
