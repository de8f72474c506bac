//! The read side of the compiled prefix table: an address to its class.
//!
//! - In: an [`Address`], and the memory of a table, [`PrefixMemory`].
//! - Out: the [`Membership`] of that address: lists, management, own address.
//! - Owner: the controller, which alone writes; any number of CPUs read.
//!
//! The first 16 bits of an address index a *root*.
//!
//! **IPv4.** With each slot of the root goes a word of 64 *groups*, a bit for four /24s each: where it is clear, none of
//! them is in anything, which most strangers learn from one load. Where it is set, the *places* know: a hash table of single
//! addresses and of whole /24s, of which all in one /24 are in one line, or in the few behind it. Its line does not depend
//! on the root, so the CPU waits for both at once, and no branch depends on what is found there. Where all bits are set, the
//! slot is too full for that: the slot itself has two classes, and a *summary* if the first is not all: two bits for each
//! /24, which say the first class, the second, or ask the *node*, which knows every entry of the /16.
//!
//! **IPv6.** A multibit trie: every level below the root takes 8 bits. A slot is an *entry*: a class, a node for 256 slots,
//! or a *leaf*: up to three prefixes, longest first, in one line.
//!
//! A *node* is run-length compressed: a bitmap of where a run of equal entries begins, ranks of its four words, and the
//! entries, six in the node's own line, more in lines of their own.
//!
//! Everything is in lines of 64 octets, a cache line each. A class is a set of lists, of which some may end at a time: the
//! record of the class then names the class that follows it, so that a membership ends without anybody's help.
//!
//! # Concurrency
//! A reader may run at any time, on any CPU. The writer never changes a line that a reader can reach: it writes new lines
//! for the path from a root slot to the change, then publishes them with one aligned release store to that root slot. A
//! reader loads the slot once; every further load of a line is of an address computed from it, which the CPU may not reorder
//! (address dependency, also on arm64), so it sees the lines as they were before the store. It therefore finds the old
//! path or the new one, never a mixture.
//!
//! *Places* are changed in place, each by one aligned 64-bit store, after which the store of its tag lets readers find it.
//! A reader compares all of the word, which it loads at an address computed from the tags, so a tag that is older or newer
//! than its word finds nothing or the right word. A place has at any time a class that is or was all of its answer.
//!
//! A group is set after its places and cleared after they are gone: an address whose bit is clear before and after is in
//! nothing, one whose bit changes was or comes to be in nothing. A slot that becomes too full is published before all its
//! bits are set, and its places are removed a grace period later. On x86 a reader that has seen the bits sees the slot, as
//! loads are in order; elsewhere the writer lets a grace period pass between the two, see `firewall_userspace::table`.
//!
//! Replaced lines are used again only after a grace period in which every program that could have loaded the old slot has
//! ended.

mod membership;
mod places;
mod records;

use self::places::lookup_place;
pub use self::{
    membership::{MAX_LISTS, Membership},
    places::{PLACE_HOST, PLACE_NET, PLACE_SHIFT, PLACES, PLACES_RUN, PlacesHash, Spread, index_of_tag, place},
    records::{ClassRecord, LIST_CLASSES, MANAGEMENT, MAX_CLASSES, OWN, ROOT_SLOTS, RootV4, RootV6},
};
use crate::{address::Address, verifier::forget};

/// Words of 64 bits of a line.
pub const WORDS: usize = 8;

/// The memory of one table.
pub trait PrefixMemory {
    /// A line that a reader holds.
    type Line: Line;

    /// The slot of the IPv4 root at the first 16 bits of an address: one load, never torn.
    fn root_v4(&self, slot: u16) -> u64;

    /// The groups of that slot, see [`group`]: one load, never torn.
    fn groups_v4(&self, slot: u16) -> u64;

    /// The entry of the IPv6 root at the first 16 bits of an address: one load, never torn.
    fn root_v6(&self, slot: u16) -> u32;

    /// A line of places; `None` out of range.
    fn places(&self, number: u32) -> Option<Self::Line>;

    /// How addresses are spread over the places.
    fn places_hash(&self) -> PlacesHash;

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
    /// The line of a leaf. IPv6 only.
    Leaf = 2,
}

/// What the two bits of a /24 in a summary say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The class of the root slot.
    First = 0,
    /// The second class of the root slot.
    Second = 1,
    /// The node knows.
    Node = 3,
}

/// Bits of a class in a slot of the IPv4 root.
const ROOT_CLASS_BITS: u32 = 16;

