//! Policies that nobody wrote, to see whether compiling one loses anything.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use firewall_userspace::policy::{
    FragmentPolicy, Limit, LimitFor, List, Mode, Name, Policy, Prefix, Protocol, Rate, Service,
};

use crate::{
    draft::{Draft, prefix},
    random::Random,
};

/// A policy and the addresses of its host; its limits and caps are never reached.
pub fn policy(random: &mut Random) -> (Policy, Vec<Prefix>) {
    let cap = never();
    let mut policy = Draft::new().all_caps(cap).policy();
    policy.mode = if random.once_in(4) { Mode::Observe } else { Mode::Enforce };
    policy.fragments = if random.once_in(2) { FragmentPolicy::Source } else { FragmentPolicy::Drop };
    policy.management = prefixes(random, 3);
    policy.lists = (0..random.below(65))
        .map(|number| List { name: name(&format!("list-{number:02}")), entries: prefixes(random, 12) })
        .collect();
    policy.limits = (0..random.below(8)).map(|number| limit(random, number)).collect();
    policy.services = services(random, policy.lists.len(), policy.limits.len());
    (policy, prefixes(random, 5))
}

/// A rate that no test reaches.
pub fn never() -> Rate {
    Rate::of_events(100_000_000, Duration::from_secs(1), 1_000_000_000_000).expect("the fastest rate can be kept")
}

fn limit(random: &mut Random, number: usize) -> Limit {
    let bytes = Rate::of_bytes(100_000_000_000, Duration::from_secs(1), 1_000_000_000_000_000);
    let bytes = bytes.expect("the fastest rate can be kept");
    Limit {
        name: name(&format!("limit-{number}")),
        packets: Some(never()),
        bytes: random.once_in(2).then_some(bytes),
        connections: random.once_in(2).then(never),
        source_v4: 1 + random.below(32) as u8,
        source_v6: 1 + random.below(128) as u8,
    }
}

/// Services on few ports and addresses, so that they meet; no two claim the same packet.
fn services(random: &mut Random, lists: usize, limits: usize) -> Vec<Service> {
    let mut taken: BTreeSet<(Protocol, usize, Option<IpAddr>)> = BTreeSet::new();
    let mut services = Vec::new();
    for number in 0..random.below(20) {
        let protocol = if random.once_in(2) { Protocol::Tcp } else { Protocol::Udp };
        let wanted: Vec<Option<IpAddr>> = if random.once_in(2) {
            vec![None]
        } else {
            let count = 1 + random.below(3);
            let some: BTreeSet<&str> = (0..count).map(|_| *random.pick(&ADDRESSES)).collect();
            some.into_iter().map(|text| Some(text.parse().expect("these are addresses"))).collect()
        };
        let slots: BTreeSet<usize> = (0..=random.below(3)).map(|_| random.below(PORTS.len())).collect();
        let claims = || slots.iter().flat_map(|slot| wanted.iter().map(move |address| (protocol, *slot, *address)));
        if claims().any(|claim| taken.contains(&claim)) {
            continue;
        }
        taken.extend(claims());
        services.push(Service {
            name: name(&format!("service-{number:02}")),
            protocol,
            ports: slots.iter().filter_map(|slot| PORTS.get(*slot)).map(|(first, last)| *first..=*last).collect(),
            mode: if random.once_in(8) { Mode::Observe } else { Mode::Enforce },
            allow: (lists > 0 && random.once_in(2)).then(|| some_of(random, lists, 1)),
            deny: if random.once_in(2) { some_of(random, lists, 0) } else { Vec::new() },
            limit: (limits > 0 && random.once_in(2)).then(|| random.below(limits)),
            limit_for: if limits == 0 {
                Vec::new()
            } else {
                let rows = if random.once_in(4) { some_of(random, lists, 0) } else { Vec::new() };
                rows.into_iter().map(|list| LimitFor { list, limit: random.below(limits) }).collect()
            },
            addresses: wanted.into_iter().flatten().collect(),
        });
    }
    services
}

/// At least `least` of the numbers below `bound`, each once.
fn some_of(random: &mut Random, bound: usize, least: usize) -> Vec<usize> {
    if bound == 0 {
        return Vec::new();
    }
    let some: BTreeSet<usize> = (0..least + random.below(5)).map(|_| random.below(bound)).collect();
    some.into_iter().collect()
}

/// Up to `most` prefixes, in a few corners so that they cover each other.
fn prefixes(random: &mut Random, most: usize) -> Vec<Prefix> {
    let some: BTreeSet<Prefix> = (0..random.below(most + 1)).map(|_| some_prefix(random)).collect();
    some.into_iter().collect()
}

/// A prefix in one of a few corners of both families.
pub fn some_prefix(random: &mut Random) -> Prefix {
    if random.once_in(2) {
        let length = *random.pick(&[0, 1, 8, 15, 16, 23, 24, 25, 28, 30, 31, 32, 32]);
        let base = u32::from_be_bytes([198, 18, *random.pick(&[0, 1]), 0]) | random.below(256) as u32;
        let address = base & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        Prefix::new(address.to_be_bytes().into(), length).expect("host bits are masked")
    } else {
        let length = *random.pick(&[0, 1, 32, 33, 47, 48, 63, 64, 65, 96, 127, 128, 128]);
        let base = 0x2001_0db8_ffff_u128 << 80 | (random.below(4) as u128) << 64 | random.below(4) as u128;
        let address = base & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Prefix::new(address.to_be_bytes().into(), length).unwrap_or(prefix("2001:db8:ffff::/48"))
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a generated name is one")
}

const PORTS: [(u16, u16); 8] =
    [(0, 0), (22, 22), (53, 53), (68, 68), (80, 80), (443, 445), (1000, 40_000), (65_535, 65_535)];
const ADDRESSES: [&str; 6] = ["192.0.2.10", "192.0.2.11", "198.18.0.1", "2001:db8:1::10", "2001:db8:1::11", "ff02::1"];
