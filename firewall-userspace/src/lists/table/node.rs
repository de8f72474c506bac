//! Nodes: 256 entries, run-length compressed.

use firewall_common::prefix_table::{INLINE_ENTRIES, NODE_ENTRIES, NODE_RANKS, WORDS};

use super::{TableFull, Words, arena::Arena};

/// Entries of a line that is nothing but entries.
const ENTRIES_PER_LINE: usize = 2 * WORDS;

/// Writes `entries` to the line `node`, and what does not fit there to fresh lines.
pub fn encode(lines: &impl Words<u64>, arena: &mut Arena, node: u32, entries: &[u32; 256]) -> Result<(), TableFull> {
    let mut bitmap = [0u64; 4];
    let mut runs: Vec<u32> = Vec::with_capacity(16);
    for (octet, entry) in entries.iter().enumerate() {
        if runs.last() != Some(entry) || octet == 0 {
            if let Some(word) = bitmap.get_mut(octet / 64) {
                *word |= 1 << (octet % 64);
            }
            runs.push(*entry);
        }
    }
    let mut ranks = 0u64;
    let mut before = 0u64;
    for (index, word) in bitmap.iter().enumerate() {
        ranks |= before << (8 * index);
        before += u64::from(word.count_ones());
    }
    let more = if runs.len() > INLINE_ENTRIES {
        let count = runs.len().div_ceil(ENTRIES_PER_LINE) as u32;
        let first = arena.lines(count)?;
        write_entries(lines, first, 0, &runs);
        first
    } else {
        write_entries(lines, node, NODE_ENTRIES, &runs);
        0
    };
    for (index, word) in bitmap.into_iter().enumerate() {
        store(lines, node, index, word);
    }
    store(lines, node, NODE_RANKS, ranks | u64::from(more) << 32);
    Ok(())
}

/// The entries of a node.
pub fn decode(lines: &impl Words<u64>, node: u32) -> [u32; 256] {
    let mut entries = [0; 256];
    let more = (load(lines, node, NODE_RANKS) >> 32) as u32;
    let mut run = 0usize;
    for (octet, entry) in entries.iter_mut().enumerate() {
        if load(lines, node, octet / 64) >> (octet % 64) & 1 != 0 {
            run += 1;
        }
        let place = run.saturating_sub(1);
        let word = if more == 0 { load(lines, node, NODE_ENTRIES + place / 2) } else { load(lines, more, place / 2) };
        *entry = (word >> (32 * (place % 2))) as u32;
    }
    entries
}

/// The further lines of a node, besides its own: first and how many.
pub fn more(lines: &impl Words<u64>, node: u32) -> Option<(u32, u32)> {
    let runs: u32 = (0..4).map(|word| load(lines, node, word).count_ones()).sum();
    let more = (load(lines, node, NODE_RANKS) >> 32) as u32;
    (more != 0).then(|| (more, runs.div_ceil(ENTRIES_PER_LINE as u32)))
}

fn write_entries(lines: &impl Words<u64>, line: u32, from: usize, runs: &[u32]) {
    for (place, pair) in runs.chunks(2).enumerate() {
        let low = pair.first().copied().unwrap_or(0);
        let high = pair.get(1).copied().unwrap_or(0);
        store(lines, line, from + place, u64::from(low) | u64::from(high) << 32);
    }
}

/// Writes a word of a line; `word` may run on into the lines behind it.
pub fn store(lines: &impl Words<u64>, line: u32, word: usize, value: u64) {
    lines.store(line as usize * WORDS + word, value);
}

/// Reads a word of a line.
pub fn load(lines: &impl Words<u64>, line: u32, word: usize) -> u64 {
    lines.load(line as usize * WORDS + word)
}
