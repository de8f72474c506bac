//! Which prefixes are in which lists, and what the kernel's tables must say for it.
//!
//! The kernel finds only the longest prefix that covers an address, so each prefix carries the union of what it and all
//! its covering prefixes are in. A change of one prefix therefore changes every more specific one.

use std::{collections::BTreeMap, net::IpAddr};

use firewall_common::abi::{self, MembershipValue};

use crate::policy::Prefix;

/// What a prefix is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Bit n: in list n of the policy.
    pub lists: u64,
    /// Address or broadcast address of this host.
    pub own: bool,
    /// A management prefix.
    pub management: bool,
}

/// One change of a kernel table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub prefix: Prefix,
    /// Its value before; `None`: it was not there.
    pub old: Option<Member>,
    /// Its new value; `None`: it goes.
    pub new: Option<Member>,
}

/// All prefixes, with what each of them is in by itself.
#[derive(Clone, Debug, Default)]
pub struct Members {
    prefixes: BTreeMap<Prefix, Member>,
    /// How many prefixes have each length: IPv4 first.
    lengths: Lengths,
}

#[derive(Clone, Debug)]
struct Lengths([[usize; 129]; 2]);

impl Default for Lengths {
    fn default() -> Self {
        Self([[0; 129]; 2])
    }
}

impl Member {
    /// In nothing at all.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// In everything that either is in.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            lists: self.lists | other.lists,
            own: self.own || other.own,
            management: self.management || other.management,
        }
    }

    /// As the kernel keeps it.
    pub fn value(self) -> MembershipValue {
        let [a, b, c, d, e, f, g, h] = self.lists.to_le_bytes();
        let mut flags = 0;
        if self.own {
            flags |= abi::OWN;
        }
        if self.management {
            flags |= abi::MANAGEMENT;
        }
        MembershipValue { lists: [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])], flags }
    }
}

