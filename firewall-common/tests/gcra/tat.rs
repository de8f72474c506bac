//! The TAT: what is kept of a source, and when that is the same as nothing.

use firewall_common::{
    Quota,
    rate::{SKEW_NS, TatCell, charge},
};
use proptest::prelude::*;

use super::{LATEST, SECOND, YEAR, any_bytes, any_events, any_steps, bytes, events, fresh, passes_at, step_ns};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A refused unit costs nothing: the state is the same octet for octet, and the next unit passes when it would have.
    #[test]
    fn a_refused_unit_changes_nothing(limit in any_events(), refused in 1usize..50) {
        let quota = events(limit).unwrap();
        let cell = fresh();
        passes_at(&cell, &quota, YEAR, limit.burst);
        let before = cell.load();
        for _ in 0..refused {
            prop_assert!(!charge(&cell, &quota, YEAR, 1));
            prop_assert_eq!(cell.load(), before);
        }
        prop_assert!(charge(&cell, &quota, YEAR + limit.per_ns.div_ceil(limit.rate), 1));
    }

    /// A TAT in the past is the same as none: a table may forget it.
    #[test]
    fn a_tat_in_the_past_is_the_same_as_no_state(limit in any_events(), past in 0u64..YEAR) {
        let quota = events(limit).unwrap();
        prop_assert_eq!(quota.charge(YEAR - past, YEAR, 1), quota.charge(0, YEAR, 1));
    }

    /// The TAT never goes back, and is never further ahead than the burst.
    #[test]
    fn the_tat_stays_between_now_and_the_burst(limit in any_bytes(), steps in any_steps()) {
        let quota = bytes(limit).unwrap();
        let cell = fresh();
        let mut now_ns = YEAR;
        for step in steps {
            now_ns = (now_ns + step_ns(&quota, step)).min(LATEST);
            let before = cell.load();
            if charge(&cell, &quota, now_ns, u64::from(step.1) % 9000) {
                prop_assert!(cell.load() >= before.max(now_ns));
                prop_assert!(cell.load() - now_ns <= quota.burst_ns);
            } else {
                prop_assert_eq!(cell.load(), before);
            }
        }
    }

    /// A TAT that cannot come from this quota and this clock is no debt; one that may be ahead by the clock of another CPU
    /// is, and no fresh burst.
    #[test]
    fn a_tat_beyond_the_horizon_is_the_same_as_no_state(limit in any_events(), beyond in 1..YEAR, skew in 0..SKEW_NS) {
        let quota = events(limit).unwrap();
        prop_assert_eq!(quota.horizon_ns(), quota.burst_ns + SKEW_NS);
        let farthest = YEAR + quota.horizon_ns();
        prop_assert_eq!(quota.charge(farthest + beyond, YEAR, 1), quota.charge(0, YEAR, 1));
        prop_assert_eq!(quota.charge(farthest, YEAR, 1), None);
        prop_assert_eq!(quota.charge(YEAR + quota.burst_ns + skew, YEAR, 1), None);
    }
}

#[test]
fn a_source_in_debt_of_a_limit_that_a_reload_made_smaller_is_not_shut_out() {
    let (large, small) = (Quota::of_events(1, SECOND, 3600).unwrap(), Quota::of_events(1, SECOND, 10).unwrap());
    let cell = fresh();
    assert_eq!(passes_at(&cell, &large, YEAR, 4000), 3600);
    assert_eq!(passes_at(&cell, &small, YEAR, 100), 10);
    assert_eq!(passes_at(&cell, &small, YEAR + SECOND, 100), 1);
}

#[test]
fn what_is_left_is_what_passes() {
    let quotas = [Quota::of_events(3, 1000, 7).unwrap(), Quota::of_bytes(20_000_000, SECOND, 40_000).unwrap()];
    for quota in quotas {
        let (mut tat_ns, now_ns) = (0, 1 << 50);
        let mut left = quota.left(tat_ns, now_ns);
        assert!(left > 0);
        while let Some(next) = quota.charge(tat_ns, now_ns, 1) {
            tat_ns = next;
            left -= 1;
            assert!(quota.left(tat_ns, now_ns).abs_diff(left) <= 1 + left / 1000, "{left}");
        }
        assert_eq!(quota.left(tat_ns, now_ns), 0);
    }
}
