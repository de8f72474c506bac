//! The IPv6 header and its extension headers.

use std::net::Ipv6Addr;

use firewall_common::Verdict;

use super::{
    frame::{Part, ReadPacket, Upper, word},
    headers::{behind_authentication, check_fragment, check_transport, cut_short},
};
use crate::packet::number;

pub(super) fn read_ipv6(rest: &[u8]) -> Result<ReadPacket<'_>, Verdict> {
    let header: &[u8; 40] = rest.first_chunk().ok_or(Verdict::Truncated)?;
    if header[0] / 16 != 6 {
        return Err(Verdict::BadIpHeader);
    }
    let mut length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut next = header[6];
    let payload = &rest[40..];
    if length == 0 && next == number::TCP && payload.len() > 65_535 {
        length = payload.len();
    }
    if length == 0 && next == number::HOP_BY_HOP {
        length = jumbo_length(payload).ok_or(Verdict::BadExtensionChain)?;
    }
    let mut payload = rest.get(40..40 + length).ok_or(Verdict::BadIpLength)?;
    let mut part = Part::Whole;
    let mut seen: Vec<u8> = Vec::new();
    while is_extension(next) && part != Part::Later {
        if seen.len() == 8 {
            return Err(Verdict::BadExtensionChain);
        }
        let times = seen.iter().filter(|kind| **kind == next).count();
        let allowed = match next {
            number::HOP_BY_HOP => seen.is_empty(),
            number::DESTINATION_OPTIONS => times < 2,
            number::ROUTING | number::FRAGMENT | number::AUTHENTICATION => times == 0,
            _ => false,
        };
        if !allowed {
            return Err(Verdict::BadExtensionChain);
        }
        seen.push(next);
        (next, payload) = match next {
            number::AUTHENTICATION => behind_authentication(payload, part)?,
            number::FRAGMENT => {
                let fields = word(payload, 2).ok_or(Verdict::BadExtensionChain)?;
                let behind = payload.get(8..).ok_or(Verdict::BadExtensionChain)?;
                let (offset, more) = (fields / 8, fields % 2 == 1);
                part = match (offset, more) {
                    (0, false) => Part::WholeWithFragmentHeader,
                    (0, true) => Part::First,
                    _ => Part::Later,
                };
                if part != Part::WholeWithFragmentHeader {
                    check_fragment(offset, more, behind.len(), payload[0] == number::TCP)?;
                }
                (payload[0], behind)
            }
            kind => {
                let short = cut_short(part, Verdict::BadExtensionChain);
                if payload.len() < 8 {
                    return Err(short);
                }
                if kind == number::ROUTING && payload[3] != 0 {
                    return Err(Verdict::BadExtensionChain);
                }
                (payload[0], payload.get(usize::from(payload[1]) * 8 + 8..).ok_or(short)?)
            }
        };
    }
    let upper = match next {
        number::TCP => Upper::Tcp,
        number::UDP => Upper::Udp,
        number::ICMPV6 => Upper::Icmpv6,
        kind if is_extension(kind) => Upper::Unknown,
        _ => Upper::Other,
    };
    if length > 65_535 && (upper != Upper::Tcp || part != Part::Whole) {
        return Err(Verdict::BadExtensionChain);
    }
    if part == Part::Later {
        payload = &[];
    }
    check_transport(upper, part, payload)?;
    let address = |octets: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap_or_default());
    Ok(ReadPacket {
        source: address(&header[8..24]).into(),
        destination: address(&header[24..40]).into(),
        hop_limit: header[7],
        upper,
        part,
        transport: payload,
    })
}

/// What the jumbo payload option says that comes first and alone, if that is here and more than a payload length can say.
fn jumbo_length(payload: &[u8]) -> Option<usize> {
    let &[_, 0, 0xc2, 4, a, b, c, d, ..] = payload else { return None };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    (length > 65_535 && length <= payload.len()).then_some(length)
}

fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 | 253 | 254)
}
