//! `[guard]`.

use std::ops::RangeInclusive;

use super::services;
use crate::{
    config::{
        document::{Node, TomlTable},
        keys,
        reader::Reader,
    },
    policy::guard::Guard,
    text::ports,
};

/// Reads `[guard]`; `None` after an error.
pub fn guard(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Option<Guard> {
    let mut guard = Guard::default();
    let Some(node) = document.node("guard") else { return Some(guard) };
    let table = reader.table(&node, keys::GUARD)?;
    if let Some(node) = table.node("shrink_percent") {
        let wanted = "a percentage from 0 to 100";
        let percent = reader.integer(&node, wanted)?;
        let Some(fitting) = u8::try_from(percent).ok().filter(|percent| *percent <= 100) else {
            reader.error(&node.at, format!("{percent} is out of range; expected {wanted}"));
            return None;
        };
        guard.shrink_percent = fitting;
    }
    if let Some(node) = table.node("shrink_entries") {
        let entries = reader.integer(&node, "a number of entries")?;
        guard.shrink_entries = usize::try_from(entries).unwrap_or(usize::MAX);
    }
    if let Some(node) = table.node("ports") {
        guard.ports = Some(ports(reader, &node)?);
    }
    Some(guard)
}

fn ports(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let elements = reader.array(node, "ports");
    let ranges: Vec<_> = elements.iter().filter_map(|element| services::range(reader, element)).collect();
    (node.value.is_array() && ranges.len() == elements.len()).then(|| ports::merge(ranges))
}
