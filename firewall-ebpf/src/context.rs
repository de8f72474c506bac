//! [`Frame`] over the kernel's view of a received frame.

use aya_ebpf::{
    btf_maps::PerCpuArray,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    macros::btf_map,
    programs::XdpContext,
};
use firewall_common::{Frame, Header, MAX_OFFSET, verifier::opaque};

/// A frame whose first buffer lies between `data` and `data_end`; a jumbo frame may have more buffers.
pub(crate) struct XdpFrame<'a> {
    ctx: &'a XdpContext,
}

/// First buffers up to this size that hold a whole packet are taken for whole frames without asking the kernel: drivers
/// split frames that do not fit a buffer of half a page or more, or between headers and payload, never behind a packet.
const SURELY_WHOLE: usize = 2048;

/// Room for one header of each CPU; a run of the program is not interrupted by another one.
#[btf_map]
static SCRATCH: PerCpuArray<[u8; 64], 1> = PerCpuArray::new();

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
    ///
    /// The kernel is asked: a driver may put no more than a header into the first buffer.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        // SAFETY: the context is the one the kernel passed to this run.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as usize }
    }

    #[inline(always)]
    fn linear_length(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn read<H: Header>(&self, offset: usize) -> Option<H> {
        // A copy: what the verifier of Linux 6.1 learns from the compare is lost in a number that is kept on the stack.
        let offset = opaque(offset as u64) as usize;
        if offset > MAX_OFFSET {
            return None;
        }
        let start = self.ctx.data() + offset;
        if start + size_of::<H>() <= self.ctx.data_end() {
            // SAFETY: the kernel keeps data..data_end readable during the run, the compare above puts all of `H` inside
            // it, and of a `Header` every bit pattern is valid.
            return Some(unsafe { (start as *const H).read_unaligned() });
        }
        // Behind the first buffer. The copy goes to a map, not to the stack, where the verifier wants every load aligned.
        let scratch = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: the scratch of this CPU has room for the longest header, of which the kernel writes all or fails.
        let result = unsafe { bpf_xdp_load_bytes(self.ctx.ctx, offset as u32, scratch.cast(), size_of::<H>() as u32) };
        if result < 0 {
            return None;
        }
        // SAFETY: the helper succeeded, so it wrote all of the header, and of a `Header` every bit pattern is valid.
        Some(unsafe { scratch.cast::<H>().read_unaligned() })
    }

    #[inline(always)]
    fn start<H: Header>(&self) -> Option<&H> {
        const { assert!(align_of::<H>() == 1) };
        let start = self.ctx.data();
        if start + size_of::<H>() > self.ctx.data_end() {
            return None;
        }
        // SAFETY: the kernel keeps data..data_end readable during the run, the compare above puts all of `H` inside it, and
        // of a `Header` every bit pattern is valid at any address.
        Some(unsafe { &*(start as *const H) })
    }

    #[inline(always)]
    fn whole_length(&self) -> Option<usize> {
        let linear = self.linear_length();
        (linear <= SURELY_WHOLE).then_some(linear)
    }

    #[inline(always)]
    fn length_if_holds(&self, end: usize) -> Option<usize> {
        let linear = self.linear_length();
        if end <= linear && linear <= SURELY_WHOLE {
            return Some(linear);
        }
        let total = self.length();
        if end <= total { Some(total) } else { None }
    }
}
