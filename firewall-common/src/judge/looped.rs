//! Packets that this host sent and got back: the kernel hands them to generic XDP from the IP header on.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use crate::{
    address::{Address, Family},
    frame::Frame,
    tables::Tables,
    verdict::Verdict,
    verifier::{forget, forget_choice},
};

/// The verdict on a frame, its family, and its length if that is known.
pub(crate) type Refused = (Verdict, Family, Option<usize>);

/// What is said about a frame that `parse` refused: that verdict, unless it is a packet that this host sent and got back.
///
/// Without an Ethernet header, octets of the source stand where the EtherType is looked for. Anybody can send the same
/// octets, so they are recognised only where no stack takes the frame for a packet of anybody: not IP, or with an IP
/// version or length that cannot be.
#[inline(always)]
pub(crate) fn recognise<F: Frame + ?Sized>(
    frame: &F,
    verdict: Verdict,
    family: Family,
    tables: &impl Tables,
) -> Refused {
    let Some(start) = frame.read::<Ipv4Hdr>(0) else {
        return (verdict, family, None);
    };
    let noise = u32::from_ne_bytes(start.dst_addr);
    // Every way through the parser meets here.
    let (verdict, family) = (forget_choice(verdict, noise), forget_choice(family, noise));
    if !is_of_no_stack(verdict) {
        return (verdict, family, None);
    }
    let Some((source, length)) = read(frame, &start) else {
        return (verdict, family, None);
    };
    let (length, is_v4) = (forget(length, noise), source.is_v4());
    match frame.length_if_holds(length) {
        Some(whole) if whole == length && tables.membership(&source).own => {
            (Verdict::Looped, if is_v4 { Family::Ipv4 } else { Family::Ipv6 }, Some(length))
        }
        _ => (verdict, family, None),
    }
}

/// Source and length of the packet that begins where the frame does.
#[inline(always)]
fn read<F: Frame + ?Sized>(frame: &F, start: &Ipv4Hdr) -> Option<(Address, usize)> {
    match start.vihl >> 4 {
        4 if start.vihl & 0xf >= 5 => Some((Address::v4(start.src_addr), u16::from_be_bytes(start.tot_len) as usize)),
        6 => {
            let header = frame.read::<Ipv6Hdr>(0)?;
            Some((Address::v6(header.src_addr), Ipv6Hdr::LEN + u16::from_be_bytes(header.payload_len) as usize))
        }
        _ => None,
    }
}

/// Whether no stack takes a frame with this verdict for a packet.
#[inline(always)]
const fn is_of_no_stack(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::NotIp | Verdict::Truncated | Verdict::BadIpHeader | Verdict::BadIpLength)
}
