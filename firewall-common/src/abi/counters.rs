//! Packets and bytes by interface, family and verdict, by service and by limit.

use super::MAX_INTERFACES;
use crate::{address::Family, verdict::Verdict};

/// Counters kept for verdicts; more than there are verdicts, so that a new one does not move the others.
pub const MAX_VERDICTS: u32 = 32;

/// A counter of one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Frame bytes, as XDP sees them.
    pub bytes: u64,
}

/// Entries of `COUNTERS`.
pub const COUNTERS: u32 = MAX_INTERFACES as u32 * Family::ALL.len() as u32 * MAX_VERDICTS;

/// Entries of `COUNTERS` for each interface.
pub const COUNTERS_OF_INTERFACE: u32 = Family::ALL.len() as u32 * MAX_VERDICTS;

/// Where `COUNTERS` keeps a verdict; `interface` is its position in the global `INTERFACES`.
#[inline(always)]
pub const fn counter_index(interface: u32, family: Family, verdict: Verdict) -> u32 {
    (interface * Family::ALL.len() as u32 + family as u32) * MAX_VERDICTS + verdict.index()
}

const _: () = assert!(Verdict::ALL.len() <= MAX_VERDICTS as usize, "every verdict has a counter");

const _: () = assert!(size_of::<Count>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_place_of_its_own() {
        let mut taken = [false; COUNTERS as usize];
        for interface in 0..MAX_INTERFACES as u32 {
            for family in Family::ALL {
                for verdict in Verdict::ALL {
                    let index = counter_index(interface, family, *verdict) as usize;
                    assert!(!taken[index], "{interface} {family:?} {verdict:?}");
                    taken[index] = true;
                }
            }
        }
    }
}
