//! Services: where they are, whom they admit, and what holds for fragments.

use crate::{flow::Transport, prefix_table::MAX_LISTS};

/// Key of `ADDRESSES`. Keys are aligned to 8, as the verifier wants every store of 8 octets to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct AddressKey {
    /// See [`Address::high`](crate::Address::high).
    pub high: u64,
    /// See [`Address::low`](crate::Address::low).
    pub low: u64,
    /// See [`Family`](crate::Family).
    pub family: u32,
    /// Always zero.
    pub padding: u32,
}

/// Services of one protocol by destination port.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PortRow {
    /// Service of each port, 0 for none.
    pub services: [u16; 65536],
}

/// Rows of `PORTS` for each local address.
pub const PORT_ROWS_PER_BLOCK: u32 = 2;
/// Rules of `FRAGMENTS` for each local address.
pub const FRAGMENT_RULES_PER_BLOCK: u32 = 4;

/// Which of the rules of a block holds for fragments of `protocol`.
#[inline(always)]
pub const fn fragment_rule_index(protocol: Transport) -> u32 {
    match protocol {
        Transport::Tcp => 0,
        Transport::Udp => 1,
        _ => 2,
    }
}

/// The lists that decide about fragments of one protocol to one local address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentRule {
    /// Lists that any of the possible services denies.
    pub deny: u64,
    /// Lists that any of them allows.
    pub allow: u64,
    /// How many services a fragment could belong to.
    pub services: u32,
    /// 1 when one of them has no `allow`.
    pub open: u32,
}

/// A service as the kernel sees it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ServiceRecord {
    /// Lists that deny.
    pub deny: u64,
    /// Lists that admit; meant only when `has_allow`.
    pub allow: u64,
    /// All lists of `limit_for`.
    pub limit_for_lists: u64,
    /// 1 when only members of `allow` are admitted.
    pub has_allow: u32,
    /// Limit of everyone else, 0 for none.
    pub limit: u16,
    /// Rows of `limit_for` in use.
    pub limit_for_count: u16,
    /// The first row whose list has the source decides.
    pub limit_for: [LimitForRecord; MAX_LISTS],
    /// 1 when drops are only counted.
    pub observe: u32,
    /// Always zero.
    pub padding: u32,
}

/// One row of [`ServiceRecord::limit_for`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LimitForRecord {
    /// Bit of the list.
    pub list: u16,
    /// The limit, never 0 in use.
    pub limit: u16,
}

const _: () = {
    assert!(size_of::<AddressKey>() == 24);
    assert!(size_of::<PortRow>() == 131_072);
    assert!(size_of::<FragmentRule>() == 24);
    assert!(size_of::<ServiceRecord>() == 40 + 4 * MAX_LISTS);
};
