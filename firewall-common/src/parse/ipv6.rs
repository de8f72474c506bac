//! IPv6 (RFC 8200) and its chain of extension headers.

use core::ops::ControlFlow::{self, Break, Continue};

use network_types::ip::Ipv6Hdr;

use super::{
    Flow, Fragment, FragmentInfo, PROTOCOL_AH, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, Transport,
    ipv4::authentication_length, transport,
};
use crate::{
    address::Address,
    frame::{ExtensionHeader, Frame},
    verdict::Verdict,
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
    let payload_length = u16::from_be_bytes(header.payload_len) as usize;
    if payload_length == 0 && header.next_hdr == HOP_BY_HOP {
        return Break(Verdict::BadExtensionChain); // a jumbogram (RFC 2675)
    }
    let start = offset + Ipv6Hdr::LEN;
    let end = start + payload_length;
    let Some(frame_length) = frame.length_if_holds(end) else {
        return Break(Verdict::BadIpLength);
    };
    let mut chain =
        Chain { next: header.next_hdr, offset: start, fragment: Fragment::None, seen: 0, destination_options: 0 };
    chain.walk(frame, end)?;
    let flow = Flow {
        source: Address::v6(header.src_addr),
        destination: Address::v6(header.dst_addr),
        transport: chain.transport(),
        fragment: chain.fragment,
        hop_limit: header.hop_limit,
        transport_length: 0,
        source_port: 0,
        destination_port: 0,
        opens_connection: false,
        icmp_type: 0,
        icmp_code: 0,
        frame_length,
    };
    if matches!(flow.fragment, Fragment::Later) {
        return Continue(flow);
    }
    transport::parse(frame, chain.offset, end, flow)
}

/// Where the walk along the extension headers is.
struct Chain {
    /// The header at `offset`.
    next: u8,
    offset: usize,
    fragment: Fragment,
    /// One bit for each kind that may come only once.
    seen: u8,
    destination_options: u8,
}

const SEEN_ROUTING: u8 = 1;
const SEEN_FRAGMENT: u8 = 2;
const SEEN_AUTHENTICATION: u8 = 4;

impl Chain {
    /// Walks to the transport header, or to the fragment header of a later fragment.
    #[inline(always)]
    fn walk<F: Frame + ?Sized>(&mut self, frame: &F, end: usize) -> ControlFlow<Verdict> {
        for position in 0..MAX_EXTENSION_HEADERS {
            if !is_extension(self.next) {
                return Continue(());
            }
            self.step(frame, end, position == 0)?;
            if matches!(self.fragment, Fragment::Later) {
                return Continue(());
            }
        }
        if is_extension(self.next) { Break(Verdict::BadExtensionChain) } else { Continue(()) }
    }

    /// Checks one header and moves behind it.
    #[inline(always)]
    fn step<F: Frame + ?Sized>(&mut self, frame: &F, end: usize, is_first: bool) -> ControlFlow<Verdict> {
        let kind = self.next;
        match kind {
            HOP_BY_HOP if is_first => {}
            DESTINATION_OPTIONS if self.destination_options < MAX_DESTINATION_OPTIONS => self.destination_options += 1,
            ROUTING if self.seen & SEEN_ROUTING == 0 => self.seen |= SEEN_ROUTING,
            FRAGMENT if self.seen & SEEN_FRAGMENT == 0 => self.seen |= SEEN_FRAGMENT,
            PROTOCOL_AH if self.seen & SEEN_AUTHENTICATION == 0 => self.seen |= SEEN_AUTHENTICATION,
            _ => return Break(Verdict::BadExtensionChain),
        }
        // RFC 7112: the first fragment carries the whole chain.
        let too_short = transport::too_short(self.fragment, Verdict::BadExtensionChain);
        if self.offset + size_of::<ExtensionHeader>() > end {
            return Break(too_short);
        }
        let Some(header) = frame.read::<ExtensionHeader>(self.offset) else {
            return Break(Verdict::Truncated);
        };
        self.next = header.next;
        if kind == FRAGMENT {
            return self.enter_fragment(&header, end);
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
        if self.offset > end { Break(too_short) } else { Continue(()) }
    }

    #[inline(always)]
    fn enter_fragment(&mut self, header: &ExtensionHeader, end: usize) -> ControlFlow<Verdict> {
        let fields = u16::from_be_bytes(header.word);
        let info = FragmentInfo { offset: fields >> 3, more: fields & 1 != 0 };
        self.offset += size_of::<ExtensionHeader>();
        self.fragment = match (info.offset, info.more) {
            (0, false) => Fragment::Atomic,
            (0, true) => Fragment::First,
            _ => Fragment::Later,
        };
        if matches!(self.fragment, Fragment::Atomic) {
            return Continue(());
        }
        info.check(end - self.offset, self.next == PROTOCOL_TCP)
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
/// both are transports of no service.
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | PROTOCOL_AH | DESTINATION_OPTIONS | 135 | 139 | 140 | 253 | 254)
}

const MAX_EXTENSION_HEADERS: usize = 8;
const MAX_DESTINATION_OPTIONS: u8 = 2; // before a routing header and before the transport (RFC 8200 section 4.1)

// IANA "IPv6 Extension Header Types"; 135 mobility, 139 HIP, 140 shim6, 253 and 254 experiments
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
