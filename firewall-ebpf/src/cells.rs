//! Rate state in maps: TATs, and the one exchange that changes what several CPUs share.

use firewall_common::{Bucket, Quantity, rate::TatCell};

use crate::explain;

/// Rate state of one source in a map: where its first TAT is, and how many TATs further the next one is.
pub(crate) struct StatePointer {
    pub(crate) first: *mut u64,
    pub(crate) stride: usize,
}

impl Bucket for StatePointer {
    type Cell = TatPointer;

    #[inline(always)]
    fn cell(&self, quantity: Quantity) -> TatPointer {
        // SAFETY: the state has one TAT for each quantity at this distance, so the result stays inside it.
        TatPointer(unsafe { self.first.add(quantity as usize * self.stride) })
    }
}

/// A TAT in a map.
pub(crate) struct TatPointer(pub(crate) *mut u64);

impl TatCell for TatPointer {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: a map value is valid for the whole run of the program. Other CPUs change it only by aligned 64-bit
        // compare-exchange, so the read is never torn.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    fn compare_exchange(&self, current: u64, new: u64) -> u64 {
        // SAFETY: the map value is aligned and valid for the whole run.
        unsafe { compare_exchange(self.0, current, new) }
    }
}

/// Replaces a number by `new` if it is `current`; returns what it was, and changes nothing when this instance
/// [explains](explain). `core` has no compare-exchange for BPF.
///
/// # Safety
/// `cell` must point to an aligned number in a map value.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(cell: *mut u64, current: u64, new: u64) -> u64 {
    if explain::is_on() {
        return current;
    }
    let seen: u64;
    // SAFETY: one BPF_CMPXCHG on what the caller answers for.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({cell} + 0, r0, {new})",
            cell = in(reg) cell,
            new = in(reg) new,
            inout("r0") current => seen,
        );
    }
    seen
}
