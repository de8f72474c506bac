//! Laws of the limiter, against a token bucket in exact numbers.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Instant,
};

use firewall_common::{
    Quota,
    rate::{
        Clock, MAX_BURST_NS, MAX_BYTES_PER_SECOND, MAX_EVENTS_PER_SECOND, MAX_UNITS, QuotaError, SKEW_NS, TatCell,
        charge,
    },
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const YEAR: u64 = 365 * DAY;
/// The longest uptime that is kept: 146 years.
const LATEST: u64 = MAX_BURST_NS;

/// How far the clocks of two CPUs are apart, at most: a tick at `CONFIG_HZ=100`.
const SKEW: u64 = 10_000_000;

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

/// Ticks at `CONFIG_HZ` 1000, 300, 250 and 100, in ns.
fn any_tick() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1_000_000u64), Just(3_333_333), Just(4_000_000), Just(10_000_000)]
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

#[test]
fn a_source_in_debt_of_a_limit_that_a_reload_made_smaller_is_not_shut_out() {
    let (large, small) = (Quota::of_events(1, SECOND, 3600).unwrap(), Quota::of_events(1, SECOND, 10).unwrap());
    let cell = fresh();
    assert_eq!(passes_at(&cell, &large, YEAR, 4000), 3600);
    assert_eq!(passes_at(&cell, &small, YEAR, 100), 10);
    assert_eq!(passes_at(&cell, &small, YEAR + SECOND, 100), 1);
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

#[test]
fn no_quota_is_no_limit() {
    let quota = Quota::default();
    assert!(!quota.is_limited());
}

#[test]
fn two_threads_on_one_cell_pass_exactly_the_burst() {
    for burst in [1u64, 7, 1000, 50_000] {
        let quota = Quota::of_events(1, DAY, burst).unwrap();
        let cell = Shared(AtomicU64::new(0));
        let passed = on_two_threads(|| (0..200_000).filter(|_| charge(&cell, &quota, YEAR, 1)).count() as u64);
        assert_eq!(passed, burst);
    }
}

#[test]
fn two_threads_on_one_cell_never_exceed_burst_and_rate() {
    let (rate, burst) = (1_000_000, 100);
    let quota = Quota::of_events(rate, SECOND, burst).unwrap();
    let cell = Shared(AtomicU64::new(0));
    let start = Instant::now();
    let now_ns = || YEAR + start.elapsed().as_nanos() as u64;
    let passed = on_two_threads(|| (0..1_000_000).filter(|_| charge(&cell, &quota, now_ns(), 1)).count() as u64);
    let most = burst + (start.elapsed().as_nanos() as u64).div_ceil(SECOND / rate);
    assert!(passed <= most, "{passed} of at most {most}");
    assert!(passed > burst, "the clock stood still");
}

#[test]
fn two_threads_on_one_cell_never_exceed_bytes() {
    let burst = 1_000_000;
    let quota = Quota::of_bytes(1000, DAY, burst).unwrap();
    let cell = Shared(AtomicU64::new(0));
    let passed = on_two_threads(|| (0..100_000).filter(|_| charge(&cell, &quota, YEAR, 64)).count() as u64);
    assert_eq!(passed, burst / 64);
}

/// What two threads that start together count.
fn on_two_threads(work: impl Fn() -> u64 + Sync) -> u64 {
    let start = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        let run = || {
            start.wait();
            work()
        };
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
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
