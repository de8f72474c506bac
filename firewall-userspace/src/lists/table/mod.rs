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
mod words;

use std::{collections::HashSet, net::IpAddr};

use firewall_common::prefix_table::{CROWDED, PlacesHash, ROOT_SLOTS, RootSlot, Tag, entry, number, tag};

use self::{
    arena::Arena,
    build::{Item, Slot},
    places::{LineContent, Place, Places},
};
use super::members::{Member, Members};
use crate::policy::Prefix;
pub use places::count as count_places;
pub use words::Words;

/// The memory that readers see.
#[derive(Clone)]
pub struct Memory<R, L> {
    /// Root of IPv4, [`ROOT_SLOTS`] slots, then the groups of each.
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

    /// Builds everything in `changed`, which is a slot of the IPv4 root or several.
    fn renew_roots_v4(
        &mut self,
        changed: &Slot,
        members: &Members,
        classes: &mut impl Classes,
        order: impl FnOnce(),
    ) -> Result<(), TableFull> {
        let root = changed.first_root();
        let (base, items) = changed.read(members, classes)?;
        let mut entries = vec![entry(Tag::Class, base); 1 << (Slot::ROOT_BITS - changed.length)];
        let mut slots = Vec::new();
        self.spread(changed, Slot::ROOT_BITS, &items, &mut entries, &mut |table, slot, base, items| {
            slots.push(table.build_root(slot, base, items)?);
            Ok(entry(Tag::Class, base))
        })?;
        let mut slots = slots.into_iter().peekable();
        let mut new = Vec::with_capacity(entries.len());
        for (root, entry) in (root..).zip(entries) {
            let first = number(entry);
            let whole = RootSlot { first, ..RootSlot::default() };
            let slot = slots.next_if(|(of, _)| *of == root).map(|(_, slot)| slot);
            new.push((root, slot.unwrap_or(if first == 0 { NewRoot::NOTHING } else { NewRoot::Slot(whole) })));
        }
        self.publish_roots_v4(new, order);
        Ok(())
    }

    /// What becomes of a slot of the IPv4 root; its places are set, but the groups do not lead there yet.
    fn build_root(&mut self, slot: &Slot, base: u32, items: &[Item]) -> Result<(usize, NewRoot), TableFull> {
        let root = slot.first_root();
        if self.groups(root) != CROWDED
            && let Some(content) = LineContent::of(base, items)
        {
            match self.set_places(slot, &content) {
                Ok(()) => {
                    let groups = content.groups();
                    let content = self.may_have_places(root).then(|| Box::new(content));
                    return Ok((root, NewRoot::Places { groups, content }));
                }
                // The slot does without; what was set is removed with the others.
                Err(TableFull) => drop(self.unsure.insert(root)),
            }
        }
        Ok((root, NewRoot::Slot(self.build_slot(slot, base, items)?)))
    }

    /// A slot of the IPv4 root without places.
    fn build_slot(&mut self, slot: &Slot, base: u32, items: &[Item]) -> Result<RootSlot, TableFull> {
        let mut entries = [entry(Tag::Class, base); 256];
        self.spread(slot, slot.length + 8, items, &mut entries, &mut Self::build)?;
        self.summarise(&entries)
    }

    /// Publishes whole slots of the IPv4 root.
    fn publish_roots_v4(&mut self, new: Vec<(usize, NewRoot)>, order: impl FnOnce()) {
        let mut crowded = Vec::new();
        for (root, new) in new {
            let is_crowded = self.groups(root) == CROWDED;
            match new {
                NewRoot::Places { groups, content } if !is_crowded => {
                    if self.may_have_places(root) {
                        self.remove_places(&Slot::root(true, root), content.as_deref());
                        self.unsure.remove(&root);
                    }
                    self.publish_groups(root, groups);
                }
                NewRoot::Places { .. } => self.replace_slot(root, RootSlot::default()),
                NewRoot::Slot(slot) => {
                    self.replace_slot(root, slot);
                    if !is_crowded {
                        crowded.push(root);
                    }
                }
            }
        }
        if crowded.is_empty() {
            return;
        }
        order();
        for root in crowded {
            if self.may_have_places(root) {
                self.crowded.push(root);
            }
            self.publish_groups(root, CROWDED);
        }
    }

