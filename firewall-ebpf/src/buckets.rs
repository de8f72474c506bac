//! The rate state of sources: the rate table in maps that all generations share.

use aya_ebpf::{
    Global,
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, PerCpuArray},
    helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns},
    macros::btf_map,
};
use firewall_common::{
    Quantity,
    abi::{self, BucketKey, BucketOutcome, BucketState, LimitRecord, RateBase, RateEvent},
    rate,
    rate_table::{self, Gate, Hash, Lookup, RateMemory, RateSet, RateTable, SetMemory, WAYS, Way},
};

use crate::{
    cells::{StatePointer, TatPointer, compare_exchange},
    explain,
    facts::{COUNTED, MEMBER_LISTS},
};

/// Page-aligned, which keeps a set in four cache lines.
const MMAPABLE: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static MEMBERS: Array<RateSet, { abi::RATE_SETS as usize }, MMAPABLE> = Array::new(); // the loader decides how many
#[btf_map]
static STRANGERS: Array<RateSet, { abi::RATE_SETS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static RATE_BASE: Array<RateBase, 1> = Array::new();
#[btf_map]
static GATES: Array<u64, { abi::MAX_LIMITS + 1 }> = Array::new();
#[btf_map]
static OVERFLOW: Array<BucketState, { abi::MAX_LIMITS + 1 }> = Array::new();
#[btf_map]
static RATE_EVENTS: PerCpuArray<u64, { RateEvent::ALL.len() }> = PerCpuArray::new();

/// Jiffies and nanoseconds of the monotonic clock at one moment.
#[btf_map]
static CLOCKS: Array<[u64; 2], 1> = Array::new();

#[unsafe(no_mangle)]
static HORIZON_NS: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TICK_NS: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static MEMBER_SETS: Global<u32> = Global::new(abi::RATE_SETS);

/// The rate state of a source, and [`now_ns`].
#[inline(always)]
pub(crate) fn bucket(key: &BucketKey, limit: &LimitRecord, is_member: bool) -> Option<(StatePointer, u64)> {
    let base = RATE_BASE.get(0)?;
    let now_ns = now_ns_by(base);
    let hash = Hash::new(&base.seed, key);
    let gate = LimitGate { limit: key.limit, record: limit, now_ns };
    let way = match rate_table::lookup(&RateMaps, &hash, is_member, now_ns, &gate) {
        Lookup::Found(way) => {
            explain::note_bucket(BucketOutcome::Found);
            Some(way)
        }
        Lookup::Inserted(way) => {
            count(RateEvent::Inserted);
            Some(way)
        }
        Lookup::Full => {
            count(RateEvent::Full);
            None
        }
        Lookup::Gated => {
            count(RateEvent::Gated);
            None
        }
    };
    let state = match way {
        Some(Way { set, way }) => StatePointer { first: set.tat(Quantity::Packets, way), stride: WAYS },
        None => StatePointer { first: OVERFLOW.get_ptr_mut(u32::from(key.limit))?.cast(), stride: 1 },
    };
    // SAFETY: both kinds of state have a TAT for each quantity at this distance.
    unsafe { explain::note_state(state.first, state.stride, now_ns) };
    Some((state, now_ns))
}

/// The gate of a limit.
struct LimitGate<'a> {
    limit: u16,
    record: &'a LimitRecord,
    now_ns: u64,
}

impl Gate for LimitGate<'_> {
    #[inline(always)]
    fn is_open(&self) -> bool {
        match GATES.get_ptr_mut(u32::from(self.limit)) {
            Some(gate) => {
                let quota = &self.record.gate;
                !quota.is_limited() || rate::charge(&TatPointer(gate), quota, self.now_ns, 1)
            }
            None => false,
        }
    }
}

/// Nanoseconds of the clock of this generation.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    match RATE_BASE.get(0) {
        Some(base) => now_ns_by(base),
        None => 0,
    }
}

