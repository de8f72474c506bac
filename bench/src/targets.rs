//! What was promised: the acceptance table, as data.

use crate::{
    cases::{Case, Situation},
    frame::Family,
};

/// What a case must come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Nanoseconds above a bare drop, at most.
    pub net_ns: f64,
    /// How many times less than the reference program, at least.
    pub ratio: Option<f64>,
}

/// IPv6 may cost so much more.
const V6_ALLOWANCE: f64 = 1.5;

const PACKETS: [(Situation, usize, f64, Option<f64>); 12] = [
    (Situation::Unlisted, 1, 20.0, None),
    (Situation::Unlisted, 1_000, 30.0, None),
    (Situation::Unlisted, 100_000, 50.0, None),
    (Situation::Unlisted, 1_000_000, 80.0, Some(12.0)),
    (Situation::Listed, 1, 22.0, None),
    (Situation::Listed, 1_000, 35.0, None),
    (Situation::Listed, 100_000, 60.0, None),
    (Situation::Listed, 1_000_000, 110.0, Some(10.0)),
    (Situation::LimitedSyn, 1_000, 45.0, Some(3.0)),
    (Situation::LimitedSyn, 1_000_000, 180.0, Some(8.0)),
    (Situation::Over, 1_000, 45.0, Some(3.0)),
    (Situation::Flood, 0, 90.0, Some(4.0)),
];

/// Packets per second end to end, relative to nftables' set, at least.
pub const WIRE_NFTABLES: f64 = 10.0;
/// The same relative to the reference program.
pub const WIRE_REFERENCE: f64 = 6.0;
/// The same relative to a bare drop.
pub const WIRE_BARE: f64 = 0.75;

/// Start and reload with the long list: seconds, at most.
pub const LOAD_S: f64 = 2.0;
/// The same relative to `nft -f`, at most.
pub const LOAD_NFT: f64 = 0.5;

/// One push of 100,000 entries: seconds, at most.
pub const KEPT_PUSH_S: f64 = 2.0;
/// A start with 100,000 pushed entries: seconds, at most.
pub const KEPT_RESTART_S: f64 = 1.0;

/// Memory of all maps for the long list of IPv4 prefixes: MiB, at most.
pub const MEMORY_MIB: f64 = 64.0;

/// Until a push is visible: microseconds, of which 99 in 100 pushes stay below.
pub const PUSH_US: f64 = 1_000.0;

/// What readers wait beside work, of which 99 in 100 calls stay below: times what they wait beside nothing, at most.
pub const READERS_TIMES: f64 = 3.0;

/// Entries of a list of which the next three are promised.
pub const SIZES_ENTRIES: usize = 2_000_000;
/// Pushed, replaced, listed, and read again at a start: seconds each, at most.
pub const SIZES_ENTRIES_S: f64 = 20.0;
/// Memory of the daemon meanwhile: MiB, at most.
pub const SIZES_ENTRIES_MIB: f64 = 1024.0;
/// At most, the memory of a reload beside that before it.
pub const SIZES_RELOAD_TIMES: f64 = 2.0;
/// Pushes of one entry meanwhile, of which 99 in 100 stay below: times what they take beside nothing, at most.
pub const SIZES_PUSH_TIMES: f64 = 10.0;

/// Established connections of which the next is promised.
pub const SIZES_CONNECTIONS: usize = 30_000;
/// Pushes a second with them, relative to those without them, at least.
pub const SIZES_CONNECTIONS_RATE: f64 = 0.5;

/// An answer to any request that does not ask for a list: MiB, at most.
pub const SIZES_ANSWER_MIB: f64 = 1.0;
/// Memory of the daemon ten seconds after a request, above that before it: MiB, at most.
pub const SIZES_KEPT_MIB: f64 = 64.0;

/// What was promised of a case, if anything.
pub fn target(case: Case) -> Option<Target> {
    let (.., net_ns, ratio) = PACKETS
        .into_iter()
        .find(|(situation, prefixes, ..)| *situation == case.situation && *prefixes == case.prefixes)?;
    let allowance = if case.family == Family::V6 { V6_ALLOWANCE } else { 1.0 };
    Some(Target { net_ns: net_ns * allowance, ratio: ratio.map(|ratio| ratio / allowance) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_is_about_a_case_that_is_measured() {
        let cases = Case::all();
        for (situation, prefixes, ..) in PACKETS {
            for family in Family::ALL {
                assert!(cases.contains(&Case { family, situation, prefixes }), "{situation:?} {prefixes}");
            }
        }
    }
}
