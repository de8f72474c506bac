//! TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and ICMPv6 (RFC 4443) headers.

use core::ops::ControlFlow::{self, Break, Continue};

use network_types::{icmp::Icmpv4Hdr, tcp::TcpHdr, udp::UdpHdr};

use crate::{
    flow::{Flow, Fragment, Transport},
    frame::{Frame, Header, offset_and_flags},
    verdict::Verdict,
};

/// Reads the transport header at `start` into `flow`.
#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(
    frame: &F,
    start: usize,
    end: usize,
    mut flow: Flow,
) -> ControlFlow<Verdict, Flow> {
    flow.transport_length = end - start;
    match flow.transport {
        Transport::Tcp => parse_tcp(frame, start, &mut flow)?,
        Transport::Udp => parse_udp(frame, start, &mut flow)?,
        Transport::Icmp | Transport::Icmpv6 => parse_icmp(frame, start, &mut flow)?,
        Transport::Other | Transport::Every => {}
    }
    Continue(flow)
}

/// The verdict on a header that is not whole: in a first fragment it was cut off by whoever made the fragments.
#[inline(always)]
pub(super) fn too_short(fragment: Fragment, whole: Verdict) -> Verdict {
    if matches!(fragment, Fragment::First) { Verdict::TinyFragment } else { whole }
}

#[inline(always)]
fn parse_tcp<F: Frame + ?Sized>(frame: &F, start: usize, flow: &mut Flow) -> ControlFlow<Verdict> {
    let header = read::<F, TcpHdr>(frame, start, flow)?;
    let [offset, flags] = offset_and_flags(&header);
    let data_offset = ((offset >> 4) as usize) << 2;
    if data_offset < TcpHdr::LEN {
        return Break(Verdict::BadTransportHeader);
    }
    if data_offset > flow.transport_length {
        return Break(too_short(flow.fragment, Verdict::BadTransportHeader));
    }
    if are_impossible(flags) {
        return Break(Verdict::BadTcpFlags);
    }
    flow.source_port = u16::from_be_bytes(header.source);
    flow.destination_port = u16::from_be_bytes(header.dest);
    flow.opens_connection = flags & (SYN | ACK) == SYN;
    Continue(())
}

#[inline(always)]
fn parse_udp<F: Frame + ?Sized>(frame: &F, start: usize, flow: &mut Flow) -> ControlFlow<Verdict> {
    let header = read::<F, UdpHdr>(frame, start, flow)?;
    let length = u16::from_be_bytes(header.len) as usize;
    let is_beyond = !matches!(flow.fragment, Fragment::First) && length > flow.transport_length;
    if length < UdpHdr::LEN || is_beyond {
        return Break(Verdict::BadTransportHeader);
    }
    flow.source_port = u16::from_be_bytes(header.src);
    flow.destination_port = u16::from_be_bytes(header.dst);
    Continue(())
}

#[inline(always)]
fn parse_icmp<F: Frame + ?Sized>(frame: &F, start: usize, flow: &mut Flow) -> ControlFlow<Verdict> {
    let header = read::<F, Icmpv4Hdr>(frame, start, flow)?;
    flow.icmp_type = header.type_;
    flow.icmp_code = header.code;
    Continue(())
}

#[inline(always)]
fn read<F: Frame + ?Sized, H: Header>(frame: &F, start: usize, flow: &Flow) -> ControlFlow<Verdict, H> {
    if flow.transport_length < size_of::<H>() {
        return Break(too_short(flow.fragment, Verdict::BadTransportHeader));
    }
    match frame.read::<H>(start) {
        Some(header) => Continue(header),
        None => Break(Verdict::Truncated),
    }
}

/// Flags that no stack sends and scanners do, whatever ECE and CWR say.
#[inline(always)]
pub(super) const fn are_impossible(flags: u8) -> bool {
    // One bit for each combination of the six flags: a shift instead of four compares.
    const IMPOSSIBLE: u64 = {
        let (mut bits, mut flags) = (0, 0u8);
        while flags <= KNOWN {
            if flags == 0
                || flags & (SYN | FIN) == SYN | FIN
                || flags & (SYN | RST) == SYN | RST
                || flags & (FIN | ACK) == FIN
            {
                bits |= 1 << flags;
            }
            flags += 1;
        }
        bits
    };
    IMPOSSIBLE >> (flags & KNOWN) & 1 != 0
}

/// All flags but ECE and CWR.
const KNOWN: u8 = FIN | SYN | RST | PSH | ACK | URG;

const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
const URG: u8 = 0x20;
