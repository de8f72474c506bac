//! Counts what was judged.

use aya_ebpf::btf_maps::PerCpuArray;
use firewall_common::{
    Action, Judgement,
    abi::{Count, counter_index},
};

use crate::{
    context::XdpFrame,
    maps::{COUNTERS, INTERFACES, LIMIT_COUNTERS, SERVICE_COUNTERS},
};

/// Adds the frame to the counters of its verdict, its service and its limit.
#[inline(always)]
pub(crate) fn account(frame: &XdpFrame<'_>, judgement: &Judgement) {
    let octets = match judgement.frame_length {
        Some(length) => length,
        None => frame.length(),
    } as u64;
    let dropped = u32::from(matches!(judgement.verdict.action(), Action::Drop));
    let interface = position(frame.interface());
    add(&COUNTERS, counter_index(interface, judgement.family, judgement.verdict), octets);
    if judgement.service != 0 {
        add(&SERVICE_COUNTERS, u32::from(judgement.service) * 2 + dropped, octets);
    }
    if judgement.limit != 0 {
        add(&LIMIT_COUNTERS, u32::from(judgement.limit) * 2 + dropped, octets);
    }
}

/// Position of an interface in the counters.
#[inline(always)]
fn position(interface: u32) -> u32 {
    let interfaces = INTERFACES.load();
    let mut position = 0;
    for known in interfaces {
        if known == interface {
            return position;
        }
        position += 1;
    }
    0
}

#[inline(always)]
fn add<const N: usize>(counters: &PerCpuArray<Count, N>, index: u32, octets: u64) {
    if let Some(count) = counters.get_ptr_mut(index) {
        // A plain read-modify-write: the slot belongs to this CPU, on which XDP runs do not interrupt each other.
        // SAFETY: the kernel gave the slot of this CPU for as long as the program runs.
        unsafe { (*count).packets += 1 };
        // SAFETY: as above.
        unsafe { (*count).bytes += octets };
    }
}
