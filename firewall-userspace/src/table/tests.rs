//! The table against `Members`, and against a scan over all prefixes.

use std::collections::HashMap;

use firewall_common::{
    Address,
    abi::ClassRecord,
    prefix_table::{self, Line, PrefixMemory, WORDS},
};
use proptest::prelude::*;

use firewall_common::prefix_table::{HostsHash, ROOT_SLOTS};

use super::*;

struct Known(Vec<Member>, HashMap<Member, u32>);

impl Known {
    fn new() -> Self {
        Self(vec![Member::default()], HashMap::from([(Member::default(), 0)]))
    }
}

impl Classes for Known {
    fn class_of(&mut self, member: &Member) -> Result<u32, TableFull> {
        Ok(*self.1.entry(member.clone()).or_insert_with(|| {
            self.0.push(member.clone());
            self.0.len() as u32 - 1
        }))
    }
}

type TestTable = Table<Vec<AtomicU32>, Vec<AtomicU64>>;

struct View<'a>(&'a TestTable);
struct LineView<'a>(&'a [AtomicU64]);

impl<'a> PrefixMemory for View<'a> {
    type Line = LineView<'a>;

    fn root_v4(&self, slot: u16) -> u64 {
        self.0.memory.root_v4[usize::from(slot)].load(Ordering::Acquire)
    }

    fn root_v6(&self, slot: u16) -> u32 {
        self.0.memory.root_v6[usize::from(slot)].load(Ordering::Acquire)
    }

    fn line(&self, number: u32) -> Option<LineView<'a>> {
        self.0.memory.lines.get(number as usize * WORDS..)?.get(..WORDS).map(LineView)
    }

    fn hosts(&self, number: u32) -> Option<LineView<'a>> {
        let words = &self.0.memory.hosts;
        let line = number as usize & (words.len() / WORDS - 1);
        words.get(line * WORDS..)?.get(..WORDS).map(LineView)
    }

    fn hosts_hash(&self) -> HostsHash {
        hash(self.0.memory.hosts.len() / WORDS)
    }

    fn class(&self, _: u32) -> Option<&ClassRecord> {
        None
    }

    fn boot_second(&self) -> u32 {
        0
    }
}

impl Line for LineView<'_> {
    fn word(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }
}

fn hash(lines: usize) -> HostsHash {
    HostsHash { multiplier: 0x9e37_79b9_7f4a_7c15, shift: 64 - lines.ilog2() }
}

fn table(lines: usize, host_lines: usize) -> TestTable {
    let words = |lines: usize| (0..lines * WORDS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    let memory = Memory {
        root_v4: (0..ROOT_SLOTS).map(|_| AtomicU64::new(0)).collect(),
        root_v6: (0..ROOT_SLOTS).map(|_| AtomicU32::new(0)).collect(),
        lines: words(lines),
        hosts: words(host_lines),
    };
    Table::new(memory, hash(host_lines))
}

fn lookup(table: &TestTable, classes: &Known, address: IpAddr) -> Member {
    classes.0[prefix_table::lookup(&View(table), &Address::from(address)) as usize].clone()
}

/// Prefixes of every length around a few places, so that they overlap often and every kind of entry comes up.
fn any_prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (prop::sample::select(vec![0u32, 0xc000_0200, 0xc000_02ff, 0xffff_ff00]), any::<u8>(), 0u8..=32).prop_map(
        |(base, low, length)| {
            let address = (base | u32::from(low)) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Prefix::new(IpAddr::from(address.to_be_bytes()), length).unwrap()
        },
    );
    let v6 = (
        prop::sample::select(vec![0u128, 0x2001_0db8 << 96, 0x2001_0db8_0001 << 80, u128::MAX << 8]),
        any::<u16>(),
        0u8..=128,
    )
        .prop_map(|(base, low, length)| {
            let address = (base ^ u128::from(low) ^ u128::from(low) << 76)
                & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Prefix::part(IpAddr::from(address.to_be_bytes()), length).unwrap()
        });
    prop_oneof![v4, v6]
}

fn probes(prefixes: &[Prefix]) -> Vec<IpAddr> {
    let mut probes = Vec::new();
    for prefix in prefixes {
        for edge in [prefix.address(), prefix.last()] {
            probes.push(edge);
            match edge {
                IpAddr::V4(v4) => probes.extend(
                    [u32::from(v4).wrapping_sub(1), u32::from(v4).wrapping_add(1)]
                        .map(|bits| IpAddr::from(bits.to_be_bytes())),
                ),
                IpAddr::V6(v6) => probes.extend(
                    [u128::from(v6).wrapping_sub(1), u128::from(v6).wrapping_add(1)]
                        .map(|bits| IpAddr::from(bits.to_be_bytes())),
                ),
            }
        }
    }
    probes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_address_has_the_class_of_its_covers_after_every_change(
        changes in prop::collection::vec((any_prefix(), 0u64..4), 1..60)
    ) {
        let mut members = Members::default();
        let (mut live, mut classes) = (table(20_000, 16), Known::new());
        let prefixes: Vec<Prefix> = changes.iter().map(|(prefix, _)| *prefix).collect();
        let probes = probes(&prefixes);
        for (prefix, lists) in &changes {
            members.set(*prefix, Member { lists: *lists, ..Member::default() });
            live.update(&members, *prefix, &mut classes, || {}).unwrap();
            live.reclaim();
        }
        let mut filled = table(20_000, 16);
        filled.fill(&members, &mut classes).unwrap();
        for address in probes {
            let wanted = members.lookup(address);
            prop_assert_eq!(lookup(&live, &classes, address), wanted.clone(), "live at {}", address);
            prop_assert_eq!(lookup(&filled, &classes, address), wanted, "filled at {}", address);
        }
        for prefix in prefixes {
            members.set(prefix, Member::default());
            live.update(&members, prefix, &mut classes, || {}).unwrap();
            live.reclaim();
        }
        prop_assert_eq!((live.usage().0, live.hosts()), (0, 0), "lines or hosts leaked");
    }
}

#[test]
fn a_million_prefixes() {
    let mut state = 1u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut members = Members::default();
    for _ in 0..1_000_000 {
        let r = random();
        let length = match r % 100 {
            0..70 => 32,
            70..95 => 24,
            95..99 => 22,
            _ => 20,
        };
        let address = (r >> 32) as u32 & (u32::MAX << (32 - length));
        members.set(
            Prefix::part(IpAddr::from(address.to_be_bytes()), length as u8).unwrap(),
            Member { lists: 1, ..Member::default() },
        );
    }
    let mut table = table(1 << 20, 1 << 18);
    let mut classes = Known::new();
    let t = std::time::Instant::now();
    table.fill(&members, &mut classes).unwrap();
    println!("fill {:?} usage {:?} = {} MiB", t.elapsed(), table.usage(), table.usage().0 / 16384);
    let t = std::time::Instant::now();
    for i in 0..10000u32 {
        let p = Prefix::part(IpAddr::from((i.wrapping_mul(2654435761)).to_be_bytes()), 32).unwrap();
        members.set(p, Member { lists: 3, ..Member::default() });
        table.update(&members, p, &mut classes, || {}).unwrap();
    }
    println!("10000 updates {:?}", t.elapsed());
    let mut n = 0;
    let t = std::time::Instant::now();
    for _ in 0..1_000_000 {
        n += u64::from(prefix_table::lookup(&View(&table), &Address::v4((random() as u32).to_be_bytes())));
    }
    println!("1M lookups {:?} {n}", t.elapsed());
}
