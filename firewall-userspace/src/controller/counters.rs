//! What is counted.

use std::collections::BTreeMap;

use firewall_common::Family;

use crate::{
    datapath::{DriftCounters, FrameCounters},
    lists::{entry::Layer, tally::Happening},
    state::journal::StoreCounters,
};

/// The counters of the data plane and of the daemon.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// What the program in the kernel counted.
    pub frames: FrameCounters,
    /// By list, layer and family.
    pub list_entries: BTreeMap<(String, Layer, &'static str), u64>,
    /// Octets of the list tables: in use, and reserved.
    pub list_tables: [u64; 2],
    /// What can be full: how much of it there is, and how much there may be.
    pub rooms: BTreeMap<&'static str, [u64; 2]>,
    /// What happened to entries of each list in each layer that can be pushed to.
    pub list_changes: BTreeMap<(String, Layer, Happening), u64>,
    /// How keeping what is pushed went.
    pub store: StoreCounters,
    /// How comparing the kernel with what was written to it went.
    pub drift: DriftCounters,
}

impl Counters {
    /// The family of a key of [`FrameCounters::verdicts`].
    pub fn family(key: u8) -> Family {
        Family::ALL.into_iter().find(|family| *family as u8 == key).unwrap_or(Family::Other)
    }
}
