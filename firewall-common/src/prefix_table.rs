//! The read side of the compiled prefix table: an address to its class, in three or four memory accesses.
//!
//! A multibit trie. The first 16 bits of an address index the *root*; every further level takes 8 bits. A slot is an
//! *entry*: a class, or the number of what refines it:
//!
//! - a *node* for 256 slots, run-length compressed: a bitmap of where a run of equal entries begins, ranks of its four
//!   words, and the entries, six in the node's own line, more in lines of their own;
//! - *hosts*: up to three IPv4 addresses of one /24, in 16 octets;
//! - a *leaf*: up to three IPv6 prefixes, longest first, in one line.
//!
//! Everything is in lines of 64 octets, a cache line each. A class is a set of lists, of which some may end at a time: the
//! record of the class then names the class that follows it, so that a membership ends without anybody's help.
//!
//! # Concurrency
//! A reader may run at any time, on any CPU. The writer never changes a line that a reader can reach: it writes new lines
//! for the path from a root slot to the change, then publishes them with one aligned 32-bit release store to that root
//! slot. A reader loads the slot once; every further load is of an address computed from it, which the CPU may not reorder
//! (address dependency, also on arm64), so it sees the lines as they were before the store. It therefore finds the old
//! path or the new one, never a mixture. Replaced lines are used again only after a grace period in which every program
//! that could have loaded the old slot has ended.

use crate::{
    abi::{self, ClassRecord},
    address::Address,
    tables::Membership,
    verifier::forget,
};

/// Words of 64 bits of a line.
pub const WORDS: usize = 8;

/// Slots of each root.
pub const ROOT_SLOTS: usize = 1 << 16;

/// The memory of one table.
pub trait PrefixMemory {
    /// A line that a reader holds.
    type Line: Line;

    /// The entry of the IPv4 root at the first 16 bits of an address: one load, never torn.
    fn root_v4(&self, slot: u16) -> u32;

    /// The same of the IPv6 root.
    fn root_v6(&self, slot: u16) -> u32;

    /// A line; `None` out of range, which makes class 0.
    fn line(&self, number: u32) -> Option<Self::Line>;

    /// The record of a class; `None` out of range, which is in nothing.
    fn class(&self, class: u32) -> Option<&ClassRecord>;

    /// Seconds since the machine was booted, the time that it slept included. Asked only for a class that ends.
    fn boot_second(&self) -> u32;
}

