//! Where a bucket is kept: a secret hash of its key.
//!
//! The *tag* of an IPv4 bucket is its key, so it is never taken for another one. That of an IPv6 bucket is 62 bits of two
//! sums `s + (a + y) * (b + x) + (c + w) * (d + z) + e * label`, of which the upper 32 bits are pairwise independent (pair-
//! multiply-shift over words of 32 bits; M. Thorup, High speed hashing for integers and strings, arXiv 1504.06804, sections
//! 3.5 and 5).
//!
//! The *set* is a hash of the tag for IPv4, of a third such sum for IPv6: a product, folded, and once more a product, whose
//! upper bits count. Two inputs have the same of `n` sets with probability at most `2 / n + 2^-30`, because the multipliers
//! are random and odd (M. Dietzfelbinger and others, A reliable randomized algorithm for the closest-pair problem,
//! J. Algorithms 25, 1997) and two sums are the same with at most 2^-33. The first product and the fold break the
//! regularity of sequential addresses, which one product alone may turn into a few heavy sets.
//!
//! A new IPv6 bucket meets at most `8 * n` others in each table, so another one's state is taken for its own with probability
//! at most `2 * 8 * n * (2 / n + 2^-30) * 2^-62`, below 2^-56: at a million new sources a second not once in 2,000 years.

use super::BucketKey;
use crate::address::Family;

/// Random numbers for a [`Hash`](struct@Hash). Who knows them can fill a set of their choice.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HashSeed {
    /// Multipliers for the set, odd.
    pub spread: [u64; 2],
    /// IPv6: for what the set is made of.
    pub set: SumSeed,
    /// IPv6: for the halves of the tag.
    pub tag: [SumSeed; 2],
}

/// Random numbers of one sum: the last one is where it begins, the others go with words of the key.
pub type SumSeed = [u64; 6];

/// Random numbers that make a [`HashSeed`].
#[cfg(not(target_arch = "bpf"))]
pub const SEED_WORDS: usize = size_of::<HashSeed>() / 8;

impl HashSeed {
    /// Makes a seed of random numbers.
    #[cfg(not(target_arch = "bpf"))]
    pub fn from_random(random: &[u64; SEED_WORDS]) -> Self {
        let [first, second, sums @ ..] = random;
        let sum = |number: usize| core::array::from_fn(|word| sums[6 * number + word]);
        Self { spread: [first | 1, second | 1], set: sum(0), tag: [sum(1), sum(2)] }
    }
}

/// Where a bucket is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// The set, as a fraction of the table in units of 2^-32.
    position: u64,
    tag: u64,
}

/// Set in the tag of an IPv6 bucket and in no other. The bit above is 0 in all tags.
const IPV6: u64 = 1 << 62;

const LOW_HALF: u64 = u32::MAX as u64;

impl Hash {
    /// The hash of `key`.
    #[inline(always)]
    pub fn new(seed: &HashSeed, key: &BucketKey) -> Self {
        let label = u64::from(key.limit) | u64::from(key.family) << 16;
        let (tag, origin) = if key.family == Family::Ipv6 as u16 {
            let [high, low] = &seed.tag;
            let (high, low) = (sum(high, key, label) >> 32 << 32, sum(low, key, label) >> 32);
            (IPV6 | (high | low) >> 2, sum(&seed.set, key, label))
        } else {
            // The address below: it is to be spread over all of the product.
            let tag = key.high >> 32 | label << 32;
            (tag, tag)
        };
        let [once, twice] = seed.spread;
        let product = origin.wrapping_mul(once);
        let position = (product ^ product >> 32).wrapping_mul(twice) >> 32;
        Self { position, tag }
    }

    /// The tag: never 0, its highest bit always.
    #[inline(always)]
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// The set among `sets`.
    #[inline(always)]
    pub fn set(&self, sets: u32) -> u32 {
        ((self.position * u64::from(sets)) >> 32) as u32
    }
}

/// A sum over the words of an IPv6 key.
#[inline(always)]
fn sum(seed: &SumSeed, key: &BucketKey, label: u64) -> u64 {
    let [a, b, c, d, e, start] = *seed;
    let high = a.wrapping_add(key.high & LOW_HALF).wrapping_mul(b.wrapping_add(key.high >> 32));
    let low = c.wrapping_add(key.low & LOW_HALF).wrapping_mul(d.wrapping_add(key.low >> 32));
    start.wrapping_add(high).wrapping_add(low).wrapping_add(e.wrapping_mul(label))
}
