//! Floods of random sources, a packet at a time: who was known before does not notice.

use firewall_common::rate_table::gate_quota;

use crate::memory::{Limiter, Outcome, Packet, Random, SECOND, YEAR, packet, packets};

const LEGITIMATE: u32 = 10_000;
/// Ways for eight times the legitimate sources, and a flood of 5 million packets a second.
const SETS: u32 = 1 << 15;
const STEP_NS: u64 = 200;
const PACKETS: u64 = 6_000_000;

/// What became of the packets of legitimate sources.
#[derive(Debug, Default)]
struct Visits {
    all: u64,
    found: u64,
    /// Of those that come back before their debt is paid.
    in_debt: u64,
    in_debt_lost: u64,
    /// Of those that come back within one and a half times that.
    soon: u64,
    soon_found: u64,
    passed: u64,
}

/// One packet in a hundred is of a legitimate source, member or not, the others are of random strangers. Packets of
/// legitimate sources are debts of `debt_ns`; each comes first before the flood.
fn flood(is_member: bool, debt_ns: u64) -> Visits {
    let quotas = packets(debt_ns, 20);
    let gate = gate_quota(&quotas, SETS);
    let limiter = Limiter::new(SETS as usize / 2, SETS as usize, vec![quotas]).with_gates(vec![gate]);
    let mut random = Random(7);
    let mut now_ns = YEAR;
    // By source: when it paid, or will have paid, all its debts.
    let mut paid_ns = Vec::new();
    for number in 0..LEGITIMATE {
        assert_eq!(limiter.judge(&packet(number, is_member), now_ns), (true, Outcome::Inserted));
        paid_ns.push(now_ns + debt_ns);
        now_ns += STEP_NS;
    }
    let mut visits = Visits::default();
    for count in 0..PACKETS {
        now_ns += STEP_NS;
        if count % 100 != 0 {
            let stranger = Packet { is_member: false, ..packet(LEGITIMATE + random.next() as u32 / 2, false) };
            limiter.judge(&stranger, now_ns);
            continue;
        }
        let number = random.below(LEGITIMATE.into()) as u32;
        let paid_ns = &mut paid_ns[number as usize];
        let (passed, outcome) = limiter.judge(&packet(number, is_member), now_ns);
        let found = outcome == Outcome::Found;
        visits.all += 1;
        visits.found += u64::from(found);
        visits.passed += u64::from(passed);
        if *paid_ns > now_ns {
            visits.in_debt += 1;
            visits.in_debt_lost += u64::from(!found);
        } else if *paid_ns + debt_ns / 2 > now_ns {
            visits.soon += 1;
            visits.soon_found += u64::from(found);
        }
        if passed && matches!(outcome, Outcome::Found | Outcome::Inserted) {
            *paid_ns = now_ns.max(*paid_ns) + debt_ns;
        }
    }
    visits
}

#[test]
fn a_source_in_debt_is_always_found_again() {
    // Five packets a second each, debts of a second: hardly anybody gets out of debt.
    let visits = flood(false, SECOND);
    assert_eq!((visits.in_debt_lost, visits.found), (0, visits.all), "{visits:?}");
    assert!(visits.in_debt * 1000 > visits.all * 999, "{visits:?}");
}

#[test]
fn a_stranger_that_has_paid_is_forgotten_late() {
    // Debts of 100 ms: most have paid when they come back.
    let visits = flood(false, SECOND / 10);
    assert_eq!(visits.in_debt_lost, 0, "{visits:?}");
    assert!(visits.in_debt > 10_000 && visits.soon > 5_000, "{visits:?}");
    assert!(visits.soon_found * 100 >= visits.soon * 98, "{visits:?}");
}

#[test]
fn a_member_does_not_notice() {
    let visits = flood(true, SECOND / 10);
    assert_eq!((visits.found, visits.passed), (visits.all, visits.all), "{visits:?}");
}
