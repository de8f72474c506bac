//! IPv6: slots of the root, and the nodes below them.

use firewall_common::prefix_table::{Tag, entry, number, tag};

use super::{
    Classes, Table, TableFull, Words,
    build::{Item, Slot},
    node,
};
use crate::lists::members::Members;

impl<R: Words<u32>, L: Words<u64>> Table<R, L> {
    /// Builds everything in `slot`, which is a slot of the IPv6 root or several, and publishes it slot by slot.
    pub(super) fn renew_roots_v6(
        &mut self,
        slot: &Slot,
        members: &Members,
        classes: &mut impl Classes,
    ) -> Result<(), TableFull> {
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
    pub(super) fn renew(
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
}
