//! Where things are in a frame, for tests that bend it.

use crate::packet::ether_type;

/// Where the IP header is, and whether it is one of IPv4. Any number of tags is walked.
pub fn ip_header(frame: &[u8]) -> Option<(usize, bool)> {
    let mut at = 12;
    loop {
        match word(frame, at)? {
            ether_type::VLAN | ether_type::SERVICE_VLAN => at += 4,
            ether_type::IPV4 => return Some((at + 2, true)),
            ether_type::IPV6 => return Some((at + 2, false)),
            _ => return None,
        }
    }
}

/// Where the packet ends by its own account.
pub fn packet_end(frame: &[u8]) -> Option<usize> {
    let (at, is_v4) = ip_header(frame)?;
    let (length, header) = if is_v4 { (at + 2, 0) } else { (at + 4, 40) };
    Some(at + header + usize::from(word(frame, length)?))
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]))
}