/// A cache line of the table.
pub trait Line {
    /// One of its [`WORDS`] words; 0 out of range.
    fn word(&self, index: usize) -> u64;
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Tag {
    /// A class.
    Class = 0,
    /// The line of a node.
    Node = 1,
    /// A quarter of a line: four times its number, and which.
    Hosts = 2,
    /// The line of a leaf.
    Leaf = 3,
}

/// Bits of an entry that are a number; the tag is above.
pub const NUMBER_BITS: u32 = 30;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;

/// Bits of a class in hosts and leaves; the host octet or the prefix length is above.
pub const CLASS_BITS: u32 = 24;
const CLASS: u32 = (1 << CLASS_BITS) - 1;

/// Word of a node that has the ranks (low half) and the first line of further entries, 0 for none (high half).
pub const NODE_RANKS: usize = 4;
/// First word of a node that has entries, two each.
pub const NODE_ENTRIES: usize = 5;
/// First word of a leaf that has prefix lengths and classes, two each; the addresses are before.
pub const LEAF_TAGS: usize = 6;
/// Entries in the line of a node.
pub const INLINE_ENTRIES: usize = 2 * (WORDS - NODE_ENTRIES);

/// Makes an entry.
#[inline(always)]
pub const fn entry(tag: Tag, number: u32) -> u32 {
    (tag as u32) << NUMBER_BITS | number & NUMBER
}

/// What an entry says.
#[inline(always)]
pub const fn tag(entry: u32) -> Tag {
    match entry >> NUMBER_BITS {
        0 => Tag::Class,
        1 => Tag::Node,
        2 => Tag::Hosts,
        _ => Tag::Leaf,
    }
}

/// The number in an entry.
#[inline(always)]
pub const fn number(entry: u32) -> u32 {
    entry & NUMBER
}

/// Most ends of one class: each list has one at most.
const MAX_ENDS: usize = abi::MAX_LISTS;

/// What an address is in now.
#[inline(always)]
pub fn membership(memory: &impl PrefixMemory, address: &Address) -> Membership {
    let nothing = Membership { lists: 0, own: false, management: false };
    let Some(mut record) = memory.class(lookup(memory, address)) else {
        return nothing;
    };
    if record.ends != 0 {
        let now = memory.boot_second();
        for _ in 0..MAX_ENDS {
            if record.ends == 0 || now < record.ends {
                break;
            }
            let Some(next) = memory.class(record.next) else {
                return nothing;
            };
            record = next;
        }
    }
    Membership {
        lists: record.lists,
        own: record.flags & abi::OWN != 0,
        management: record.flags & abi::MANAGEMENT != 0,
    }
}

/// The class of an address.
#[inline(always)]
pub fn lookup(memory: &impl PrefixMemory, address: &Address) -> u32 {
    let [a, b, c, d, ..] = address.octets;
    let slot = u16::from_be_bytes([a, b]);
    if address.is_v4() { lookup_v4(memory, slot, c, d) } else { lookup_v6(memory, slot, address) }
}

#[inline(always)]
fn lookup_v4(memory: &impl PrefixMemory, slot: u16, third: u8, fourth: u8) -> u32 {
    let mut entry = memory.root_v4(slot);
    if matches!(tag(entry), Tag::Node) {
        entry = step(memory, number(entry), third);
    }
    match tag(entry) {
        Tag::Class => number(entry),
        Tag::Node => number(step(memory, number(entry), fourth)),
        Tag::Hosts => host(memory, number(entry), fourth),
        Tag::Leaf => 0,
    }
}

/// Levels below the IPv6 root.
const LEVELS_V6: usize = 14;

#[inline(always)]
fn lookup_v6(memory: &impl PrefixMemory, slot: u16, address: &Address) -> u32 {
    let (high, low) = halves(address);
    let mut entry = memory.root_v6(slot);
    // The bits that are still to come, first ones highest.
    let (mut next, mut rest) = (high << 16 | low >> 48, low << 16);
    for _ in 0..LEVELS_V6 {
        if !matches!(tag(entry), Tag::Node) {
            break;
        }
        entry = step(memory, number(entry), (next >> 56) as u8);
        entry = forget(entry as usize, slot.into()) as u32;
        next = next << 8 | rest >> 56;
        rest <<= 8;
    }
    match tag(entry) {
        Tag::Class => number(entry),
        Tag::Leaf => leaf(memory, number(entry), high, low),
        Tag::Node | Tag::Hosts => 0,
    }
}

/// The entry of a node for `octet`.
#[inline(always)]
fn step(memory: &impl PrefixMemory, node: u32, octet: u8) -> u32 {
    let Some(line) = memory.line(node) else {
        return 0;
    };
    let (word, bit) = ((octet >> 6) as usize, octet & 63);
    // Runs that begin at or before the octet, less one: its place among the entries.
    let upto = line.word(word) << (63 - bit);
    let ranks = line.word(NODE_RANKS);
    let rank = ((ranks >> (8 * word) & 0xff) as u32 + count_ones(upto)).wrapping_sub(1);
    let more = (ranks >> 32) as u32;
    let pair = if more == 0 {
        line.word(NODE_ENTRIES + (rank >> 1) as usize)
    } else {
        match memory.line(more + (rank >> 4)) {
            Some(line) => line.word((rank >> 1 & 7) as usize),
            None => 0,
        }
    };
    (pair >> (32 * (rank & 1))) as u32
}

/// The class of the host `octet` among the hosts of a /24.
#[inline(always)]
fn host(memory: &impl PrefixMemory, hosts: u32, octet: u8) -> u32 {
    let Some(line) = memory.line(hosts >> 2) else {
        return 0;
    };
    let first = (hosts as usize & 3) * 2;
    let (front, back) = (line.word(first), line.word(first + 1));
    // Class of the others, then three hosts; an unused place repeats the one before it.
    let mut class = front as u32;
    for place in [(front >> 32) as u32, back as u32, (back >> 32) as u32] {
        if place >> CLASS_BITS == u32::from(octet) {
            class = place;
        }
    }
    class & CLASS
}

/// The class of an address among the prefixes of a leaf.
#[inline(always)]
fn leaf(memory: &impl PrefixMemory, number: u32, high: u64, low: u64) -> u32 {
    let Some(line) = memory.line(number) else {
        return 0;
    };
    let (front, back) = (line.word(LEAF_TAGS), line.word(LEAF_TAGS + 1));
    // Longest first. An unused place has length 0: it matches everything and has the class of the others.
    for (place, tag) in [front as u32, (front >> 32) as u32, back as u32].into_iter().enumerate() {
        let length = tag >> CLASS_BITS;
        let differs = (high ^ line.word(2 * place)) & mask(length)
            | (low ^ line.word(2 * place + 1)) & mask(length.saturating_sub(64));
        if differs == 0 {
            return tag & CLASS;
        }
    }
    (back >> 32) as u32 & CLASS
}

/// The first `length` bits of 64, all of them from 64 on.
#[inline(always)]
const fn mask(length: u32) -> u64 {
    if length == 0 {
        0
    } else if length >= 64 {
        u64::MAX
    } else {
        u64::MAX << (64 - length)
    }
}

/// An IPv6 address as two numbers.
#[inline(always)]
fn halves(address: &Address) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, rest @ ..] = address.octets;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(rest))
}

/// Number of ones: BPF has no instruction for it (Hacker's Delight, section 5-1).
#[inline(always)]
const fn count_ones(word: u64) -> u32 {
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let nibbles = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let octets = nibbles + (nibbles >> 4) & 0x0f0f_0f0f_0f0f_0f0f;
    (octets.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u32
}
