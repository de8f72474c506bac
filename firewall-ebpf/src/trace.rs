//! `--trace-packets`: what is said of every packet, with the beginning of its frame, for the log of the daemon.
//!
//! Names and addresses are found by the daemon (`datapath/trace.rs` of firewall-userspace): the frame is not read a second time here.

use aya_ebpf::{
    btf_maps::PerCpuArray,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    macros::btf_map,
    programs::XdpContext,
};
use aya_log_ebpf::{
    debug,
    macro_support::{Level, level_enabled},
};
use firewall_common::{Settled, abi::TRACED_OCTETS, verifier::opaque};

/// Room for the beginning of a frame of each CPU.
#[btf_map]
static TRACED: PerCpuArray<[u8; TRACED_OCTETS], 1> = PerCpuArray::new();

/// Logs a frame that was settled so, and what is done with it. Dead code unless the level is raised at load.
#[inline(always)]
pub(crate) fn trace(ctx: &XdpContext, settled: &Settled, verdict: u32, action: u32) {
    if !level_enabled(Level::Debug) {
        return;
    }
    let Some(begin) = TRACED.get_ptr_mut(0) else { return };
    // SAFETY: the context is the one the kernel passed to this run.
    let length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) as u32 };
    let whole = TRACED_OCTETS as u64;
    let octets = if u64::from(length) < whole { u64::from(length) } else { whole };
    // One compare, after which the verifier knows both ends: there is at least one octet, and there are not too many.
    let last = opaque(octets.wrapping_sub(1));
    if last < whole {
        // SAFETY: there is room for as many octets, of which the kernel writes all or fails.
        unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, begin.cast(), (last + 1) as u32) };
    }
    // SAFETY: the slot of this CPU is there for the whole run, and nobody else writes to it.
    let begin: &[u8; TRACED_OCTETS] = unsafe { &*begin };
    let begin: &[u8] = begin;
    let interface = ctx.ingress_ifindex() as u32;
    debug!(ctx, "{} {} {} {} {} {:x}", interface, action, verdict, settled.service(), length, begin);
}
