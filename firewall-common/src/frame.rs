//! Read access to the bytes of one frame.

use network_types::{
    eth::EthHdr,
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

/// A header layout that may be copied out of a frame at any offset.
///
/// # Safety
/// Every bit pattern of the type's size is a valid value, and the type has no padding.
pub unsafe trait Header: Copy {}

/// One VLAN tag behind the EtherType that announced it (IEEE 802.1Q section 9.6).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct VlanTag {
    pub(crate) _control: [u8; 2],
    pub(crate) ether_type: [u8; 2],
}

/// The first eight octets of an IPv6 extension header (RFC 8200 section 4) or of AH (RFC 4302 section 2).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ExtensionHeader {
    pub(crate) next: u8,
    /// In units of eight octets, the first eight not counted; AH counts four octets, less two.
    pub(crate) length: u8,
    /// Routing: type and segments left. Fragment: offset and flags.
    pub(crate) word: [u8; 2],
    /// Hop-by-hop options: what the option says when it is a jumbo payload option.
    pub(crate) rest: [u8; 4],
}

// SAFETY: twelve octets and an integer of two: no padding.
unsafe impl Header for EthHdr {}
// SAFETY: plain octets.
unsafe impl Header for VlanTag {}
// SAFETY: plain octets.
unsafe impl Header for Ipv4Hdr {}
// SAFETY: plain octets.
unsafe impl Header for Ipv6Hdr {}
// SAFETY: plain octets.
unsafe impl Header for ExtensionHeader {}
// SAFETY: plain octets.
unsafe impl Header for TcpHdr {}
// SAFETY: plain octets.
unsafe impl Header for UdpHdr {}
// SAFETY: plain octets.
unsafe impl Header for Icmpv4Hdr {}

/// Octets 12 and 13 of a TCP header: data offset and flags (RFC 9293 section 3.1).
#[inline(always)]
pub(crate) fn offset_and_flags(header: &TcpHdr) -> [u8; 2] {
    // SAFETY: a TCP header is 20 plain octets, so it may be read as such.
    let octets: &[u8; TcpHdr::LEN] = unsafe { &*core::ptr::from_ref(header).cast() };
    let [_, _, _, _, _, _, _, _, _, _, _, _, offset, flags, ..] = *octets;
    [offset, flags]
}

/// Largest offset at which a header is read: what the verifier allows to add to a packet pointer (`MAX_PACKET_OFF` of
/// kernel/bpf/verifier.c), less the longest header.
pub const MAX_OFFSET: usize = 0xffff - 63; // a header behind it ends inside 0xffff

/// A received frame, from the first octet of its Ethernet header.
pub trait Frame {
    /// Copies the header at `offset` (in octets); `None` when the frame ends inside it, or beyond [`MAX_OFFSET`].
    fn read<H: Header>(&self, offset: usize) -> Option<H>;

    /// The header at the start of the frame, when its first buffer holds it; nothing is copied.
    fn start<H: Header>(&self) -> Option<&H>;

    /// Length of the frame in octets, when that is known for nothing.
    fn whole_length(&self) -> Option<usize>;

    /// Length of the frame in octets, `None` when it is shorter than `end`.
    ///
    /// The question is put this way because a frame of several buffers (XDP fragments) knows the length of its first
    /// buffer for nothing and that of the whole for a helper call.
    fn length_if_holds(&self, end: usize) -> Option<usize>;
}

#[cfg(not(target_arch = "bpf"))]
impl Frame for [u8] {
    fn read<H: Header>(&self, offset: usize) -> Option<H> {
        let bytes = self.get(offset..).filter(|_| offset <= MAX_OFFSET)?.get(..size_of::<H>())?;
        // SAFETY: the slice is exactly as long as `H`, of which every bit pattern is valid; alignment is not asked for.
        Some(unsafe { bytes.as_ptr().cast::<H>().read_unaligned() })
    }

    fn start<H: Header>(&self) -> Option<&H> {
        const { assert!(align_of::<H>() == 1) };
        // SAFETY: the slice is exactly as long as `H`, of which every bit pattern is valid at any address.
        self.get(..size_of::<H>()).map(|bytes| unsafe { &*bytes.as_ptr().cast::<H>() })
    }

    fn whole_length(&self) -> Option<usize> {
        Some(self.len())
    }

    fn length_if_holds(&self, end: usize) -> Option<usize> {
        (self.len() >= end).then_some(self.len())
    }
}
