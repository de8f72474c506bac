//! From prefixes to the entry of a slot.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use firewall_common::prefix_table::{CLASS_BITS, LEAF_TAGS, Tag, WORDS, entry, number};

use super::{Classes, Table, TableFull, Words, bits, node, places::LineContent};
use crate::{lists::members::Members, policy::Prefix};

/// A prefix and the class of the union of everything that covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// First ones highest.
    pub bits: u128,
    pub length: u8,
    pub class: u32,
}

/// A part of the address space: one entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub is_v4: bool,
    bits: u128,
    pub length: u8,
}

/// Most prefixes of a leaf.
const FEW: usize = 3;

impl Item {
    pub fn new(prefix: Prefix, class: u32) -> Self {
        Self { bits: bits(prefix.address()), length: prefix.length(), class }
    }

    /// The children of `length` that it covers, or the one that it is inside of: the first, and how many; `count` is how
    /// many children there are.
    pub fn children(&self, length: u8, count: usize) -> (usize, usize) {
        let first = (self.bits >> (128 - u32::from(length))) as usize & (count - 1);
        let wider = u32::from(length.saturating_sub(self.length));
        (first, 1usize.checked_shl(wider).map_or(count, |covered| covered.min(count)))
    }
}

impl Slot {
    /// Bits of an address that the root takes.
    pub const ROOT_BITS: u8 = 16;

    /// The slot of the root at `index`.
    pub fn root(is_v4: bool, index: usize) -> Self {
        Self { is_v4, bits: (index as u128) << 112, length: Self::ROOT_BITS }
    }

    /// Index of the first slot of the root inside.
    pub fn first_root(&self) -> usize {
        (self.bits >> 112) as usize
    }

    /// The third octet of an IPv4 address: which /24 of its root slot.
    pub fn third_octet(&self) -> usize {
        (self.bits >> 104 & 0xff) as usize
    }

    /// The third octets of the addresses inside a slot of the IPv4 root.
    pub fn third_octets(&self) -> Range<usize> {
        let first = if self.length <= Self::ROOT_BITS { 0 } else { self.third_octet() };
        let covered = 24u8.saturating_sub(self.length).min(8);
        // A single address is no /24, nor is what has a few of them.
        let count = if self.length > 24 { 0 } else { 1 << covered };
        first..first + count
    }

    /// The classes of these /24s in `content`.
    pub fn nets_of<'a>(&self, content: &'a LineContent) -> &'a [u32] {
        content.nets.get(self.third_octets()).unwrap_or_default()
    }

    /// The /24 at `third` of the slot of the IPv4 root that this is inside of.
    pub fn net(&self, third: usize) -> u32 {
        (self.bits >> 112 << 16) as u32 | (third as u32) << 8
    }

    /// The address, if this is a single IPv4 address.
    pub fn host(&self) -> Option<u32> {
        (self.length == 32).then_some((self.bits >> 96) as u32)
    }

    /// Whether a single IPv4 address is inside.
    pub fn has_host(&self, bits: u32) -> bool {
        let differs = bits ^ (self.bits >> 96) as u32;
        differs.checked_shr(32 - u32::from(self.length)).unwrap_or(0) == 0
    }

    /// Everything that `prefix` covers.
    pub fn covered(prefix: Prefix) -> Self {
        Self { is_v4: prefix.address().is_ipv4(), bits: bits(prefix.address()), length: prefix.length() }
    }

    /// The part at `index` of those that have `length`.
    pub fn part(&self, index: usize, length: u8) -> Self {
        Self { is_v4: self.is_v4, bits: self.bits | (index as u128) << (128 - u32::from(length)), length }
    }

    /// The slot for `octet` one level down.
    pub fn child(&self, octet: usize) -> Self {
        self.part(octet, self.length + 8)
    }

    fn address(&self) -> IpAddr {
        if self.is_v4 { Ipv4Addr::from((self.bits >> 96) as u32).into() } else { Ipv6Addr::from(self.bits).into() }
    }

    /// Whether an IPv6 slot needs no node.
    pub fn is_leaf(&self, members: &Members) -> bool {
        members.has_few_inside(self.address(), self.length, FEW)
    }

    /// The class that holds for all of the slot, and the longer prefixes inside it, in order.
    pub fn read(&self, members: &Members, classes: &mut impl Classes) -> Result<(u32, Vec<Item>), TableFull> {
        let address = self.address();
        let mut items = Vec::new();
        let mut result = Ok(());
        let base = members.inside(address, self.length, |prefix, union| match classes.class_of(union) {
            Ok(class) => items.push(Item::new(prefix, class)),
            Err(full) => result = Err(full),
        });
        result?;
        Ok((classes.class_of(&base)?, items))
    }
}

