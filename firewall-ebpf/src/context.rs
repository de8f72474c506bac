//! [`Frame`] over the kernel's view of a received frame.

use core::mem::MaybeUninit;

use aya_ebpf::{
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use firewall_common::{Frame, Header};

/// A frame whose first buffer lies between `data` and `data_end`; a jumbo frame may have more buffers.
pub(crate) struct XdpFrame<'a> {
    ctx: &'a XdpContext,
}

/// First buffers up to this size are taken for whole frames without asking the kernel: drivers split only frames that
/// do not fit a buffer of half a page or more.
const SURELY_WHOLE: usize = 2048;

/// No offset in a frame is larger; tells the verifier the range of a sum of header lengths.
const MAX_OFFSET: usize = 0xffff;

impl<'a> XdpFrame<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }

    /// Interface on which the frame came in.
    #[inline(always)]
    pub(crate) fn interface(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    /// Length of the whole frame in octets.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        let linear = self.linear_length();
        if linear <= SURELY_WHOLE { linear } else { self.total_length() }
    }

    #[inline(always)]
    fn linear_length(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    #[inline(always)]
    fn total_length(&self) -> usize {
        // SAFETY: the context is the one the kernel passed to this run.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as usize }
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn read<H: Header>(&self, offset: usize) -> Option<H> {
        if offset > MAX_OFFSET {
            return None;
        }
        let start = self.ctx.data() + offset;
        if start + size_of::<H>() <= self.ctx.data_end() {
            // SAFETY: the kernel keeps data..data_end readable during the run, the compare above puts all of `H` inside
            // it, and of a `Header` every bit pattern is valid.
            return Some(unsafe { (start as *const H).read_unaligned() });
        }
        let mut header = MaybeUninit::<H>::uninit();
        // SAFETY: the kernel writes exactly the given number of octets, the size of `header`, or fails.
        let result = unsafe {
            bpf_xdp_load_bytes(self.ctx.ctx, offset as u32, header.as_mut_ptr().cast(), size_of::<H>() as u32)
        };
        if result < 0 {
            return None;
        }
        // SAFETY: the helper succeeded, so it wrote all of `header`, and of a `Header` every bit pattern is valid.
        Some(unsafe { header.assume_init() })
    }

    #[inline(always)]
    fn length_if_holds(&self, end: usize) -> Option<usize> {
        let linear = self.linear_length();
        if end <= linear && linear <= SURELY_WHOLE {
            return Some(linear);
        }
        let total = self.total_length();
        if end <= total { Some(total) } else { None }
    }
}
