//! What the host works out for the rate table of a policy.
#![cfg(not(target_arch = "bpf"))]

use super::WAYS;
use crate::rate::{Quantity, Quota};

/// What the kernel knows of all limits of a policy together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateFacts {
    /// See [`RateMemory::horizon_ns`](super::RateMemory::horizon_ns).
    pub horizon_ns: u64,
    /// See [`RateMemory::counts`](super::RateMemory::counts), by [`Quantity`].
    pub counts: [bool; Quantity::ALL.len()],
}

impl RateFacts {
    /// The facts of a policy with these limits; quotas by [`Quantity`].
    pub fn of_limits<'a>(limits: impl IntoIterator<Item = &'a [Quota; 3]>) -> Self {
        let mut facts = Self::default();
        for quotas in limits {
            for (quota, counts) in quotas.iter().zip(&mut facts.counts) {
                if quota.is_limited() {
                    *counts = true;
                    facts.horizon_ns = facts.horizon_ns.max(quota.horizon_ns());
                }
            }
        }
        facts
    }
}

/// Octets of the longest frame that reaches a host from strangers: 1,500 and the link header with two VLAN tags.
const STRANGER_FRAME: u64 = 1522;

/// The gate of a limit for newcomers among strangers, who have `sets` sets of the table.
///
/// Those who are in debt by their first packet are at most half of the ways: a quarter may come at once, and a quarter in
/// the time that such a debt lasts. Not limited when they cannot be too many, at one a nanosecond. Each limit needs a
/// gate, and TAT, of its own: who comes to a slow limit would shut it for those who come to a fast one.
pub fn gate_quota(quotas: &[Quota; 3], sets: u32) -> Quota {
    let units = [1, STRANGER_FRAME, 1];
    let debt_ns = |(quota, units): (&Quota, u64)| quota.cost_ns(units).min(quota.burst_ns);
    let debt_ns = quotas.iter().zip(units).map(debt_ns).max().unwrap_or(0);
    let quarter = u64::from(sets) * WAYS as u64 / 4;
    if quarter == 0 || debt_ns < quarter {
        return Quota::default();
    }
    Quota { interval: debt_ns.div_ceil(quarter), burst_ns: debt_ns, shift: 0, padding: 0 }
}
