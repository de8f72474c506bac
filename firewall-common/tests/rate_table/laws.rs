//! The table against buckets that are never thrown away and count exactly.

use std::collections::HashMap;

use firewall_common::{
    Address, Family, Quota,
    abi::BucketKey,
    rate::MAX_BURST_NS,
    rate_table::{RateTable, WAYS},
};
use proptest::prelude::*;

use crate::memory::{DAY, Limiter, Outcome, Packet, SECOND, YEAR, v4};

/// How far the clocks of two CPUs may be apart: a tick at `CONFIG_HZ=100`.
const SKEW: u64 = 10_000_000;

/// Time that a unit takes and units at once, by quantity.
type Limit = [Option<(u64, u64)>; 3];

fn quotas(limit: Limit) -> [Quota; 3] {
    let [packets, bytes, connections] = limit;
    let events =
        |quota: Option<(u64, u64)>| quota.map(|(ns, burst)| Quota::of_events(1, ns, burst).expect("can be kept"));
    let octets = bytes.map(|(ns, burst)| Quota::of_bytes(1, ns, burst).expect("can be kept"));
    [events(packets), octets, events(connections)].map(Option::unwrap_or_default)
}

/// Token buckets of one source, counted in ns.
struct Exact {
    limit: Limit,
    credit_ns: [i128; 3],
    last_ns: u64,
    home: Option<(RateTable, u32)>,
}

impl Exact {
    fn full(limit: Limit, now_ns: u64) -> Self {
        Self { limit, credit_ns: limit.map(full), last_ns: now_ns, home: None }
    }

    fn credit_at(&self, now_ns: u64) -> [i128; 3] {
        let elapsed = i128::from(now_ns - self.last_ns);
        std::array::from_fn(|quantity| full(self.limit[quantity]).min(self.credit_ns[quantity] + elapsed))
    }

    fn is_in_debt(&self, now_ns: u64) -> bool {
        self.credit_at(now_ns) != self.limit.map(full)
    }

    fn refill(&mut self, now_ns: u64) {
        self.credit_ns = self.credit_at(now_ns);
        self.last_ns = now_ns;
    }

    /// Takes what the packet costs; what is left of the scarcest credit.
    fn take(&mut self, packet: &Packet, now_ns: u64) -> i128 {
        self.refill(now_ns);
        let units = [1, packet.octets, u64::from(packet.opens_connection)];
        let mut least = i128::MAX;
        for ((credit, quota), units) in self.credit_ns.iter_mut().zip(self.limit).zip(units) {
            if let (Some((ns, _)), 1..) = (quota, units) {
                *credit -= i128::from(ns) * i128::from(units);
                least = least.min(*credit);
            }
        }
        least
    }

    /// Whether the packet passes; takes what it costs only then.
    fn judge(&mut self, packet: &Packet, now_ns: u64) -> bool {
        self.refill(now_ns);
        let before = self.credit_ns;
        let passes = self.take(packet, now_ns) >= 0;
        if !passes {
            self.credit_ns = before;
        }
        passes
    }
}

fn full(quota: Option<(u64, u64)>) -> i128 {
    quota.map_or(0, |(ns, burst)| i128::from(ns) * i128::from(burst))
}

/// From one a day to a hundred million a second.
fn any_quota() -> impl Strategy<Value = Option<(u64, u64)>> {
    let ns = prop_oneof![Just(10u64), 10..1000u64, Just(1_000_000), Just(SECOND), Just(DAY)];
    prop::option::weighted(0.7, (ns, 1u64..20))
}

fn any_limit() -> impl Strategy<Value = Limit> {
    let octets = (prop_oneof![Just(1u64), 1..1000u64, Just(1_000_000)], 1u64..20_000);
    (any_quota(), prop::option::weighted(0.5, octets), any_quota())
        .prop_map(|(packets, bytes, connections)| [packets, bytes, connections])
        .prop_filter("limits something", |limit| limit.iter().any(Option::is_some))
}

/// Packets: a kind of step in time, noise, and a source.
fn any_packets() -> impl Strategy<Value = Vec<(u16, u32, u8)>> {
    prop::collection::vec((any::<u16>(), any::<u32>(), any::<u8>()), 1..400)
}

