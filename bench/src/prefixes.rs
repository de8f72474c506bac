//! Seeded lists of prefixes, and sources inside and outside of them.

use std::{
    collections::HashSet,
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use firewall_tests::random::Random;

use crate::{frame::Family, scrambler::TABLE_LENGTH};

/// The prefixes of a list.
#[derive(Debug)]
pub struct Prefixes {
    family: Family,
    /// Address and length, in no order.
    prefixes: Vec<(u128, u32)>,
    /// First and last address of everything covered, ascending, disjoint.
    covered: Vec<(u128, u128)>,
    random: Random,
}

/// How long prefixes are, and how many of a hundred are.
const MIX_V4: [(u32, usize); 4] = [(32, 70), (24, 25), (22, 4), (20, 1)];
const MIX_V6: [(u32, usize); 4] = [(64, 50), (48, 25), (128, 20), (32, 5)];

/// First octets of IPv4 with ranges that are special (RFC 6890), left out as a whole.
const SPECIAL_V4: [u128; 6] = [10, 127, 169, 172, 192, 198];

impl Prefixes {
    /// `count` different prefixes: IPv4 from 1.0.0.0 to 222.255.255.255 without special ranges, IPv6 inside 2000::/3.
    pub fn new(family: Family, count: usize, seed: u64) -> Self {
        let mut random = Random::part(seed, u64::from(family.bits()));
        let mut seen = HashSet::with_capacity(count);
        let mut prefixes = Vec::with_capacity(count);
        while prefixes.len() < count {
            let length = length(family, &mut random);
            let host_bits = family.bits() - length;
            let prefix = (address(family, &mut random) >> host_bits << host_bits, length);
            if seen.insert(prefix) {
                prefixes.push(prefix);
            }
        }
        let covered = covered(family, &prefixes);
        Self { family, prefixes, covered, random }
    }

    /// Family of all of them.
    pub fn family(&self) -> Family {
        self.family
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// One a line.
    pub fn text(&self) -> String {
        self.text_with("", "\n")
    }

    /// All, each between these.
    pub fn text_with(&self, before: &str, behind: &str) -> String {
        let mut text = String::with_capacity(self.prefixes.len() * (24 + before.len() + behind.len()));
        for (address, length) in &self.prefixes {
            text.push_str(before);
            // Writing into a string cannot fail.
            let _ = write!(text, "{}/{length}", self.shown(*address));
            text.push_str(behind);
        }
        text
    }

    /// A source inside each prefix, in random order, repeated in random order to fill a table.
    pub fn inside(&mut self) -> Vec<u128> {
        let mut sources = Vec::with_capacity(TABLE_LENGTH);
        for (address, length) in &self.prefixes {
            let host_bits = self.family.bits() - length;
            sources.push(address | bits(&mut self.random, host_bits));
        }
        for index in (1..sources.len()).rev() {
            sources.swap(index, self.random.below(index + 1));
        }
        let different = sources.len();
        for _ in different..TABLE_LENGTH {
            let again = sources.get(self.random.below(different)).copied();
            sources.extend(again);
        }
        sources
    }

    /// As many random sources that no prefix covers as a table has.
    pub fn outside(&mut self) -> Vec<u128> {
        let mut sources = Vec::with_capacity(TABLE_LENGTH);
        while sources.len() < TABLE_LENGTH {
            let source = address(self.family, &mut self.random);
            if !self.covers(source) {
                sources.push(source);
            }
        }
        sources
    }

    fn covers(&self, address: u128) -> bool {
        let behind = self.covered.partition_point(|(first, _)| *first <= address);
        behind.checked_sub(1).and_then(|index| self.covered.get(index)).is_some_and(|(_, last)| address <= *last)
    }

    fn shown(&self, address: u128) -> String {
        match self.family {
            Family::V4 => Ipv4Addr::from(address as u32).to_string(),
            Family::V6 => Ipv6Addr::from(address).to_string(),
        }
    }
}

fn length(family: Family, random: &mut Random) -> u32 {
    let mix = if matches!(family, Family::V4) { MIX_V4 } else { MIX_V6 };
    let mut ticket = random.below(100);
    for (length, share) in mix {
        if ticket < share {
            return length;
        }
        ticket -= share;
    }
    family.bits()
}

fn address(family: Family, random: &mut Random) -> u128 {
    match family {
        Family::V6 => 1 << 125 | bits(random, 125),
        Family::V4 => loop {
            let address = (1 << 24) + bits(random, 32) % (222 << 24);
            if !SPECIAL_V4.contains(&(address >> 24)) {
                return address;
            }
        },
    }
}

fn bits(random: &mut Random, count: u32) -> u128 {
    let number = u128::from(random.number()) << 64 | u128::from(random.number());
    number.checked_shr(128 - count).unwrap_or(0)
}

fn covered(family: Family, prefixes: &[(u128, u32)]) -> Vec<(u128, u128)> {
    let last =
        |(address, length): &(u128, u32)| address | (!0u128).checked_shr(128 - family.bits() + length).unwrap_or(0);
    let mut ranges: Vec<_> = prefixes.iter().map(|prefix| (prefix.0, last(prefix))).collect();
    ranges.sort_unstable();
    let mut disjoint: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match disjoint.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => disjoint.push((first, last)),
        }
    }
    disjoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_inside_or_outside_as_they_should_be() {
        for family in Family::ALL {
            let mut prefixes = Prefixes::new(family, 1000, 7);
            let (inside, outside) = (prefixes.inside(), prefixes.outside());
            assert!(inside.iter().all(|source| prefixes.covers(*source)));
            assert!(!outside.iter().any(|source| prefixes.covers(*source)));
            let host = |length: u32| (!0u128).checked_shr(128 - family.bits() + length).unwrap_or(0);
            let listed =
                |source: &u128| prefixes.prefixes.iter().any(|(address, length)| source & !host(*length) == *address);
            assert!(inside.iter().take(1000).all(listed));
            assert!(!outside.iter().take(1000).any(listed));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_list_without_repetitions() {
        let one = Prefixes::new(Family::V4, 1000, 7).text();
        assert_eq!(one, Prefixes::new(Family::V4, 1000, 7).text());
        let lines: HashSet<_> = one.lines().collect();
        assert_eq!(lines.len(), 1000);
    }
}
