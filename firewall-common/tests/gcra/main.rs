//! Laws of the limiter, against a token bucket in exact numbers.

mod clocks;
mod quota;
mod rate;
mod tat;
mod threads;

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use firewall_common::{
    Quota,
    rate::{MAX_BURST_NS, MAX_BYTES_PER_SECOND, MAX_EVENTS_PER_SECOND, QuotaError, TatCell, charge},
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const YEAR: u64 = 365 * DAY;
/// The longest uptime that is kept: 146 years.
const LATEST: u64 = MAX_BURST_NS;

/// What an operator writes: `rate` units in each `per_ns`, `burst` at once.
#[derive(Clone, Copy, Debug)]
struct Limit {
    rate: u64,
    per_ns: u64,
    burst: u64,
}

/// A token bucket without rounding: it counts in units times `per_ns`.
struct Exact {
    limit: Limit,
    credit: i128,
    last_ns: u64,
}

impl Exact {
    fn full(limit: Limit, now_ns: u64) -> Self {
        Self { limit, credit: i128::from(limit.burst) * i128::from(limit.per_ns), last_ns: now_ns }
    }

    /// Takes what has passed; what is left, in units times `per_ns`.
    fn take(&mut self, now_ns: u64, units: u64) -> i128 {
        let full = i128::from(self.limit.burst) * i128::from(self.limit.per_ns);
        let elapsed = now_ns.saturating_sub(self.last_ns);
        self.last_ns = self.last_ns.max(now_ns);
        self.credit = full.min(self.credit + i128::from(self.limit.rate) * i128::from(elapsed));
        self.credit -= i128::from(units) * i128::from(self.limit.per_ns);
        self.credit
    }
}

/// The state of one source on the host.
struct Tat(Cell<u64>);

impl TatCell for Tat {
    fn load(&self) -> u64 {
        self.0.get()
    }

    fn compare_exchange(&self, current: u64, new: u64) -> u64 {
        let seen = self.0.get();
        if seen == current {
            self.0.set(new);
        }
        seen
    }
}

/// The same, shared between threads.
struct Shared(AtomicU64);

impl TatCell for Shared {
    fn load(&self) -> u64 {
        self.0.load(SeqCst)
    }

    fn compare_exchange(&self, current: u64, new: u64) -> u64 {
        self.0.compare_exchange(current, new, SeqCst, SeqCst).unwrap_or_else(|seen| seen)
    }
}

/// From one packet a day to the fastest there is.
fn any_events() -> impl Strategy<Value = Limit> {
    let rate = prop_oneof![1u64..10, 1u64..100_000, 1u64..=MAX_EVENTS_PER_SECOND];
    let per = prop_oneof![Just(SECOND), Just(60 * SECOND), Just(DAY), SECOND..DAY, 1u64..SECOND];
    let burst = prop_oneof![1u64..10, 1u64..100_000];
    (rate, per, burst)
        .prop_map(|(rate, per_ns, burst)| Limit { rate, per_ns, burst })
        .prop_filter("a rate that can be kept", |limit| events(*limit).is_ok())
}

fn any_bytes() -> impl Strategy<Value = Limit> {
    let rate = prop_oneof![1u64..10_000, 1u64..1_000_000_000, 1u64..=MAX_BYTES_PER_SECOND];
    let per = prop_oneof![Just(SECOND), Just(60 * SECOND), Just(DAY), 1000u64..SECOND];
    let burst = prop_oneof![1u64..100_000, 1u64..100_000_000_000];
    (rate, per, burst)
        .prop_map(|(rate, per_ns, burst)| Limit { rate, per_ns, burst })
        .prop_filter("a rate that can be kept", |limit| bytes(*limit).is_ok())
}

/// Steps of time around what a limit needs for one unit, and around its burst.
fn any_steps() -> impl Strategy<Value = Vec<(u16, u32)>> {
    prop::collection::vec((any::<u16>(), any::<u32>()), 1..300)
}

/// A step of time that matters to `quota`.
fn step_ns(quota: &Quota, (kind, noise): (u16, u32)) -> u64 {
    let unit = quota.cost_ns(1);
    match kind % 8 {
        0..=2 => 0,
        3 => u64::from(noise) % (unit + 1),
        4 => unit,
        5 => unit.saturating_add(u64::from(noise) % 3).saturating_sub(1),
        6 => u64::from(noise) % (quota.burst_ns / 2 + 1),
        _ => quota.burst_ns.saturating_add(u64::from(noise)),
    }
}

fn events(limit: Limit) -> Result<Quota, QuotaError> {
    Quota::of_events(limit.rate, limit.per_ns, limit.burst)
}

fn bytes(limit: Limit) -> Result<Quota, QuotaError> {
    Quota::of_bytes(limit.rate, limit.per_ns, limit.burst)
}

/// How many of `most` units one by one pass at `now_ns`.
fn passes_at(cell: &Tat, quota: &Quota, now_ns: u64, most: u64) -> u64 {
    (0..most).take_while(|_| charge(cell, quota, now_ns, 1)).count() as u64
}

fn fresh() -> Tat {
    Tat(Cell::new(0))
}
