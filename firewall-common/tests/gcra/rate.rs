//! Burst and rate: no more passes, and no less.

use firewall_common::{
    Quota,
    rate::{MAX_EVENTS_PER_SECOND, MAX_UNITS, charge},
};
use proptest::prelude::*;

use super::{
    DAY, Exact, LATEST, Limit, SECOND, YEAR, any_bytes, any_events, any_steps, bytes, events, fresh, passes_at, step_ns,
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What passed is never more than `burst + rate * time`, whatever the times are.
    #[test]
    fn events_never_exceed_burst_and_rate(limit in any_events(), start in 0..YEAR, steps in any_steps()) {
        let quota = events(limit).unwrap();
        let cell = fresh();
        let mut exact = Exact::full(limit, start);
        let mut now_ns = start;
        for step in steps {
            now_ns = (now_ns + step_ns(&quota, step)).min(LATEST);
            if charge(&cell, &quota, now_ns, 1) {
                prop_assert!(exact.take(now_ns, 1) >= 0, "at {now_ns}");
            }
        }
    }

    /// The same for bytes, to within one nanosecond of the rate.
    #[test]
    fn bytes_never_exceed_burst_and_rate(limit in any_bytes(), start in 0..YEAR, steps in any_steps()) {
        let quota = bytes(limit).unwrap();
        let cell = fresh();
        let mut exact = Exact::full(limit, start);
        let mut now_ns = start;
        for step in steps {
            now_ns = (now_ns + step_ns(&quota, step)).min(LATEST);
            let units = 14 + u64::from(step.1) % 9000;
            if charge(&cell, &quota, now_ns, units) {
                prop_assert!(exact.take(now_ns, units) >= -i128::from(limit.rate), "at {now_ns}");
            }
        }
    }

    /// Not less either: a greedy source gets its burst and one unit each interval, which is the rate rounded to 1 ns.
    #[test]
    fn a_greedy_source_gets_its_burst_and_its_rate(limit in any_events(), intervals in 1u64..2000) {
        let quota = events(limit).unwrap();
        let cell = fresh();
        prop_assert_eq!(passes_at(&cell, &quota, YEAR, limit.burst + 1), limit.burst);
        let interval = limit.per_ns.div_ceil(limit.rate);
        for number in 1..=intervals {
            prop_assert!(!charge(&cell, &quota, YEAR + number * interval - 1, 1));
            prop_assert!(charge(&cell, &quota, YEAR + number * interval, 1));
        }
        prop_assert!(interval * limit.rate < limit.per_ns + limit.rate, "rounded by less than 1 ns");
    }

    /// A source at or under its rate loses nothing: frames of any size, at most 1 ns of rounding each.
    #[test]
    fn a_source_under_its_byte_rate_loses_nothing(limit in any_bytes(), sizes in prop::collection::vec(1u64..9000, 1..200)) {
        let quota = bytes(limit).unwrap();
        let cell = fresh();
        let mut now_ns = YEAR;
        for units in sizes.into_iter().map(|size| size.min(limit.burst)) {
            prop_assert!(charge(&cell, &quota, now_ns, units), "{units} at {now_ns}");
            // What the unit costs in exact numbers, and what rounding adds: 2^-16 ns an octet and 1 ns a frame.
            let exact = u128::from(units) * u128::from(limit.per_ns) / u128::from(limit.rate);
            let coarse = u128::from(units) >> quota.shift.min(63);
            now_ns += u64::try_from(exact + coarse).unwrap() + 2;
        }
    }

    /// A frame of exactly the burst passes, one octet more never does.
    #[test]
    fn the_byte_burst_is_exact_to_the_nanosecond(limit in any_bytes()) {
        let limit = Limit { burst: limit.burst.min(MAX_UNITS - 1), ..limit };
        let quota = bytes(limit).unwrap();
        prop_assert!(charge(&fresh(), &quota, YEAR, limit.burst));
        let slack = limit.rate.div_ceil(limit.per_ns); // octets in one nanosecond
        if limit.burst + slack < MAX_UNITS {
            prop_assert!(!charge(&fresh(), &quota, YEAR, limit.burst + slack + 1));
        }
    }

    /// A source that was idle has its whole burst and no more, however long it was idle.
    #[test]
    fn an_idle_source_has_its_burst_and_no_more(limit in any_events(), years in 0u64..140) {
        let limit = Limit { burst: limit.burst.min(2000), ..limit };
        let quota = events(limit).unwrap();
        let cell = fresh();
        passes_at(&cell, &quota, YEAR, limit.burst);
        let later = YEAR + quota.burst_ns + years * YEAR;
        prop_assert_eq!(passes_at(&cell, &quota, later, limit.burst + 10), limit.burst);
    }
}

#[test]
fn one_a_day_is_one_a_day() {
    let quota = Quota::of_events(1, DAY, 1).unwrap();
    let cell = fresh();
    for day in 400..800 {
        assert!(charge(&cell, &quota, day * DAY, 1));
        assert!(!charge(&cell, &quota, day * DAY + 1, 1));
        assert!(!charge(&cell, &quota, (day + 1) * DAY - 1, 1));
    }
}

#[test]
fn a_hundred_million_a_second_is_one_in_ten_nanoseconds() {
    let quota = Quota::of_events(MAX_EVENTS_PER_SECOND, SECOND, 1).unwrap();
    let cell = fresh();
    let passed = (0..10_000).filter(|ns| charge(&cell, &quota, YEAR + ns, 1)).count();
    assert_eq!(passed, 1000);
}

#[test]
fn a_rate_that_does_not_divide_a_second_is_at_most_ten_percent_under() {
    for rate in [3, 7, 999_983, 33_333_333, 51_000_000, 91_000_000, 99_999_999] {
        let quota = Quota::of_events(rate, SECOND, 1).unwrap();
        let kept = SECOND as f64 / quota.cost_ns(1) as f64;
        assert!(kept <= rate as f64, "{rate}: {kept}");
        assert!(kept >= 0.9 * rate as f64, "{rate}: {kept}");
    }
}
