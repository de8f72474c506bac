//! `[limits.*]` and `[essentials]`.

use std::time::Duration;

use super::{
    named::NamedItem,
    rates::{self, Unit},
};
use crate::{
    config::{
        document::{Node, TomlTable},
        keys,
        reader::Reader,
    },
    policy::{Essentials, Limit, Rate, RateError},
};

/// Cap of an essential that is not written: 1000 packets a second for the whole host.
const DEFAULT_CAP: (u64, Duration, u64) = (1000, Duration::from_secs(1), 1000);

/// Reads one limit; `None` after an error.
pub fn limit(reader: &mut Reader<'_>, item: &NamedItem<'_>) -> Option<Limit> {
    let table = reader.table(&item.node, keys::LIMIT)?;
    let mut is_good = true;
    let mut is_limited = false;
    let mut quantity = |reader: &mut Reader<'_>, key, unit| {
        let node = table.node(key)?;
        let rate = rates::read(reader, &node, unit);
        is_limited = true;
        is_good &= rate.is_some();
        rate
    };
    let packets = quantity(reader, "packets", Unit::Packets);
    let bytes = quantity(reader, "bytes", Unit::Bytes);
    let connections = quantity(reader, "connections", Unit::Connections);
    if !is_limited {
        let hint = "add for example `packets = { rate = 2000, per = \"1s\", burst = 4000 }`".to_owned();
        reader.missing(&table.at, "nothing is limited: `packets`, `bytes` and `connections` are missing", Some(hint));
        return None;
    }
    let source = match table.node("source_prefix") {
        Some(node) => reader.table(&node, keys::SOURCE_PREFIX),
        None => None,
    };
    let source_v4 = source_length(reader, source.as_ref(), "v4", 32);
    let source_v6 = source_length(reader, source.as_ref(), "v6", DEFAULT_SOURCE_V6);
    let name = item.name.clone()?;
    let (source_v4, source_v6) = (source_v4?, source_v6?);
    is_good.then_some(Limit { name, packets, bytes, connections, source_v4, source_v6 })
}

/// Length of a source that is not written: a whole IPv4 address, or the /64 that one IPv6 subnet has (RFC 4291).
const DEFAULT_SOURCE_V6: u8 = 64;

fn source_length(reader: &mut Reader<'_>, table: Option<&TomlTable<'_>>, key: &str, default: u8) -> Option<u8> {
    let Some(node) = table.and_then(|table| table.node(key)) else {
        return Some(default);
    };
    let longest = if key == "v4" { 32 } else { 128 };
    let wanted = format!("a prefix length from 1 to {longest}");
    let length = reader.integer(&node, &wanted)?;
    let fitting = u8::try_from(length).ok().filter(|length| (1..=longest).contains(length));
    if fitting.is_none() {
        reader.error(&node.at, format!("{length} is out of range; expected {wanted}"));
    }
    fitting
}

/// Reads `[essentials]`; `None` after an error.
pub fn essentials(reader: &mut Reader<'_>, node: Option<Node<'_>>) -> Option<Essentials> {
    let table = match node {
        Some(node) => Some(reader.table(&node, keys::ESSENTIALS)?),
        None => None,
    };
    let mut cap = |key| match table.as_ref().and_then(|table| table.node(key)) {
        Some(node) => rates::read(reader, &node, Unit::Packets),
        None => default_cap().ok(),
    };
    let caps = (cap("neighbour_discovery"), cap("mld"), cap("icmp_error"), cap("dhcp"));
    let (neighbour_discovery, mld, icmp_error, dhcp) = (caps.0?, caps.1?, caps.2?, caps.3?);
    Some(Essentials { neighbour_discovery, mld, icmp_error, dhcp })
}

fn default_cap() -> Result<Rate, RateError> {
    let (rate, per, burst) = DEFAULT_CAP;
    Rate::of_events(rate, per, burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cap_is_a_rate() {
        assert!(default_cap().is_ok());
    }
}
