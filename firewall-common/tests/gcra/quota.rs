//! Quotas: which numbers make one, and what a unit costs.

use firewall_common::{
    Quota,
    rate::{MAX_BURST_NS, MAX_BYTES_PER_SECOND, MAX_EVENTS_PER_SECOND, MAX_UNITS, QuotaError},
};
use proptest::prelude::*;

use super::{SECOND, YEAR, any_bytes, any_events, bytes, events};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_costs_what_one_unit_costs(limit in any_events()) {
        let quota = events(limit).unwrap();
        prop_assert_eq!(quota.event_ns(), quota.cost_ns(1));
    }

    /// Any numbers make a quota or are refused; none makes arithmetic overflow (tests run with overflow checks).
    #[test]
    fn any_three_numbers_make_a_quota_or_an_error(rate: u64, per_ns: u64, burst: u64, tat: u64, now: u64, units in 0..=MAX_UNITS + 9) {
        for quota in [Quota::of_events(rate, per_ns, burst), Quota::of_bytes(rate, per_ns, burst)].into_iter().flatten() {
            prop_assert!(quota.is_limited());
            prop_assert!(quota.burst_ns <= MAX_BURST_NS);
            prop_assert!(quota.cost_ns(1) <= quota.burst_ns);
            let _ = quota.charge(tat, now, 1);
        }
        if let Ok(quota) = Quota::of_bytes(rate, per_ns, burst) {
            let most = u128::from(quota.interval) * u128::from(MAX_UNITS) + (1 << quota.shift) - 1;
            prop_assert!(most <= u128::from(u64::MAX), "the cost of the longest frame fits");
            prop_assert_eq!(quota.cost_ns(units), quota.cost_ns(units.min(MAX_UNITS)));
        }
    }

    /// More units never cost less.
    #[test]
    fn the_cost_grows_with_the_units(limit in any_bytes(), units in 0..MAX_UNITS) {
        let quota = bytes(limit).unwrap();
        prop_assert!(quota.cost_ns(units) <= quota.cost_ns(units + 1));
        let exact = u128::from(units) * u128::from(limit.per_ns);
        prop_assert!(u128::from(quota.cost_ns(units)) * u128::from(limit.rate) >= exact, "rounded up");
    }
}

#[test]
fn numbers_that_make_no_limit_are_told_apart() {
    for make in [Quota::of_events, Quota::of_bytes] {
        assert_eq!(make(0, SECOND, 1), Err(QuotaError::ZeroRate));
        assert_eq!(make(1, 0, 1), Err(QuotaError::ZeroPer));
        assert_eq!(make(1, SECOND, 0), Err(QuotaError::ZeroBurst));
        assert_eq!(make(1, YEAR, 200), Err(QuotaError::TooSlow));
        assert_eq!(make(u64::MAX, SECOND, 1), Err(QuotaError::TooFast));
    }
    assert!(Quota::of_events(MAX_EVENTS_PER_SECOND, SECOND, 1).is_ok());
    assert_eq!(Quota::of_events(MAX_EVENTS_PER_SECOND + 1, SECOND, 1), Err(QuotaError::TooFast));
    assert_eq!(Quota::of_events(MAX_EVENTS_PER_SECOND, SECOND - 1, 1), Err(QuotaError::TooFast));
    assert!(Quota::of_bytes(MAX_BYTES_PER_SECOND, SECOND, 1).is_ok());
    assert_eq!(Quota::of_bytes(MAX_BYTES_PER_SECOND + 1, SECOND, 1), Err(QuotaError::TooFast));
}

#[test]
fn the_longest_burst_tolerance_is_kept() {
    assert!(Quota::of_events(1, MAX_BURST_NS, 1).is_ok());
    assert_eq!(Quota::of_events(1, MAX_BURST_NS + 1, 1), Err(QuotaError::TooSlow));
    assert_eq!(Quota::of_events(1, MAX_BURST_NS, 2), Err(QuotaError::TooSlow));
}

#[test]
fn no_quota_is_no_limit() {
    let quota = Quota::default();
    assert!(!quota.is_limited());
}
