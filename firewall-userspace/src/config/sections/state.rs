//! `[state]`: where pushed entries are kept.

use std::path::{Path, PathBuf};

use super::rates;
use crate::{
    config::{
        document::{Node, TomlTable},
        keys,
        reader::Reader,
    },
    policy::StateFolder,
    text::shown::shown,
};

/// Where pushed entries are kept unless written.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/portcullis";

/// Octets of a journal after which a snapshot is due unless written.
const DEFAULT_SNAPSHOT_AFTER: u64 = 8 << 20;

/// Generations that are kept unless written.
const DEFAULT_GENERATIONS: usize = 10;

/// How many may be kept: at least one to go back to.
const GENERATIONS: std::ops::RangeInclusive<u64> = 2..=1000;

/// `[state]` when nothing is written.
pub fn default() -> StateFolder {
    StateFolder {
        directory: PathBuf::from(DEFAULT_DIRECTORY),
        snapshot_after: DEFAULT_SNAPSHOT_AFTER,
        generations: DEFAULT_GENERATIONS,
    }
}

/// Reads `[state]`; `None` after an error.
pub fn state(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Option<StateFolder> {
    let (state, is_good) = readable(reader, document, default());
    is_good.then_some(state)
}

/// What can be read of `[state]`, and `otherwise` for the rest; whether there was no error.
pub fn readable(reader: &mut Reader<'_>, document: &TomlTable<'_>, otherwise: StateFolder) -> (StateFolder, bool) {
    let mut state = otherwise;
    let Some(node) = document.node("state") else { return (state, true) };
    let Some(table) = reader.table(&node, keys::STATE) else { return (state, false) };
    let mut is_good = true;
    if let Some(node) = table.node("directory") {
        let directory = directory(reader, &node);
        is_good &= directory.map(|directory| state.directory = directory).is_some();
    }
    if let Some(node) = table.node("snapshot_after") {
        let size = rates::read_size(reader, &node);
        is_good &= size.map(|size| state.snapshot_after = size).is_some();
    }
    if let Some(node) = table.node("generations") {
        let count = generations(reader, &node);
        is_good &= count.map(|count| state.generations = count).is_some();
    }
    (state, is_good)
}

fn directory(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<PathBuf> {
    let text = reader.string(node, "the path of a folder")?;
    if Path::new(text).is_absolute() && !text.contains('\0') {
        return Some(PathBuf::from(text));
    }
    let message = format!("`{}` is not the absolute path of a folder", shown(text));
    reader.error_with_hint(&node.at, message, format!("write for example \"{DEFAULT_DIRECTORY}\""));
    None
}

fn generations(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<usize> {
    let (least, most) = GENERATIONS.into_inner();
    let wanted = format!("a number from {least} to {most}");
    let count = reader.integer(node, &wanted)?;
    if GENERATIONS.contains(&count) {
        return usize::try_from(count).ok();
    }
    let plural = if count == 1 { "" } else { "s" };
    reader.error(&node.at, format!("{count} generation{plural} cannot be kept; expected {wanted}"));
    None
}
