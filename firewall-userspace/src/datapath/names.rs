//! Whose the counters and buckets are: identifiers of services, limits and interfaces, pinned beside them, so that they
//! live exactly as long.

use std::ops::Deref;

use aya::maps::{Array, Map, MapData};
use aya_obj::generated::bpf_map_type;
use firewall_common::abi::{MAX_INTERFACES, MAX_LIMITS, MAX_SERVICES, maps};

use super::{DatapathError, PinFolder, adopt, plain::Plain};
use crate::policy::{
    Ids, Name,
    compile::{Identities, Reused},
};

/// The pinned names.
pub struct Names {
    map: Array<MapData, Plain<NameSlot>>,
}

/// A name, filled up with zeroes; the longest is that of a service. The slot of identifier 0, which nobody has, says in
/// its first two octets, lower one first, which identifier was the last that was new.
type NameSlot = [u8; 32];

/// Where the slots of services, limits and interfaces begin.
const SERVICES: u32 = 0;
const LIMITS: u32 = SERVICES + MAX_SERVICES as u32 + 1;
const INTERFACES: u32 = LIMITS + MAX_LIMITS as u32 + 1;
const SLOTS: u32 = INTERFACES + MAX_INTERFACES as u32 + 1;

const SHAPE: adopt::Shape = adopt::Shape {
    kind: bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
    key_size: size_of::<u32>() as u32,
    value_size: size_of::<NameSlot>() as u32,
    max_entries: SLOTS,
    flags: 0,
};

/// Refuses a pinned map of names that is not as this build makes it.
pub(super) fn require_same(pins: &PinFolder) -> Result<(), DatapathError> {
    let path = pins.map(maps::NAMES);
    adopt::shape_of(&path)?.map_or(Ok(()), |found| SHAPE.require(&found, &path))
}

impl Names {
    /// Opens the names that are pinned, or pins none, and gives the identifiers that they mean.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(pins: &PinFolder) -> Result<(Self, Identities), DatapathError> {
        let fail = |error| DatapathError::map("open the names of counters", error);
        let path = pins.map(maps::NAMES);
        if !path.exists() {
            let adopt::Shape { kind, key_size, value_size, max_entries, flags } = SHAPE;
            let map = aya_obj::Map::new_from_params(kind, key_size, value_size, max_entries, flags);
            let map = MapData::create(map, maps::NAMES, None).map_err(fail)?;
            map.pin(&path).map_err(|error| DatapathError::Map {
                what: format!("pin the names of counters to {}", path.display()),
                cause: error.to_string(),
                errno: None,
            })?;
        }
        let data = MapData::from_pin(&path).map_err(fail)?;
        let names = Self { map: Array::try_from(Map::from_map_data(data).map_err(fail)?).map_err(fail)? };
        let identities = Identities {
            services: names.read(SERVICES, MAX_SERVICES as u16, |name| Name::parse(name).ok())?,
            limits: names.read(LIMITS, MAX_LIMITS as u16, |name| Name::parse(name).ok())?,
            interfaces: names.read(INTERFACES, MAX_INTERFACES as u16, |name| Some(name.to_owned()))?,
        };
        Ok((names, identities))
    }

    /// Writes all identifiers but those of `without`, whose counters still belong to somebody else.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn write(&mut self, identities: &Identities, without: &Reused) -> Result<(), DatapathError> {
        let Identities { services, limits, interfaces } = identities;
        self.write_kind(SERVICES, MAX_SERVICES as u16, services, &without.services)?;
        self.write_kind(LIMITS, MAX_LIMITS as u16, limits, &without.limits)?;
        self.write_kind(INTERFACES, MAX_INTERFACES as u16, interfaces, &without.interfaces)
    }

    fn read<K: Ord + Clone>(
        &self,
        first: u32,
        max: u16,
        parse: impl Fn(&str) -> Option<K>,
    ) -> Result<Ids<K>, DatapathError> {
        let mut assigned = Vec::new();
        for id in 1..=max {
            let slot = self.slot(first + u32::from(id))?;
            let length = slot.iter().position(|octet| *octet == 0).unwrap_or(slot.len());
            let name =
                slot.get(..length).and_then(|name| std::str::from_utf8(name).ok()).filter(|name| !name.is_empty());
            assigned.extend(name.and_then(&parse).map(|name| (name, id)));
        }
        let [low, high, ..] = self.slot(first)?;
        Ok(Ids::recovered(max, assigned, u16::from_le_bytes([low, high])))
    }

    fn write_kind<K: Ord + Clone + Deref<Target = str>>(
        &mut self,
        first: u32,
        max: u16,
        ids: &Ids<K>,
        without: &[u16],
    ) -> Result<(), DatapathError> {
        let mut slots = vec![NameSlot::default(); usize::from(max) + 1];
        for (name, id) in ids.iter().filter(|(_, id)| !without.contains(id)) {
            if let Some(slot) = slots.get_mut(usize::from(id)) {
                slot.iter_mut().zip(name.bytes()).for_each(|(octet, byte)| *octet = byte);
            }
        }
        if let Some([low, high, ..]) = slots.first_mut() {
            [*low, *high] = ids.last().to_le_bytes();
        }
        for (index, slot) in (first..).zip(slots) {
            if self.slot(index)? != slot {
                let fail = |error| DatapathError::map("write the names of counters", error);
                self.map.set(index, Plain(slot), 0).map_err(fail)?;
            }
        }
        Ok(())
    }

    fn slot(&self, index: u32) -> Result<NameSlot, DatapathError> {
        let slot = self.map.get(&index, 0);
        slot.map(|slot| slot.0).map_err(|error| DatapathError::map("read the names of counters", error))
    }
}
