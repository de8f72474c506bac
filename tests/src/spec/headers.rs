//! Headers that both families have: AH, what is said of a fragment, and transport.

use firewall_common::Verdict;

use super::frame::{Part, Upper};

pub(super) fn behind_authentication(payload: &[u8], part: Part) -> Result<(u8, &[u8]), Verdict> {
    let short = cut_short(part, Verdict::BadExtensionChain);
    if payload.len() < 8 {
        return Err(short);
    }
    if payload[1] == 0 {
        return Err(Verdict::BadExtensionChain);
    }
    Ok((payload[0], payload.get(usize::from(payload[1]) * 4 + 8..).ok_or(short)?))
}

pub(super) fn cut_short(part: Part, otherwise: Verdict) -> Verdict {
    if part == Part::First { Verdict::TinyFragment } else { otherwise }
}

pub(super) fn check_fragment(offset: u16, more: bool, payload: usize, is_tcp: bool) -> Result<(), Verdict> {
    if more && !payload.is_multiple_of(8) || usize::from(offset) * 8 + payload > 65_535 {
        return Err(Verdict::BadFragment);
    }
    if offset == 1 && is_tcp {
        return Err(Verdict::TinyFragment);
    }
    Ok(())
}

pub(super) fn check_transport(upper: Upper, part: Part, octets: &[u8]) -> Result<(), Verdict> {
    if part == Part::Later {
        return Ok(());
    }
    let short = cut_short(part, Verdict::BadTransportHeader);
    let least = match upper {
        Upper::Tcp => 20,
        Upper::Udp | Upper::Icmp | Upper::Icmpv6 => 8,
        Upper::Other | Upper::Unknown => 0,
    };
    if octets.len() < least {
        return Err(short);
    }
    if upper == Upper::Tcp {
        let length = usize::from(octets[12] / 16) * 4;
        if length < 20 {
            return Err(Verdict::BadTransportHeader);
        }
        if length > octets.len() {
            return Err(short);
        }
        let has = |flag: u8| octets[13] & flag != 0;
        let (fin, syn, rst, ack) = (has(1), has(2), has(4), has(16));
        if !has(0x3f) || syn && fin || syn && rst || fin && !ack {
            return Err(Verdict::BadTcpFlags);
        }
    }
    if upper == Upper::Udp {
        let length = usize::from(u16::from_be_bytes([octets[4], octets[5]]));
        if length < 8 || part != Part::First && length > octets.len() {
            return Err(Verdict::BadTransportHeader);
        }
    }
    Ok(())
}
