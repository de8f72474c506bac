//! The write side of the compiled prefix table; `firewall_common::prefix_table` has the layout and the read side.
//!
//! A change rewrites what a root slot leads to, in lines that no reader can reach yet, and publishes it by one store to
//! the slot. A prefix shorter than 16 bits is published slot by slot: each address goes from its old answer to its new one
//! in one step. The table of hosts is changed in place and first; see [`Table::update`].

mod arena;
mod build;
mod hosts;
mod node;
mod summary;

use std::{
    net::IpAddr,
    ops::Deref,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use firewall_common::prefix_table::{HostsHash, RootSlot, Tag, entry, number, tag};

use self::{
    arena::Arena,
    build::{Item, Slot},
    hosts::Hosts,
};
use crate::{
    members::{Member, Members},
    policy::Prefix,
};

/// The memory that readers see.
#[derive(Clone)]
pub struct Memory<R, L> {
    /// Root of IPv4, [`ROOT_SLOTS`](firewall_common::prefix_table::ROOT_SLOTS) slots.
    pub root_v4: L,
    /// Root of IPv6, as many.
    pub root_v6: R,
    /// Lines, eight words each. Line 0 is never used.
    pub lines: L,
    /// Lines of hosts, a power of two.
    pub hosts: L,
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
    hosts: Hosts,
}

impl<R: Deref<Target = [AtomicU32]>, L: Deref<Target = [AtomicU64]>> Table<R, L> {
    /// An empty table over zeroed memory.
    pub fn new(memory: Memory<R, L>, hash: HostsHash) -> Self {
        let lines = memory.lines.len() / firewall_common::prefix_table::WORDS;
        let arena = Arena::new(u32::try_from(lines).unwrap_or(u32::MAX));
        Self { memory, arena, hosts: Hosts::new(hash) }
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
    /// Hosts are changed before the root slots that lead to them. A host has at any time the class that is or was all of
    /// its answer, so a reader that finds it finds its old or its new answer, whichever slot it came from; one that is not
    /// a member any more is gone only when its answer is that of its /24. `order` is called between the two: on CPUs that may
    /// load the new slot and then an old host it must wait for a grace period.
    ///
    /// # Errors
    /// When there is not enough room; then no slot has changed, and another update after `members` was put back
    /// restores the hosts.
    pub fn update(
        &mut self,
        members: &Members,
        prefix: Prefix,
        classes: &mut impl Classes,
        order: impl FnOnce(),
    ) -> Result<(), TableFull> {
        let slot = Slot::covered(prefix);
        let done = if slot.is_v4 {
            self.update_hosts(members, prefix, classes).and_then(|()| {
                order();
                self.renew_v4(&slot, members, classes)
            })
        } else if prefix.length() <= Slot::ROOT_BITS {
            self.renew_roots_v6(&slot, members, classes)
        } else {
            let root = slot.first_root();
            let old = self.memory.root_v6.get(root).map_or(0, |slot| slot.load(Ordering::Relaxed));
            let changed = Item::new(prefix, 0);
            let new = self.renew(old, &Slot::root(false, root), &changed, members, classes);
            new.map(|new| self.publish_v6(root, new))
        };
        match done {
            Ok(()) => self.arena.commit(),
            Err(TableFull) => self.arena.abandon(),
        }
        done
    }

    /// Gives the hosts inside `prefix` their classes.
    fn update_hosts(&mut self, members: &Members, prefix: Prefix, classes: &mut impl Classes) -> Result<(), TableFull> {
        let mut done = Ok(());
        let words: &[AtomicU64] = &self.memory.hosts;
        let hosts = &mut self.hosts;
        if prefix.length() == HOST_BITS {
            let bits = first_32(prefix);
            if members.own_value(prefix).is_empty() {
                hosts.remove(words, bits);
                return Ok(());
            }
            return hosts.set(words, bits, classes.class_of(&members.union_of(prefix))?);
        }
        members.inside(prefix.address(), prefix.length(), |host, union| {
            if host.length() == HOST_BITS && done.is_ok() {
                done = classes.class_of(union).and_then(|class| hosts.set(words, first_32(host), class));
            }
        });
        done
    }

    /// Builds what `changed` changes in the IPv4 root, and publishes it slot by slot.
    fn renew_v4(&mut self, changed: &Slot, members: &Members, classes: &mut impl Classes) -> Result<(), TableFull> {
        let root = changed.first_root();
        if changed.length <= Slot::ROOT_BITS {
            let (base, items) = changed.read(members, classes)?;
            let mut entries = vec![entry(Tag::Class, base); 1 << (Slot::ROOT_BITS - changed.length)];
            let mut slots = Vec::new();
            self.spread(changed, Slot::ROOT_BITS, &items, &mut entries, &mut |table, slot, base, items| {
                let mut entries = [entry(Tag::Class, base); 256];
                table.spread(slot, slot.length + 8, items, &mut entries, &mut Self::build)?;
                slots.push((slot.first_root() - root, table.summarise(&entries)?));
                Ok(entry(Tag::Class, base))
            })?;
            let whole = |entry| RootSlot { first: number(entry), ..RootSlot::default() };
            let mut new: Vec<RootSlot> = entries.into_iter().map(whole).collect();
            for (index, slot) in slots {
                if let Some(place) = new.get_mut(index) {
                    *place = slot;
                }
            }
            for (root, new) in (root..).zip(new) {
                let old = self.published_v4(root);
                self.publish_v4(root, new);
                self.retire_slot(old);
            }
            return Ok(());
        }
        let old = self.published_v4(root);
        let before = self.entries_of(old);
        let mut entries = before;
        let count = 1usize << (Slot::ROOT_BITS + 8).saturating_sub(changed.length);
        let slot = Slot::root(true, root);
        for (octet, place) in entries.iter_mut().enumerate().skip(changed.third_octet()).take(count) {
            let child = slot.child(octet);
            let (base, items) = child.read(members, classes)?;
            self.retire_tree(*place);
            *place = self.build(&child, base, &items)?;
        }
        if entries != before {
            let new = self.summarise(&entries)?;
            self.publish_v4(root, new);
            self.retire_summary(old);
        }
        Ok(())
    }

    /// Builds everything in `slot`, which is a slot of the IPv6 root or several, and publishes it slot by slot.
    fn renew_roots_v6(&mut self, slot: &Slot, members: &Members, classes: &mut impl Classes) -> Result<(), TableFull> {
        let (base, items) = slot.read(members, classes)?;
        let mut entries = vec![entry(Tag::Class, base); 1 << (Slot::ROOT_BITS - slot.length)];
        self.spread(slot, Slot::ROOT_BITS, &items, &mut entries, &mut Self::build)?;
        for (root, new) in (slot.first_root()..).zip(entries) {
            let old = self.memory.root_v6.get(root).map_or(0, |slot| slot.load(Ordering::Relaxed));
            self.publish_v6(root, new);
            self.retire_tree(old);
        }
        Ok(())
    }

    /// The entry of an IPv6 `slot` after `changed` has changed, `old` being the one before.
    fn renew(
        &mut self,
        old: u32,
        slot: &Slot,
        changed: &Item,
        members: &Members,
        classes: &mut impl Classes,
    ) -> Result<u32, TableFull> {
        if tag(old) != Tag::Node || changed.length <= slot.length || slot.is_leaf(members) {
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

    /// Hosts in the table of hosts.
    pub fn hosts(&self) -> usize {
        self.hosts.live()
    }

    fn published_v4(&self, root: usize) -> RootSlot {
        RootSlot::of(self.memory.root_v4.get(root).map_or(0, |slot| slot.load(Ordering::Relaxed)))
    }

    /// One store: the lines that `new` leads to are written before.
    fn publish_v4(&self, root: usize, new: RootSlot) {
        if let Some(slot) = self.memory.root_v4.get(root) {
            slot.store(new.bits(), Ordering::Release);
        }
    }

    /// The same for IPv6.
    fn publish_v6(&self, root: usize, new: u32) {
        if let Some(slot) = self.memory.root_v6.get(root) {
            slot.store(new, Ordering::Release);
        }
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
            Tag::Class | Tag::Hosts => {}
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

/// Length of a prefix that is one IPv4 address.
const HOST_BITS: u8 = 32;

/// The first 32 bits of a prefix.
fn first_32(prefix: Prefix) -> u32 {
    (bits(prefix.address()) >> 96) as u32
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
