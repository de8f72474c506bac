//! The XDP program: judge, account, act. What is decided, and why, is in `firewall-common`.
//!
//! Built for `bpfel-unknown-none` by `cargo xtask build`. On the host it is an empty program, so that one
//! `cargo clippy --workspace` covers it.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod account;
#[cfg(all(target_arch = "bpf", not(feature = "reference")))]
mod buckets;
#[cfg(target_arch = "bpf")]
mod cells;
#[cfg(target_arch = "bpf")]
mod context;
#[cfg(target_arch = "bpf")]
mod explain;
#[cfg(target_arch = "bpf")]
mod facts;
#[cfg(all(target_arch = "bpf", not(feature = "reference")))]
mod lists;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(all(target_arch = "bpf", feature = "reference"))]
mod reference;
#[cfg(target_arch = "bpf")]
mod trace;

#[cfg(all(target_arch = "bpf", feature = "reference"))]
use self::reference::{buckets, lists};

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
    use firewall_common::{Verdict, settle};

    use crate::{account::account, context::XdpFrame, facts::OBSERVE, maps, trace::trace};

    #[xdp(frags)]
    #[inline(always)]
    fn firewall(ctx: XdpContext) -> u32 {
        let frame = XdpFrame::new(&ctx);
        let settled = settle(&frame, &maps::Maps);
        let verdict = account(&frame, &settled);
        let action = action(verdict, settled.service());
        trace(&ctx, &settled, verdict, action);
        action
    }

    /// Tells the controller, before the first packet, how jiffies and nanoseconds go together.
    #[cfg(not(feature = "reference"))]
    #[xdp]
    fn clock(_: XdpContext) -> u32 {
        crate::buckets::sample_clocks();
        xdp_action::XDP_PASS
    }

    /// What is done by the verdict of that number, which `service` gave.
    #[inline(always)]
    fn action(verdict: u32, service: u16) -> u32 {
        if OBSERVE.load() != 0 || maps::observes(service) {
            return xdp_action::XDP_PASS;
        }
        // Shows up in the kernel's own `xdp:xdp_exception` tracepoint: it cannot happen.
        if verdict == Verdict::Internal.index() {
            return xdp_action::XDP_ABORTED;
        }
        // The action before it drops.
        const { assert!(xdp_action::XDP_DROP == xdp_action::XDP_PASS - 1) };
        xdp_action::XDP_PASS - (Verdict::DROPS >> verdict & 1)
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        // Never linked in: nothing in the program can panic.
        loop {}
    }

    /// The socket lookup and clock helpers are reserved to GPL-compatible programs.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
