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
use firewall_common::{Settled, abi::TRACED_OCTETS};

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
    if length >= TRACED_OCTETS as u32 {
        // SAFETY: there is room for as many octets, of which the kernel writes all or fails.
        unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, begin.cast(), TRACED_OCTETS as u32) };
    } else if length > 0 {
        // SAFETY: as above; the compares say that there are fewer.
        unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, begin.cast(), length) };
    }
    // SAFETY: the slot of this CPU is there for the whole run, and nobody else writes to it.
    let begin: &[u8; TRACED_OCTETS] = unsafe { &*begin };
    let begin: &[u8] = begin;
    let interface = ctx.ingress_ifindex() as u32;
    debug!(ctx, "{} {} {} {} {} {:x}", interface, action, verdict, settled.service(), length, begin);
}