const _: () = assert!(MAX_CLASSES <= 1 << ROOT_CLASS_BITS);

/// A slot of the IPv4 root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootSlot {
    /// The class of all, or of most.
    pub first: u32,
    /// Another class.
    pub second: u32,
    /// Line of the summary, two bits for each /24, see [`Code`]; 0: all is of the first class. Where a code asks a node, that
    /// is in the line behind it.
    pub summary: u32,
}

impl RootSlot {
    /// As it is kept.
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        (self.summary as u64) << 32 | (self.second as u64) << ROOT_CLASS_BITS | self.first as u64
    }

    /// The class that a code names, in a slot as it is kept: the second for [`Code::Second`], else the first.
    #[inline(always)]
    const fn class(bits: u64, code: u64) -> u32 {
        (bits >> (ROOT_CLASS_BITS as u64 * (code & 1)) & Self::CLASS) as u32
    }

    const CLASS: u64 = (1 << ROOT_CLASS_BITS) - 1;

    /// The opposite of [`bits`](Self::bits).
    #[inline(always)]
    pub const fn of(bits: u64) -> Self {
        Self {
            first: (bits & Self::CLASS) as u32,
            second: (bits >> ROOT_CLASS_BITS & Self::CLASS) as u32,
            summary: (bits >> 32) as u32,
        }
    }
}

/// Bits of an entry that are a number; the tag is above.
pub const NUMBER_BITS: u32 = 30;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;

/// Bits of a class in leaves; the prefix length is above.
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
        _ => Tag::Leaf,
    }
}

/// The number in an entry.
#[inline(always)]
pub const fn number(entry: u32) -> u32 {
    entry & NUMBER
}

/// Most ends of one class: each list has one at most.
const MAX_ENDS: usize = MAX_LISTS;

/// What an address is in now.
#[inline(always)]
pub fn membership(memory: &impl PrefixMemory, address: &Address) -> Membership {
    let nothing = Membership { lists: 0, own: false, management: false };
    let class = lookup(memory, address);
    let list = class.wrapping_sub(1);
    if list < LIST_CLASSES {
        return Membership { lists: 1 << list, ..nothing };
    }
    if class == 0 {
        return nothing;
    }
    let Some(mut record) = memory.class(class) else {
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
    Membership { lists: record.lists, own: record.flags & OWN != 0, management: record.flags & MANAGEMENT != 0 }
}

/// The class of an address.
#[inline(always)]
pub fn lookup(memory: &impl PrefixMemory, address: &Address) -> u32 {
    let slot = (address.high >> 48) as u16;
    if address.is_v4() { lookup_v4(memory, slot, address.first_32()) } else { lookup_v6(memory, slot, address) }
}

/// The bit of the group that the /24 at `third_octet` is in.
#[inline(always)]
pub const fn group(third_octet: u32) -> u64 {
    1 << (third_octet >> 2 & 63)
}

/// All bits of the groups of a slot: it is too full for places.
pub const CROWDED: u64 = u64::MAX;

#[inline(always)]
fn lookup_v4(memory: &impl PrefixMemory, slot: u16, bits: u32) -> u32 {
    let third = bits >> 8 & 0xff;
    let groups = memory.groups_v4(slot);
    if groups & group(third) == 0 {
        return 0;
    }
    if groups != CROWDED {
        return lookup_place(memory, bits);
    }
    let root = memory.root_v4(slot);
    let RootSlot { first, summary, .. } = RootSlot::of(root);
    if summary == 0 {
        return first;
    }
    let Some(codes) = memory.line(summary) else {
        return 0;
    };
    let code = codes.word((third >> 5) as usize) >> (2 * (third & 31)) & 3;
    if code != Code::Node as u64 {
        return RootSlot::class(root, code);
    }
    let entry = step(memory, summary + 1, third as u8);
    match tag(entry) {
        Tag::Class => number(entry),
        Tag::Node => number(step(memory, number(entry), bits as u8)),
        Tag::Leaf => 0,
    }
}

/// Levels below the IPv6 root.
const LEVELS_V6: usize = 14;

#[inline(always)]
fn lookup_v6(memory: &impl PrefixMemory, slot: u16, address: &Address) -> u32 {
    let (high, low) = (address.high, address.low);
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
        Tag::Node => 0,
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

/// Number of ones: BPF has no instruction for it (Hacker's Delight, section 5-1).
#[inline(always)]
const fn count_ones(word: u64) -> u32 {
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let nibbles = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let octets = (nibbles + (nibbles >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    (octets.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u32
}