    /// Publishes a slot that may be in use, and gives the old one back.
    fn replace_slot(&mut self, root: usize, new: RootSlot) {
        let old = self.published_v4(root);
        self.publish_v4(root, new);
        self.retire_slot(old);
    }

    /// Brings the part `changed` of a slot of the IPv4 root in line with `members`.
    fn renew_v4(
        &mut self,
        changed: &Slot,
        members: &Members,
        classes: &mut impl Classes,
        order: impl FnOnce(),
    ) -> Result<(), TableFull> {
        let root = changed.first_root();
        let slot = Slot::root(true, root);
        if self.groups(root) != CROWDED {
            let (base, items) = slot.read(members, classes)?;
            if let Some(content) = LineContent::of(base, &items) {
                match self.set_places(changed, &content) {
                    Ok(()) => {
                        let part = if self.unsure.remove(&root) { &slot } else { changed };
                        self.remove_places(part, Some(&content));
                        self.publish_groups(root, content.groups());
                        return Ok(());
                    }
                    Err(TableFull) => drop(self.unsure.insert(root)),
                }
            }
            let new = self.build_slot(&slot, base, &items)?;
            self.publish_roots_v4(vec![(root, NewRoot::Slot(new))], order);
            return Ok(());
        }
        let old = self.published_v4(root);
        let before = self.entries_of(old);
        let mut entries = before;
        let count = 1usize << (Slot::ROOT_BITS + 8).saturating_sub(changed.length);
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

    /// Sets the places of `content` that are inside `part`.
    fn set_places(&mut self, part: &Slot, content: &LineContent) -> Result<(), TableFull> {
        self.touched.push(part.first_root());
        let words = &self.memory.places;
        for (third, class) in part.third_octets().zip(part.nets_of(content)) {
            if *class != 0 {
                self.places.set(words, Place::Net(part.net(third)), *class)?;
            }
        }
        for (bits, class) in content.hosts.iter().filter(|(bits, _)| part.has_host(*bits)) {
            self.places.set(words, Place::Host(*bits), *class)?;
        }
        Ok(())
    }

    /// Whether any place is in a slot of the IPv4 root that is not crowded.
    fn may_have_places(&self, root: usize) -> bool {
        self.groups(root) != 0 || self.unsure.contains(&root)
    }

    /// Removes the places inside `part` that are not in `content`.
    fn remove_places(&mut self, part: &Slot, content: Option<&LineContent>) {
        let words = &self.memory.places;
        let is_gone = |place| content.is_none_or(|content| !content.has(place));
        if let Some(bits) = part.host() {
            if is_gone(Place::Host(bits)) {
                self.places.remove(words, Place::Host(bits));
            }
            return;
        }
        for third in part.third_octets() {
            for place in self.places.of_net(words, part.net(third)).into_iter().filter(|place| is_gone(*place)) {
                self.places.remove(words, place);
            }
        }
    }

    /// Builds everything in `slot`, which is a slot of the IPv6 root or several, and publishes it slot by slot.
    fn renew_roots_v6(&mut self, slot: &Slot, members: &Members, classes: &mut impl Classes) -> Result<(), TableFull> {
        let (base, items) = slot.read(members, classes)?;
        let mut entries = vec![entry(Tag::Class, base); 1 << (Slot::ROOT_BITS - slot.length)];
        self.spread(slot, Slot::ROOT_BITS, &items, &mut entries, &mut Self::build)?;
        for (root, new) in (slot.first_root()..).zip(entries) {
            let old = self.memory.root_v6.load(root);
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

    fn groups(&self, root: usize) -> u64 {
        self.memory.root_v4.load(ROOT_SLOTS + root)
    }

    fn publish_groups(&self, root: usize, groups: u64) {
        self.memory.root_v4.store(ROOT_SLOTS + root, groups);
    }

    fn published_v4(&self, root: usize) -> RootSlot {
        RootSlot::of(self.memory.root_v4.load(root))
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

/// What becomes of a slot of the IPv4 root.
enum NewRoot {
    /// The places are all.
    Places {
        /// The groups in which they are.
        groups: u64,
        /// Which they are, for those that others may have to be removed from.
        content: Option<Box<LineContent>>,
    },
    /// Too much for places.
    Slot(RootSlot),
}

impl NewRoot {
    /// Nothing is in it.
    const NOTHING: Self = Self::Places { groups: 0, content: None };
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
