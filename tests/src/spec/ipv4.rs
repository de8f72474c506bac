//! The IPv4 header.

use std::net::Ipv4Addr;

use firewall_common::Verdict;

use super::{
    frame::{Part, ReadPacket, Upper},
    headers::{behind_authentication, check_fragment, check_transport},
};
use crate::packet::number;

pub(super) fn read_ipv4(rest: &[u8]) -> Result<ReadPacket<'_>, Verdict> {
    let header: &[u8; 20] = rest.first_chunk().ok_or(Verdict::Truncated)?;
    let header_length = usize::from(header[0] % 16) * 4;
    if header[0] / 16 != 4 || header_length < 20 {
        return Err(Verdict::BadIpHeader);
    }
    let is_merged = [header[2], header[3]] == [0, 0]
        && header[9] == number::TCP
        && u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0
        && rest.len() > 65_535;
    let total = if is_merged { rest.len() } else { usize::from(u16::from_be_bytes([header[2], header[3]])) };
    let packet = rest.get(..total).ok_or(Verdict::BadIpLength)?;
    let mut payload = packet.get(header_length..).ok_or(Verdict::BadIpLength)?;
    let fields = u16::from_be_bytes([header[6], header[7]]);
    let (offset, more) = (fields % 0x2000, fields & 0x2000 != 0);
    let mut protocol = header[9];
    let part = match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        _ => Part::Later,
    };
    if part != Part::Whole {
        check_fragment(offset, more, payload.len(), protocol == number::TCP)?;
    }
    let mut upper = upper_v4(protocol);
    if part == Part::Later {
        payload = &[];
        if protocol == number::AUTHENTICATION {
            upper = Upper::Unknown;
        }
    } else if protocol == number::AUTHENTICATION {
        (protocol, payload) = behind_authentication(payload, part)?;
        if protocol == number::AUTHENTICATION {
            return Err(Verdict::BadExtensionChain);
        }
        upper = upper_v4(protocol);
    }
    check_transport(upper, part, payload)?;
    Ok(ReadPacket {
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
        destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
        hop_limit: header[8],
        upper,
        part,
        transport: payload,
    })
}

fn upper_v4(protocol: u8) -> Upper {
    match protocol {
        number::TCP => Upper::Tcp,
        number::UDP => Upper::Udp,
        number::ICMP => Upper::Icmp,
        _ => Upper::Other,
    }
}
