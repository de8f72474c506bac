//! What entries cost in memory, by a count of the octets that are allocated.
//!
//! One test stands in this file: the count is of the whole process.

use std::{
    alloc::System,
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use cap::Cap;
use firewall_userspace::{
    clock::reckoning::Reckoning,
    config,
    host::memory::MEMBER_OCTETS,
    lists::{
        Lists,
        alike::Alike,
        change::Change,
        entry::{Holding, Layer, Owner},
        pushed::{Runtime, RuntimeEntry},
    },
    policy::Prefix,
};
use jiff::Timestamp;

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

const ENTRIES: u64 = 200_000;

/// What an entry may cost: itself with its holder and its end, and what its prefix is in.
const MOST_PUSHED: usize = 100;
const MOST_MEMBERS: usize = 52;

/// What undoing a push may keep of an entry.
const UNDO: usize = 48;

const CONFIG: &str = "[[interface]]\nname = \"eth0\"\n[lists.a]\n";

/// Random prefixes, each once.
fn prefixes() -> Vec<Prefix> {
    let mut state = 1_u64;
    let mut random = || {
        // Knuth's MMIX: a sequence that is the same each time.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    let mut all = BTreeSet::new();
    let mut prefixes = Vec::new();
    while (prefixes.len() as u64) < ENTRIES {
        let address = match prefixes.len() % 2 {
            0 => IpAddr::V4(Ipv4Addr::from_bits(random())),
            _ => {
                let [a, b] = [0x2001_0db8_u32, random()].map(u128::from);
                IpAddr::V6(Ipv6Addr::from_bits(a << 96 | b << 32 | u128::from(random())))
            }
        };
        let prefix = Prefix::host(address);
        if all.insert(prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

fn allocated() -> usize {
    ALLOCATED.allocated()
}

#[test]
fn a_pushed_entry_has_its_holder_its_end_and_what_undoes_it_in_200_octets() {
    let mut policy = config::load_text(Path::new("x.toml"), CONFIG, Path::new("")).unwrap().policy;
    let list = policy.lists[0].name.clone();
    let per_entry = |octets: usize| octets / ENTRIES as usize;
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let clock = Reckoning::begin(None, None, now.into()).0;
    // First of all: the peak is that of the whole process.
    let own = BTreeSet::new();
    policy.lists[0].entries = prefixes().into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let before = allocated();
    let members = Lists::members_of(&policy, &Runtime::default(), &own, &clock);
    let peak = per_entry(ALLOCATED.max_allocated() - before);
    println!(
        "octets a prefix: {peak} at most while a configuration is loaded, {} then",
        per_entry(allocated() - before)
    );
    assert!(peak as u64 <= MEMBER_OCTETS, "{peak}");
    drop(members);
    policy.lists[0].entries = Vec::new();
    let mut alike = Alike::default();
    let owner = Owner::from("root");
    let changes: Vec<Change> = prefixes()
        .into_iter()
        .map(|prefix| {
            let entry = RuntimeEntry {
                person: Some("ada".into()),
                comment: Some("a scanner that the mail server saw".into()),
                created: now,
                expires: Some(now + jiff::SignedDuration::from_hours(4)),
                era: 0,
            };
            let holding = Holding { prefix, layer: Layer::Runtime, owner: owner.clone() };
            Change { list: list.clone(), holding, entry: Some(alike.one(entry)) }
        })
        .collect();
    let before = allocated();
    let mut runtime = Runtime::default();
    for Change { list, holding, entry } in &changes {
        runtime.set(list, holding, entry.clone());
    }
    let pushed = per_entry(allocated() - before);
    let before = allocated();
    let members = Lists::members_of(&policy, &runtime, &own, &clock);
    let loaded = per_entry(allocated() - before);
    drop(members);
    let none = Runtime::default();
    let mut lists = Lists::new(Lists::members_of(&policy, &none, &own, &clock), none, own, clock);
    let before = allocated();
    drop(lists.apply(&policy, changes.clone()));
    let both = per_entry(allocated() - before);
    println!("octets an entry: {pushed} pushed, {loaded} members of a load, {} members of a push", both - pushed);
    assert!(pushed <= MOST_PUSHED && both - pushed <= MOST_MEMBERS && loaded <= MOST_MEMBERS);
    assert!(both + UNDO <= 200, "{both}");
}
