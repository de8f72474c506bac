//! Drift: whether the kernel has what we have written, looked at piece by piece, and put right.

use std::{borrow::Borrow, ops::Range, os::fd::AsFd as _};

use aya::{
    Pod,
    maps::{Array, HashMap, IterableMap as _, MapData, MapError},
};
use firewall_common::{
    Quota,
    abi::{AddressKey, FragmentRule, LimitRecord, PortRow, ServiceRecord, maps},
};

use super::{DatapathError, plain::Plain, syscall::lookup};
use crate::policy::compile::Compiled;

/// A table of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Root of the prefix table.
    RootV4,
    /// Likewise.
    RootV6,
    /// Its lines.
    Lines,
    /// Its places.
    Places,
    /// Its classes.
    Classes,
    /// Local addresses that services name.
    Addresses,
    /// Services by port.
    Ports,
    /// Rules on fragments.
    Fragments,
    /// Services.
    Services,
    /// Limits.
    Limits,
    /// Caps of essential traffic.
    Caps,
}

/// What is looked at in one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where.
    pub part: Part,
    /// Which entries.
    pub range: Range<usize>,
}

impl Part {
    /// Every table.
    pub const ALL: [Self; 11] = [
        Self::RootV4,
        Self::RootV6,
        Self::Lines,
        Self::Places,
        Self::Classes,
        Self::Addresses,
        Self::Ports,
        Self::Fragments,
        Self::Services,
        Self::Limits,
        Self::Caps,
    ];

    /// Name of its map.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RootV4 => maps::ROOT_V4,
            Self::RootV6 => maps::ROOT_V6,
            Self::Lines => maps::LINES,
            Self::Places => maps::PLACES,
            Self::Classes => maps::CLASSES,
            Self::Addresses => maps::ADDRESSES,
            Self::Ports => maps::PORTS,
            Self::Fragments => maps::FRAGMENTS,
            Self::Services => maps::SERVICES,
            Self::Limits => maps::LIMITS,
            Self::Caps => maps::ESSENTIAL_CAPS,
        }
    }
}

/// The tables of a policy besides its lists, and what is in them.
pub(super) struct PolicyTables {
    maps: PolicyMaps,
    wanted: WantedTables,
}

struct WantedTables {
    addresses: Vec<(AddressKey, u32)>,
    ports: Vec<Box<PortRow>>,
    fragments: Vec<FragmentRule>,
    services: Vec<(u16, ServiceRecord)>,
    limits: Vec<(u16, LimitRecord)>,
    caps: [Quota; 4],
}

/// The open maps of a policy.
pub(super) struct PolicyMaps {
    pub(super) addresses: HashMap<MapData, Plain<AddressKey>, u32>,
    pub(super) ports: Array<MapData, Plain<PortRow>>,
    pub(super) fragments: Array<MapData, Plain<FragmentRule>>,
    pub(super) services: Array<MapData, Plain<ServiceRecord>>,
    pub(super) limits: Array<MapData, Plain<LimitRecord>>,
    pub(super) caps: Array<MapData, Plain<Quota>>,
}

impl PolicyTables {
    /// The tables in `maps`, which were filled from `compiled`.
    pub(super) fn new(maps: PolicyMaps, compiled: &Compiled) -> Self {
        let wanted = WantedTables {
            addresses: compiled.addresses.clone(),
            ports: compiled.ports.clone(),
            fragments: compiled.fragments.clone(),
            services: compiled.services.clone(),
            limits: compiled.limits.clone(),
            caps: compiled.caps,
        };
        Self { maps, wanted }
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        let WantedTables { addresses, ports, fragments, services, limits, caps } = &self.wanted;
        let parts = [
            (Part::Addresses, addresses.len() + 1, usize::MAX),
            (Part::Ports, ports.len(), 1),
            (Part::Fragments, fragments.len(), RECORDS_OF_STEP),
            (Part::Services, services.len(), RECORDS_OF_STEP),
            (Part::Limits, limits.len(), RECORDS_OF_STEP),
            (Part::Caps, caps.len(), RECORDS_OF_STEP),
        ];
        parts.into_iter().flat_map(|(part, count, size)| slices(part, count, size)).collect()
    }

