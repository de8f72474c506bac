//! `[drift]`: how often the tables of the kernel are compared with what was written there.

use std::time::Duration;

use super::rates;
use crate::config::{document::TomlTable, keys, reader::Reader};

/// How long a whole check takes unless written.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Shortest: more would keep a CPU busy.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reads `[drift]`; `None` after an error.
pub fn interval(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Option<Duration> {
    let Some(node) = document.node("drift") else { return Some(DEFAULT_INTERVAL) };
    let table = reader.table(&node, keys::DRIFT)?;
    let Some(node) = table.node("interval") else { return Some(DEFAULT_INTERVAL) };
    let interval = rates::read_duration(reader, &node)?;
    if interval < SHORTEST {
        reader.error(&node.at, "the interval is shorter than 1s".to_owned());
        return None;
    }
    Some(interval)
}
