//! IPv6 (RFC 8200) and its chain of extension headers.

use core::ops::ControlFlow::{self, Break, Continue};

use network_types::ip::Ipv6Hdr;

use super::{FragmentInfo, MERGED, transport};
use crate::{
    address::Address,
    flow::{Flow, Fragment, Transport},
    frame::{ExtensionHeader, Frame},
    numbers::{
        DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, PROTOCOL_AH, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, ROUTING,
        authentication_length,
    },
    verdict::Verdict,
    verifier::forget,
};

/// Reads the packet at `offset`.
#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, offset: usize) -> ControlFlow<Verdict, Flow> {
    let Some(header) = frame.read::<Ipv6Hdr>(offset) else {
        return Break(Verdict::Truncated);
    };
    if header.vcf[0] >> 4 != 6 {
        return Break(Verdict::BadIpHeader);
    }
    let start = offset + Ipv6Hdr::LEN;
    let noise = u32::from_ne_bytes(header.vcf);
    let said = u16::from_be_bytes(header.payload_len) as usize;
    let payload_length = if said == 0 { merged_length(frame, header.next_hdr, start)? } else { said };
    let payload_length = forget(payload_length, noise);
    let end = start + payload_length;
    let Some(frame_length) = frame.length_if_holds(end) else {
        return Break(Verdict::BadIpLength);
    };
    let mut chain = Chain { next: header.next_hdr, offset: start, end, seen: 0, noise };
    if is_extension(chain.next) {
        chain.walk(frame)?;
    }
    let flow = Flow {
        source: Address::v6(header.src_addr),
        destination: Address::v6(header.dst_addr),
        transport: chain.transport(),
        fragment: chain.fragment(),
        hop_limit: header.hop_limit,
        transport_length: 0,
        source_port: 0,
        destination_port: 0,
        opens_connection: false,
        icmp_type: 0,
        icmp_code: 0,
        frame_length,
    };
    let is_merged = payload_length >= MERGED;
    if is_merged && !matches!((flow.transport, flow.fragment), (Transport::Tcp, Fragment::None)) {
        return Break(Verdict::BadExtensionChain);
    }
    if matches!(flow.fragment, Fragment::Later) {
        return Continue(flow);
    }
    transport::parse(frame, chain.offset, chain.end, flow)
}

/// The payload length of a packet that says 0: that of TCP segments which the kernel has merged, else 0.
///
/// Kernels have put a jumbo payload option (RFC 2675 section 2) before them, and leave it out since Linux 7.0
/// (`ipv6_gro_complete` of net/ipv6/ip6_offload.c).
#[inline(always)]
fn merged_length<F: Frame + ?Sized>(frame: &F, next: u8, start: usize) -> ControlFlow<Verdict, usize> {
    if next == PROTOCOL_TCP {
        return Continue(frame.length_if_holds(start + MERGED).map_or(0, |frame_length| frame_length - start));
    }
    if next != HOP_BY_HOP {
        return Continue(0);
    }
    let Some(option) = frame.read::<ExtensionHeader>(start) else {
        return Break(Verdict::BadExtensionChain);
    };
    let length = u32::from_be_bytes(option.rest) as usize;
    if option.length != 0 || option.word != JUMBO_OPTION || length < MERGED {
        return Break(Verdict::BadExtensionChain);
    }
    match frame.length_if_holds(start + length) {
        Some(_) => Continue(length),
        None => Break(Verdict::BadExtensionChain),
    }
}

/// Where the walk along the extension headers is.
struct Chain {
    /// The header at `offset`.
    next: u8,
    offset: usize,
    /// First octet after the packet.
    end: usize,
    /// Which kinds were there; one number, so that [`forget`] can make paths meet again.
    seen: usize,
    /// For [`forget`].
    noise: u32,
}

// Bits of `Chain::seen`. Destination options may come twice: before a routing header and before the transport (RFC 8200
// section 4.1).
const SEEN_ROUTING: usize = 1;
const SEEN_FRAGMENT: usize = 2;
const SEEN_AUTHENTICATION: usize = 4;
const SEEN_OPTIONS: usize = 8;
const SEEN_OPTIONS_TWICE: usize = 16;
// What the fragment header said; neither: atomic.
const IS_FIRST: usize = 32;
const IS_LATER: usize = 64;

