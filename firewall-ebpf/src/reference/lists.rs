//! The lists of the reference program: the kernel's own trie.

use core::mem::offset_of;

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{LpmTrie, lpm_trie::Key},
    macros::btf_map,
};
use firewall_common::{Address, Membership, abi};

const FLAGS: usize = BPF_F_NO_PREALLOC as usize;

#[btf_map]
static LISTS_V4: LpmTrie<[u8; 4], Listed, { abi::MAX_PREFIXES as usize }, FLAGS> = LpmTrie::new();
#[btf_map]
static LISTS_V6: LpmTrie<[u8; 16], Listed, { abi::MAX_PREFIXES as usize }, FLAGS> = LpmTrie::new();

/// What a prefix is in: the union over all that cover it. Aligned to 4, because a trie puts it right behind a key of 4 octets.
#[repr(C)]
struct Listed {
    /// Bit n of these 64: member of list n. Low word first.
    lists: [u32; 2],
    flags: u32,
}

/// What the lists say about `source`.
#[inline(always)]
pub(crate) fn membership(source: &Address) -> Membership {
    let record = if source.is_v4() {
        LISTS_V4.get(KeyV4::new(source.first_32()).as_key())
    } else {
        LISTS_V6.get(KeyV6::new(source).as_key())
    };
    match record {
        Some(record) => {
            let [low, high] = record.lists;
            Membership {
                lists: u64::from(high) << 32 | u64::from(low),
                own: record.flags & abi::OWN != 0,
                management: record.flags & abi::MANAGEMENT != 0,
            }
        }
        None => Membership { lists: 0, own: false, management: false },
    }
}

/// A key for the longest match of an IPv4 address, laid out so that every store to the stack is aligned.
#[repr(C, align(8))]
struct KeyV4 {
    prefix_length: u32,
    address: u32,
}

impl KeyV4 {
    #[inline(always)]
    fn new(bits: u32) -> Self {
        Self { prefix_length: 32, address: bits.to_be() }
    }

    #[inline(always)]
    fn as_key(&self) -> &Key<[u8; 4]> {
        // SAFETY: `Key` is packed: a length of four octets, then the address, as here.
        unsafe { &*(&raw const *self).cast() }
    }
}

/// The same for IPv6: the address is aligned to 8, so the key begins 4 octets before.
#[repr(C, align(8))]
struct KeyV6 {
    unused: u32,
    prefix_length: u32,
    high: u64,
    low: u64,
}

impl KeyV6 {
    #[inline(always)]
    fn new(address: &Address) -> Self {
        Self { unused: 0, prefix_length: 128, high: address.high.to_be(), low: address.low.to_be() }
    }

    #[inline(always)]
    fn as_key(&self) -> &Key<[u8; 16]> {
        // SAFETY: as above; the key begins at the length, with the address right behind it.
        let key = unsafe { core::ptr::from_ref(self).byte_add(offset_of!(Self, prefix_length)) };
        // SAFETY: as above.
        unsafe { &*key.cast() }
    }
}
