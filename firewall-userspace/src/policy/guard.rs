//! `[guard]`: when a change is refused unless the caller insists.

use std::ops::RangeInclusive;

/// `[guard]`: when a change is refused unless the caller insists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// A reload may remove this percentage of the entries that a list has in the configuration.
    pub shrink_percent: u8,
    /// It may always remove so many.
    pub shrink_entries: usize,
    /// Local ports whose established connections must not be cut off, sorted and disjoint.
    pub ports: Vec<RangeInclusive<u16>>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { shrink_percent: 50, shrink_entries: 20, ports: vec![0..=u16::MAX] }
    }
}

impl Guard {
    /// Whether an established connection to `port` must not be cut off.
    pub fn protects(&self, port: u16) -> bool {
        self.ports.iter().any(|range| range.contains(&port))
    }
}
