//! The rate state of the reference program: the kernel's own hash table, which forgets whom it used least lately.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::{Array, LruHashMap},
    helpers::generated::bpf_ktime_get_ns,
    macros::btf_map,
};
use firewall_common::abi::{self, BucketKey, BucketState, LimitRecord};

use crate::cells::StatePointer;

#[btf_map]
static BUCKETS: LruHashMap<BucketKey, BucketState, { abi::MAX_BUCKETS as usize }> = LruHashMap::new();
#[btf_map]
static OVERFLOW: Array<BucketState, { abi::MAX_LIMITS + 1 }> = Array::new();

/// The state of a source that was idle: a static, because zeroing one on the stack would be a call.
static FRESH: BucketState = BucketState { tat_ns: [0; 3] };

/// The rate state of a source. The kernel may hand it to another source while this packet is judged: the other source then
/// starts with the debt of this one, by one packet at most.
#[inline(always)]
pub(crate) fn bucket(key: &BucketKey, _: &LimitRecord, _: bool) -> Option<(StatePointer, u64)> {
    Some((state(key)?, now_ns()))
}

#[inline(always)]
fn state(key: &BucketKey) -> Option<StatePointer> {
    if let Some(state) = BUCKETS.get_ptr_mut(key) {
        return Some(pointer(state));
    }
    // Of two CPUs that race here one inserts; both find the same state below.
    #[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would be zeroed on the stack: a call")]
    let _ = BUCKETS.insert(key, &FRESH, u64::from(BPF_NOEXIST));
    match BUCKETS.get_ptr_mut(key) {
        Some(state) => Some(pointer(state)),
        None => OVERFLOW.get_ptr_mut(u32::from(key.limit)).map(pointer),
    }
}

#[inline(always)]
fn pointer(state: *mut BucketState) -> StatePointer {
    StatePointer { first: state.cast(), stride: 1 }
}

/// Nanoseconds of the monotonic clock.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: the helper reads the clock and touches nothing.
    unsafe { bpf_ktime_get_ns() }
}
