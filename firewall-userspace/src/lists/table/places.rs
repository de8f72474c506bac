//! Places: single IPv4 addresses and whole /24s with their classes, changed in place.

use std::{net::IpAddr, ops::Range};

use firewall_common::prefix_table::{
    PLACE_HOST, PLACE_NET, PLACE_SHIFT, PLACES, PLACES_RUN, PlacesHash, WORDS, group, index_of_tag, place,
};

use super::{
    TableFull, Words,
    build::{Item, Slot},
};
use crate::lists::members::Members;

/// Where the places go.
pub struct Places {
    hash: PlacesHash,
    /// Places that are in use.
    live: usize,
}

/// What has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A single address.
    Host(u32),
    /// The /24 of an address.
    Net(u32),
}

/// A slot of the root as places.
pub struct LineContent {
    /// Classes of whole /24s, by the third octet.
    pub nets: [u32; 256],
    /// Single addresses and their classes.
    pub hosts: Vec<(u32, u32)>,
}

/// Most /24s of a slot that have a place each.
const MOST_NETS: usize = 64;
/// Most single addresses of a /24 that have a place each: some lines are to be left for others.
const MOST_HOSTS: usize = 6;

impl Place {
    fn word(self, class: u32) -> u64 {
        let (bits, kind) = match self {
            Self::Host(bits) => (bits, PLACE_HOST),
            Self::Net(bits) => (bits & !0xff, PLACE_NET),
        };
        place(bits, kind) | u64::from(class)
    }

    fn is_at(self, word: u64) -> bool {
        (word ^ self.word(0)) >> PLACE_SHIFT == 0
    }

    fn bits(self) -> u32 {
        match self {
            Self::Host(bits) | Self::Net(bits) => bits,
        }
    }
}

impl LineContent {
    /// What is in a slot of which all has the class `base` except for `items`; `None` when it is too much for places.
    pub fn of(base: u32, items: &[Item]) -> Option<Self> {
        if base != 0 {
            return None;
        }
        let (mut nets, mut hosts) = ([0; 256], Vec::new());
        let mut hosts_of_net = [0; 256];
        for item in items {
            match item.length {
                32 => {
                    let bits = (item.bits >> 96) as u32;
                    let count = hosts_of_net.get_mut(third_octet(bits))?;
                    *count += 1;
                    if *count > MOST_HOSTS {
                        return None;
                    }
                    hosts.push((bits, item.class));
                }
                ..=24 => {
                    let (first, count) = item.children(24, nets.len());
                    nets.get_mut(first..first + count)?.fill(item.class);
                }
                _ => return None,
            }
        }
        let content = Self { nets, hosts };
        let count = content.nets.iter().filter(|class| **class != 0).count();
        (count <= MOST_NETS && content.groups() != u64::MAX).then_some(content)
    }

    /// Whether this is in it.
    pub fn has(&self, place: Place) -> bool {
        match place {
            // They are in the order of the items.
            Place::Host(bits) => self.hosts.binary_search_by_key(&bits, |(bits, _)| *bits).is_ok(),
            Place::Net(bits) => self.nets.get(third_octet(bits)).is_some_and(|class| *class != 0),
        }
    }

    /// The groups in which something is.
    pub fn groups(&self) -> u64 {
        let nets = (0..).zip(&self.nets).filter(|(_, class)| **class != 0).map(|(third, _)| group(third));
        let hosts = self.hosts.iter().map(|(bits, _)| group(third_octet(*bits) as u32));
        nets.chain(hosts).fold(0, |all, group| all | group)
    }
}

impl Places {
    pub fn new(hash: PlacesHash) -> Self {
        Self { hash, live: 0 }
    }

    /// Places that are in use.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Gives a place to what has none, or another class to what has one: readers see it by one store.
    pub fn set(&mut self, words: &impl Words<u64>, place: Place, class: u32) -> Result<(), TableFull> {
        let tag = self.tag(place);
        let mut free = None;
        for (number, line) in self.run(words, place.bits()).enumerate() {
            let tags = load(line, 0);
            let index = index_of_tag(tags, tag);
            if place.is_at(load(line, index)) {
                store(line, index, place.word(class));
                return Ok(());
            }
            // Tags of a line are distinct, so that readers look at one place only.
            let unused = (1..=PLACES).find(|index| tags >> shift(*index) & 0xff == 0);
            if index == 0 && free.is_none() {
                free = unused.map(|index| (number, index, tags, line));
            }
        }
        let (number, index, tags, line) = free.ok_or(TableFull)?;
        store(line, index, place.word(class));
        store(line, 0, tags | tag << shift(index));
        for line in self.run(words, place.bits()).take(number) {
            store(line, 0, load(line, 0) | 1 << shift(WORDS));
        }
        self.live += 1;
        Ok(())
    }