/// A step that matters to `limit`.
fn step_ns(limit: Limit, kind: u16, noise: u32) -> u64 {
    let (ns, burst) = limit[usize::from(kind / 16) % 3].unwrap_or((1, 1));
    match kind % 16 {
        0..=7 => 0,
        8..=9 => u64::from(noise) % (ns + 1),
        10 => ns,
        11 => (ns + u64::from(noise) % 3).saturating_sub(1),
        12..=13 => u64::from(noise) % (ns * burst + 1),
        14 => ns * burst,
        _ => (kind as u64 / 64 % 8) / 7 * YEAR * (u64::from(noise) % 3),
    }
}

/// One of a few sources under one of two limits; members and strangers change sides.
fn packet(noise: u32, source: u8) -> Packet {
    let number = u32::from(source % 24);
    Packet {
        source: if source.is_multiple_of(3) {
            Address { high: 0x2001_0db8 << 32 | u64::from(number), low: 1, family: Family::Ipv6 }
        } else {
            v4(number)
        },
        limit: usize::from(source / 128),
        is_member: noise & 1 << 20 != 0,
        octets: 60 + u64::from(noise >> 8) % 1455,
        opens_connection: noise & 1 << 21 != 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    /// What is thrown away is never missed: every verdict is that of a bucket that was never thrown away, and who has to
    /// share the overflow bucket met a set full of debtors.
    #[test]
    fn every_verdict_is_that_of_exact_buckets(
        limits in [any_limit(), any_limit()], members in 1usize..3, strangers in 1usize..3, packets in any_packets()
    ) {
        let limiter = Limiter::new(members, strangers, limits.map(quotas).to_vec());
        let mut buckets: HashMap<BucketKey, Exact> = HashMap::new();
        let mut overflow = limits.map(|limit| Exact::full(limit, YEAR));
        let mut now_ns = YEAR;
        for (kind, noise, source) in packets {
            let packet = packet(noise, source);
            now_ns = (now_ns + step_ns(limits[packet.limit], kind, noise)).min(MAX_BURST_NS);
            let key = Limiter::key(&packet);
            let table = if packet.is_member { RateTable::Members } else { RateTable::Strangers };
            let home = (table, limiter.hash(&packet).set(limiter.memory.table(table).len() as u32));
            let debtors = buckets.values().filter(|bucket| bucket.home == Some(home) && bucket.is_in_debt(now_ns)).count();
            let bucket = buckets.entry(key).or_insert_with(|| Exact::full(limits[packet.limit], now_ns));
            let was_in_debt = bucket.is_in_debt(now_ns);
            let (passed, outcome) = limiter.judge(&packet, now_ns);
            let expected = match outcome {
                Outcome::Found => bucket.judge(&packet, now_ns),
                Outcome::Inserted => {
                    prop_assert!(!was_in_debt, "the debt of {packet:?} is lost at {now_ns}");
                    bucket.home = Some(home);
                    bucket.judge(&packet, now_ns)
                }
                Outcome::Full => {
                    prop_assert!(!was_in_debt && debtors == WAYS, "{packet:?} found no way at {now_ns}");
                    overflow[packet.limit].judge(&packet, now_ns)
                }
                Outcome::Gated => unreachable!("there is no gate"),
            };
            prop_assert_eq!(passed, expected, "{:?} at {}", packet, now_ns);
        }
    }

    /// With clocks that differ between CPUs nobody passes more than what the difference is worth.
    #[test]
    fn a_clock_that_goes_back_a_little_exceeds_by_no_more_than_that(
        limit in any_limit(), sets in 1usize..3, packets in any_packets(), skews in prop::collection::vec(0..SKEW, 400)
    ) {
        let limiter = Limiter::new(sets, sets, vec![quotas(limit)]);
        let start = YEAR;
        let mut buckets: HashMap<BucketKey, Exact> = HashMap::new();
        let mut overflow = Exact::full(limit, start);
        let mut latest = start;
        for ((kind, noise, source), skew) in packets.into_iter().zip(skews) {
            let packet = packet(noise, source % 128);
            latest = (latest + step_ns(limit, kind, noise)).min(MAX_BURST_NS);
            let now_ns = (latest - skew).max(start);
            let (passed, outcome) = limiter.judge(&packet, now_ns);
            let bucket = match outcome {
                Outcome::Full => &mut overflow,
                _ => buckets.entry(Limiter::key(&packet)).or_insert_with(|| Exact::full(limit, start)),
            };
            if passed {
                let left = bucket.take(&packet, latest);
                prop_assert!(left >= -i128::from(SKEW), "{left} at {now_ns}");
            }
        }
    }
}
