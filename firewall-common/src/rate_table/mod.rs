//! The rate table: finds the bucket of a source, or makes one.
//!
//! - In: the [`Hash`](struct@Hash) of a [`BucketKey`], the time, and the memory of both tables, [`RateMemory`].
//! - Out: a [`Way`] to the TATs of the source, or that it shares the overflow bucket of its limit ([`Lookup`]).
//! - Owner: the packet program. Its CPUs read and write all at once, and all generations share one state.
//!
//! Sets of eight *ways*. A way is a tag, which tells whose it is, and one TAT for each quantity. The [hash](struct@Hash) of a
//! bucket's key names one set and the tag to look for there, so a packet reads one cache line of tags and one for each
//! quantity that is charged. A way is *in debt* while any of its TATs is ahead of now, else *idle*: then it says no more than
//! a fresh one, and a newcomer takes the way that has been idle longest. Nothing is lost by that and nothing has to be
//! reset. Ways in debt are never taken: when a set has no other, the newcomer shares the overflow bucket of its limit.
//!
//! *Members* of lists that admit or name a limit have a table of their own, which a flood of *strangers* cannot fill. A
//! newcomer among strangers must pass a *gate* first ([`gate_quota`]). Everyone is looked for in both tables, in their own
//! first: a source may have become a member a moment ago, and one bucket may have members and strangers (limits on /64s).
//!
//! # Two CPUs at once
//! A way changes hands by two compare-exchanges of its tag: one *claims* it for the newcomer, and nobody finds or charges a
//! claim; after a look at everything again, one makes the claim a bucket. A TAT changes by one exchange. All are full
//! barriers on every architecture. So, between two or more CPUs:
//! - *Both claim the same way.* One exchange fails, now or when the claim is to become a bucket. That CPU looks again, for
//!   its source too, as the other one may have brought it. After [`MAX_TRIES`] the newcomer shares the overflow bucket:
//!   bounded work, and nobody over a limit.
//! - *A way is charged after it looked idle, before its tag is exchanged*, however long that takes. Whoever claimed it sees
//!   the debt then, and gives it back.
//! - *Both bring one source, to two ways or to both tables.* Each looks for a twin after its claim, so at least one sees
//!   one. A twin that is a bucket is used; one that is a claim is taken away, so that of two claims at most one becomes a
//!   bucket, and no packet was charged to the other. Nobody waits for a CPU that stopped in between.
//! - *A CPU found a way before the claim and charges it after.* The one race that costs something: this packet is charged
//!   to the newcomer. Its source, which was idle, may pass that one packet more for each such CPU; the newcomer is refused
//!   for as long as one packet costs the other, if its limit believes such a TAT ([`SKEW_NS`](crate::rate::SKEW_NS)). A
//!   newcomer not charged yet looks idle: when the next one claims its way at this moment, it is the same case, and so are
//!   the packets of who meets a way that is claimed and given back.
//! - *The clocks differ.* A CPU may take a way that another one sees in debt, by no more than the difference: its source
//!   gains what that time is worth.

mod age;
mod facts;
mod hash;
mod key;
mod tags;

use self::{
    age::Ages,
    tags::{Ways, find},
};
use crate::rate::Quantity;

#[cfg(not(target_arch = "bpf"))]
pub use facts::{RateFacts, gate_quota};
#[cfg(not(target_arch = "bpf"))]
pub use hash::SEED_WORDS;
pub use hash::{Hash, HashSeed, SumSeed};
pub use key::BucketKey;

/// Buckets of a set.
pub const WAYS: usize = 8;

/// Set in the tag of a way that is claimed for a newcomer: no [hash](struct@Hash) sets it.
const CLAIM: u64 = 1 << 63;

/// Looks at a set before a newcomer shares the overflow bucket.
pub const MAX_TRIES: usize = 3;

/// One set, four cache lines: [`WAYS`] buckets. It must lie on a multiple of 64, as in a `BPF_F_MMAPABLE` array.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct RateSet {
    /// Which bucket each way has; 0 for none yet. With the highest bit: which one it is claimed for.
    pub tags: [u64; WAYS],
    /// TATs in ns by [`Quantity`], then by way.
    pub tat_ns: [[u64; WAYS]; Quantity::ALL.len()],
}

const _: () = assert!(size_of::<RateSet>() == 256);

/// The two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateTable {
    /// Of sources in a list that admits or names a limit.
    Members,
    /// Of everyone else.
    Strangers,
}

/// A set that several CPUs change at once. Ways are below [`WAYS`].
pub trait SetMemory: Copy {
    /// The tag of a way: one load, never torn.
    fn tag(&self, way: usize) -> u64;

    /// Replaces a tag by `new` if it is `current`; returns what it was, `current` on success. Sequentially consistent.
    fn exchange_tag(&self, way: usize, current: u64, new: u64) -> u64;

