//! IPv4: slots of the root, in places or, where they are too full for these, in entries.

use firewall_common::prefix_table::{CROWDED, ROOT_SLOTS, RootSlot, Tag, entry, number};

use super::{
    Classes, Table, TableFull, Words,
    build::{Item, Slot},
    places::{LineContent, Place},
};
use crate::lists::members::Members;

impl<R: Words<u32>, L: Words<u64>> Table<R, L> {
    /// Builds everything in `changed`, which is a slot of the IPv4 root or several.
    pub(super) fn renew_roots_v4(
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
    pub(super) fn renew_v4(
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

    fn groups(&self, root: usize) -> u64 {
        self.memory.root_v4.load(ROOT_SLOTS + root)
    }

    fn publish_groups(&self, root: usize, groups: u64) {
        self.memory.root_v4.store(ROOT_SLOTS + root, groups);
    }

    fn published_v4(&self, root: usize) -> RootSlot {
        RootSlot::of(self.memory.root_v4.load(root))
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
