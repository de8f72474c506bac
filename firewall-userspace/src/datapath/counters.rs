//! Reading the maps that all generations share.

use std::{collections::BTreeMap, fmt, sync::Arc};

use aya::{
    Pod,
    maps::{Map, MapData, PerCpuArray, PerCpuValues},
};
use firewall_common::{
    Family, Verdict,
    abi::{Count, RateEvent, counter_index, maps},
};

use super::{CounterReader, DatapathError, PinFolder, plain::Plain};
use crate::policy::compile::{Identities, Reused};

type CountMap = PerCpuArray<MapData, Plain<Count>>;

/// What the program in the kernel counted, summed over CPUs. It lives on over reloads and never goes back.
#[derive(Clone, Debug, Default)]
pub struct FrameCounters {
    /// By interface name, family and verdict; every combination of a configured interface is there.
    pub verdicts: BTreeMap<(String, u8, Verdict), Count>,
    /// By service name: passed, dropped.
    pub services: BTreeMap<String, [Count; 2]>,
    /// By limit name: conforming, exceeding.
    pub limits: BTreeMap<String, [Count; 2]>,
    /// Newcomers to the rate tables by what became of them.
    pub newcomers: BTreeMap<&'static str, u64>,
}

/// The [`CounterReader`] of a policy that is in force.
pub(super) struct KernelCounters {
    maps: Arc<SharedMaps>,
    ids: Arc<Identities>,
    interfaces: Vec<String>,
}

impl KernelCounters {
    /// Reads `maps` with the names of `ids`, for these interfaces.
    pub(super) fn new(maps: Arc<SharedMaps>, ids: Arc<Identities>, interfaces: Vec<String>) -> Self {
        Self { maps, ids, interfaces }
    }
}

impl fmt::Debug for KernelCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelCounters").field("interfaces", &self.interfaces).finish_non_exhaustive()
    }
}

impl CounterReader for KernelCounters {
    fn read(&self) -> Result<FrameCounters, DatapathError> {
        let mut counters = FrameCounters::default();
        for interface in &self.interfaces {
            let position = self.ids.position(interface);
            for family in Family::ALL {
                for verdict in Verdict::ALL {
                    let count = self.maps.verdict(position, family, *verdict)?;
                    counters.verdicts.insert((interface.clone(), family as u8, *verdict), count);
                }
            }
        }
        for (name, id) in self.ids.services.iter() {
            counters.services.insert(name.to_string(), self.maps.service(id)?);
        }
        for (name, id) in self.ids.limits.iter() {
            counters.limits.insert(name.to_string(), self.maps.limit(id)?);
        }
        for event in RateEvent::ALL {
            counters.newcomers.insert(event.label(), self.maps.newcomers(event)?);
        }
        Ok(counters)
    }
}

/// The maps of counters.
pub struct SharedMaps {
    verdicts: CountMap,
    services: CountMap,
    limits: CountMap,
    newcomers: PerCpuArray<MapData, u64>,
    cpus: usize,
}

impl SharedMaps {
    /// Opens the counters that the first generation pinned.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn open(pins: &PinFolder) -> Result<Self, DatapathError> {
        let cpus = aya::util::nr_cpus().map_err(|(file, error)| DatapathError::Map {
            what: format!("count the CPUs in {file}"),
            cause: error.to_string(),
            errno: error.raw_os_error(),
        })?;
        Ok(Self {
            verdicts: open(pins, maps::COUNTERS)?,
            services: open(pins, maps::SERVICE_COUNTERS)?,
            limits: open(pins, maps::LIMIT_COUNTERS)?,
            newcomers: open(pins, maps::RATE_EVENTS)?,
            cpus,
        })
    }

    /// Frames of one verdict on the interface at `position`, summed over CPUs.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn verdict(&self, position: u32, family: Family, verdict: Verdict) -> Result<Count, DatapathError> {
        sum(&self.verdicts, counter_index(position, family, verdict))
    }

    /// Frames that the service let pass, and those it dropped.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn service(&self, id: u16) -> Result<[Count; 2], DatapathError> {
        pair(&self.services, id)
    }

    /// Frames that conformed to the limit, and those that exceeded it.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn limit(&self, id: u16) -> Result<[Count; 2], DatapathError> {
        pair(&self.limits, id)
    }

    /// Newcomers to the rate tables with this outcome.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn newcomers(&self, event: RateEvent) -> Result<u64, DatapathError> {
        let values = self.newcomers.get(&(event as u32), 0);
        let values = values.map_err(|error| DatapathError::map("read a counter", error))?;
        Ok(values.iter().fold(0, |all, one| all.wrapping_add(*one)))
    }

    /// Sets the counters of all these to zero, for their new owners.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn clear(&mut self, reused: &Reused) -> Result<(), DatapathError> {
        reused.services.iter().try_for_each(|id| self.clear_service(*id))?;
        reused.limits.iter().try_for_each(|id| self.clear_limit(*id))?;
        reused.interfaces.iter().try_for_each(|id| self.clear_interface(u32::from(id.saturating_sub(1))))
    }

    fn clear_service(&mut self, id: u16) -> Result<(), DatapathError> {
        clear(&mut self.services, pair_of(id), self.cpus)
    }

    fn clear_limit(&mut self, id: u16) -> Result<(), DatapathError> {
        clear(&mut self.limits, pair_of(id), self.cpus)
    }

    fn clear_interface(&mut self, position: u32) -> Result<(), DatapathError> {
        let of = |family| Verdict::ALL.iter().map(move |verdict| counter_index(position, family, *verdict));
        clear(&mut self.verdicts, Family::ALL.into_iter().flat_map(of), self.cpus)
    }
}

fn open<T: Pod>(pins: &PinFolder, name: &str) -> Result<PerCpuArray<MapData, T>, DatapathError> {
    let fail = |error| DatapathError::map(format!("open the pinned map {name}"), error);
    let data = MapData::from_pin(pins.map(name)).map_err(fail)?;
    PerCpuArray::try_from(Map::from_map_data(data).map_err(fail)?).map_err(fail)
}

fn pair(counts: &CountMap, id: u16) -> Result<[Count; 2], DatapathError> {
    let [first, second] = pair_of(id);
    Ok([sum(counts, first)?, sum(counts, second)?])
}

fn pair_of(id: u16) -> [u32; 2] {
    [u32::from(id) * 2, u32::from(id) * 2 + 1]
}

fn sum(counts: &CountMap, index: u32) -> Result<Count, DatapathError> {
    let values = counts.get(&index, 0).map_err(|error| DatapathError::map("read a counter", error))?;
    let add = |all: Count, one: &Plain<Count>| Count {
        packets: all.packets.wrapping_add(one.0.packets),
        bytes: all.bytes.wrapping_add(one.0.bytes),
    };
    Ok(values.iter().fold(Count::default(), add))
}

fn clear(counts: &mut CountMap, indices: impl IntoIterator<Item = u32>, cpus: usize) -> Result<(), DatapathError> {
    let fail = |error| DatapathError::map("clear a counter", error);
    for index in indices {
        let zeroes = PerCpuValues::try_from(vec![Plain(Count::default()); cpus])
            .map_err(|error| fail(aya::maps::MapError::IoError(error)))?;
        counts.set(index, zeroes, 0).map_err(fail)?;
    }
    Ok(())
}
