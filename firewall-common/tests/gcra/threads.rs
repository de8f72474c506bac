//! Two threads that charge one cell.

use std::{sync::atomic::AtomicU64, thread, time::Instant};

use firewall_common::{Quota, rate::charge};

use super::{DAY, SECOND, Shared, YEAR};

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