impl<R: Words<u32>, L: Words<u64>> Table<R, L> {
    /// The entry of `slot`, of which all has the class `base` except for `items`, which are longer and in order.
    pub(super) fn build(&mut self, slot: &Slot, base: u32, items: &[Item]) -> Result<u32, TableFull> {
        if items.is_empty() {
            return Ok(entry(Tag::Class, base));
        }
        if !slot.is_v4 && items.len() <= FEW {
            return self.build_leaf(base, items);
        }
        let mut entries = [entry(Tag::Class, base); 256];
        self.spread(slot, slot.length + 8, items, &mut entries, &mut Self::build)?;
        self.encode(&entries)
    }

    /// Writes `items`, in order and inside `slot`, over `entries`, which are classes so far: the parts of `slot` that have
    /// `length`. `build` makes the entry of a part that has longer prefixes inside.
    pub(super) fn spread(
        &mut self,
        slot: &Slot,
        length: u8,
        items: &[Item],
        entries: &mut [u32],
        build: &mut impl FnMut(&mut Self, &Slot, u32, &[Item]) -> Result<u32, TableFull>,
    ) -> Result<(), TableFull> {
        let mut rest = items;
        while let Some(item) = rest.first() {
            let (first, count) = item.children(length, entries.len());
            if item.length <= length {
                // Covers come before what they cover, so this is the longest so far.
                if let Some(covered) = entries.get_mut(first..first + count) {
                    covered.fill(entry(Tag::Class, item.class));
                }
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let outside = |other: &Item| (other.bits ^ item.bits) >> (128 - u32::from(length)) != 0;
            let inside = rest.iter().position(outside).unwrap_or(rest.len());
            let (here, others) = rest.split_at(inside);
            rest = others;
            if let Some(place) = entries.get_mut(first) {
                *place = build(self, &slot.part(first, length), number(*place), here)?;
            }
        }
        Ok(())
    }

    fn build_leaf(&mut self, base: u32, items: &[Item]) -> Result<u32, TableFull> {
        let mut longest_first = items.to_vec();
        longest_first.sort_by_key(|item| std::cmp::Reverse(item.length));
        let mut words = [0u64; WORDS];
        let mut tags = [tagged(0, base); 4];
        for ((item, tag), pair) in longest_first.iter().zip(&mut tags).zip(words.chunks_mut(2)) {
            *tag = tagged(item.length, item.class);
            if let [high, low] = pair {
                (*high, *low) = ((item.bits >> 64) as u64, item.bits as u64);
            }
        }
        let [first, second, third, fourth] = tags.map(u64::from);
        words[LEAF_TAGS] = first | second << 32;
        words[LEAF_TAGS + 1] = third | fourth << 32;
        let line = self.arena.lines(1)?;
        for (index, word) in words.into_iter().enumerate() {
            node::store(&self.memory.lines, line, index, word);
        }
        Ok(entry(Tag::Leaf, line))
    }
}

/// A class with a prefix length above it.
fn tagged(tag: u8, class: u32) -> u32 {
    u32::from(tag) << CLASS_BITS | class
}