    /// Takes a place away, if it is there: one store.
    pub fn remove(&mut self, words: &impl Words<u64>, place: Place) {
        let tag = self.tag(place);
        for line in self.run(words, place.bits()) {
            let tags = load(line, 0);
            let index = index_of_tag(tags, tag);
            if place.is_at(load(line, index)) {
                store(line, index, 0);
                store(line, 0, tags & !(0xff << shift(index)));
                self.live -= 1;
                return;
            }
        }
    }

    /// All places in the /24 at `bits`.
    pub fn of_net(&self, words: &impl Words<u64>, bits: u32) -> Vec<Place> {
        let words = self.run(words, bits).flat_map(|line| (1..WORDS).map(move |index| load(line, index)));
        let inside = words.filter(|word| *word != 0 && word >> 40 == u64::from(bits >> 8));
        let known = |word: u64| {
            let address = (word >> 32) as u32;
            if word >> PLACE_SHIFT & 0b111 == PLACE_NET { Place::Net(address) } else { Place::Host(address) }
        };
        inside.map(known).collect()
    }

    fn tag(&self, place: Place) -> u64 {
        match place {
            Place::Host(bits) => self.hash.of(bits).host_tag(bits),
            Place::Net(bits) => self.hash.of(bits).net_tag(),
        }
    }

    /// The lines of a /24, in the order of the search.
    fn run<'a, W: Words<u64>>(&self, words: &'a W, bits: u32) -> impl Iterator<Item = Line<'a, W>> + use<'a, W> {
        let first = self.hash.line(self.hash.of(bits)) as usize;
        (first..first + PLACES_RUN as usize).map(move |line| Line { words, first: line * WORDS })
    }
}

/// How many places a fresh table needs, and how many IPv4 prefixes are in slots that are too full for places.
pub fn count(members: &Members) -> [usize; 2] {
    let mut total = [0; 2];
    let mut slot = PlaceCounts::default();
    let mut covered = 0u64;
    for prefix in members.prefixes() {
        let IpAddr::V4(address) = prefix.address() else { continue };
        let bits = u32::from(address);
        if prefix.length() <= Slot::ROOT_BITS {
            covered = covered.max(u64::from(bits) + (1 << (32 - prefix.length())));
            continue;
        }
        if u64::from(bits) < covered {
            total[1] += 1;
            continue;
        }
        if slot.root != bits >> 16 {
            slot.end(&mut total);
            slot = PlaceCounts { root: bits >> 16, ..PlaceCounts::default() };
        }
        slot.add(bits, prefix.length());
    }
    slot.end(&mut total);
    total
}

/// What [`LineContent::of`] will find in a slot.
struct PlaceCounts {
    root: u32,
    nets: [u64; 4],
    hosts: [usize; 256],
    prefixes: usize,
    is_too_full: bool,
}

impl Default for PlaceCounts {
    fn default() -> Self {
        Self { root: 0, nets: [0; 4], hosts: [0; 256], prefixes: 0, is_too_full: false }
    }
}

impl PlaceCounts {
    fn add(&mut self, bits: u32, length: u8) {
        self.prefixes += 1;
        let third = third_octet(bits);
        match length {
            32 => {
                if let Some(count) = self.hosts.get_mut(third) {
                    *count += 1;
                    self.is_too_full |= *count > MOST_HOSTS;
                }
            }
            ..=24 => {
                let covered: Range<usize> = third..third + (1 << (24 - length));
                for third in covered {
                    if let Some(word) = self.nets.get_mut(third / 64) {
                        *word |= 1 << (third % 64);
                    }
                }
            }
            _ => self.is_too_full = true,
        }
    }

    fn end(&self, [places, crowded]: &mut [usize; 2]) {
        let nets = self.nets.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        if self.is_too_full || nets > MOST_NETS {
            *crowded += self.prefixes;
        } else {
            *places += nets + self.hosts.iter().sum::<usize>();
        }
    }
}

const fn third_octet(bits: u32) -> usize {
    (bits >> 8 & 0xff) as usize
}

/// Where the tag of a word is in word 0; behind the last one is the octet that leads on.
const fn shift(index: usize) -> usize {
    8 * (index - 1)
}

/// A line of places.
struct Line<'a, W> {
    words: &'a W,
    first: usize,
}

impl<W> Clone for Line<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Line<'_, W> {}

fn load<W: Words<u64>>(line: Line<'_, W>, index: usize) -> u64 {
    line.words.load(line.first + index)
}

fn store<W: Words<u64>>(line: Line<'_, W>, index: usize, value: u64) {
    line.words.store(line.first + index, value);
}
