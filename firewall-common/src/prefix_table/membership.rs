//! What the lists say about a source.

/// Lists of one policy: the bits of a membership.
pub const MAX_LISTS: usize = 64;

/// What the lists say about a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Bit n: a prefix of list n covers the source.
    pub lists: u64,
    /// An address of this host, or a broadcast address of its subnets.
    pub own: bool,
    /// In a management prefix.
    pub management: bool,
}