    /// Looks at a part and puts right what is wrong; what it was.
    pub(super) fn repair(&mut self, Step { part, range }: &Step) -> Result<Vec<usize>, DatapathError> {
        let WantedTables { addresses, ports, fragments, services, limits, caps } = &self.wanted;
        let (skip, take) = (range.start, range.len());
        let numbered = |index: usize| index as u32;
        match part {
            Part::Addresses => repair_addresses(&mut self.maps.addresses, addresses),
            Part::Ports => {
                let rows = ports.iter().enumerate().skip(skip).take(take);
                repair_array(&mut self.maps.ports, rows.map(|(index, row)| (numbered(index), plain_row(row))))
            }
            Part::Fragments => {
                let rules = fragments.iter().enumerate().skip(skip).take(take);
                repair_array(&mut self.maps.fragments, rules.map(|(index, rule)| (numbered(index), Plain(*rule))))
            }
            Part::Services => {
                let records = services.iter().skip(skip).take(take);
                repair_array(&mut self.maps.services, records.map(|(id, record)| (u32::from(*id), Plain(*record))))
            }
            Part::Limits => {
                let records = limits.iter().skip(skip).take(take);
                repair_array(&mut self.maps.limits, records.map(|(id, record)| (u32::from(*id), Plain(*record))))
            }
            Part::Caps => {
                let quotas = caps.iter().enumerate().skip(skip).take(take);
                repair_array(&mut self.maps.caps, quotas.map(|(index, quota)| (numbered(index), Plain(*quota))))
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// Records that are looked at in one step.
const RECORDS_OF_STEP: usize = 256;

/// `count` entries in steps of `size`.
pub(super) fn slices(part: Part, count: usize, size: usize) -> impl Iterator<Item = Step> {
    let steps = count.div_ceil(size);
    (0..steps)
        .map(move |step| Step { part, range: step * size..count.min(step.saturating_add(1).saturating_mul(size)) })
}

/// Puts these entries of an array right; which were wrong.
pub(super) fn repair_array<T: Copy + 'static, V: Borrow<Plain<T>>>(
    map: &mut Array<MapData, Plain<T>>,
    wanted: impl Iterator<Item = (u32, V)>,
) -> Result<Vec<usize>, DatapathError> {
    let fail = |error| DatapathError::map("compare a table with the policy", error);
    let mut wrong = Vec::new();
    let mut found = vec![0; size_of::<T>()];
    for (index, value) in wanted {
        // SAFETY: aya opened it as an array with values of the size of `T`, and `found` is as long.
        let read = unsafe { lookup(map.map().fd().as_fd(), index, &mut found) };
        read.map_err(|error| fail(MapError::IoError(error)))?;
        if *found != *octets(value.borrow()) {
            map.set(index, value.borrow(), 0).map_err(fail)?;
            wrong.push(index as usize);
        }
    }
    Ok(wrong)
}

/// The same for the table of addresses, which may also have too many.
fn repair_addresses(
    map: &mut HashMap<MapData, Plain<AddressKey>, u32>,
    wanted: &[(AddressKey, u32)],
) -> Result<Vec<usize>, DatapathError> {
    let fail = |error| DatapathError::map("compare a table with the policy", error);
    let mut wrong = Vec::new();
    let found: Vec<(Plain<AddressKey>, u32)> = map.iter().collect::<Result<_, _>>().map_err(fail)?;
    for (key, _) in &found {
        if !wanted.iter().any(|(wanted, _)| *wanted == key.0) {
            map.remove(key).map_err(fail)?;
            wrong.push(wanted.len());
        }
    }
    for (index, (key, block)) in wanted.iter().enumerate() {
        if !found.iter().any(|(found, value)| found.0 == *key && value == block) {
            map.insert(Plain(*key), block, 0).map_err(fail)?;
            wrong.push(index);
        }
    }
    Ok(wrong)
}

/// A row, which is too large to be copied for nothing.
pub(super) fn plain_row(row: &PortRow) -> &Plain<PortRow> {
    // SAFETY: `Plain` is transparent, so a reference to a row is one to a plain row.
    unsafe { &*std::ptr::from_ref::<PortRow>(row).cast() }
}

fn octets<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: values of maps are integers without padding, so all their octets are initialised and may be read.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_cover_every_entry_once() {
        for (count, size) in [(0, 4), (1, 4), (4, 4), (9, 4), (7, usize::MAX)] {
            let covered: Vec<usize> = slices(Part::Lines, count, size).flat_map(|step| step.range).collect();
            assert_eq!(covered, (0..count).collect::<Vec<_>>(), "{count} in {size}");
        }
    }
}
