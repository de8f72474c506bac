//! What the kernel keeps of a prefix table besides its lines: the roots and the classes.

use super::membership::MAX_LISTS;

/// Slots of each root.
pub const ROOT_SLOTS: usize = 1 << 16;

/// What a class of addresses is in: the union of all prefixes that cover them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ClassRecord {
    /// Bit n: member of list n.
    pub lists: u64,
    /// [`OWN`] and [`MANAGEMENT`].
    pub flags: u32,
    /// Second of the boot clock in which this ends; 0: never.
    pub ends: u32,
    /// The class that holds from then on.
    pub next: u32,
    /// Always zero.
    pub padding: u32,
}

/// The IPv4 root of the prefix table, see [`prefix_table`](crate::prefix_table).
#[repr(C)]
pub struct RootV4 {
    /// By the first 16 bits of an address.
    pub slots: [u64; ROOT_SLOTS],
    /// The groups of each slot: apart, so that what most packets need stays in the cache.
    pub groups: [u64; ROOT_SLOTS],
}

/// The IPv6 root of the prefix table.
#[repr(C)]
pub struct RootV6 {
    /// Entries by the first 16 bits of an address.
    pub slots: [u32; ROOT_SLOTS],
}

/// Classes of one generation.
pub const MAX_CLASSES: u32 = 1 << 16;
/// Classes 1 to 64 are in one list each and in nothing else, the first in list 0: no record has to be read.
pub const LIST_CLASSES: u32 = MAX_LISTS as u32;

/// [`ClassRecord::flags`]: an address of this host or a broadcast address of its subnets.
pub const OWN: u32 = 1;
/// [`ClassRecord::flags`]: in a management prefix.
pub const MANAGEMENT: u32 = 2;

const _: () = assert!(size_of::<ClassRecord>() == 24);
