//! Which ways of a set have a tag.

use super::{CLAIM, SetMemory, WAYS, Way};
use crate::verifier::forget;

/// The lowest way that has `tag`.
///
/// With a branch for each way: sources gather in the low ways of sets that are not full, which makes the branches
/// predictable, and the TAT is then read together with the tags.
#[inline(always)]
pub(super) fn find<S: SetMemory>(set: S, tag: u64) -> Option<Way<S>> {
    let way = (0..WAYS).find(|way| set.tag(*way) == tag)?;
    Some(Way { set, way: forget(way, tag as u32) % WAYS })
}

/// Some ways of a set: bit `3 * n` for way n.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ways(u64);

impl Ways {
    pub(super) const NONE: Self = Self(0);

    #[inline(always)]
    pub(super) fn one(way: usize) -> Self {
        Self(1 << (3 * way))
    }

    /// The same ways; see [`forget`].
    #[inline(always)]
    pub(super) fn forget(self, noise: u32) -> Self {
        Self(forget(self.0 as usize, noise) as u64)
    }

    /// Those that have `tag` or are claimed for it. Without branches: the kernel's verifier would follow each of them in
    /// every round.
    #[inline(always)]
    pub(super) fn with(set: impl SetMemory, tag: u64) -> Self {
        let mut ways = 0;
        for way in 0..WAYS {
            // Without the bit of a claim no tag has a highest bit, so a difference less one has none.
            let differs = (set.tag(way) ^ tag) & !CLAIM;
            ways |= (differs.wrapping_sub(1) >> 63) << (3 * way);
        }
        Self(ways)
    }

    #[inline(always)]
    pub(super) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// The lowest one.
    #[inline(always)]
    pub(super) fn lowest(self) -> Option<usize> {
        // The lowest bit shifts the digit of its way to the top.
        let lowest = self.0 & self.0.wrapping_neg();
        (lowest != 0).then_some(((lowest * 0o01234567) >> 21) as usize % WAYS)
    }
}
