//! Explaining: an instance of the program that says what it did instead of doing it.
//!
//! It runs on the maps of a live generation. Every change of a map that others read goes through [`is_on`]: counters stay,
//! and an exchange of a tag or a TAT answers as if it had happened.

use aya_ebpf::{Global, btf_maps::Array, macros::btf_map};
use firewall_common::{
    Membership, Settled,
    abi::{BucketOutcome, Explanation, MANAGEMENT, MAX_VERDICTS, OWN},
};

/// What is said about the last frame.
#[btf_map]
static EXPLANATION: Array<Explanation, 1> = Array::new();

#[unsafe(no_mangle)]
static EXPLAIN: Global<u32> = Global::new(0);

/// Whether this instance explains; the verifier knows, and removes what follows if it does not.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    EXPLAIN.load() != 0
}

/// Notes what the lists say.
#[inline(always)]
pub(crate) fn note_membership(membership: Membership) {
    if is_on()
        && let Some(explanation) = EXPLANATION.get_ptr_mut(0)
    {
        let own = if membership.own { OWN } else { 0 };
        let management = if membership.management { MANAGEMENT } else { 0 };
        // SAFETY: the value is valid for the whole run.
        unsafe { (*explanation).lists = membership.lists };
        // SAFETY: as above.
        unsafe { (*explanation).flags = own | management };
    }
}

/// Notes whether the source had a bucket of its own.
#[cfg_attr(feature = "reference", expect(dead_code, reason = "its buckets are not explained"))]
#[inline(always)]
pub(crate) fn note_bucket(outcome: BucketOutcome) {
    if is_on()
        && let Some(explanation) = EXPLANATION.get_ptr_mut(0)
    {
        // SAFETY: the value is valid for the whole run.
        unsafe { (*explanation).bucket = outcome as u32 };
    }
}

/// Notes the state of the bucket as it is found: the TATs by quantity, `stride` words apart.
///
/// # Safety
/// `first` must point to the first of three TATs of a map value.
#[cfg_attr(feature = "reference", expect(dead_code, reason = "its buckets are not explained"))]
#[inline(always)]
pub(crate) unsafe fn note_state(first: *const u64, stride: usize, now_ns: u64) {
    if is_on()
        && let Some(explanation) = EXPLANATION.get_ptr_mut(0)
    {
        for quantity in 0..3 {
            // SAFETY: by the contract above.
            let tat = unsafe { first.add(quantity * stride) };
            // SAFETY: as above.
            let tat_ns = unsafe { tat.read_volatile() };
            // SAFETY: the value is valid for the whole run.
            unsafe { (*explanation).tat_ns[quantity] = tat_ns };
        }
        // SAFETY: as above.
        unsafe { (*explanation).now_ns = now_ns };
    }
}

/// Notes the verdict.
#[inline(always)]
pub(crate) fn note_judgement(settled: &Settled) {
    if let Some(explanation) = EXPLANATION.get_ptr_mut(0) {
        // SAFETY: the value is valid for the whole run.
        unsafe { (*explanation).verdict = settled.counter() % MAX_VERDICTS };
        // SAFETY: as above.
        unsafe { (*explanation).family = settled.counter() / MAX_VERDICTS };
        // SAFETY: as above.
        unsafe { (*explanation).service = u32::from(settled.service()) };
        // SAFETY: as above.
        unsafe { (*explanation).limit = u32::from(settled.limit()) };
    }
}
