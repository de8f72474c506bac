//! What a policy makes of the program: its read-only globals and the sizes of its tables.

use std::path::PathBuf;

use aya::{Ebpf, EbpfLoader, maps::MapInfo};
use firewall_common::abi::{MAX_INTERFACES, globals, maps};

use super::{DatapathError, LoadOptions, PinFolder, lists::ListSize, rate_base};
use crate::policy::compile::Compiled;

/// Facts of a policy that are read-only globals of its program, and the sizes of its tables.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    flags: [(&'static str, u32); 7],
    member_lists: u64,
    counted: u32,
    horizon_ns: u64,
    tick_ns: u64,
    interfaces: [u32; MAX_INTERFACES],
    interface_count: u32,
    log_level: u8,
    size: ListSize,
    member_sets: u32,
    ports: u32,
    fragments: u32,
}

impl Facts {
    pub(super) fn of(compiled: &Compiled, pins: &PinFolder, options: &LoadOptions, size: ListSize) -> Self {
        let mut interfaces = [0u32; MAX_INTERFACES];
        for (slot, interface) in interfaces.iter_mut().zip(&options.interfaces) {
            *slot = *interface;
        }
        let level = if options.trace_packets { aya_log::Level::Debug as u8 } else { 0 };
        // As many as there were when the first generation made the table: state is not moved.
        let member_sets = MapInfo::from_pin(pins.map(maps::MEMBERS)).map(|info| info.max_entries());
        Self {
            flags: [
                (globals::OBSERVE, compiled.observe),
                (globals::OBSERVED_SERVICES, compiled.observed_services),
                (globals::HOST_DEFAULT_DROP, compiled.host_default_drop),
                (globals::FRAGMENTS_BY_SOURCE, compiled.fragments_by_source),
                (globals::HAS_TCP, compiled.has_tcp),
                (globals::HAS_UDP, compiled.has_udp),
                (globals::HAS_ADDRESSES, !compiled.addresses.is_empty()),
            ]
            .map(|(name, is_set)| (name, u32::from(is_set))),
            member_lists: compiled.member_lists,
            counted: compiled.rate.counts.iter().rev().fold(0, |bits, counts| bits << 1 | u32::from(*counts)),
            horizon_ns: compiled.rate.horizon_ns,
            tick_ns: rate_base::tick_ns(compiled),
            interfaces,
            interface_count: interfaces.iter().rposition(|index| *index != 0).map_or(0, |last| last as u32 + 1),
            log_level: level,
            size,
            member_sets: member_sets.unwrap_or(size.member_sets),
            ports: compiled.ports.len() as u32,
            fragments: compiled.fragments.len() as u32,
        }
    }

    /// Opens `object` with the maps that are pinned at `paths`, fresh ones for the others; nothing is loaded.
    pub(super) fn open(&self, object: &[u8], paths: &[(&str, PathBuf)], explains: bool) -> Result<Ebpf, DatapathError> {
        // The reference program has none of the globals that need not be there.
        let (hash, explain) = (self.size.hash(), u32::from(explains));
        let mut loader = EbpfLoader::new();
        loader
            .btf(None)
            .override_global(globals::EXPLAIN, &explain, true)
            .override_global(globals::MEMBER_LISTS, &self.member_lists, true)
            .override_global(globals::COUNTED, &self.counted, true)
            .override_global(globals::INTERFACE_COUNT, &self.interface_count, true)
            .override_global(globals::INTERFACES, &self.interfaces, true)
            .override_global(aya_log::LEVEL, &self.log_level, true)
            .override_global(globals::MEMBER_SETS, &self.member_sets, false)
            .override_global(globals::HORIZON_NS, &self.horizon_ns, false)
            .override_global(globals::TICK_NS, &self.tick_ns, false)
            .override_global(globals::PLACES_MULTIPLIER, &hash.multiplier, false)
            .override_global(globals::PLACES_LINES, &hash.lines, false)
            .map_max_entries(maps::PORTS, self.ports)
            .map_max_entries(maps::FRAGMENTS, self.fragments)
            .map_max_entries(maps::LINES, self.size.lines)
            .map_max_entries(maps::PLACES, self.size.places)
            .map_max_entries(maps::MEMBERS, self.member_sets);
        for (name, value) in &self.flags {
            loader.override_global(name, value, true);
        }
        for (name, path) in paths {
            loader.map_pin_path(name, path.as_path());
        }
        loader.load(object).map_err(DatapathError::load)
    }
}