    /// A TAT of a way: one load, never torn.
    fn tat_ns(&self, quantity: Quantity, way: usize) -> u64;
}

/// The memory of both tables, and what the policy says about them.
pub trait RateMemory {
    /// A set that a reader holds.
    type Set: SetMemory;

    /// How many sets a table has; 0 for a table that the policy does not need.
    fn sets(&self, table: RateTable) -> u32;

    /// A set; `None` out of range.
    fn set(&self, table: RateTable, number: u32) -> Option<Self::Set>;

    /// Whether any limit counts `quantity`; TATs of others are not read.
    fn counts(&self, quantity: Quantity) -> bool;

    /// How far ahead of now a TAT is believed: at least the longest [`horizon_ns`](crate::Quota::horizon_ns) of a quota.
    fn horizon_ns(&self) -> u64;
}

/// A bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<S> {
    /// Its set.
    pub set: S,
    /// Its number in the set.
    pub way: usize,
}

/// What became of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<S> {
    /// Its bucket was there.
    Found(Way<S>),
    /// It is a newcomer and has an idle bucket now.
    Inserted(Way<S>),
    /// It is a newcomer and every way of its set is in debt (or contended): it shares the overflow bucket.
    Full,
    /// It is a newcomer among strangers and the gate is shut: it shares the overflow bucket.
    Gated,
}

/// What keeps strangers from filling their table.
pub trait Gate {
    /// Whether one more newcomer may come in, which charges the gate.
    fn is_open(&self) -> bool;
}

/// Finds the bucket of a source, or makes one.
///
/// The gate is asked at most once, for a newcomer among strangers for whom there is room.
#[inline(always)]
pub fn lookup<M: RateMemory>(
    memory: &M,
    hash: &Hash,
    is_member: bool,
    now_ns: u64,
    gate: &impl Gate,
) -> Lookup<M::Set> {
    let (own, other) =
        if is_member { (RateTable::Members, RateTable::Strangers) } else { (RateTable::Strangers, RateTable::Members) };
    let Some(own) = set_of(memory, own, hash) else {
        return Lookup::Full;
    };
    let tag = hash.tag();
    if let Some(way) = find(own, tag) {
        return Lookup::Found(way);
    }
    let other = set_of(memory, other, hash);
    if let Some(way) = other.and_then(|set| find(set, tag)) {
        return Lookup::Found(way);
    }
    let ages = Ages::at(memory, now_ns);
    // Before the gate, whose exchange waits for all loads, so that those of the ages do not wait for it.
    let Some(idlest) = ages.idlest(own) else {
        return Lookup::Full;
    };
    if !is_member && !gate.is_open() {
        return Lookup::Gated;
    }
    insert(own, other, tag, &ages, idlest)
}

/// The set of a table that may have the bucket.
#[inline(always)]
fn set_of<M: RateMemory>(memory: &M, table: RateTable, hash: &Hash) -> Option<M::Set> {
    match memory.sets(table) {
        0 => None,
        sets => memory.set(table, hash.set(sets)),
    }
}

/// Gives a newcomer the idlest way of its set `own`, unless it turns out to be no newcomer.
#[inline(always)]
fn insert<S: SetMemory>(own: S, other: Option<S>, tag: u64, ages: &Ages, idlest: usize) -> Lookup<S> {
    let mut way = idlest;
    for _ in 0..MAX_TRIES {
        let claimed = claim(own, way, tag, ages);
        let twin = match Ways::with(own, tag).without(claimed).lowest() {
            Some(way) => Some(Way { set: own, way }),
            None => other.and_then(|set| Ways::with(set, tag).lowest().map(|way| Way { set, way })),
        };
        if let Some(twin) = twin {
            // A rival loses its claim; a bucket stays.
            if twin.set.exchange_tag(twin.way, tag | CLAIM, 0) == tag {
                if claimed != Ways::NONE {
                    own.exchange_tag(way, tag | CLAIM, 0);
                }
                return Lookup::Found(twin);
            }
        } else if claimed != Ways::NONE && own.exchange_tag(way, tag | CLAIM, tag) == tag | CLAIM {
            return Lookup::Inserted(Way { set: own, way });
        }
        way = match ages.idlest(own) {
            Some(idlest) => idlest,
            None => return Lookup::Full,
        };
    }
    Lookup::Full
}

/// Claims an idle way for a newcomer; none if it is not idle any more or changed hands.
#[inline(always)]
fn claim(set: impl SetMemory, way: usize, tag: u64, ages: &Ages) -> Ways {
    let claim = tag | CLAIM;
    let old = set.tag(way);
    let mut claimed = Ways::NONE;
    if old != tag && set.exchange_tag(way, old, claim) == old {
        if ages.is_in_debt(set, way) {
            set.exchange_tag(way, claim, old);
        } else {
            claimed = Ways::one(way);
        }
    }
    claimed.forget(tag as u32)
}
