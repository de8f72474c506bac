//! IPv4 (RFC 791), with an authentication header (RFC 4302) where there is one.

use core::ops::ControlFlow::{self, Break, Continue};

use network_types::ip::Ipv4Hdr;

use super::{FRAGMENT_FIELDS, FragmentInfo, MERGED, transport};
use crate::{
    address::Address,
    flow::{Flow, Fragment, Transport},
    frame::{ExtensionHeader, Frame},
    numbers::{PROTOCOL_AH, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, authentication_length},
    verdict::Verdict,
    verifier::forget,
};

/// Reads the packet at `offset`.
#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, offset: usize) -> ControlFlow<Verdict, Flow> {
    let Some(header) = frame.read::<Ipv4Hdr>(offset) else {
        return Break(Verdict::Truncated);
    };
    let header_length = ((header.vihl & 0xf) as usize) << 2;
    if header.vihl >> 4 != 4 || header_length < Ipv4Hdr::LEN {
        return Break(Verdict::BadIpHeader);
    }
    let fields = u16::from_be_bytes(header.frags);
    let (total_length, frame_length) = lengths(frame, offset, &header, header_length)?;
    let end = offset + total_length;
    let start = offset + header_length;

    let info = FragmentInfo { offset: fields & 0x1fff, more: fields & 0x2000 != 0 };
    let fragment = match (info.offset, info.more) {
        (0, false) => Fragment::None,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    };
    if !matches!(fragment, Fragment::None) {
        info.check(total_length - header_length, header.proto == PROTOCOL_TCP)?;
    }

    let mut flow = Flow {
        source: Address::v4(header.src_addr),
        destination: Address::v4(header.dst_addr),
        transport: transport_of(header.proto),
        fragment,
        hop_limit: header.ttl,
        transport_length: 0,
        source_port: 0,
        destination_port: 0,
        opens_connection: false,
        icmp_type: 0,
        icmp_code: 0,
        frame_length,
    };
    if matches!(fragment, Fragment::Later) {
        if header.proto == PROTOCOL_AH {
            flow.transport = Transport::Every;
        }
        return Continue(flow);
    }
    if header.proto == PROTOCOL_AH {
        let (protocol, start) = skip_authentication(frame, start, end, fragment)?;
        if protocol == PROTOCOL_AH {
            return Break(Verdict::BadExtensionChain);
        }
        flow.transport = transport_of(protocol);
        return transport::parse(frame, start, end, flow);
    }
    transport::parse(frame, start, end, flow)
}

/// Octets of the packet at `offset`, and of the frame.
///
/// A packet that says 0 is one of TCP segments which the kernel has merged, when it is longer than it could say.
#[inline(always)]
fn lengths<F: Frame + ?Sized>(
    frame: &F,
    offset: usize,
    header: &Ipv4Hdr,
    header_length: usize,
) -> ControlFlow<Verdict, (usize, usize)> {
    let said = u16::from_be_bytes(header.tot_len) as usize;
    let may_be_merged =
        said == 0 && header.proto == PROTOCOL_TCP && u16::from_be_bytes(header.frags) & FRAGMENT_FIELDS == 0;
    let least = if may_be_merged { MERGED } else { said };
    if least < header_length {
        return Break(Verdict::BadIpLength);
    }
    let Some(frame_length) = frame.length_if_holds(offset + least) else {
        return Break(Verdict::BadIpLength);
    };
    let noise = u32::from_ne_bytes(header.src_addr);
    let length = if may_be_merged { frame_length - offset } else { said };
    Continue((forget(length, noise), forget(frame_length, noise)))
}

/// What an authentication header protects, and where that starts.
#[inline(always)]
fn skip_authentication<F: Frame + ?Sized>(
    frame: &F,
    start: usize,
    end: usize,
    fragment: Fragment,
) -> ControlFlow<Verdict, (u8, usize)> {
    let too_short = transport::too_short(fragment, Verdict::BadExtensionChain);
    if start + size_of::<ExtensionHeader>() > end {
        return Break(too_short);
    }
    let Some(header) = frame.read::<ExtensionHeader>(start) else {
        return Break(Verdict::Truncated);
    };
    let Some(length) = authentication_length(header.length) else {
        return Break(Verdict::BadExtensionChain);
    };
    if start + length > end {
        return Break(too_short);
    }
    Continue((header.next, start + length))
}

#[inline(always)]
fn transport_of(protocol: u8) -> Transport {
    match protocol {
        PROTOCOL_TCP => Transport::Tcp,
        PROTOCOL_UDP => Transport::Udp,
        PROTOCOL_ICMP => Transport::Icmp,
        _ => Transport::Other,
    }
}
