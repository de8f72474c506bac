//! The table against `Members`, and against a scan over all prefixes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
};

use firewall_common::{
    Address,
    abi::ClassRecord,
    prefix_table::{self, Line, PLACES_RUN, PlacesHash, PrefixMemory, ROOT_SLOTS, WORDS},
};
use ipnet::IpNet;
use proptest::prelude::*;

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

type TestTable = Table<Arc<[AtomicU32]>, Arc<[AtomicU64]>>;

/// What a reader has of a table while a writer changes it.
#[derive(Clone)]
struct View(Memory<Arc<[AtomicU32]>, Arc<[AtomicU64]>>);

impl View {
    fn of(table: &TestTable) -> Self {
        let Memory { root_v4, root_v6, lines, places } = table.memory();
        Self(Memory {
            root_v4: root_v4.clone(),
            root_v6: root_v6.clone(),
            lines: lines.clone(),
            places: places.clone(),
        })
    }
}

struct LineView<'a>(&'a [AtomicU64]);

impl<'a> PrefixMemory for &'a View {
    type Line = LineView<'a>;

    fn root_v4(&self, slot: u16) -> u64 {
        self.0.root_v4[usize::from(slot)].load(Ordering::Acquire)
    }

    fn groups_v4(&self, slot: u16) -> u64 {
        self.0.root_v4[ROOT_SLOTS + usize::from(slot)].load(Ordering::Acquire)
    }

    fn root_v6(&self, slot: u16) -> u32 {
        self.0.root_v6[usize::from(slot)].load(Ordering::Acquire)
    }

