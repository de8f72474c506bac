//! What an instance of the program that explains leaves behind.

/// What an instance of the program that explains says about its last frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Explanation {
    /// The lists that the source is in, see [`Membership`](crate::Membership).
    pub lists: u64,
    /// The time by which the limit was judged, in ns of its clock.
    pub now_ns: u64,
    /// The TATs that were found, by [`Quantity`](crate::Quantity).
    pub tat_ns: [u64; 3],
    /// [`OWN`](super::OWN) and [`MANAGEMENT`](super::MANAGEMENT).
    pub flags: u32,
    /// See [`Verdict::index`](crate::Verdict::index).
    pub verdict: u32,
    /// See [`Family`](crate::Family).
    pub family: u32,
    /// The service it was judged by, 0 for none.
    pub service: u32,
    /// The limit that was asked, 0 for none.
    pub limit: u32,
    /// A [`BucketOutcome`](super::BucketOutcome), 0 when no bucket was looked for.
    pub bucket: u32,
}

const _: () = assert!(size_of::<Explanation>() == 64);
