//! Counts what was judged.

use aya_ebpf::btf_maps::PerCpuArray;
use firewall_common::{
    Settled, Verdict,
    abi::{COUNTERS_OF_INTERFACE, Count, MAX_VERDICTS},
    verifier::forget,
};

use crate::{
    context::XdpFrame,
    explain,
    facts::{INTERFACE_COUNT, INTERFACES},
    maps::{COUNTERS, LIMIT_COUNTERS, SERVICE_COUNTERS},
};

/// Adds the frame to the counters of its verdict, its service and its limit; the number of the verdict.
#[inline(always)]
pub(crate) fn account(frame: &XdpFrame<'_>, settled: &Settled) -> u32 {
    if explain::is_on() {
        explain::note_judgement(settled);
        return settled.verdict();
    }
    let octets = match settled.frame_length {
        Some(length) => length,
        None => frame.length(),
    };
    let interface = frame.interface();
    // From here on verified once, not once for each way to here.
    let octets = forget(octets, interface) as u64;
    let all = forget(settled.bits as usize, interface) as u64;
    let (counter, service, limit) = (all as u32 & 0xffff, (all >> 16) as u32 & 0xffff, (all >> 32) as u32);
    let verdict = counter % MAX_VERDICTS;
    let dropped = Verdict::DROPS >> verdict & 1;
    add(&COUNTERS, counter + position(interface) * COUNTERS_OF_INTERFACE, octets);
    if service != 0 {
        add(&SERVICE_COUNTERS, service * 2 + dropped, octets);
    }
    if limit != 0 {
        add(&LIMIT_COUNTERS, limit * 2 + dropped, octets);
    }
    verdict
}

/// Position of an interface in the counters.
#[inline(always)]
fn position(interface: u32) -> u32 {
    // The verifier knows how many there are: of one interface nothing is left of this.
    if INTERFACE_COUNT.load() < 2 {
        return 0;
    }
    let interfaces = INTERFACES.load();
    let position = interfaces.into_iter().position(|known| known == interface).unwrap_or(0);
    forget(position, interface) as u32
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
