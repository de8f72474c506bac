//! Counts what was judged.

use aya_ebpf::btf_maps::PerCpuArray;
use firewall_common::{
    Action, Judgement,
    abi::{Count, counter_index},
    verifier::{forget, forget_choice},
};

use crate::{
    context::XdpFrame,
    maps::{COUNTERS, INTERFACE_COUNT, INTERFACES, LIMIT_COUNTERS, SERVICE_COUNTERS},
};

/// Adds the frame to the counters of its verdict, its service and its limit.
#[inline(always)]
pub(crate) fn account(frame: &XdpFrame<'_>, judgement: &Judgement) {
    let octets = match judgement.frame_length {
        Some(length) => length,
        None => frame.length(),
    };
    let interface = frame.interface();
    // From here on verified once, not once for each way to here.
    let octets = forget(octets, interface) as u64;
    let verdict = forget_choice(judgement.verdict, interface);
    let family = forget_choice(judgement.family, interface);
    let service = forget(judgement.service as usize, interface) as u16;
    let limit = forget(judgement.limit as usize, interface) as u16;
    let dropped = u32::from(matches!(verdict.action(), Action::Drop));
    let position = forget(position(interface), interface) as u32;
    add(&COUNTERS, counter_index(position, family, verdict), octets);
    if service != 0 {
        add(&SERVICE_COUNTERS, u32::from(service) * 2 + dropped, octets);
    }
    if limit != 0 {
        add(&LIMIT_COUNTERS, u32::from(limit) * 2 + dropped, octets);
    }
}

/// Position of an interface in the counters.
#[inline(always)]
fn position(interface: u32) -> usize {
    // The verifier knows how many there are: of one interface nothing is left of this.
    if INTERFACE_COUNT.load() < 2 {
        return 0;
    }
    let interfaces = INTERFACES.load();
    interfaces.into_iter().position(|known| known == interface).unwrap_or(0)
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
