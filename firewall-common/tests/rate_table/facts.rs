//! What the table does, case by case.

use std::sync::atomic::Ordering::SeqCst;

use firewall_common::{
    Quantity, Quota,
    rate::SKEW_NS,
    rate_table::{Lookup, RateFacts, RateTable, WAYS, gate_quota},
};

use crate::memory::{DAY, Limiter, Memory, Outcome, Packet, SECOND, YEAR, packet, packets};

/// One packet a second, ten at once: a packet is a debt of a second.
fn limiter(members: usize, strangers: usize) -> Limiter {
    Limiter::new(members, strangers, vec![packets(SECOND, 10), packets(SECOND, 10)])
}

/// Packets of `packet` that pass at `now_ns`.
fn burst(limiter: &Limiter, packet: &Packet, now_ns: u64) -> usize {
    (0..100).take_while(|_| limiter.judge(packet, now_ns).0).count()
}

#[test]
fn a_newcomer_is_inserted_and_found_from_then_on() {
    let limiter = limiter(4, 4);
    let source = packet(1, true);
    assert_eq!(limiter.judge(&source, YEAR), (true, Outcome::Inserted));
    for _ in 0..9 {
        assert_eq!(limiter.judge(&source, YEAR), (true, Outcome::Found));
    }
    assert_eq!(limiter.judge(&source, YEAR), (false, Outcome::Found));
    assert_eq!(limiter.judge(&source, YEAR + SECOND), (true, Outcome::Found));
}

#[test]
fn sources_and_limits_are_told_apart() {
    let limiter = limiter(1, 1);
    let source = packet(1, true);
    assert_eq!(burst(&limiter, &source, YEAR), 10);
    assert_eq!(burst(&limiter, &packet(2, true), YEAR), 10);
    assert_eq!(burst(&limiter, &Packet { limit: 1, ..source }, YEAR), 10);
    assert_eq!(burst(&limiter, &source, YEAR), 0);
}

#[test]
fn a_set_of_debtors_takes_nobody_and_keeps_everybody() {
    let limiter = limiter(1, 0);
    for number in 0..WAYS as u32 {
        assert_eq!(burst(&limiter, &packet(number, true), YEAR), 10);
    }
    // The ninth shares the overflow bucket with the tenth.
    assert_eq!(limiter.judge(&packet(8, true), YEAR), (true, Outcome::Full));
    assert_eq!(burst(&limiter, &packet(9, true), YEAR), 9);
    assert_eq!(limiter.judge(&packet(8, true), YEAR), (false, Outcome::Full));
    for number in 0..WAYS as u32 {
        assert_eq!(limiter.judge(&packet(number, true), YEAR), (false, Outcome::Found));
    }
}

#[test]
fn a_way_is_free_when_its_debt_is_paid_and_not_a_nanosecond_before() {
    let limiter = limiter(1, 0);
    for number in 0..WAYS as u32 {
        limiter.judge(&packet(number, true), YEAR);
    }
    assert_eq!(limiter.judge(&packet(8, true), YEAR + SECOND - 1).1, Outcome::Full);
    assert_eq!(limiter.judge(&packet(8, true), YEAR + SECOND).1, Outcome::Inserted);
}

#[test]
fn a_newcomer_takes_the_way_that_has_been_idle_longest() {
    let limiter = limiter(1, 0);
    for number in 0..WAYS as u32 {
        limiter.judge(&packet(number, true), YEAR + u64::from(number ^ 5) * SECOND);
    }
    let later = YEAR + 100 * SECOND;
    limiter.judge(&packet(4, true), later); // the second oldest, in debt from now on
    assert_eq!(limiter.judge(&packet(8, true), later).1, Outcome::Inserted); // takes the way of 5
    for number in (0..WAYS as u32).filter(|number| *number != 5) {
        assert_eq!(limiter.judge(&packet(number, true), later).1, Outcome::Found, "{number}");
    }
    assert_eq!(limiter.judge(&packet(5, true), later).1, Outcome::Full);
}

