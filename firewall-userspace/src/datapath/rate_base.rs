//! What the rate state of a host is founded on: a secret, and how the kernel's two clocks go together.

use std::hash::{BuildHasher, RandomState};

use aya::{
    Ebpf,
    maps::Array,
    programs::{TestRun, TestRunOptions, Xdp},
};
use firewall_common::{
    abi::{CLOCK_PROGRAM, RateBase, maps},
    rate::Clock,
    rate_table::{HashSeed, SEED_WORDS},
};
use nix::time::{ClockId, clock_getres};

use super::{DatapathError, plain::Plain};
use crate::policy::compile::Compiled;

/// Shortest frame that the kernel runs a program on (`ETH_HLEN`, net/bpf/test_run.c).
const SHORTEST_FRAME: [u8; 14] = [0; 14];

/// Length of a jiffy in ns when that is clock enough for `compiled`, else 0.
pub(super) fn tick_ns(compiled: &Compiled) -> u64 {
    // The coarse clocks have the resolution of a tick (`hrtimer_resolution` is that of the others).
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE);
    let tick_ns = tick.map_or(0, |tick| tick.tv_sec().unsigned_abs() * 1_000_000_000 + tick.tv_nsec().unsigned_abs());
    let quotas = compiled.limits.iter().flat_map(|(_, limit)| limit.quotas).chain(compiled.caps);
    match Clock::for_quotas(quotas, tick_ns) {
        Clock::Jiffies => tick_ns,
        Clock::Ktime => 0,
    }
}

/// Lays the foundation, when no generation before has.
pub(super) fn lay(ebpf: &mut Ebpf) -> Result<(), DatapathError> {
    let fail = |error| DatapathError::map("prepare the rate state", error);
    let Some(map) = ebpf.map_mut(maps::RATE_BASE) else { return Ok(()) };
    let base: Array<_, Plain<RateBase>> = Array::try_from(map).map_err(fail)?;
    if base.get(&0, 0).map_err(fail)?.0.is_set != 0 {
        return Ok(());
    }
    let tick_ns = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |tick| tick.tv_sec().unsigned_abs() * 1_000_000_000 + tick.tv_nsec().unsigned_abs());
    let [jiffies, now_ns] = sample(ebpf)?;
    let random: [u64; SEED_WORDS] = std::array::from_fn(|word| RandomState::new().hash_one(word));
    let fresh = RateBase {
        seed: HashSeed::from_random(&random),
        jiffies_offset_ns: now_ns.wrapping_sub(jiffies.wrapping_mul(tick_ns)),
        is_set: 1,
    };
    let Some(map) = ebpf.map_mut(maps::RATE_BASE) else { return Ok(()) };
    let mut base: Array<_, Plain<RateBase>> = Array::try_from(map).map_err(fail)?;
    base.set(0, Plain(fresh), 0).map_err(fail)
}

/// Jiffies and nanoseconds of the monotonic clock at one moment.
fn sample(ebpf: &mut Ebpf) -> Result<[u64; 2], DatapathError> {
    let missing = || DatapathError::Load { cause: format!("the object has no program {CLOCK_PROGRAM}"), errno: None };
    let program: &mut Xdp =
        ebpf.program_mut(CLOCK_PROGRAM).ok_or_else(missing)?.try_into().map_err(DatapathError::program)?;
    program.load().map_err(DatapathError::program)?;
    let frame = TestRunOptions { data_in: Some(&SHORTEST_FRAME), ..TestRunOptions::default() };
    program.test_run(frame).map_err(|error| DatapathError::Map {
        what: "read the kernel's clocks".into(),
        cause: error.to_string(),
        errno: None,
    })?;
    let fail = |error| DatapathError::map("read the kernel's clocks", error);
    let map = ebpf.map(maps::CLOCKS).ok_or_else(missing)?;
    let clocks: Array<_, [u64; 2]> = Array::try_from(map).map_err(fail)?;
    clocks.get(&0, 0).map_err(fail)
}
