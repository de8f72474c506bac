//! The lists: the compiled prefix table in maps that the controller writes through its own memory.

use aya_ebpf::{
    Global, bindings::BPF_F_MMAPABLE, btf_maps::Array, helpers::generated::bpf_ktime_get_boot_ns, macros::btf_map,
};
use firewall_common::{
    Address, Membership,
    abi::{self, ClassRecord, RootV4, RootV6},
    prefix_table::{self, Line, PlacesHash, PrefixMemory, ROOT_SLOTS, WORDS},
    verifier::index_16,
};

const MMAPABLE: usize = BPF_F_MMAPABLE as usize;
const SECOND_NS: u64 = 1_000_000_000;

// Policy: fresh in each generation, written by the controller only.
#[btf_map]
static ROOT_V4: Array<RootV4, 1, MMAPABLE> = Array::new();
#[btf_map]
static ROOT_V6: Array<RootV6, 1, MMAPABLE> = Array::new();
#[btf_map]
static LINES: Array<[u64; WORDS], 64, MMAPABLE> = Array::new(); // the loader makes room for the entries of the lists
#[btf_map]
static PLACES: Array<[u64; WORDS], 64, MMAPABLE> = Array::new(); // likewise
#[btf_map]
static CLASSES: Array<ClassRecord, { abi::MAX_CLASSES as usize }> = Array::new();

#[unsafe(no_mangle)]
static PLACES_MULTIPLIER: Global<u64> = Global::new(1);
#[unsafe(no_mangle)]
static PLACES_LINES: Global<u32> = Global::new(1);

/// What the lists say about `source`.
#[inline(always)]
pub(crate) fn membership(source: &Address) -> Membership {
    prefix_table::membership(&Lists, source)
}

/// A word of the IPv4 root: a slot, or with `first` the number of slots the groups of one.
#[inline(always)]
fn root_word_v4(first: usize, slot: u16) -> u64 {
    let Some(root) = ROOT_V4.get_ptr(0) else {
        return 0;
    };
    // SAFETY: `root` is a whole root for as long as the program runs: twice as many words as there are 16-bit numbers.
    let word = unsafe { root.cast::<u64>().add(first + index_16(slot)) };
    // SAFETY: as above; the controller changes them by aligned stores, so a volatile read is never torn.
    unsafe { word.read_volatile() }
}

struct Lists;

impl PrefixMemory for Lists {
    type Line = LinePointer;

    #[inline(always)]
    fn root_v4(&self, slot: u16) -> u64 {
        root_word_v4(0, slot)
    }

    #[inline(always)]
    fn groups_v4(&self, slot: u16) -> u64 {
        root_word_v4(ROOT_SLOTS, slot)
    }

    #[inline(always)]
    fn root_v6(&self, slot: u16) -> u32 {
        let Some(root) = ROOT_V6.get_ptr(0) else {
            return 0;
        };
        // SAFETY: as for IPv4.
        let slot = unsafe { root.cast::<u32>().add(index_16(slot)) };
        // SAFETY: as for IPv4.
        unsafe { slot.read_volatile() }
    }

    #[inline(always)]
    fn places(&self, number: u32) -> Option<LinePointer> {
        PLACES.get_ptr(number).map(LinePointer)
    }

    #[inline(always)]
    fn places_hash(&self) -> PlacesHash {
        PlacesHash { multiplier: PLACES_MULTIPLIER.load(), lines: PLACES_LINES.load() }
    }

    #[inline(always)]
    fn line(&self, number: u32) -> Option<LinePointer> {
        LINES.get_ptr(number).map(LinePointer)
    }

    #[inline(always)]
    fn class(&self, class: u32) -> Option<&ClassRecord> {
        CLASSES.get(class)
    }

    #[inline(always)]
    fn boot_second(&self) -> u32 {
        // SAFETY: the helper reads the clock and touches nothing.
        (unsafe { bpf_ktime_get_boot_ns() } / SECOND_NS) as u32
    }
}

/// A line of the prefix table in its map. The controller does not change it while this program can reach it, or changes
/// places of it by aligned stores.
struct LinePointer(*const [u64; WORDS]);

impl Line for LinePointer {
    #[inline(always)]
    fn word(&self, index: usize) -> u64 {
        if index >= WORDS {
            return 0;
        }
        // SAFETY: the compare above keeps the index inside the line, which the kernel keeps for the whole run.
        let word = unsafe { self.0.cast::<u64>().add(index) };
        // SAFETY: as above.
        unsafe { word.read_volatile() }
    }
}
