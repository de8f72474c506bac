//! Which way of a set has been idle longest.
//!
//! Without branches: the kernel's verifier would follow every order that eight ways can be in.

use super::{RateMemory, SetMemory, WAYS};
use crate::{rate::Quantity, verifier::sign};

/// The time by which ways are judged.
#[derive(Clone, Copy)]
pub(super) struct Ages {
    /// The TAT that has age 0: the first beyond the horizon, which makes those beyond it the oldest of all.
    start_ns: u64,
    /// Ages from here on are those of ways in debt, in units of 16 ns.
    in_debt: u64,
    /// What is counted, by [`Quantity`].
    counts: [bool; Quantity::ALL.len()],
}

impl Ages {
    #[inline(always)]
    pub(super) fn at(memory: &impl RateMemory, now_ns: u64) -> Self {
        // The horizon is rounded up, so that 1 ns ahead of now is the first age in debt.
        let in_debt = memory.horizon_ns().wrapping_neg() >> 4;
        Self {
            start_ns: now_ns.wrapping_add(1).wrapping_sub(in_debt << 4),
            in_debt,
            counts: Quantity::ALL.map(|quantity| memory.counts(quantity)),
        }
    }

    /// Whether a TAT of the way is ahead of now.
    #[inline(always)]
    pub(super) fn is_in_debt(&self, set: impl SetMemory, way: usize) -> bool {
        self.age(set, way) >= self.in_debt
    }

    /// The way that has been idle longest, the lowest of several; `None` when all are in debt.
    #[inline(always)]
    pub(super) fn idlest(&self, set: impl SetMemory) -> Option<usize> {
        let mut idlest = u64::MAX >> 1;
        for way in 0..WAYS {
            idlest = least(idlest, self.age(set, way) << 3 | way as u64);
        }
        (idlest >> 3 < self.in_debt).then_some(idlest as usize % WAYS)
    }

    /// The age of the latest TAT of a way, in units of 16 ns: the higher, the later.
    #[inline(always)]
    fn age(&self, set: impl SetMemory, way: usize) -> u64 {
        let mut latest = 0u64;
        for (quantity, counts) in Quantity::ALL.iter().zip(&self.counts) {
            if *counts {
                let age = set.tat_ns(*quantity, way).wrapping_sub(self.start_ns) >> 4;
                latest = latest.wrapping_sub(excess(latest, age));
            }
        }
        latest
    }
}

/// The smaller one of two numbers below 2^63.
#[inline(always)]
fn least(a: u64, b: u64) -> u64 {
    b.wrapping_add(excess(a, b))
}

/// `a - b` where that is negative, else 0; both below 2^63.
#[inline(always)]
fn excess(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    difference & sign(difference)
}
