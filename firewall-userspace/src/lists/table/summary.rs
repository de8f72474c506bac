//! Summaries: the 256 entries of a slot of the IPv4 root, in two bits each.

use firewall_common::prefix_table::{Code, RootSlot, Tag, entry, number, tag};

use super::{Table, TableFull, Words, node};

/// Codes of a word.
const CODES_PER_WORD: usize = 32;

impl<R: Words<u32>, L: Words<u64>> Table<R, L> {
    /// Writes the summary of `entries`; the slot of the root.
    pub(super) fn summarise(&mut self, entries: &[u32; 256]) -> Result<RootSlot, TableFull> {
        let first = most_frequent(entries.iter().filter(|entry| tag(**entry) == Tag::Class));
        let is_second = |entry: &&u32| tag(**entry) == Tag::Class && number(**entry) != first;
        let second = most_frequent(entries.iter().filter(is_second));
        let code = |entry: u32| match tag(entry) {
            Tag::Class if number(entry) == first => Code::First,
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
            return Ok(RootSlot { first, ..RootSlot::default() });
        }
        let has_node = all & 1 << Code::Node as u64 != 0;
        let summary = self.arena.lines(1 + u32::from(has_node))?;
        if has_node {
            node::encode(&self.memory.lines, &mut self.arena, summary + 1, entries)?;
        }
        for (index, word) in words.into_iter().enumerate() {
            node::store(&self.memory.lines, summary, index, word);
        }
        Ok(RootSlot { first, second, summary })
    }

    /// The entries behind a slot of the root.
    pub(super) fn entries_of(&self, slot: RootSlot) -> [u32; 256] {
        if self.has_node(slot) {
            return node::decode(&self.memory.lines, slot.summary + 1);
        }
        let mut entries = [entry(Tag::Class, slot.first); 256];
        if slot.summary != 0 {
            for (octet, place) in entries.iter_mut().enumerate() {
                let word = node::load(&self.memory.lines, slot.summary, octet / CODES_PER_WORD);
                *place = match word >> (2 * (octet % CODES_PER_WORD)) & 3 {
                    1 => entry(Tag::Class, slot.second),
                    _ => *place,
                };
            }
        }
        entries
    }

    /// Whether a code of the summary asks a node: both of its bits are set.
    fn has_node(&self, slot: RootSlot) -> bool {
        const LOW_BITS: u64 = u64::MAX / 3;
        let asks = |word| {
            let word = node::load(&self.memory.lines, slot.summary, word);
            word & word >> 1 & LOW_BITS != 0
        };
        slot.summary != 0 && (0..256 / CODES_PER_WORD).any(asks)
    }

    /// Gives everything behind a slot of the root back.
    pub(super) fn retire_slot(&mut self, slot: RootSlot) {
        if self.has_node(slot) {
            for entry in self.entries_of(slot) {
                self.retire_tree(entry);
            }
        }
        self.retire_summary(slot);
    }

    /// Gives the summary behind a slot of the root back, and its node, but not what that leads to.
    pub(super) fn retire_summary(&mut self, slot: RootSlot) {
        if slot.summary == 0 {
            return;
        }
        let mut own = 1;
        if self.has_node(slot) {
            own = 2;
            if let Some((first, count)) = node::more(&self.memory.lines, slot.summary + 1) {
                self.arena.retire_lines(first, count);
            }
        }
        self.arena.retire_lines(slot.summary, own);
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