impl Members {
    /// Number of prefixes of each family: IPv4, IPv6.
    pub fn len(&self) -> [usize; 2] {
        self.lengths.0.each_ref().map(|lengths| lengths.iter().sum())
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// What `prefix` is in by itself.
    pub fn own_value(&self, prefix: Prefix) -> Member {
        self.prefixes.get(&prefix).copied().unwrap_or_default()
    }

    /// Sets what `prefix` is in by itself, without working out what the kernel must be told.
    pub fn set(&mut self, prefix: Prefix, member: Member) {
        let count = self.lengths.of(prefix);
        if member.is_empty() {
            if self.prefixes.remove(&prefix).is_some() {
                *count -= 1;
            }
        } else if self.prefixes.insert(prefix, member).is_none() {
            *count += 1;
        }
    }

    /// What an address whose longest prefix is `prefix` is in: the union over all covering prefixes.
    pub fn union_of(&self, prefix: Prefix) -> Member {
        let mut union = self.own_value(prefix);
        let mut cover = prefix;
        while let Some(parent) = cover.parent() {
            cover = parent;
            if self.lengths.any(cover) {
                union = union.union(self.own_value(cover));
            }
        }
        union
    }

    /// What `address` is in.
    pub fn lookup(&self, address: IpAddr) -> Member {
        self.union_of(Prefix::host(address))
    }

    /// Changes what some prefixes are in by themselves; returns what the kernel must be told.
    ///
    /// Their order lets each address go from its old value to its new one in one step: new prefixes come first, those
    /// inside others before them; then those that stay; then those that go, covers before what they cover.
    pub fn change(&mut self, changes: &[(Prefix, Member)]) -> Vec<Write> {
        let mut old: BTreeMap<Prefix, Option<Member>> = BTreeMap::new();
        for (prefix, _) in changes {
            old.entry(*prefix).or_insert_with(|| self.kernel_value(*prefix));
        }
        // A prefix inside another changed one is visited with that one.
        let mut covered: Option<Prefix> = None;
        let roots: Vec<Prefix> = old.keys().copied().collect();
        let mut descendants = BTreeMap::new();
        for root in roots {
            if covered.is_some_and(|cover| cover.covers(root)) {
                continue;
            }
            covered = Some(root);
            self.with_unions(root, |prefix, union| {
                descendants.insert(prefix, Some(union));
            });
        }
        old.extend(descendants);
        for (prefix, member) in changes {
            self.set(*prefix, *member);
        }
        let mut new: BTreeMap<Prefix, Member> = BTreeMap::new();
        let mut covered: Option<Prefix> = None;
        for root in old.keys().copied() {
            if covered.is_some_and(|cover| cover.covers(root)) {
                continue;
            }
            covered = Some(root);
            self.with_unions(root, |prefix, union| {
                new.insert(prefix, union);
            });
        }
        let write = |(prefix, old): (Prefix, Option<Member>)| Write { prefix, old, new: new.get(&prefix).copied() };
        let writes: Vec<Write> = old.into_iter().map(write).filter(|write| write.old != write.new).collect();
        let appears = |write: &&Write| write.old.is_none();
        let goes = |write: &&Write| write.new.is_none();
        let stays = |write: &&Write| write.old.is_some() && write.new.is_some();
        let (new, same, gone) =
            (writes.iter().filter(appears).rev(), writes.iter().filter(stays), writes.iter().filter(goes));
        new.chain(same).chain(gone).copied().collect()
    }

    /// Every prefix and the union it must carry in the kernel, parents first.
    pub fn unions(&self, mut visit: impl FnMut(Prefix, Member)) {
        let mut covers = Covers::default();
        for (prefix, member) in &self.prefixes {
            visit(*prefix, covers.enter(*prefix, *member));
        }
    }

    /// The same for `root` and what it covers.
    fn with_unions(&self, root: Prefix, mut visit: impl FnMut(Prefix, Member)) {
        let above = root.parent().map_or_else(Member::default, |parent| self.union_of(parent));
        let mut covers = Covers { stack: Vec::new(), above };
        for (prefix, member) in self.prefixes.range(root..=last_inside(root)) {
            visit(*prefix, covers.enter(*prefix, *member));
        }
    }

    /// What the kernel has for `prefix` now.
    fn kernel_value(&self, prefix: Prefix) -> Option<Member> {
        self.prefixes.contains_key(&prefix).then(|| self.union_of(prefix))
    }
}

/// The covering prefixes of where a walk in order is.
#[derive(Default)]
struct Covers {
    stack: Vec<(Prefix, Member)>,
    above: Member,
}

impl Covers {
    /// Comes to the next prefix in order: its union.
    fn enter(&mut self, prefix: Prefix, member: Member) -> Member {
        while self.stack.last().is_some_and(|(cover, _)| !cover.covers(prefix)) {
            self.stack.pop();
        }
        let union = member.union(self.stack.last().map_or(self.above, |(_, union)| *union));
        self.stack.push((prefix, union));
        union
    }
}

impl Lengths {
    fn of(&mut self, prefix: Prefix) -> &mut usize {
        let [v4, v6] = &mut self.0;
        let lengths = if prefix.address().is_ipv4() { v4 } else { v6 };
        let [first, rest @ ..] = lengths;
        rest.get_mut(usize::from(prefix.length()).wrapping_sub(1)).unwrap_or(first)
    }