    fn line(&self, number: u32) -> Option<LineView<'a>> {
        self.0.lines.get(number as usize * WORDS..)?.get(..WORDS).map(LineView)
    }

    fn places(&self, number: u32) -> Option<LineView<'a>> {
        self.0.places.get(number as usize * WORDS..)?.get(..WORDS).map(LineView)
    }

    fn places_hash(&self) -> PlacesHash {
        hash(self.0.places.len() / WORDS)
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

fn hash(lines: usize) -> PlacesHash {
    PlacesHash { multiplier: 0x9e37_79b9_7f4a_7c15, lines: lines as u32 - (PLACES_RUN - 1) }
}

fn table(lines: usize, place_lines: usize) -> TestTable {
    let words = |lines: usize| (0..lines * WORDS).map(|_| AtomicU64::new(0)).collect();
    let memory = Memory {
        root_v4: (0..2 * ROOT_SLOTS).map(|_| AtomicU64::new(0)).collect(),
        root_v6: (0..ROOT_SLOTS).map(|_| AtomicU32::new(0)).collect(),
        lines: words(lines),
        places: words(place_lines),
    };
    Table::new(memory, hash(place_lines))
}

fn lookup(table: &TestTable, classes: &Known, address: IpAddr) -> Member {
    classes.0[prefix_table::lookup(&&View::of(table), &Address::from(address)) as usize].clone()
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

/// Prefixes that have places, in so few /24s that they fill the lines of the table.
fn placed_prefix() -> impl Strategy<Value = Prefix> {
    let length = prop_oneof![6 => Just(32u8), 3 => Just(24u8), 2 => 20u8..24, 1 => Just(8u8), 1 => Just(28u8)];
    (0u32..4, 0u32..12, 0u32..256, length).prop_map(|(second, third, fourth, length)| {
        let address = 10 << 24 | second << 16 | third << 8 | fourth;
        Prefix::part(IpAddr::from(address.to_be_bytes()), length).unwrap()
    })
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
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_address_goes_from_its_old_answer_to_its_new_one_in_one_step(
        changes in prop_oneof![
            prop::collection::vec((any_prefix(), 0u64..4), 1..60),
            prop::collection::vec((placed_prefix(), 0u64..4), 1..120),
        ]
    ) {
        let mut members = Members::default();
        let (mut live, mut classes) = (table(20_000, 16), Known::new());
        for lists in 1..4 {
            // Class n is in the lists n, so that a reader knows them.
            classes.class_of(&Member { lists, ..Member::default() }).unwrap();
        }
        let prefixes: Vec<Prefix> = changes.iter().map(|(prefix, _)| *prefix).collect();
        let probes = probes(&prefixes);
        let view = View::of(&live);
        for (prefix, lists) in &changes {
            let answer = |view: &View, classes: &[Member], address: &IpAddr| {
                classes[prefix_table::lookup(&view, &Address::from(*address)) as usize].clone()
            };
            let before: Vec<Member> = probes.iter().map(|address| answer(&view, &classes.0, address)).collect();
            members.set(*prefix, Member { lists: *lists, ..Member::default() });
            let known: Vec<Member> = (0..4).map(|lists| Member { lists, ..Member::default() }).collect();
            // Halfway, with the slots changed and the groups not: the old answer or the new one.
            let halfway = || {
                for (address, before) in probes.iter().zip(&before) {
                    let (now, after) = (answer(&view, &known, address), members.lookup(*address));
                    assert!(now == *before || now == after, "{address} is {now:?}: {before:?} to {after:?}");
                }
            };
            live.update(&members, *prefix, &mut classes, halfway).unwrap();
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
        prop_assert_eq!((live.usage().0, live.places()), (0, 0), "lines or places leaked");
    }
}

/// Prefixes and addresses as the benchmarks have them: mostly single hosts and small networks, and all other lengths.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn prefix(&mut self) -> Prefix {
        let choice = self.next();
        let high = self.next();
        if choice & 3 != 0 {
            let length = match choice >> 8 & 31 {
                0..=19 => 32,
                20..=25 => 24,
                26..=30 => 17 + (choice >> 16) as u8 % 15,
                _ => 12 + (choice >> 16) as u8 % 5,
            };
            // Only half of the space has lengths that no place has.
            let half = u32::from(!matches!(length, 24 | 32)) << 31;
            Prefix::part(IpAddr::from(((high >> 32) as u32 | half).to_be_bytes()), length).unwrap()
        } else {
            let length = match choice >> 8 & 31 {
                0..=13 => 64,
                14..=21 => 48,
                22..=27 => 128,
                _ => 44 + (choice >> 16) as u8 % 84,
            };
            let low = self.next();
            // Few first halves, so that prefixes nest.
            let address = u128::from(0x2001_0000_0000_0000 | high >> 24) << 64 | u128::from(low);
            Prefix::part(IpAddr::from(address.to_be_bytes()), length).unwrap()
        }
    }
}

/// Knows nothing of tries: asks for every length whether the network of that length around an address is a member.
#[derive(Default)]
struct Oracle {
    members: HashMap<IpNet, u64>,
    lengths: [BTreeMap<u8, usize>; 2],
}

impl Oracle {
    fn set(&mut self, prefix: Prefix, lists: u64) {
        let net = IpNet::new(prefix.address(), prefix.length()).unwrap();
        let before = self.members.insert(net, lists).unwrap_or(0);
        let count = self.lengths[usize::from(net.addr().is_ipv4())].entry(net.prefix_len()).or_default();
        *count = *count + usize::from(lists != 0) - usize::from(before != 0);
        if lists == 0 {
            self.members.remove(&net);
        }
    }

    fn lists(&self, address: IpAddr) -> u64 {
        let lengths = self.lengths[usize::from(address.is_ipv4())].iter().filter(|(_, count)| **count > 0);
        let around = |(length, _): (&u8, &usize)| IpNet::new(address, *length).unwrap().trunc();
        lengths.map(around).fold(0, |all, net| all | self.members.get(&net).copied().unwrap_or(0))
    }
}

const MILLION: usize = 1_000_000;
const CHANGES: usize = 100_000;

/// 1M prefixes of both families; then 100,000 changes in place while two threads look up. List 0 never changes, so a reader
/// knows at any time what to find there; list 1 is what changes.
#[test]
fn a_million_prefixes_agree_with_an_oracle_before_and_after_changes_under_readers() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut oracle, mut all) = (Oracle::default(), BTreeMap::new());
    while all.len() < MILLION {
        all.insert(random.prefix(), 1u64);
    }
    for prefix in all.keys() {
        oracle.set(*prefix, 1);
    }
    let member = |lists| Member { lists, ..Member::default() };
    let mut members = Members::from_all(all.keys().map(|prefix| (*prefix, member(1))));
    let mut classes = Known::new();
    for lists in 1..4 {
        classes.class_of(&member(lists)).unwrap();
    }
    let mut table = table(1 << 21, 1 << 17);
    table.fill(&members, &mut classes).unwrap();

    let prefixes: Vec<Prefix> = all.keys().copied().collect();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for chosen in prefixes.iter().step_by(8) {
        addresses.extend(probes(&[*chosen]));
    }
    while addresses.len() < MILLION {
        addresses.push(random.prefix().address());
    }
    for address in &addresses {
        assert_eq!(lookup(&table, &classes, *address).lists, oracle.lists(*address), "{address} after filling");
    }

    let fixed: Vec<(IpAddr, u64)> =
        addresses.iter().step_by(50).map(|address| (*address, oracle.lists(*address))).collect();
    let (view, known) = (View::of(&table), classes.0.clone());
    // Readers hold the lock as programs hold the RCU read lock: the writer's turn is a grace period.
    let grace = RwLock::new(());
    let stop = AtomicBool::new(false);
    let read = || {
        let mut seen = 0u64;
        while !stop.load(Ordering::Relaxed) {
            for batch in fixed.chunks(64) {
                let _running = grace.read().unwrap();
                for (address, lists) in batch {
                    let found = &known[prefix_table::lookup(&&view, &Address::from(*address)) as usize];
                    assert_eq!(found.lists & 1, *lists, "{address} while others change");
                    seen += 1;
                }
            }
        }
        seen
    };
    let mut changed = Vec::new();
    thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        for number in 0..CHANGES {
            // One in eight of those that are there, else a new one; half of them go again later.
            let prefix = match random.next() & 7 {
                0 => prefixes[random.next() as usize % prefixes.len()],
                1..=3 if !changed.is_empty() => changed[random.next() as usize % changed.len()],
                _ => random.prefix(),
            };
            let lists = members.own_value(prefix).lists ^ 2;
            members.set(prefix, member(lists));
            oracle.set(prefix, lists);
            table.update(&members, prefix, &mut classes, || {}).unwrap();
            changed.push(prefix);
            if number % 64 == 0 {
                drop(grace.write().unwrap());
                table.reclaim();
            }
        }
        stop.store(true, Ordering::Relaxed);
        let seen: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert!(seen > 10_000, "the readers looked up {seen} times");
    });
    for address in addresses.iter().step_by(2) {
        assert_eq!(lookup(&table, &classes, *address).lists, oracle.lists(*address), "{address} after changes");
    }
    for prefix in changed {
        members.set(prefix, member(members.own_value(prefix).lists & 1));
        table.update(&members, prefix, &mut classes, || {}).unwrap();
        table.reclaim();
    }
    let nothing = Members::default();
    for all in [Prefix::ALL_V4, Prefix::ALL_V6] {
        table.update(&nothing, all, &mut classes, || {}).unwrap();
        table.reclaim();
    }
    assert_eq!((table.usage().0, table.places()), (0, 0), "lines or places leaked");
}
