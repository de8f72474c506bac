//! Services that claim the same packet.

use std::{collections::BTreeSet, net::IpAddr};

use firewall_common::abi::MAX_LOCAL_ADDRESSES;

use super::services::{Claim, Draft};
use crate::{
    config::reader::Reader,
    policy::Protocol,
    text::{ports, shown::grouped},
};

/// Reports each pair of services that claims the same protocol, port and address.
///
/// A service with addresses beats one without, so only like meets like.
pub fn refuse(reader: &mut Reader<'_>, drafts: &[Draft]) {
    let mut in_file_order: Vec<&Draft> = drafts.iter().collect();
    in_file_order.sort_by_key(|draft| draft.at.span.start);
    for (index, later) in in_file_order.iter().enumerate() {
        for earlier in &in_file_order[..index] {
            let Some(scope) = shared_scope(earlier, later) else { continue };
            let Some((first, second)) = common(&earlier.claims, &later.claims) else { continue };
            let low = first.range.start().max(second.range.start());
            let high = first.range.end().min(second.range.end());
            let place = scope.address.map_or_else(String::new, |address| format!(" on {address}"));
            let (plural, verb) = if low == high { ("", "belongs") } else { ("s", "belong") };
            let message = format!(
                "{} port{plural} {}{place} {verb} to `{}` already ({})",
                scope.protocol,
                ports::show(&(*low..=*high)),
                earlier.at.path,
                reader.told(&first.at, &second.at),
            );
            let hint = "a packet can belong to one service; give them different ports or `addresses`";
            reader.error_with_hint(&second.at, message, hint);
        }
    }
}

/// Reports more local addresses than the kernel program has room for.
pub fn refuse_too_many_addresses(reader: &mut Reader<'_>, drafts: &[Draft]) {
    let mut in_file_order: Vec<&Draft> = drafts.iter().collect();
    in_file_order.sort_by_key(|draft| draft.at.span.start);
    let mut distinct: BTreeSet<IpAddr> = BTreeSet::new();
    for draft in in_file_order {
        let before = distinct.len();
        distinct.extend(draft.addresses.iter().flatten());
        if before <= MAX_LOCAL_ADDRESSES && distinct.len() > MAX_LOCAL_ADDRESSES {
            let message = format!(
                "with this service, {} different `addresses` are named; at most {MAX_LOCAL_ADDRESSES} are possible",
                grouped(distinct.len())
            );
            reader.error(&draft.at, message);
        }
    }
}

/// What two services have in common besides ports.
struct OverlapScope {
    protocol: Protocol,
    address: Option<IpAddr>,
}

fn shared_scope(left: &Draft, right: &Draft) -> Option<OverlapScope> {
    let protocol = left.protocol.filter(|protocol| right.protocol == Some(*protocol))?;
    let (left, right) = (left.addresses.as_ref()?, right.addresses.as_ref()?);
    if left.is_empty() && right.is_empty() {
        return Some(OverlapScope { protocol, address: None });
    }
    let address = left.iter().find(|address| right.contains(address))?;
    Some(OverlapScope { protocol, address: Some(*address) })
}

/// The first claims of both, each sorted by its beginning, that share a port.
fn common<'c>(left: &'c [Claim], right: &'c [Claim]) -> Option<(&'c Claim, &'c Claim)> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let (first, second) = (*left.peek()?, *right.peek()?);
        if first.range.end() < second.range.start() {
            left.next();
        } else if second.range.end() < first.range.start() {
            right.next();
        } else {
            return Some((first, second));
        }
    }
}
