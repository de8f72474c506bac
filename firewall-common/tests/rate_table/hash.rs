//! How buckets spread over sets, and who is told apart.

use std::collections::HashSet;

use firewall_common::{Address, Family, abi::BucketKey, rate_table::Hash};

use crate::memory::{Random, v4};

const SETS: u32 = 8192;
/// Eight a set, were they spread evenly.
const SOURCES: u64 = 8 * SETS as u64;

fn key(source: Address, limit: u16) -> BucketKey {
    BucketKey { high: source.high, low: source.low, family: source.family as u16, limit, padding: 0 }
}

fn v6(high: u64, low: u64) -> Address {
    Address { high, low, family: Family::Ipv6 }
}

/// A numbering of sources.
type Pattern = fn(u64) -> Address;

/// Sources as they come in practice, and as somebody may choose them.
const PATTERNS: [(&str, Pattern); 8] = [
    ("sequential addresses", |number| v4(0x0a00_0000 + number as u32)),
    ("one of each /24", |number| v4((number as u32) << 8 | 7)),
    ("the same low 16 bits", |number| v4((number as u32) << 16 | (number >> 16) as u32)),
    ("every 257th address", |number| v4(number as u32 * 257)),
    ("sequential /64", |number| v6(0x2001_0db8_0000_0000 | number, 0)),
    ("sequential /48", |number| v6(0x2001_0000_0000_0000 | number << 16, 0)),
    ("hosts of one /64", |number| v6(0x2001_0db8_0000_0001, number)),
    ("the same low 32 bits", |number| v6(0x2001_0db8_0000_0001, number << 32)),
];

#[test]
fn whatever_the_pattern_of_the_sources_no_set_is_much_fuller_than_by_chance() {
    let mut random = Random(1);
    for round in 0..64 {
        let seed = random.seed();
        for (name, source) in PATTERNS {
            let mut loads = vec![0u64; SETS as usize];
            for number in 0..SOURCES {
                loads[Hash::new(&seed, &key(source(number), 1)).set(SETS) as usize] += 1;
            }
            // Balls thrown at random: a set with 30 of them once in 10^9 sets, and this sum of squares within 1 %.
            let fullest = loads.iter().max().unwrap();
            assert!(*fullest < 30, "{name}, seed {round}: {fullest} in one set");
            let squares: u64 = loads.iter().map(|load| load * load).sum();
            let by_chance = SOURCES + SOURCES * SOURCES / u64::from(SETS);
            assert!(squares <= by_chance * 11 / 10, "{name}, seed {round}: {squares} squares, by chance {by_chance}");
        }
    }
}

#[test]
fn two_keys_meet_in_a_set_no_more_often_than_twice_by_chance() {
    const FEW_SETS: u32 = 64;
    const SEEDS: u32 = 20_000;
    let base = v6(0x2001_0db8_0000_0001, 5);
    let pairs = [
        (key(v4(1), 1), key(v4(0), 1)),
        (key(v4(1 << 31), 1), key(v4(0), 1)),
        (key(v4(1), 1), key(v4(1), 2)),
        (key(base, 1), key(v6(base.high ^ 1 << 63, base.low), 1)),
        (key(base, 1), key(v6(base.high ^ 1, base.low), 1)),
        (key(base, 1), key(v6(base.high, base.low ^ 1 << 63), 1)),
        (key(base, 1), key(v6(base.high, base.low ^ 1), 1)),
        (key(base, 1), key(base, 2)),
    ];
    for (one, other) in pairs {
        let mut random = Random(2);
        let meet = (0..SEEDS)
            .filter(|_| {
                let seed = random.seed();
                Hash::new(&seed, &one).set(FEW_SETS) == Hash::new(&seed, &other).set(FEW_SETS)
            })
            .count();
        // By chance 312; the bound of the family is 625; five standard deviations are 125.
        assert!(meet <= 750, "{one:?} and {other:?}: {meet}");
    }
}

#[test]
fn a_million_sources_have_a_million_tags() {
    let mut random = Random(3);
    let seed = random.seed();
    let (mut keys, mut tags) = (HashSet::new(), HashSet::new());
    for (_, source) in PATTERNS {
        for number in 0..SOURCES {
            for limit in [1, 2] {
                let key = key(source(number), limit);
                keys.insert(key);
                tags.insert(Hash::new(&seed, &key).tag());
            }
        }
    }
    assert!(keys.len() > 1_000_000);
    assert_eq!(tags.len(), keys.len());
    assert!(!tags.contains(&0), "0 is nobody's tag");
}

#[test]
fn a_set_is_one_of_those_that_are_there() {
    let mut random = Random(4);
    let seed = random.seed();
    for sets in [1, 2, 3, 1000, 1 << 20, u32::MAX] {
        for number in 0..1000 {
            assert!(Hash::new(&seed, &key(v4(number), 1)).set(sets) < sets);
        }
    }
}