#[test]
fn a_flood_of_strangers_takes_nothing_from_members() {
    let limiter = limiter(1, 1);
    for number in 100..1100 {
        limiter.judge(&packet(number, false), YEAR);
    }
    assert_eq!(limiter.judge(&packet(99, false), YEAR).1, Outcome::Full);
    assert_eq!(limiter.judge(&packet(1, true), YEAR).1, Outcome::Inserted);
}

#[test]
fn who_becomes_a_member_or_a_stranger_keeps_the_bucket() {
    for is_member in [false, true] {
        let limiter = limiter(4, 4);
        assert_eq!(burst(&limiter, &packet(1, is_member), YEAR), 10);
        assert_eq!(limiter.judge(&packet(1, !is_member), YEAR), (false, Outcome::Found));
        // Once the debt is paid and somebody else has the way, the bucket is made where it belongs.
        let later = YEAR + 100 * SECOND;
        for number in 100..1100 {
            limiter.judge(&packet(number, is_member), later);
        }
        assert_eq!(limiter.judge(&packet(1, !is_member), later), (true, Outcome::Inserted));
    }
}

#[test]
fn a_table_that_the_policy_does_not_need_is_not_read() {
    let limiter = limiter(0, 1);
    assert_eq!(limiter.judge(&packet(1, false), YEAR).1, Outcome::Inserted);
    assert_eq!(limiter.judge(&packet(1, true), YEAR).1, Outcome::Full);
}

#[test]
fn every_quantity_that_a_limit_counts_makes_a_debtor_and_no_other() {
    for quantity in Quantity::ALL {
        let mut quotas = [Quota::default(); 3];
        quotas[quantity as usize] = Quota::of_events(1, SECOND, 100).unwrap();
        let limiter = Limiter::new(1, 0, vec![quotas]);
        let other = Quantity::ALL[(quantity as usize + 1) % 3];
        for way in 0..WAYS {
            limiter.memory.members[0].tat_ns[other as usize][way].store(YEAR + SECOND, SeqCst);
        }
        let source = |number| Packet { octets: 1, opens_connection: true, ..packet(number, true) };
        for number in 0..WAYS as u32 {
            assert_eq!(limiter.judge(&source(number), YEAR).1, Outcome::Inserted, "{quantity:?}");
        }
        assert_eq!(limiter.judge(&source(8), YEAR).1, Outcome::Full, "{quantity:?}");
    }
}

#[test]
fn after_a_change_of_the_clock_nobody_is_a_debtor() {
    let limiter = limiter(1, 0);
    for number in 0..WAYS as u32 {
        limiter.judge(&packet(number, true), 2 * YEAR);
    }
    // A year before: what is known is beyond the horizon, for sources and for the ways of the set.
    assert_eq!(burst(&limiter, &packet(1, true), YEAR), 10);
    assert_eq!(limiter.judge(&packet(8, true), YEAR).1, Outcome::Inserted);
    assert_eq!(burst(&limiter, &packet(1, true), YEAR), 0);
}

#[test]
fn a_clock_that_is_a_little_behind_sees_debtors() {
    let limiter = limiter(1, 0);
    for number in 0..WAYS as u32 {
        assert_eq!(burst(&limiter, &packet(number, true), YEAR), 10);
    }
    let behind = YEAR - SKEW_NS;
    assert_eq!(limiter.judge(&packet(1, true), behind), (false, Outcome::Found));
    assert_eq!(limiter.judge(&packet(8, true), behind).1, Outcome::Full);
}

#[test]
fn only_newcomers_among_strangers_are_asked_at_the_gate() {
    let shut = Quota::of_events(1, DAY, 1).unwrap();
    let limiter = Limiter::new(4, 4, vec![packets(SECOND, 10)]).with_gates(vec![shut]);
    assert_eq!(limiter.judge(&packet(1, false), YEAR).1, Outcome::Inserted);
    assert_eq!(limiter.judge(&packet(2, false), YEAR), (true, Outcome::Gated));
    assert_eq!(limiter.judge(&packet(1, false), YEAR).1, Outcome::Found);
    assert_eq!(limiter.judge(&packet(2, true), YEAR).1, Outcome::Inserted);
    assert_eq!(limiter.judge(&packet(2, false), YEAR).1, Outcome::Found);
    assert_eq!(burst(&limiter, &packet(3, false), YEAR), 9, "the overflow bucket has been charged once");
}