#[inline(always)]
fn now_ns_by(base: &RateBase) -> u64 {
    let tick_ns = TICK_NS.load();
    if tick_ns == 0 {
        // SAFETY: the helper reads the clock and touches nothing.
        return unsafe { bpf_ktime_get_ns() };
    }
    // SAFETY: as above.
    let jiffies = unsafe { bpf_jiffies64() };
    jiffies.wrapping_mul(tick_ns).wrapping_add(base.jiffies_offset_ns)
}

/// Reads both clocks at once.
#[inline(always)]
pub(crate) fn sample_clocks() {
    if let Some(sample) = CLOCKS.get_ptr_mut(0) {
        // SAFETY: the helper reads a clock and touches nothing.
        let jiffies = unsafe { bpf_jiffies64() };
        // SAFETY: as above.
        let now_ns = unsafe { bpf_ktime_get_ns() };
        // SAFETY: the map value is valid for the whole run.
        unsafe { sample.write([jiffies, now_ns]) };
    }
}

#[inline(always)]
fn count(event: RateEvent) {
    explain::note_bucket(match event {
        RateEvent::Inserted => BucketOutcome::Inserted,
        RateEvent::Full => BucketOutcome::Full,
        RateEvent::Gated => BucketOutcome::Gated,
    });
    if explain::is_on() {
        return;
    }
    if let Some(count) = RATE_EVENTS.get_ptr_mut(event as u32) {
        // SAFETY: the slot belongs to this CPU, on which XDP runs do not interrupt each other.
        unsafe { *count += 1 };
    }
}

struct RateMaps;

impl RateMemory for RateMaps {
    type Set = SetPointer;

    #[inline(always)]
    fn sets(&self, table: RateTable) -> u32 {
        match table {
            RateTable::Members if MEMBER_LISTS.load() == 0 => 0,
            RateTable::Members => MEMBER_SETS.load(),
            RateTable::Strangers => abi::RATE_SETS,
        }
    }

    #[inline(always)]
    fn set(&self, table: RateTable, number: u32) -> Option<SetPointer> {
        let set = match table {
            RateTable::Members => MEMBERS.get_ptr_mut(number),
            RateTable::Strangers => STRANGERS.get_ptr_mut(number),
        };
        set.map(SetPointer)
    }

    #[inline(always)]
    fn counts(&self, quantity: Quantity) -> bool {
        COUNTED.load() >> quantity as u32 & 1 != 0
    }

    #[inline(always)]
    fn horizon_ns(&self) -> u64 {
        HORIZON_NS.load()
    }
}

/// A set in its map.
#[derive(Clone, Copy)]
struct SetPointer(*mut RateSet);

impl SetPointer {
    #[inline(always)]
    fn tag_cell(self, way: usize) -> *mut u64 {
        // SAFETY: every number modulo `WAYS` is the index of a tag of the set, which the kernel keeps for the whole run.
        unsafe { self.0.cast::<u64>().add(way % WAYS) }
    }

    #[inline(always)]
    fn tat(self, quantity: Quantity, way: usize) -> *mut u64 {
        // SAFETY: behind the tags there are as many TATs for each quantity.
        unsafe { self.0.cast::<u64>().add(WAYS * (1 + quantity as usize) + way % WAYS) }
    }
}

impl SetMemory for SetPointer {
    #[inline(always)]
    fn tag(&self, way: usize) -> u64 {
        // SAFETY: the cell is valid for the whole run; other CPUs change it only by aligned compare-exchange.
        unsafe { self.tag_cell(way).read_volatile() }
    }

    #[inline(always)]
    fn exchange_tag(&self, way: usize, current: u64, new: u64) -> u64 {
        // SAFETY: an aligned number in a map value.
        unsafe { compare_exchange(self.tag_cell(way), current, new) }
    }

    #[inline(always)]
    fn tat_ns(&self, quantity: Quantity, way: usize) -> u64 {
        // SAFETY: as for a tag.
        unsafe { self.tat(quantity, way).read_volatile() }
    }
}
