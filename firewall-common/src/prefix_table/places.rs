//! Places: single IPv4 addresses and whole /24s, in a hash table by the /24.

use super::{Line, PrefixMemory, WORDS};
use crate::verifier::{forget, sign};

/// Multiply-shift hashing (Dietzfelbinger et al., "A reliable randomized algorithm for the closest-pair problem", 1997):
/// the upper bits of the product with a random odd number are universal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacesHash {
    /// Random and odd.
    pub multiplier: u64,
    /// Lines there are, less those that only the run of the last one needs.
    pub lines: u32,
}

/// Where the places of one /24 are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread(u64);

impl PlacesHash {
    /// Where the places of the /24 of an address are.
    #[inline(always)]
    pub const fn of(self, bits: u32) -> Spread {
        Spread(((bits >> 8) as u64).wrapping_mul(self.multiplier))
    }

    /// The first line of them.
    #[inline(always)]
    pub const fn line(self, spread: Spread) -> u32 {
        (((spread.0 >> 32) * self.lines as u64) >> 32) as u32
    }
}

impl Spread {
    /// The tag of a single address: other than those of most addresses in its /24.
    #[inline(always)]
    pub const fn host_tag(self, bits: u32) -> u64 {
        tag_of(self.0 >> 20 ^ bits as u64)
    }

    /// The tag of the whole /24.
    #[inline(always)]
    pub const fn net_tag(self) -> u64 {
        tag_of(self.0 >> 12)
    }
}

/// A tag: 1 to 127.
#[inline(always)]
const fn tag_of(hash: u64) -> u64 {
    (((hash & 0x7f) * 127) >> 7) + 1
}

/// Lines that the places of a /24 may be in, one behind the other.
pub const PLACES_RUN: u32 = 4;

/// Places of a line: word 0 has the tag of each, 0 for none, and 1 in its last octet if the search goes on in the line behind.
pub const PLACES: usize = WORDS - 1;

/// Bits of a class in a place. What the place is follows above, in three bits; the upper half is the address.
pub const PLACE_SHIFT: u32 = 29;
/// A single address. Word 0 never looks like a place: the highest of these bits is 0 there.
pub const PLACE_HOST: u64 = 0b110;
/// A whole /24.
pub const PLACE_NET: u64 = 0b111;

/// A one in the octet of each tag.
const TAGS: u64 = 0x0001_0101_0101_0101;

/// The word of the place that has `tag`; no place if none has. The tags of a line are distinct.
#[inline(always)]
pub const fn index_of_tag(tags: u64, tag: u64) -> usize {
    // Each octet of the difference is below 128, so only from that of `tag` nothing is borrowed.
    let found = (TAGS << 7).wrapping_sub(tags ^ (tag * TAGS)) & TAGS << 7;
    // That bit shifts the number of the word to the top.
    (found.wrapping_mul(NUMBERS) >> 61) as usize
}

/// The numbers of the words that have places, three bits each, where the highest bit of their tags shifts them to the top.
const NUMBERS: u64 = {
    let (mut numbers, mut index) = (0, PLACES as u64);
    while index > 0 {
        numbers |= index << (61 - (8 * index - 1));
        index -= 1;
    }
    numbers
};

/// The class of an address by its own place or that of its /24, 0 if it has none.
///
/// No branch depends on what is found, as nobody can predict whether it is the one or the other, and few instructions wait
/// for the line.
#[inline(always)]
pub(super) fn lookup_place(memory: &impl PrefixMemory, bits: u32) -> u32 {
    let hash = memory.places_hash();
    let spread = hash.of(bits);
    let (host_tag, net_tag) = (spread.host_tag(bits), spread.net_tag());
    let first = hash.line(spread);
    let (mut class, mut net) = (0, 0);
    for number in 0..PLACES_RUN {
        let Some(line) = memory.places(first + number) else {
            break;
        };
        let tags = line.word(0);
        let host = line.word(index_of_tag(tags, host_tag)) ^ place(bits, PLACE_HOST);
        let of_net = line.word(index_of_tag(tags, net_tag)) ^ place(bits & !0xff, PLACE_NET);
        // What is left of a place is its class.
        let is_host = ones_if_zero(host >> PLACE_SHIFT);
        net |= of_net & ones_if_zero(of_net >> PLACE_SHIFT);
        class = net ^ (net ^ host) & is_host;
        if tags >> 56 == 0 || is_host != 0 {
            break;
        }
        class = forget(class as usize, bits) as u64;
        net = forget(net as usize, bits) as u64;
    }
    class as u32
}

/// All ones if `number`, which is below 2^63, is 0, else 0.
#[inline(always)]
fn ones_if_zero(number: u64) -> u64 {
    sign(number.wrapping_sub(1))
}

/// The word of a place, without its class.
#[inline(always)]
pub const fn place(bits: u32, kind: u64) -> u64 {
    (bits as u64) << 32 | kind << PLACE_SHIFT
}
