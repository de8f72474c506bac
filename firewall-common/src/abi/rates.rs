//! Limits, and the rate state that all generations share.

use crate::{rate::Quota, rate_table::HashSeed};

/// Sources whose rate the reference program remembers.
pub const MAX_BUCKETS: u32 = 1 << 18;
/// Sets of the rate table of strangers: half a million buckets, 16 MiB.
pub const RATE_SETS: u32 = 1 << 16;
/// Fewest sets of the rate table of members.
pub const MIN_MEMBER_SETS: u32 = 1 << 14;
/// Most sets of the rate table of members: half a million buckets, 16 MiB.
pub const MAX_MEMBER_SETS: u32 = 1 << 16;

/// A limit as the kernel sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LimitRecord {
    /// By [`Quantity`](crate::Quantity).
    pub quotas: [Quota; 3],
    /// Which bits of an IPv6 address make a source, first half first.
    pub mask_v6: [u64; 2],
    /// Which bits of the first half of an IPv4 address make a source.
    pub mask_v4: u64,
    /// For newcomers among strangers, see [`rate_table`](crate::rate_table).
    pub gate: Quota,
}

/// TATs of a bucket by [`Quantity`](crate::Quantity), in ns of the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BucketState {
    /// Theoretical arrival times.
    pub tat_ns: [u64; 3],
}

/// What the rate state of a host is founded on: written once, before the first packet.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RateBase {
    /// Spreads sources over the tables.
    pub seed: HashSeed,
    /// What makes nanoseconds since boot of jiffies times their length, so that both clocks tell the same.
    pub jiffies_offset_ns: u64,
    /// 1 when this has been written.
    pub is_set: u64,
}

/// What became of a newcomer to the rate tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RateEvent {
    /// It has a bucket of its own.
    Inserted = 0,
    /// Every bucket where it could be is in debt: it shares the overflow bucket.
    Full = 1,
    /// The gate for strangers was shut: it shares the overflow bucket.
    Gated = 2,
}

impl RateEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inserted, Self::Full, Self::Gated];

    /// Value of the metric label `outcome`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Full => "full",
            Self::Gated => "gated",
        }
    }
}

/// Where the rate state of a source was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BucketOutcome {
    /// It had a bucket.
    Found = 1,
    /// It had none and gets one.
    Inserted = 2,
    /// See [`RateEvent::Full`].
    Full = 3,
    /// See [`RateEvent::Gated`].
    Gated = 4,
}

const _: () = {
    assert!(size_of::<Quota>() == 24);
    assert!(size_of::<LimitRecord>() == 120);
    assert!(size_of::<RateBase>() == 176);
    assert!(size_of::<BucketState>() == 24);
};
