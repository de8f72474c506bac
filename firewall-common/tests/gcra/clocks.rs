//! Clocks that differ between CPUs, and a clock of ticks.

use firewall_common::{
    Quota,
    rate::{Clock, charge},
};
use proptest::prelude::*;

use super::{DAY, Exact, LATEST, SECOND, YEAR, any_events, any_steps, events, fresh, step_ns};

/// How far the clocks of two CPUs are apart, at most: a tick at `CONFIG_HZ=100`.
const SKEW: u64 = 10_000_000;

/// Ticks at `CONFIG_HZ` 1000, 300, 250 and 100, in ns.
fn any_tick() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1_000_000u64), Just(3_333_333), Just(4_000_000), Just(10_000_000)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// With clocks that differ between CPUs no more passes than what the difference is worth at the rate.
    #[test]
    fn a_clock_that_goes_back_a_little_exceeds_by_no_more_than_that(
        limit in any_events(), steps in any_steps(), skews in prop::collection::vec(0..SKEW, 300)
    ) {
        let quota = events(limit).unwrap();
        let cell = fresh();
        let start = YEAR;
        let mut exact = Exact::full(limit, start);
        let mut latest = start;
        for (step, skew) in steps.into_iter().zip(skews) {
            latest = (latest + step_ns(&quota, step)).min(LATEST);
            let now_ns = latest.saturating_sub(skew).max(start);
            if charge(&cell, &quota, now_ns, 1) {
                prop_assert!(exact.take(latest, 1) >= -i128::from(limit.rate) * i128::from(SKEW));
            }
        }
    }

    /// By a clock of ticks, where one is good enough, what passes is at most a tick's worth over, and that is at most a
    /// 32nd of the burst.
    #[test]
    fn a_clock_of_ticks_exceeds_by_no_more_than_a_tick(limit in any_events(), tick in any_tick(), steps in any_steps()) {
        let quota = events(limit).unwrap();
        prop_assume!(Clock::for_quotas([quota], tick) == Clock::Jiffies);
        prop_assert!(quota.burst_ns >= 32 * tick);
        let cell = fresh();
        let mut exact = Exact::full(limit, YEAR);
        let mut now_ns = YEAR;
        for step in steps {
            now_ns = (now_ns + step_ns(&quota, step)).min(LATEST);
            if charge(&cell, &quota, now_ns / tick * tick, 1) {
                prop_assert!(exact.take(now_ns, 1) >= -i128::from(limit.rate) * i128::from(tick), "at {now_ns}");
            }
        }
    }

    /// By the same clock a source that keeps to its rate loses nothing.
    #[test]
    fn a_clock_of_ticks_takes_nothing_from_a_source_under_its_rate(limit in any_events(), tick in any_tick(), start in 0..DAY) {
        let quota = events(limit).unwrap();
        prop_assume!(Clock::for_quotas([quota], tick) == Clock::Jiffies);
        let cell = fresh();
        let mut now_ns = YEAR + start;
        for _ in 0..1000 {
            prop_assert!(charge(&cell, &quota, now_ns / tick * tick, 1), "at {now_ns}");
            now_ns = (now_ns + quota.cost_ns(1)).min(LATEST);
        }
    }
}

#[test]
fn a_clock_of_ticks_is_for_bursts_of_many_ticks() {
    let tick = 4_000_000;
    let quota = |burst| Quota::of_events(1000, SECOND, burst).unwrap();
    let clock = |quotas: &[Quota]| Clock::for_quotas(quotas.iter().copied(), tick);
    // A millisecond each, one of them now: 128 are left, which are 32 ticks.
    assert_eq!(clock(&[quota(129)]), Clock::Jiffies);
    assert_eq!(clock(&[quota(128)]), Clock::Ktime);
    assert_eq!(clock(&[quota(129), quota(5000), quota(128)]), Clock::Ktime);
    assert_eq!(clock(&[quota(129), Quota::default()]), Clock::Jiffies);
    assert_eq!(clock(&[]), Clock::Jiffies);
    assert_eq!(clock(&[Quota::of_events(1, DAY, 1).unwrap()]), Clock::Ktime, "no burst, however slow");
}