impl Chain {
    /// Walks to the transport header, or to the fragment header of a later fragment.
    #[inline(always)]
    fn walk<F: Frame + ?Sized>(&mut self, frame: &F) -> ControlFlow<Verdict> {
        for position in 0..MAX_EXTENSION_HEADERS {
            self.meet();
            if !is_extension(self.next) {
                return Continue(());
            }
            self.step(frame, position == 0)?;
            if self.seen & IS_LATER != 0 {
                return Continue(());
            }
        }
        if is_extension(self.next) { Break(Verdict::BadExtensionChain) } else { Continue(()) }
    }

    /// Makes all the chains of this length meet: see [`forget`].
    #[inline(always)]
    fn meet(&mut self) {
        self.next = forget(self.next as usize, self.noise) as u8;
        self.offset = forget(self.offset, self.noise);
        self.end = forget(self.end, self.noise);
        self.seen = forget(self.seen, self.noise);
    }

    /// Checks one header and moves behind it.
    #[inline(always)]
    fn step<F: Frame + ?Sized>(&mut self, frame: &F, is_first: bool) -> ControlFlow<Verdict> {
        let kind = self.next;
        match kind {
            HOP_BY_HOP if is_first => {}
            DESTINATION_OPTIONS if self.seen & SEEN_OPTIONS == 0 => self.seen |= SEEN_OPTIONS,
            DESTINATION_OPTIONS if self.seen & SEEN_OPTIONS_TWICE == 0 => self.seen |= SEEN_OPTIONS_TWICE,
            ROUTING if self.seen & SEEN_ROUTING == 0 => self.seen |= SEEN_ROUTING,
            FRAGMENT if self.seen & SEEN_FRAGMENT == 0 => self.seen |= SEEN_FRAGMENT,
            PROTOCOL_AH if self.seen & SEEN_AUTHENTICATION == 0 => self.seen |= SEEN_AUTHENTICATION,
            _ => return Break(Verdict::BadExtensionChain),
        }
        // RFC 7112: the first fragment carries the whole chain.
        let too_short = transport::too_short(self.fragment(), Verdict::BadExtensionChain);
        if self.offset + size_of::<ExtensionHeader>() > self.end {
            return Break(too_short);
        }
        let Some(header) = frame.read::<ExtensionHeader>(self.offset) else {
            return Break(Verdict::Truncated);
        };
        self.next = header.next;
        if kind == FRAGMENT {
            return self.enter_fragment(&header);
        }
        if kind == ROUTING && header.word[1] != 0 {
            return Break(Verdict::BadExtensionChain); // segments left; type 0 is RFC 5095
        }
        let length = if kind == PROTOCOL_AH {
            match authentication_length(header.length) {
                Some(length) => length,
                None => return Break(Verdict::BadExtensionChain),
            }
        } else {
            (header.length as usize + 1) * 8
        };
        self.offset += length;
        if self.offset > self.end { Break(too_short) } else { Continue(()) }
    }

    #[inline(always)]
    fn enter_fragment(&mut self, header: &ExtensionHeader) -> ControlFlow<Verdict> {
        let fields = u16::from_be_bytes(header.word);
        let info = FragmentInfo { offset: fields >> 3, more: fields & 1 != 0 };
        self.offset += size_of::<ExtensionHeader>();
        match (info.offset, info.more) {
            (0, false) => return Continue(()),
            (0, true) => self.seen |= IS_FIRST,
            _ => self.seen |= IS_LATER,
        }
        info.check(self.end - self.offset, self.next == PROTOCOL_TCP)
    }

    #[inline(always)]
    fn fragment(&self) -> Fragment {
        if self.seen & IS_LATER != 0 {
            Fragment::Later
        } else if self.seen & IS_FIRST != 0 {
            Fragment::First
        } else if self.seen & SEEN_FRAGMENT != 0 {
            Fragment::Atomic
        } else {
            Fragment::None
        }
    }

    #[inline(always)]
    fn transport(&self) -> Transport {
        match self.next {
            PROTOCOL_TCP => Transport::Tcp,
            PROTOCOL_UDP => Transport::Udp,
            PROTOCOL_ICMPV6 => Transport::Icmpv6,
            next if is_extension(next) => Transport::Every,
            _ => Transport::Other,
        }
    }
}

/// Headers that are walked, or refused where they stand. ESP hides what follows and "no next header" ends the packet:
/// both are transports of no service. 135 is mobility, 139 HIP, 140 shim6, 253 and 254 are experiments (IANA "IPv6 Extension
/// Header Types").
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | PROTOCOL_AH | DESTINATION_OPTIONS | 135 | 139 | 140 | 253 | 254)
}

/// Type and length of the option that says how long a jumbogram is.
const JUMBO_OPTION: [u8; 2] = [0xc2, 4];

const MAX_EXTENSION_HEADERS: usize = 8;
