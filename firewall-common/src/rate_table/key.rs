//! Whose a bucket is.

/// Key of `BUCKETS`: a bucket belongs to a source and a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct BucketKey {
    /// First half of the source's prefix, see [`Address::high`](crate::Address::high).
    pub high: u64,
    /// Second half.
    pub low: u64,
    /// See [`Family`](crate::Family).
    pub family: u16,
    /// The limit.
    pub limit: u16,
    /// Always zero.
    pub padding: u32,
}

const _: () = assert!(size_of::<BucketKey>() == 24);