#[test]
fn a_gate_lets_in_no_more_newcomers_than_half_of_the_ways() {
    let sets = 1024;
    for interval_ns in [100_000, 1_000_000, SECOND] {
        let quotas = packets(interval_ns, 10);
        let gate = gate_quota(&quotas, sets);
        let limiter = Limiter::new(0, sets as usize, vec![quotas]).with_gates(vec![gate]);
        // Ten newcomers for each one that the gate lets in, for four times as long as a debt lasts.
        let (step_ns, mut now_ns) = (gate.interval / 10, YEAR);
        let mut most = 0;
        for number in 0..(40 * interval_ns / gate.interval) as u32 {
            limiter.judge(&packet(number, false), now_ns);
            now_ns += step_ns;
            if number % 1000 == 0 {
                most = most.max(debtors(&limiter.memory, now_ns));
            }
        }
        let ways = sets as usize * WAYS;
        assert!(most <= ways / 2, "{most} of {ways}");
        assert!(most > ways / 3, "{most} of {ways}");
    }
}

fn debtors(memory: &Memory, now_ns: u64) -> usize {
    let tats = memory.table(RateTable::Strangers).iter().flat_map(|set| &set.tat_ns[0]);
    tats.filter(|tat| tat.load(SeqCst) > now_ns).count()
}

#[test]
fn the_gate_counts_the_longest_debt_of_a_first_packet() {
    let second = Quota::of_events(1, SECOND, 5).unwrap();
    let slow_bytes = Quota::of_bytes(1522, 10 * SECOND, 100_000).unwrap();
    let none = Quota::default();
    let gate = |quotas| (gate_quota(&quotas, 1 << 10).interval, gate_quota(&quotas, 1 << 10).burst_ns);
    let quarter = (WAYS << 10) as u64 / 4;
    assert_eq!(gate([second, none, none]), (SECOND.div_ceil(quarter), SECOND));
    assert_eq!(gate([none, none, second]), (SECOND.div_ceil(quarter), SECOND));
    let (interval, burst_ns) = gate([second, slow_bytes, none]);
    assert!((10 * SECOND..10 * SECOND + 1000).contains(&burst_ns), "{burst_ns}");
    assert_eq!(interval, burst_ns.div_ceil(quarter));
}

#[test]
fn there_is_no_gate_where_newcomers_cannot_be_too_many() {
    let fast = packets(10, 100);
    assert!(!gate_quota(&fast, 1 << 15).is_limited());
    assert!(!gate_quota(&[Quota::default(); 3], 1 << 15).is_limited());
    assert!(!gate_quota(&packets(SECOND, 10), 0).is_limited(), "no strangers");
}

#[test]
fn the_facts_of_a_policy_are_those_of_all_its_limits() {
    let (short, long) = (Quota::of_events(1, SECOND, 1).unwrap(), Quota::of_bytes(1, DAY, 7).unwrap());
    let none = Quota::default();
    let facts = RateFacts::of_limits([&[short, none, none], &[none, long, none]]);
    assert_eq!(facts, RateFacts { horizon_ns: long.horizon_ns(), counts: [true, true, false] });
    assert_eq!(RateFacts::of_limits([]), RateFacts::default());
}

#[test]
fn who_shares_the_overflow_bucket_has_no_way() {
    let limiter = limiter(1, 0);
    for number in 0..WAYS as u32 {
        limiter.judge(&packet(number, true), YEAR);
    }
    let before: Vec<u64> = limiter.memory.members[0].tags.iter().map(|tag| tag.load(SeqCst)).collect();
    assert!(matches!(limiter.look_up(&packet(8, true), YEAR), Lookup::Full));
    let after: Vec<u64> = limiter.memory.members[0].tags.iter().map(|tag| tag.load(SeqCst)).collect();
    assert_eq!(before, after);
}
