//! Whether pinned maps are those that this build would make: the kernel side does not ask before it uses one.

use std::{fs, os::fd::AsFd as _, path::Path};

use aya::maps::MapData;
use aya_obj::{Object, generated::bpf_map_type};
use firewall_common::abi::{MAX_MEMBER_SETS, MIN_MEMBER_SETS, maps};

use super::{DatapathError, ListSize, OBJECT, PinFolder, names, object, pins::pin_error};
use crate::lists::members::Members;

/// What a map is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// `enum bpf_map_type`.
    pub(super) kind: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
}

/// Makes ready what a daemon before this one has left: counters and rate state go on. What does not fit is refused, or
/// removed when the folder was opened to replace it.
///
/// # Errors
/// When a pinned map is not as this build declares it.
pub fn adopt(pins: &PinFolder, members: &Members) -> Result<(), DatapathError> {
    if OBJECT.is_empty() {
        return Ok(());
    }
    match require_same(pins, OBJECT).and_then(|()| names::require_same(pins)) {
        Err(error @ DatapathError::PinnedMap { .. }) if pins.replaces() => {
            tracing::warn!("{error}");
            tracing::warn!("replaced all pinned maps: counters and rate state start again");
            return pins.remove_maps();
        }
        result => result?,
    }
    if !pins.map(maps::NAMES).exists() && maps::SHARED.iter().any(|name| pins.map(name).exists()) {
        tracing::warn!("nobody tells whose the pinned counters are: counters and rate state start again");
        return pins.remove_maps();
    }
    let path = pins.map(maps::MEMBERS);
    let wanted = ListSize::of(members).member_sets;
    if let Some(Shape { max_entries: sets, .. }) = shape_of(&path)?.filter(|shape| shape.max_entries < wanted) {
        tracing::warn!(
            sets,
            wanted,
            "the lists have outgrown the rate table of members: rate state of members starts again"
        );
        fs::remove_file(&path).map_err(pin_error("remove", &path))?;
    }
    Ok(())
}

/// Refuses pinned maps that are not as `object` declares them.
pub(super) fn require_same(pins: &PinFolder, object: &[u8]) -> Result<(), DatapathError> {
    let pinned: Vec<&str> = maps::SHARED.into_iter().filter(|name| pins.map(name).exists()).collect();
    if pinned.is_empty() {
        return Ok(());
    }
    let object =
        Object::parse(object).map_err(|error| DatapathError::Load { cause: error.to_string(), errno: None })?;
    for name in pinned {
        // The reference program has other maps than ours.
        let Some(map) = object.maps.get(name) else { continue };
        let declared = Shape {
            kind: map.map_type(),
            key_size: map.key_size(),
            value_size: map.value_size(),
            max_entries: map.max_entries(),
            flags: map.map_flags(),
        };
        let sizes = match name {
            maps::MEMBERS => MIN_MEMBER_SETS..=MAX_MEMBER_SETS,
            _ => declared.max_entries..=declared.max_entries,
        };
        let path = pins.map(name);
        if let Some(found) = shape_of(&path)? {
            let declared = match found.max_entries {
                sets if sizes.contains(&sets) && (name != maps::MEMBERS || sets.is_power_of_two()) => {
                    Shape { max_entries: sets, ..declared }
                }
                _ => declared,
            };
            declared.require(&found, &path)?;
        }
    }
    Ok(())
}

impl Shape {
    /// Refuses what is not like this.
    pub(super) fn require(&self, found: &Self, path: &Path) -> Result<(), DatapathError> {
        let facts = [
            ("keys of", " octets", found.key_size, self.key_size),
            ("values of", " octets", found.value_size, self.value_size),
            ("", " entries", found.max_entries, self.max_entries),
            ("flags", "", found.flags, self.flags),
        ];
        let kinds =
            (found.kind != self.kind).then(|| format!("{}, not {}", kind_label(found.kind), kind_label(self.kind)));
        let differs = |(what, unit, found, declared): (&str, &str, u32, u32)| {
            (found != declared).then(|| format!("{what} {found}{unit}, not {declared}").trim_start().to_owned())
        };
        let causes: Vec<String> = kinds.into_iter().chain(facts.into_iter().filter_map(differs)).collect();
        if causes.is_empty() {
            return Ok(());
        }
        let cause = format!("it has {}", causes.join("; "));
        Err(DatapathError::PinnedMap { path: path.to_owned(), cause })
    }
}

/// What is pinned at `path`; `None` when nothing is.
pub(super) fn shape_of(path: &Path) -> Result<Option<Shape>, DatapathError> {
    if !path.exists() {
        return Ok(None);
    }
    let fail = |error| DatapathError::map(format!("open the pinned map {}", path.display()), error);
    let map = MapData::from_pin(path).map_err(fail)?;
    // The kernel opens whatever is pinned there, and tells of programs and links in other structures.
    let opened = object::kind(map.fd().as_fd()).map_err(pin_error("look at", path))?;
    if opened != object::MAP {
        let cause = format!("it is no map but {opened}");
        return Err(DatapathError::PinnedMap { path: path.to_owned(), cause });
    }
    let info = map.info().map_err(fail)?;
    let kind = info.map_type().map_or(0, |kind| kind as u32);
    let (key_size, value_size) = (info.key_size(), info.value_size());
    Ok(Some(Shape { kind, key_size, value_size, max_entries: info.max_entries(), flags: info.map_flags() }))
}

fn kind_label(kind: u32) -> String {
    bpf_map_type::try_from(kind).map_or_else(
        |_| format!("type {kind}"),
        |kind| format!("type {}", format!("{kind:?}").trim_start_matches("BPF_MAP_TYPE_").to_lowercase()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_of_a_pinned_map_is_named() {
        let ours = Shape { kind: 6, key_size: 4, value_size: 16, max_entries: 514, flags: 0 };
        let told =
            |found: Shape| ours.require(&found, Path::new("/v2/maps/COUNTERS")).map_err(|error| error.to_string());
        assert_eq!(told(ours), Ok(()));
        let said = told(Shape { kind: 2, value_size: 8, ..ours }).unwrap_err();
        assert!(said.starts_with(
            "cannot take over the pinned map /v2/maps/COUNTERS: it has type array, not type percpu_array; values of 8 octets, not 16\nhint: "
        ), "{said}");
        let said = told(Shape { max_entries: 512, flags: 1024, key_size: 8, ..ours }).unwrap_err();
        assert!(said.contains("it has keys of 8 octets, not 4; 512 entries, not 514; flags 1024, not 0\n"), "{said}");
    }
}
