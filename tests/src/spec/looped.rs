//! A packet that this host sent and got back without an Ethernet header.

use std::net::IpAddr;

use firewall_common::{Address, Family, Verdict};
use firewall_userspace::policy::Prefix;

use super::frame::word;
use crate::model::covers;

/// The family of a packet that this host sent and got back without an Ethernet header, if `frame` is one by its octets.
pub(super) fn looped(own: &[Prefix], frame: &[u8]) -> Option<Family> {
    let (source, length, family): (IpAddr, usize, Family) = match frame.first()? / 16 {
        4 if frame.len() >= 20 && frame[0] % 16 >= 5 => {
            let source = <[u8; 4]>::try_from(&frame[12..16]).ok()?;
            (source.into(), word(frame, 2)?.into(), Family::Ipv4)
        }
        6 if frame.len() >= 40 => {
            let source = <[u8; 16]>::try_from(&frame[8..24]).ok()?;
            (source.into(), usize::from(word(frame, 4)?) + 40, Family::Ipv6)
        }
        _ => return None,
    };
    let is_own = own.iter().any(|prefix| covers(*prefix, &Address::from(source)));
    (is_own && length == frame.len()).then_some(family)
}

/// Read as an Ethernet frame, it is nothing that a stack takes for a packet of somebody.
pub(super) fn no_stack_takes(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::NotIp | Verdict::Truncated | Verdict::BadIpHeader | Verdict::BadIpLength)
}
