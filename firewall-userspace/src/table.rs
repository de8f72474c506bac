//! The write side of the compiled prefix table; `firewall_common::prefix_table` has the layout and the read side.
//!
//! A change rewrites the path from a root slot to what changes, in lines that no reader can reach yet, and publishes it by
//! one store to the root slot. A prefix shorter than 16 bits is published slot by slot: each address goes from its old
//! answer to its new one in one step.

mod arena;
mod build;
mod node;

use std::{
    net::IpAddr,
    ops::Deref,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use firewall_common::prefix_table::{ROOT_SLOTS, Tag, entry, number, tag};

use self::{
    arena::Arena,
    build::{Item, Slot},
};
use crate::{
    members::{Member, Members},
    policy::Prefix,
};

/// The memory that readers see.
pub struct Memory<R, L> {
    /// Root of IPv4, [`ROOT_SLOTS`] entries.
    pub root_v4: R,
    /// Root of IPv6.
    pub root_v6: R,
    /// Lines, eight words each. Line 0 is never used.
    pub lines: L,
}

/// Where classes come from: each distinct member has one.
pub trait Classes {
    /// The class of `member`; class 0 is in nothing.
    ///
    /// # Errors
    /// When there is no more room.
    fn class_of(&mut self, member: &Member) -> Result<u32, TableFull>;
}

/// The table has no room for the change, which did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

/// A table and who owns which of its lines.
pub struct Table<R, L> {
    memory: Memory<R, L>,
    arena: Arena,
}

impl<R: Deref<Target = [AtomicU32]>, L: Deref<Target = [AtomicU64]>> Table<R, L> {
    /// An empty table over zeroed memory.
    pub fn new(memory: Memory<R, L>) -> Self {
        let lines = memory.lines.len() / firewall_common::prefix_table::WORDS;
        Self { memory, arena: Arena::new(u32::try_from(lines).unwrap_or(u32::MAX)) }
    }

    /// Fills an empty table with all of `members`.
    ///
    /// # Errors
    /// When there is not enough room.
    pub fn fill(&mut self, members: &Members, classes: &mut impl Classes) -> Result<(), TableFull> {
        for all in [Prefix::ALL_V4, Prefix::ALL_V6] {
            self.renew_roots(&Slot::covered(all), members, classes)?;
        }
        Ok(())
    }

    /// Brings the table in line with `members` after `prefix` has changed. Replaced lines wait for
    /// [`reclaim`](Self::reclaim).
    ///
    /// # Errors
    /// When there is not enough room; then nothing has changed.
    pub fn update(&mut self, members: &Members, prefix: Prefix, classes: &mut impl Classes) -> Result<(), TableFull> {
        let slot = Slot::covered(prefix);
        let done = if prefix.length() <= Slot::ROOT_BITS {
            self.renew_roots(&slot, members, classes)
        } else {
            let changed = Item::new(prefix, 0);
            let (root, _) = changed.children(Slot::ROOT_BITS, ROOT_SLOTS);
            let old = self.published(slot.is_v4, root);
            let new = self.renew(old, &Slot::root(slot.is_v4, root), &changed, members, classes);
            new.map(|new| self.publish(slot.is_v4, root, new))
        };
        match done {
            Ok(()) => self.arena.commit(),
            Err(TableFull) => self.arena.abandon(),
        }
        done
    }

    /// Builds everything in `slot`, which is a slot of the root or several, and publishes it slot by slot.
    fn renew_roots(&mut self, slot: &Slot, members: &Members, classes: &mut impl Classes) -> Result<(), TableFull> {
        let (base, items) = slot.read(members, classes)?;
        let mut entries = vec![entry(Tag::Class, base); 1 << (Slot::ROOT_BITS - slot.length)];
        self.spread(slot, Slot::ROOT_BITS, &items, &mut entries)?;
        for (root, new) in (slot.first_root()..).zip(entries) {
            let old = self.published(slot.is_v4, root);
            self.publish(slot.is_v4, root, new);
            self.retire_tree(old);
        }
        Ok(())
    }

    /// The entry of `slot` after `changed` has changed, `old` being the one before.
    fn renew(
        &mut self,
        old: u32,
        slot: &Slot,
        changed: &Item,
        members: &Members,
        classes: &mut impl Classes,
    ) -> Result<u32, TableFull> {
        if tag(old) != Tag::Node || changed.length <= slot.length {
            let (base, items) = slot.read(members, classes)?;
            let new = self.build(slot, base, &items)?;
            self.retire_tree(old);
            return Ok(new);
        }
        let mut entries = node::decode(&self.memory.lines, number(old));
        let (first, count) = changed.children(slot.length + 8, entries.len());
        for (octet, place) in entries.iter_mut().enumerate().skip(first).take(count) {
            *place = self.renew(*place, &slot.child(octet), changed, members, classes)?;
        }
        let copy = self.encode(&entries)?;
        self.retire_node(number(old));
        Ok(copy)
    }

    /// Gives lines that were replaced before the last grace period back. To be called when every program that was
    /// running at the time of the last [`update`](Self::update) has ended.
    pub fn reclaim(&mut self) {
        self.arena.reclaim();
    }

    /// Lines that are in use or wait for a grace period, and lines there are.
    pub fn usage(&self) -> (u32, u32) {
        self.arena.usage()
    }

    /// Pieces that wait for a grace period.
    pub fn retired(&self) -> u32 {
        self.arena.retired()
    }

    /// The memory that readers see.
    pub fn memory(&self) -> &Memory<R, L> {
        &self.memory
    }

    fn published(&self, is_v4: bool, root: usize) -> u32 {
        self.root(is_v4).get(root).map_or(0, |slot| slot.load(Ordering::Relaxed))
    }

    /// One store: the lines that `new` leads to are written before.
    fn publish(&self, is_v4: bool, root: usize, new: u32) {
        if let Some(slot) = self.root(is_v4).get(root) {
            slot.store(new, Ordering::Release);
        }
    }

    fn root(&self, is_v4: bool) -> &[AtomicU32] {
        if is_v4 { &self.memory.root_v4 } else { &self.memory.root_v6 }
    }

    fn retire_node(&mut self, line: u32) {
        for (first, count) in node::lines(&self.memory.lines, line) {
            self.arena.retire_lines(first, count);
        }
    }

    /// Retires everything that the entry `old` leads to.
    fn retire_tree(&mut self, old: u32) {
        match tag(old) {
            Tag::Class => {}
            Tag::Hosts => self.arena.retire_hosts(number(old)),
            Tag::Leaf => self.arena.retire_lines(number(old), 1),
            Tag::Node => {
                // A run of equal entries is of one class, or of one slot.
                for child in node::decode(&self.memory.lines, number(old)) {
                    if tag(child) != Tag::Class {
                        self.retire_tree(child);
                    }
                }
                self.retire_node(number(old));
            }
        }
    }

    /// Writes a node; a node of one class is that class.
    fn encode(&mut self, entries: &[u32; 256]) -> Result<u32, TableFull> {
        if entries.iter().all(|entry| *entry == entries[0]) && tag(entries[0]) == Tag::Class {
            return Ok(entries[0]);
        }
        let line = node::encode(&self.memory.lines, &mut self.arena, entries)?;
        Ok(entry(Tag::Node, line))
    }
}

/// Address bits of `address`, first ones highest.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests;
