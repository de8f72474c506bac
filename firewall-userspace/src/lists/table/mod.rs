//! The write side of the compiled prefix table; `firewall_common::prefix_table` has the layout and the read side.
//!
//! A change rewrites what a root slot leads to, in lines that no reader can reach yet, and publishes it by one store to
//! the slot; IPv4 places are changed in place. Each address goes from its old answer to its new one in one step, not all
//! addresses of a prefix at once.
//!
//! An IPv4 slot that has become too full for places stays without until the next generation.

mod arena;
mod build;
mod node;
mod places;
mod summary;
mod v4;
mod v6;
mod words;

use std::{collections::HashSet, net::IpAddr};

use firewall_common::prefix_table::{PlacesHash, RootSlot, Tag, entry, number, tag};

use self::{
    arena::Arena,
    build::{Item, Slot},
    places::Places,
};
use super::members::{Member, Members};
use crate::policy::Prefix;
pub use places::count as count_places;
pub use words::Words;

/// The memory that readers see.
#[derive(Clone)]
pub struct Memory<R, L> {
    /// Root of IPv4, [`ROOT_SLOTS`](firewall_common::prefix_table::ROOT_SLOTS) slots, then the groups of each.
    pub root_v4: L,
    /// Root of IPv6, as many.
    pub root_v6: R,
    /// Lines, eight words each. Line 0 is never used.
    pub lines: L,
    /// Lines of places.
    pub places: L,
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
    places: Places,
    /// Slots of the IPv4 root that became too full for places: theirs are removed after a grace period.
    crowded: Vec<usize>,
    /// Slots of the IPv4 root with places that no group may lead to, because a change did not end.
    unsure: HashSet<usize>,
    /// Slots in which the change that is under way has set places.
    touched: Vec<usize>,
}

impl<R: Words<u32>, L: Words<u64>> Table<R, L> {
    /// An empty table over zeroed memory.
    pub fn new(memory: Memory<R, L>, hash: PlacesHash) -> Self {
        let lines = memory.lines.count() / firewall_common::prefix_table::WORDS;
        let arena = Arena::new(u32::try_from(lines).unwrap_or(u32::MAX));
        Self {
            memory,
            arena,
            places: Places::new(hash),
            crowded: Vec::new(),
            unsure: HashSet::new(),
            touched: Vec::new(),
        }
    }

    /// Fills an empty table with all of `members`.
    ///
    /// # Errors
    /// When there is not enough room.
    pub fn fill(&mut self, members: &Members, classes: &mut impl Classes) -> Result<(), TableFull> {
        for all in [Prefix::ALL_V4, Prefix::ALL_V6] {
            self.update(members, all, classes, || {})?;
        }
        Ok(())
    }

    /// Brings the table in line with `members` after `prefix` has changed. Replaced lines wait for
    /// [`reclaim`](Self::reclaim).
    ///
    /// `order` is called between the publication of root slots and that of the groups which lead to them: on CPUs that may
    /// load the new groups and then the old slot it must wait for a grace period.
    ///
    /// # Errors
    /// When there is not enough room; then another update after `members` was put back restores what has changed.
    pub fn update(
        &mut self,
        members: &Members,
        prefix: Prefix,
        classes: &mut impl Classes,
        order: impl FnOnce(),
    ) -> Result<(), TableFull> {
        let slot = Slot::covered(prefix);
        let done = if slot.is_v4 && slot.length <= Slot::ROOT_BITS {
            self.renew_roots_v4(&slot, members, classes, order)
        } else if slot.is_v4 {
            self.renew_v4(&slot, members, classes, order)
        } else if prefix.length() <= Slot::ROOT_BITS {
            self.renew_roots_v6(&slot, members, classes)
        } else {
            let root = slot.first_root();
            let old = self.memory.root_v6.load(root);
            let changed = Item::new(prefix, 0);
            let new = self.renew(old, &Slot::root(false, root), &changed, members, classes);
            new.map(|new| self.publish_v6(root, new))
        };
        match done {
            Ok(()) => self.arena.commit(),
            Err(TableFull) => {
                self.unsure.extend(&self.touched);
                self.arena.abandon();
            }
        }
        self.touched.clear();
        done
    }

    /// Gives lines that were replaced before the last grace period back. To be called when every program that was
    /// running at the time of the last [`update`](Self::update) has ended.
    pub fn reclaim(&mut self) {
        self.arena.reclaim();
        for root in self.crowded.drain(..) {
            let slot = Slot::root(true, root);
            for third in slot.third_octets() {
                for place in self.places.of_net(&self.memory.places, slot.net(third)) {
                    self.places.remove(&self.memory.places, place);
                }
            }
            self.unsure.remove(&root);
        }
    }

    /// Lines that are in use or wait for a grace period, and lines there are.
    pub fn usage(&self) -> (u32, u32) {
        self.arena.usage()
    }

    /// Pieces that wait for a grace period.
    pub fn retired(&self) -> u32 {
        self.arena.retired() + self.crowded.len() as u32
    }

    /// The memory that readers see.
    pub fn memory(&self) -> &Memory<R, L> {
        &self.memory
    }

    /// Places in use.
    pub fn places(&self) -> usize {
        self.places.live()
    }

    /// One store: the lines that `new` leads to are written before.
    fn publish_v4(&self, root: usize, new: RootSlot) {
        self.memory.root_v4.store(root, new.bits());
    }

    /// The same for IPv6.
    fn publish_v6(&self, root: usize, new: u32) {
        self.memory.root_v6.store(root, new);
    }

    fn retire_node(&mut self, node: u32) {
        if let Some((first, count)) = node::more(&self.memory.lines, node) {
            self.arena.retire_lines(first, count);
        }
        self.arena.retire_lines(node, 1);
    }

    /// Retires everything that the entry `old` leads to.
    fn retire_tree(&mut self, old: u32) {
        match tag(old) {
            Tag::Class => {}
            Tag::Leaf => self.arena.retire_lines(number(old), 1),
            Tag::Node => {
                // A run of equal entries is of one class, or of one slot.
                for child in node::decode(&self.memory.lines, number(old)) {
                    self.retire_tree(child);
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
        let line = self.arena.lines(1)?;
        node::encode(&self.memory.lines, &mut self.arena, line, entries)?;
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
