//! What is counted.

use std::collections::BTreeMap;

use firewall_common::{Family, Verdict, abi::Count};

use crate::lists::entry::Layer;

/// The counters of the data plane, summed over CPUs. They live on over reloads and never go back.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// By interface name, family and verdict; every combination of a configured interface is there.
    pub verdicts: BTreeMap<(String, u8, Verdict), Count>,
    /// By service name: passed, dropped.
    pub services: BTreeMap<String, [Count; 2]>,
    /// By limit name: conforming, exceeding.
    pub limits: BTreeMap<String, [Count; 2]>,
    /// Newcomers to the rate tables by what became of them.
    pub newcomers: BTreeMap<&'static str, u64>,
    /// By list, layer and family.
    pub list_entries: BTreeMap<(String, Layer, &'static str), u64>,
    /// Octets of the list tables: in use, and reserved.
    pub list_tables: [u64; 2],
    /// How keeping what is pushed went.
    pub store: StoreCounters,
    /// How comparing the kernel with what was written to it went.
    pub drift: DriftCounters,
}

/// How comparing the kernel with what was written to it went, since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftCounters {
    /// Entries that were wrong in the last whole check.
    pub entries: u64,
    /// Whole checks.
    pub checks: u64,
    /// Tables that could not be read or put right.
    pub failures: u64,
    /// Entries that were put right, by table; `link` is that of the program on an interface.
    pub repairs: BTreeMap<&'static str, u64>,
}

/// How keeping what is pushed went, since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Changes that were not kept, because the disk refused.
    pub failures: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
    /// Snapshots that were not.
    pub snapshot_failures: u64,
    /// Octets of the journal.
    pub journal_octets: u64,
}

impl Counters {
    /// The family of a key of `verdicts`.
    pub fn family(key: u8) -> Family {
        Family::ALL.into_iter().find(|family| *family as u8 == key).unwrap_or(Family::Other)
    }
}
