//! The read side of the compiled prefix table: an address to its class, in three or four memory accesses.
//!
//! The first 16 bits of an address index a *root*.
//!
//! **IPv4.** A slot of the root has two classes, and a *summary* where the first is not all: two bits for each /24, so that
//! most addresses cost two loads. They say: the first class; the same but for single hosts, which a hash table knows, in
//! lines of eight; the second class; or ask the *node*, which knows every entry of the /16.
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
//! for the path from a root slot to the change, then publishes them with one aligned release store to that root slot. A reader loads the slot once; every further load is of an address computed from it, which the CPU may not reorder
//! (address dependency, also on arm64), so it sees the lines as they were before the store. It therefore finds the old
//! path or the new one, never a mixture.
//!
//! The table of hosts is changed in place, a host by one aligned 64-bit store. It holds every /32 of the lists, at any time
//! with a class that is or was all of its answer, and is written before the root slots that lead to it. A reader on x86
//! loads in order, so with a new slot it sees the new host. On arm64 it may see a new slot and an old host: the writer
//! makes that harmless by a grace period between the two, see `firewall_userspace::table`. Replaced lines are used again only after a grace period in which every program
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

    /// The slot of the IPv4 root at the first 16 bits of an address: one load, never torn.
    fn root_v4(&self, slot: u16) -> u64;

    /// The entry of the IPv6 root at the first 16 bits of an address: one load, never torn.
    fn root_v6(&self, slot: u16) -> u32;

    /// A line of the table of hosts, the number taken modulo the lines there are; `None` is a bug.
    fn hosts(&self, number: u32) -> Option<Self::Line>;

    /// How addresses are spread over the table of hosts.
    fn hosts_hash(&self) -> HostsHash;

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
    /// The class of all but the hosts in the table of hosts. IPv4 only.
    Hosts = 2,
    /// The line of a leaf. IPv6 only.
    Leaf = 3,
}

/// What the two bits of a /24 in a summary say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The class of the root slot.
    First = 0,
    /// The same, but for hosts in the table of hosts.
    FirstWithHosts = 1,
    /// The second class of the root slot.
    Second = 2,
    /// The node knows.
    Node = 3,
}

/// Bits of a class in a slot of the IPv4 root.
const ROOT_CLASS_BITS: u32 = 16;

const _: () = assert!(abi::MAX_CLASSES <= 1 << ROOT_CLASS_BITS);

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

    /// The opposite of [`bits`](Self::bits).
    #[inline(always)]
    pub const fn of(bits: u64) -> Self {
        const CLASS: u64 = (1 << ROOT_CLASS_BITS) - 1;
        Self {
            first: (bits & CLASS) as u32,
            second: (bits >> ROOT_CLASS_BITS & CLASS) as u32,
            summary: (bits >> 32) as u32,
        }
    }
}

/// Multiply-shift hashing (Dietzfelbinger et al., "A reliable randomized algorithm for the closest-pair problem", 1997):
/// the upper bits of the product with a random odd number are universal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostsHash {
    /// Random and odd.
    pub multiplier: u64,
    /// 64 less the binary logarithm of the lines.
    pub shift: u32,
}

impl HostsHash {
    /// The line where the search for an address begins.
    #[inline(always)]
    pub fn line(self, bits: u32) -> u32 {
        ((bits as u64).wrapping_mul(self.multiplier) >> (self.shift & 63)) as u32
    }
}

/// Lines that a host may be in, one behind the other.
pub const HOSTS_LINES: u32 = 4;

/// A host in the table of hosts: its address in the upper half, its class in the lower with this bit. All zero: never used.
pub const HOST: u64 = 1 << 31;
/// Instead of [`HOST`]: was used, and others may be behind it.
pub const HOST_GONE: u64 = 1 << 30;

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
    let slot = (address.high >> 48) as u16;
    if address.is_v4() { lookup_v4(memory, slot, address.first_32()) } else { lookup_v6(memory, slot, address) }
}

#[inline(always)]
fn lookup_v4(memory: &impl PrefixMemory, slot: u16, bits: u32) -> u32 {
    let RootSlot { first, second, summary } = RootSlot::of(memory.root_v4(slot));
    if summary == 0 {
        return first;
    }
    let Some(codes) = memory.line(summary) else {
        return 0;
    };
    let third = (bits >> 8 & 0xff) as usize;
    let code = codes.word(third >> 5) >> (2 * (third & 31)) & 3;
    if code == Code::First as u64 {
        return first;
    }
    if code == Code::FirstWithHosts as u64 {
        return host(memory, bits, first);
    }
    if code == Code::Second as u64 {
        return second;
    }
    let entry = step(memory, summary + 1, third as u8);
    match tag(entry) {
        Tag::Class => number(entry),
        Tag::Node => number(step(memory, number(entry), bits as u8)),
        Tag::Hosts => host(memory, bits, number(entry)),
        Tag::Leaf => 0,
    }
}

/// The class of a host; `others` when it is not in the table of hosts.
#[inline(always)]
fn host(memory: &impl PrefixMemory, bits: u32, others: u32) -> u32 {
    let first = memory.hosts_hash().line(bits);
    let mut class = others;
    for place in 0..HOSTS_LINES {
        let Some(line) = memory.hosts(first + place) else {
            break;
        };
        let mut last = 0;
        for index in 0..WORDS {
            last = line.word(index);
            // The lower half of a host of this address is all that is left, and has the bit.
            let left = last ^ (bits as u64) << 32;
            if left.wrapping_sub(HOST) < HOST {
                class = left as u32 & (HOST - 1) as u32;
            }
        }
        // A line is used from its first word on: the last one tells whether others had to go behind it.
        if class != others || last == 0 {
            break;
        }
    }
    forget(class as usize, bits) as u32
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
