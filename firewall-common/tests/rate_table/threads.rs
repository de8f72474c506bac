//! Eight threads at once. Time is what they count, so that how far they come is not a question of the machine.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use firewall_common::rate_table::WAYS;

use crate::memory::{DAY, Limiter, Outcome, Random, SECOND, YEAR, packet, packets};

const THREADS: usize = 8;

/// Runs `work` with the number of each of the threads, which start together.
fn on_threads(work: impl Fn(usize) + Sync) {
    let start = Barrier::new(THREADS);
    let (work, start) = (&work, &start);
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                start.wait();
                work(number);
            });
        }
    });
}

#[test]
fn one_source_is_never_over_its_limit_and_hardly_under() {
    const STEP_NS: u64 = 50;
    const PACKETS: u64 = 250_000;
    let (interval_ns, burst) = (1000, 100);
    let limiter = Limiter::new(0, 16, vec![packets(interval_ns, burst)]);
    let (clock, passed) = (AtomicU64::new(YEAR), AtomicU64::new(0));
    on_threads(|_| {
        for _ in 0..PACKETS {
            let now_ns = clock.fetch_add(STEP_NS, SeqCst);
            if limiter.judge(&packet(1, false), now_ns).0 {
                passed.fetch_add(1, SeqCst);
            }
        }
    });
    let most = burst + (clock.load(SeqCst) - YEAR) / interval_ns;
    let passed = passed.load(SeqCst);
    assert!(passed <= most, "{passed} of {most}");
    assert!(passed >= most * 9 / 10, "{passed} of {most}");
}

/// Packets that pass in each of many rounds, in which all threads bring the same new source; `is_member` by thread. Those of its bucket,
/// then those of the overflow bucket: a thread that met others at each of its tries to make a bucket is charged there.
fn rounds_of_newcomers(burst: u64, packets_each: u32, is_member: impl Fn(usize) -> bool + Sync) -> Vec<[u64; 2]> {
    const ROUNDS: u32 = 2000;
    let limiter = Limiter::new(4, 4, vec![packets(SECOND, burst)]);
    let passed: Vec<[AtomicU64; 2]> = (0..ROUNDS).map(|_| Default::default()).collect();
    let round_begins = Barrier::new(THREADS);
    on_threads(|thread| {
        for (round, [own, overflow]) in passed.iter().enumerate() {
            round_begins.wait();
            // Everybody of the rounds before has paid.
            let now_ns = YEAR + round as u64 * DAY;
            for _ in 0..packets_each {
                let (passes, outcome) = limiter.judge(&packet(round as u32, is_member(thread)), now_ns);
                let passed = if outcome == Outcome::Full { overflow } else { own };
                passed.fetch_add(passes.into(), SeqCst);
            }
        }
    });
    passed.into_iter().map(|passed| passed.map(AtomicU64::into_inner)).collect()
}

#[test]
fn a_source_that_all_threads_bring_at_once_has_exactly_its_burst() {
    for [own, overflow] in rounds_of_newcomers(12, 3, |_| true) {
        assert_eq!(own, 12, "and {overflow} of the overflow bucket");
        assert!(overflow <= THREADS as u64, "{overflow} of the overflow bucket");
    }
}

#[test]
fn a_bucket_that_members_and_strangers_bring_at_once_has_one_burst() {
    let (burst, packets_each) = (100, 50);
    // Two buckets would be two bursts. What is in flight when a table is left for the other one comes on top.
    let most = burst + 3 * THREADS as u64;
    let rounds = rounds_of_newcomers(burst, packets_each, |thread| thread % 2 == 0);
    for [own, overflow] in &rounds {
        assert!(own + overflow >= burst && *own <= most, "{own} and {overflow} of {burst}");
    }
    // While a thread that makes the bucket is held up, which a busy machine does now and then, the others share the overflow bucket.
    let held_up = rounds.iter().filter(|[own, overflow]| own + overflow > most).count();
    assert!(held_up <= rounds.len() / 50, "{held_up} of {} rounds had more than one burst", rounds.len());
}

#[test]
fn debtors_among_newcomers_are_always_found_and_exactly_limited() {
    const SETS: u32 = 2;
    const DEBTORS: u32 = 6;
    const STEP_NS: u64 = 100;
    // A packet of a debtor is a debt of a second, one of a newcomer of ten steps.
    let limits = vec![packets(SECOND, 1000), packets(10 * STEP_NS, 10)];
    let limiter = Limiter::new(SETS as usize, 0, limits);
    let passed: Vec<AtomicU64> = (0..DEBTORS).map(|_| AtomicU64::new(0)).collect();
    for debtor in 0..DEBTORS {
        for _ in 0..500 {
            assert!(limiter.judge(&packet(debtor, true), YEAR).0);
        }
    }
    let clock = AtomicU64::new(YEAR);
    let newcomers = AtomicU64::new(0);
    on_threads(|thread| {
        let mut random = Random(thread as u64);
        for _ in 0..100_000 {
            let now_ns = clock.fetch_add(STEP_NS, SeqCst);
            let number = random.below(64) as u32;
            if number < DEBTORS {
                let (passes, outcome) = limiter.judge(&packet(number, true), now_ns);
                assert_eq!(outcome, Outcome::Found);
                passed[number as usize].fetch_add(passes.into(), SeqCst);
            } else {
                let mut newcomer = packet(number + random.below(1000) as u32 * 64, true);
                newcomer.limit = 1;
                let (_, outcome) = limiter.judge(&newcomer, now_ns);
                newcomers.fetch_add((outcome == Outcome::Inserted).into(), SeqCst);
            }
        }
    });
    assert!(clock.load(SeqCst) < YEAR + SECOND, "no credit comes back");
    for passed in passed {
        assert_eq!(passed.load(SeqCst), 500);
    }
    assert!(newcomers.load(SeqCst) > 10_000, "{newcomers:?} newcomers");
}

#[test]
fn many_sources_in_a_few_sets_are_all_limited() {
    const SETS: usize = 2;
    const SOURCES: u32 = 40;
    const BURST: u64 = 1000;
    for round in 0..20 {
        let limiter = Limiter::new(SETS, 0, vec![packets(DAY, BURST)]);
        let passed: Vec<AtomicU64> = (0..SOURCES).map(|_| AtomicU64::new(0)).collect();
        let shared = AtomicU64::new(0);
        on_threads(|thread| {
            let mut random = Random(round << 8 | thread as u64);
            for _ in 0..10_000 {
                let number = random.below(SOURCES.into()) as u32;
                let (passes, outcome) = limiter.judge(&packet(number, true), YEAR);
                let passed = if outcome == Outcome::Full { &shared } else { &passed[number as usize] };
                passed.fetch_add(passes.into(), SeqCst);
            }
        });
        // Time stands still, so a way that was charged keeps its source: what was in flight while a way changed hands
        // is all that may come on top.
        let in_flight = (WAYS * SETS * THREADS) as u64;
        let counts: Vec<u64> = passed.iter().map(|passed| passed.load(SeqCst)).collect();
        assert!(counts.iter().all(|passed| *passed <= BURST + in_flight), "{counts:?}");
        assert_eq!(counts.iter().filter(|passed| **passed + in_flight >= BURST).count(), WAYS * SETS, "{counts:?}");
        assert!(shared.load(SeqCst) <= BURST, "{shared:?} through the overflow bucket");
    }
}