    fn any(&self, prefix: Prefix) -> bool {
        let [v4, v6] = &self.0;
        let lengths = if prefix.address().is_ipv4() { v4 } else { v6 };
        lengths.get(usize::from(prefix.length())).is_some_and(|count| *count > 0)
    }
}

/// The last key in order that `root` can cover.
fn last_inside(root: Prefix) -> Prefix {
    Prefix::host(root.last())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_list(list: u32) -> Member {
        Member { lists: 1 << list, ..Member::default() }
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_more_specific_prefix_carries_the_lists_of_all_its_covers() {
        let mut members = Members::default();
        members.change(&[(prefix("10.0.0.0/8"), in_list(0))]);
        let writes = members.change(&[(prefix("10.1.2.3"), in_list(1))]);
        let both = in_list(0).union(in_list(1));
        assert_eq!(writes, [Write { prefix: prefix("10.1.2.3"), old: None, new: Some(both) }]);
    }

    #[test]
    fn removing_a_cover_changes_what_it_covered() {
        let mut members = Members::default();
        members.change(&[(prefix("10.0.0.0/8"), in_list(0)), (prefix("10.1.2.3"), in_list(1))]);
        let writes = members.change(&[(prefix("10.0.0.0/8"), Member::default())]);
        let both = in_list(0).union(in_list(1));
        assert_eq!(
            writes,
            [
                Write { prefix: prefix("10.1.2.3"), old: Some(both), new: Some(in_list(1)) },
                Write { prefix: prefix("10.0.0.0/8"), old: Some(in_list(0)), new: None },
            ]
        );
    }

    #[test]
    fn the_default_prefix_of_one_family_does_not_touch_the_other() {
        let mut members = Members::default();
        members.change(&[(prefix("::/0"), in_list(0)), (prefix("1.2.3.4"), in_list(1))]);
        assert_eq!(members.lookup("1.2.3.4".parse().unwrap()), in_list(1));
        assert_eq!(members.lookup("::2".parse().unwrap()), in_list(0));
        assert_eq!(members.len(), [1, 1]);
    }

    /// Prefixes in a small corner of both families, so that they overlap often.
    fn any_prefix() -> impl Strategy<Value = Prefix> {
        prop_oneof![
            (any::<u8>(), 24u8..=32).prop_map(|(low, length)| {
                let address = u32::from_be_bytes([192, 0, 2, low]) & u32::MAX << (32 - length);
                Prefix::new(IpAddr::from(address.to_be_bytes()), length).unwrap()
            }),
            (any::<u8>(), 120u8..=128).prop_map(|(low, length)| {
                let base = 0x2001_0db8_u128 << 96 | u128::from(low);
                Prefix::new(IpAddr::from((base & u128::MAX << (128 - length)).to_be_bytes()), length).unwrap()
            }),
            Just(prefix("0.0.0.0/0")),
            Just(prefix("::/0")),
        ]
    }

    fn any_member() -> impl Strategy<Value = Member> {
        (0u64..8, any::<bool>()).prop_map(|(lists, own)| Member { lists, own, management: false })
    }

    /// What the table says about `address`.
    fn longest(table: &BTreeMap<Prefix, Member>, address: IpAddr) -> Member {
        let covering = table.iter().filter(|(prefix, _)| prefix.contains(address));
        covering.max_by_key(|(prefix, _)| prefix.length()).map(|(_, member)| *member).unwrap_or_default()
    }

    proptest! {
        /// A packet between two writes of a push meets the old or the new policy, never a mixture.
        #[test]
        fn each_address_goes_from_its_old_value_to_its_new_one_in_one_step(
            batches in prop::collection::vec(prop::collection::vec((any_prefix(), any_member()), 1..6), 1..6)
        ) {
            let mut members = Members::default();
            let mut kernel: BTreeMap<Prefix, Member> = BTreeMap::new();
            let addresses: Vec<IpAddr> = (0..=255u8).map(|low| IpAddr::from([192, 0, 2, low])).collect();
            for batch in batches {
                let before: Vec<Member> = addresses.iter().map(|address| members.lookup(*address)).collect();
                let writes = members.change(&batch);
                let after: Vec<Member> = addresses.iter().map(|address| members.lookup(*address)).collect();
                for write in writes {
                    match write.new {
                        Some(new) => kernel.insert(write.prefix, new),
                        None => kernel.remove(&write.prefix),
                    };
                    for ((address, before), after) in addresses.iter().zip(&before).zip(&after) {
                        let now = longest(&kernel, *address);
                        prop_assert!(now == *before || now == *after, "{address} is {now:?}: {before:?} to {after:?}");
                    }
                }
            }
        }

        /// Applying the writes to a table of longest matches gives every address the union of its covering prefixes.
        #[test]
        fn writes_keep_the_longest_match_equal_to_the_union(
            batches in prop::collection::vec(prop::collection::vec((any_prefix(), any_member()), 1..6), 1..12)
        ) {
            let mut members = Members::default();
            let mut kernel: BTreeMap<Prefix, Member> = BTreeMap::new();
            let mut model: BTreeMap<Prefix, Member> = BTreeMap::new();
            for batch in batches {
                for (prefix, member) in &batch {
                    model.insert(*prefix, *member);
                }
                for write in members.change(&batch) {
                    prop_assert_eq!(kernel.get(&write.prefix).copied(), write.old);
                    match write.new {
                        Some(new) => kernel.insert(write.prefix, new),
                        None => kernel.remove(&write.prefix),
                    };
                }
            }
            let mut unions = BTreeMap::new();
            members.unions(|prefix, union| { unions.insert(prefix, union); });
            prop_assert_eq!(&unions, &kernel);
            for low in 0..=255u8 {
                for address in [IpAddr::from([192, 0, 2, low]), IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(low)).to_be_bytes())] {
                    let wanted = model.iter().filter(|(prefix, _)| prefix.contains(address))
                        .fold(Member::default(), |all, (_, one)| all.union(*one));
                    prop_assert_eq!(longest(&kernel, address), wanted);
                    prop_assert_eq!(members.lookup(address), wanted);
                }
            }
        }
    }
}
