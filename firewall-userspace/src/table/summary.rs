//! Summaries: the 256 entries of an IPv4 root slot in two bits each.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU32, AtomicU64},
};

use firewall_common::prefix_table::{Code, SUMMARY_LINES, Tag, entry, number, root_slot, tag};

use super::{Table, TableFull, node};

/// Codes of a word.
const CODES_PER_WORD: usize = 32;

impl<R: Deref<Target = [AtomicU32]>, L: Deref<Target = [AtomicU64]>> Table<R, L> {
    /// Writes the summary of `entries`; the slot of the root.
    pub(super) fn summarise(&mut self, entries: &[u32; 256]) -> Result<u64, TableFull> {
        let first = most_frequent(entries.iter().filter(|entry| matches!(tag(**entry), Tag::Class | Tag::Hosts)));
        let is_second = |entry: &&u32| tag(**entry) == Tag::Class && number(**entry) != first;
        let second = most_frequent(entries.iter().filter(is_second));
        let code = |entry: u32| match tag(entry) {
            Tag::Class if number(entry) == first => Code::First,
            Tag::Hosts if number(entry) == first => Code::FirstWithHosts,
            Tag::Class if number(entry) == second => Code::Second,
            _ => Code::Node,
        };
        let (mut words, mut all) = ([0u64; 256 / CODES_PER_WORD], 0);
        for (octet, entry) in entries.iter().enumerate() {
            let code = code(*entry) as u64;
            all |= 1 << code;
            if let Some(word) = words.get_mut(octet / CODES_PER_WORD) {
                *word |= code << (2 * (octet % CODES_PER_WORD));
            }
        }
        if all == 1 << Code::First as u64 {
            return Ok(root_slot(first, 0));
        }
        let node = if all & 1 << Code::Node as u64 != 0 {
            node::encode(&self.memory.lines, &mut self.arena, entries)?
        } else {
            0
        };
        let summary = self.arena.lines(SUMMARY_LINES)?;
        for (index, word) in words.into_iter().enumerate() {
            node::store(&self.memory.lines, summary, index, word);
        }
        node::store(&self.memory.lines, summary + 1, 0, u64::from(node) << 32 | u64::from(second));
        Ok(root_slot(first, summary))
    }

    /// The entries behind a slot of the root.
    pub(super) fn entries_of(&self, slot: u64) -> [u32; 256] {
        let (first, summary) = (slot as u32, (slot >> 32) as u32);
        let mut entries = [entry(Tag::Class, first); 256];
        if summary == 0 {
            return entries;
        }
        let rest = node::load(&self.memory.lines, summary + 1, 0);
        let (second, node) = (rest as u32, (rest >> 32) as u32);
        if node != 0 {
            return node::decode(&self.memory.lines, node);
        }
        for (octet, place) in entries.iter_mut().enumerate() {
            let word = node::load(&self.memory.lines, summary, octet / CODES_PER_WORD);
            *place = match word >> (2 * (octet % CODES_PER_WORD)) & 3 {
                1 => entry(Tag::Hosts, first),
                2 => entry(Tag::Class, second),
                _ => *place,
            };
        }
        entries
    }

    /// Gives everything behind a slot of the root back.
    pub(super) fn retire_slot(&mut self, slot: u64) {
        if slot >> 32 != 0 {
            for entry in self.entries_of(slot) {
                self.retire_tree(entry);
            }
            self.retire_summary(slot);
        }
    }

    /// Gives the summary behind a slot of the root back, and its node, but not what that leads to.
    pub(super) fn retire_summary(&mut self, slot: u64) {
        let summary = (slot >> 32) as u32;
        if summary == 0 {
            return;
        }
        let node = (node::load(&self.memory.lines, summary + 1, 0) >> 32) as u32;
        if node != 0 {
            self.retire_node(node);
        }
        self.arena.retire_lines(summary, SUMMARY_LINES);
    }
}

/// The number that most of `entries` have; 0 when there are none.
fn most_frequent<'a>(entries: impl Iterator<Item = &'a u32>) -> u32 {
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for entry in entries {
        let number = number(*entry);
        match counts.iter_mut().find(|(known, _)| *known == number) {
            Some((_, count)) => *count += 1,
            None => counts.push((number, 1)),
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(number, _)| number)
}
